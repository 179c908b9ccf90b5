//! What goes wrong between a runtime and its plugins.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::frame::Malformed;

/// The result of an event.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an event ends the verb that it belongs to, or why a plugin does not become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A plugin has answered that it must not be.
    #[error("plugin {plugin} refused {call}: {message}")]
    Refused {
        /// The plugin, with its index.
        plugin: String,
        /// The call.
        call: &'static str,
        /// Its own words.
        message: String,
    },
    /// A plugin that asked for this could not be asked.
    #[error("ask plugin {plugin}: {call}")]
    Unanswered {
        /// The plugin, with its index.
        plugin: String,
        /// The call.
        call: &'static str,
        /// Why there is no answer.
        #[source]
        cause: Failure,
    },
    /// Two plugins have set the same thing.
    #[error("plugins {plugin} and {other} both set {what} of container {container}")]
    Conflict {
        /// The plugin that came second.
        plugin: String,
        /// The one that had set it.
        other: String,
        /// What it is.
        what: String,
        /// The container.
        container: String,
    },
    /// A plugin wants a container updated that is being made.
    #[error("plugin {plugin} asked to update container {container}, which it was asked to adjust")]
    UpdateOfNew {
        /// The plugin, with its index.
        plugin: String,
        /// The container.
        container: String,
    },
    /// A plugin without which no container is to be made is not there.
    #[error("plugin {0} is required and not connected")]
    Missing(String),
    /// What a plugin has said about itself cannot be meant.
    #[error("register plugin {plugin}: {says}")]
    Registration {
        /// The name that it gave, or where it came from.
        plugin: String,
        /// What is wrong.
        says: String,
    },
    /// A plugin's program could not be started.
    #[error("start plugin {}", program.display())]
    Launch {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The folder of plugins, or the configuration of one, could not be read.
    #[error("read {}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The socket could not be made.
    #[error("listen on {}", socket.display())]
    Listen {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Its time has passed.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The plugin has gone.
    #[error("the connection has ended")]
    Closed,
    /// The plugin has sent what is no message.
    #[error("it sent what cannot be understood")]
    Malformed(#[from] Malformed),
    /// A message is not what it should be.
    #[error("it sent what cannot be understood")]
    Undecodable(#[from] prost::DecodeError),
    /// An answer to nothing, a call on the wrong connection, more calls than anybody waits for.
    #[error("it {0}")]
    Unexpected(&'static str),
    /// The socket has failed.
    #[error("the connection broke: {0}")]
    Broken(io::ErrorKind),
    /// What should be sent is longer than a message may be.
    #[error("the message would be longer than {} bytes", crate::frame::MAX_BODY)]
    TooLong,
}
