//! What images are kept with: where, for which platform, how registries are asked.

use crate::unpack;
use compute::backend::Isolation;
use compute::compat::{Arch, Host, System};
use snapshots::ChainId;
use std::path::PathBuf;
use std::time::Duration;

/// How many layers of an image are downloaded and unpacked at once where nothing else is configured: each keeps a
/// processor busy, and a slow connection more than one.
const PARALLEL: usize = 4;

/// How to keep images.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder for the store's own files: the database, and layers as they came where these are kept.
    pub root: PathBuf,
    /// How registries are asked.
    pub network: Network,
    /// What one layer may take when it is unpacked.
    pub limits: unpack::Limits,
    /// Which entry of an index is taken.
    pub platform: Platform,
    /// How many layers of one image are downloaded and unpacked at once.
    pub parallel: usize,
    /// Whether a layer as it came, compressed, is gone once it is unpacked. Otherwise it stays until its image is
    /// removed; only then can the image be exported.
    pub discard_unpacked_layers: bool,
    /// The most that an archive may take on disk while it is imported, in bytes.
    pub import_limit: u64,
    /// Layers that are in use without a snapshot ([`crate::Images::begin_use`]) since before this process began, once
    /// for each user.
    pub used: Vec<ChainId>,
}

/// How registries are asked.
#[derive(Debug, Clone)]
pub struct Network {
    /// Folders in the form of `/etc/containerd/certs.d`.
    pub registry_config_dirs: Vec<PathBuf>,
    /// Docker's `config.json`, for registries that a request brings no credentials for.
    pub docker_config: Option<PathBuf>,
    /// How often a request is tried.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may pause, before it begins and within.
    pub idle_timeout: Duration,
}

/// The platform to choose images for.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The host.
    pub host: Host,
    /// How containers are isolated; `None`: as is usual on the host for each image.
    pub isolation: Option<Isolation>,
    /// The generation of 32-bit ARM processors, 5 to 8: images of this one and older ones run.
    pub arm_generation: u8,
}

impl Config {
    /// The defaults, below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            network: Network::default(),
            limits: unpack::Limits::default(),
            platform: Platform::of_this_machine(),
            parallel: PARALLEL,
            discard_unpacked_layers: true,
            import_limit: 64 << 30,
            used: Vec::new(),
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            registry_config_dirs: vec!["/etc/containerd/certs.d".into()],
            docker_config: None,
            attempts: 5,
            first_pause: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl Platform {
    /// Linux on the processors that this program was built for.
    pub fn of_this_machine() -> Self {
        // An architecture without a name among images' has no images either; nothing will match, and say so.
        let arch = std::env::consts::ARCH.parse().unwrap_or(Arch::Amd64);
        Self { host: Host::new(System::Linux, arch), isolation: None, arm_generation: 7 }
    }
}
