//! The Node Resource Interface (NRI): programs of the host's administrator that see every pod and container, and may
//! adjust containers while they are created.
//!
//! A runtime makes [`Plugins`], lets plugins come by [`serve()`], and tells `Plugins` what happens. What plugins want is
//! merged over all of them, in the order of their indices, and given back; what the runtime is made of stays its own.
//! The messages of [`api`] are the interface's own structures.

mod config;
mod error;
mod event;
mod frame;
mod launch;
mod link;
mod merge;
mod plugin;
mod plugins;
mod serve;
mod wire;

pub use config::{Config, Timeouts};
pub use error::{Error, Failure, Result};
/// What lies on the socket; public for whoever wants to try it with bytes of any kind.
pub use frame::{Assembler, Kind, Malformed, Message};
pub use plugins::{Block, ContainerEvent, Plugins, PodEvent, Runtime, Updated, Wanted};
pub use serve::serve;
pub use wire::api;
