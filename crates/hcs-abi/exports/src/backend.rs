//! What the libraries speak to.
//!
//! With the feature `memory` that is the suite's own implementation, one for each library and process: systems made
//! through one library are not seen through another. Without it nothing is there yet, and calls are answered with
//! `HCS_E_SERVICE_NOT_AVAILABLE`.

use hcs::Result;
use hcs::network::ComputeNetwork;
use hcs::service::ComputeService;
use hcs::storage::{ComputeStorage, LayerDriver};
use std::path::Path;

#[cfg(feature = "memory")]
mod chosen {
    use super::{ComputeNetwork, ComputeService, ComputeStorage, LayerDriver, Path, Result};
    use hcs::suite::memory::{Memory, MemoryDriver, MemoryNetwork, MemoryStorage};
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::{LazyLock, Mutex, PoisonError};

    pub(super) static SERVICE: LazyLock<Memory> = LazyLock::new(Memory::new);
    static NETWORK: LazyLock<MemoryNetwork> = LazyLock::new(MemoryNetwork::new);
    static STORAGE: LazyLock<MemoryStorage> = LazyLock::new(MemoryStorage::new);

    pub(super) fn service() -> Result<&'static dyn ComputeService> {
        Ok(&*SERVICE)
    }

    pub(super) fn network() -> Result<&'static dyn ComputeNetwork> {
        Ok(&*NETWORK)
    }

    pub(super) fn storage() -> Result<&'static dyn ComputeStorage> {
        Ok(&*STORAGE)
    }

    pub(super) fn driver(home: &Path) -> Result<Box<dyn LayerDriver>> {
        // A driver knows which layers are active; each home has one.
        static DRIVERS: Mutex<BTreeMap<PathBuf, MemoryDriver>> = Mutex::new(BTreeMap::new());
        let mut drivers = DRIVERS.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Box::new(drivers.entry(home.to_owned()).or_insert_with(|| MemoryDriver::new(home)).clone()))
    }
}

#[cfg(not(feature = "memory"))]
mod chosen {
    use super::{ComputeNetwork, ComputeService, ComputeStorage, LayerDriver, Path, Result};
    use hcs::{Error, HResult};

    fn nothing<T>() -> Result<T> {
        Err(Error::new("reach the service", HResult::HCS_E_SERVICE_NOT_AVAILABLE))
    }

    pub(super) fn service() -> Result<&'static dyn ComputeService> {
        nothing()
    }

    pub(super) fn network() -> Result<&'static dyn ComputeNetwork> {
        nothing()
    }

    pub(super) fn storage() -> Result<&'static dyn ComputeStorage> {
        nothing()
    }

    pub(super) fn driver(_: &Path) -> Result<Box<dyn LayerDriver>> {
        nothing()
    }
}

pub(crate) fn service() -> Result<&'static dyn ComputeService> {
    chosen::service()
}

pub(crate) fn network() -> Result<&'static dyn ComputeNetwork> {
    chosen::network()
}

pub(crate) fn storage() -> Result<&'static dyn ComputeStorage> {
    chosen::storage()
}

pub(crate) fn driver(home: &Path) -> Result<Box<dyn LayerDriver>> {
    chosen::driver(home)
}

/// From now on accepted calls are not carried out until what is returned is dropped.
#[cfg(feature = "memory")]
pub(crate) fn hold() -> hcs::suite::memory::Held {
    chosen::SERVICE.hold()
}
