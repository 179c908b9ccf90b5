//! The services of this host: Windows' own, and elsewhere those in memory, so that the examples run everywhere.

#![allow(dead_code, reason = "no example needs all of it")]

use hcs::documents::{ComputeSystem, Version};
use hcs::network::ComputeNetwork;
use hcs::service::ComputeService;
use std::error::Error;

/// Windows' own.
#[cfg(windows)]
pub(crate) fn compute_service() -> Result<Box<dyn ComputeService>, Box<dyn Error>> {
    Ok(hcs::windows::compute_service(&hcs::windows::Place::System32)?)
}

/// Windows' own.
#[cfg(windows)]
pub(crate) fn network_service() -> Result<Box<dyn ComputeNetwork>, Box<dyn Error>> {
    Ok(Box::new(hcs::windows::computenetwork::ComputeNetwork::load(&hcs::windows::Place::System32)?))
}

/// The one in memory.
#[cfg(not(windows))]
pub(crate) fn compute_service() -> Result<Box<dyn ComputeService>, Box<dyn Error>> {
    Ok(Box::new(hcs::suite::memory::Memory::new()))
}

/// The one in memory.
#[cfg(not(windows))]
pub(crate) fn network_service() -> Result<Box<dyn ComputeNetwork>, Box<dyn Error>> {
    Ok(Box::new(hcs::suite::memory::MemoryNetwork::new()))
}

/// A document of a version that every host with computecore.dll has.
pub(crate) fn document() -> ComputeSystem {
    ComputeSystem::new().owner("example").schema_version(Version::new().major(2_u32).minor(1_u32))
}
