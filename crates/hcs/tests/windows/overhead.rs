//! What a call costs: a measurement that checks nothing but that there are answers.

use crate::tools::{core, running, service, unique};
use hcs::documents::SystemPropertyQuery;
use hcs::service::ComputeService as _;
use std::time::Instant;

/// Tells what a crossing of the interface costs, and what a query does: by hand, and typed.
pub(crate) fn print() {
    const CROSSINGS: u32 = 200_000;
    const QUERIES: u32 = 2_000;
    let (core, service) = (core(), service());
    let operation = core.create_operation().unwrap();
    let begun = Instant::now();
    for _ in 0..CROSSINGS {
        assert_eq!(operation.kind().unwrap(), -1);
    }
    let crossing = begun.elapsed() / CROSSINGS;

    let id = unique("overhead");
    let typed = running(&service, &id);
    let system = core.open_compute_system(&id).unwrap();
    let begun = Instant::now();
    for _ in 0..QUERIES {
        let operation = core.create_operation().unwrap();
        system.properties(&operation, None).unwrap();
        assert!(operation.wait(None).unwrap().is_some());
    }
    let by_hand = begun.elapsed() / QUERIES;
    let begun = Instant::now();
    for _ in 0..QUERIES {
        assert!(typed.properties(&SystemPropertyQuery::new()).unwrap().wait().unwrap().id.is_some());
    }
    let by_type = begun.elapsed() / QUERIES;
    let memory = hcs::suite::memory::Memory::new();
    let direct = running(&memory, &id);
    let begun = Instant::now();
    for _ in 0..QUERIES {
        assert!(direct.properties(&SystemPropertyQuery::new()).unwrap().wait().unwrap().id.is_some());
    }
    let without = begun.elapsed() / QUERIES;
    typed.terminate().unwrap().wait().unwrap();
    direct.terminate().unwrap().wait().unwrap();
    drop(memory.open_system(&id));
    eprintln!(
        "a crossing of the interface {crossing:?}; a query with its operation {by_hand:?}, typed {by_type:?}, of the \
         in-memory service without the interface {without:?}"
    );
}
