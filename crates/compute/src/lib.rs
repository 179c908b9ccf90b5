//! What a container is, on any system: its [id], its [lifecycle], its [bundle], its [record on disk](mod@record), the
//! [errors](mod@error) its verbs end in, the [`Backend`] that makes it real, and which image runs on which host
//! ([compat]).
//!
//! [`Runtime`] ties these together and is what the command line and the shim call: it reads the
//! record, asks the lifecycle table, calls the backend and writes the record, so that no two callers can disagree
//! about a state.
//!
//! Nothing here knows an operating system, runs an executor or holds unsafe code.
#![forbid(unsafe_code)]

pub mod backend;
pub mod bundle;
pub mod compat;
pub mod error;
pub mod id;
pub mod lifecycle;
pub mod mount;
pub mod record;
pub mod runtime;
#[cfg(feature = "suite")]
pub mod suite;

pub use backend::Backend;
pub use error::{Classify, Error, Kind};
pub use id::ContainerId;
pub use lifecycle::{Status, Verb};
pub use mount::Mount;
pub use record::{Record, Store};
pub use runtime::{Runtime, State};
