//! Windows' own implementations: the Host Compute Service and the Host Compute Network service, by way of the four
//! libraries that speak to them.
//!
//! | library             | here                 | hosts                       | implements                            |
//! |---------------------|----------------------|-----------------------------|---------------------------------------|
//! | computecore.dll     | [`computecore`]      | from build 17763            | [`ComputeService`]                    |
//! | vmcompute.dll       | [`vmcompute`]        | from build 14393            | [`ComputeService`], [`LayerDriver`]   |
//! | computestorage.dll  | [`computestorage`]   | from build 17763            | [`ComputeStorage`]                    |
//! | computenetwork.dll  | [`computenetwork`]   | from build 17134            | [`ComputeNetwork`]                    |
//!
//! The libraries are loaded when they are first asked for. [`compute_service`] takes the one that the host has.
//!
//! [`ComputeService`]: crate::service::ComputeService
//! [`LayerDriver`]: crate::storage::LayerDriver
//! [`ComputeStorage`]: crate::storage::ComputeStorage
//! [`ComputeNetwork`]: crate::network::ComputeNetwork

mod answer;
pub mod computecore;
pub mod computestorage;
mod library;
mod listener;
mod text;

pub use library::{Place, Unavailable, host_build};
