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
pub mod computenetwork;
pub mod computestorage;
mod guid;
mod library;
mod listener;
mod text;
pub mod vmcompute;

pub use library::{Place, Unavailable, host_build};
#[cfg(feature = "suite")]
#[doc(hidden)]
pub use text::texts_freed;

use crate::service::ComputeService;

/// The build that brought computecore.dll: Windows 10 1809 and Server 2019.
const COMPUTECORE: u32 = 17763;

/// The compute service of this host: by way of computecore.dll where there is one, of vmcompute.dll on older hosts.
///
/// # Errors
/// [`Unavailable::Library`], which names the library that this host should have.
pub fn compute_service(place: &Place) -> Result<Box<dyn ComputeService>, Unavailable> {
    match computecore::ComputeCore::load(place) {
        Ok(library) => Ok(Box::new(computecore::Service::new(library))),
        Err(_) if host_build() < COMPUTECORE => Ok(Box::new(vmcompute::VmCompute::load(place)?)),
        Err(missing) => Err(missing),
    }
}
