//! What a runtime says about itself and about where plugins come from.

use std::path::PathBuf;
use std::time::Duration;

/// How plugins are found and treated.
#[derive(Debug, Clone)]
pub struct Config {
    /// What plugins are told of the runtime.
    pub runtime_name: String,
    /// Its version.
    pub runtime_version: String,
    /// Where plugins connect; nothing for no socket.
    pub socket: Option<PathBuf>,
    /// Where the programs of plugins lie that are started with the runtime, each named `INDEX-NAME`.
    pub plugin_folder: PathBuf,
    /// Where their configuration lies: `INDEX-NAME.conf`, else `NAME.conf`.
    pub config_folder: PathBuf,
    /// How long plugins may take.
    pub timeouts: Timeouts,
    /// Plugins, by their names, without which no container is made.
    pub required: Vec<String>,
}

/// How long a plugin may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From its connection to its registration.
    pub registration: Duration,
    /// To take in what there is when it comes. Nothing changes meanwhile.
    pub synchronisation: Duration,
    /// For any other answer.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            registration: Duration::from_secs(5),
            synchronisation: Duration::from_secs(5),
            request: Duration::from_secs(2),
        }
    }
}
