//! What several tests here use: a service, systems in it, waiting with an end.

use crate::fixture::place;
use hcs::service::{ComputeService, System};
use hcs::suite::memory::MemoryFixture;
use hcs::windows::computecore::{ComputeCore, Service};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn core() -> ComputeCore {
    ComputeCore::load(&place()).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn service() -> Service {
    Service::new(core())
}

/// A name that nothing else here has.
pub(crate) fn unique(name: &str) -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

/// A container that runs.
pub(crate) fn running(service: &dyn ComputeService, id: &str) -> Box<dyn System> {
    let (system, created) = service.create_system(id, &MemoryFixture::container_document().into()).unwrap();
    created.wait().unwrap();
    system.start(&hcs::documents::StartOptions::new()).unwrap().wait().unwrap();
    system
}

/// Asks again until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}
