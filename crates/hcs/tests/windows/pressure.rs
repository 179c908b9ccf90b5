//! Many operations in flight at the same time.

use crate::counters;
use crate::tools::{eventually, running, service, unique};
use hcs::documents::{Properties, SystemPropertyQuery};
use hcs::operation::Operation;
use hcs::service::ComputeService;
use std::thread;

pub(crate) const TESTS: &[(&str, fn())] =
    &[("a thousand operations of the library are in flight from sixteen threads", in_flight)];

const THREADS: usize = 16;
const EACH: usize = 64;

fn in_flight() {
    let service = service();
    let ids: Vec<String> = (0..THREADS).map(|_| unique("pressed")).collect();
    let systems: Vec<_> = ids.iter().map(|id| running(&service, id)).collect();
    counters::hold(true);
    let asked: Vec<Vec<Operation<Properties>>> = thread::scope(|scope| {
        let threads: Vec<_> = systems
            .iter()
            .map(|system| {
                scope.spawn(|| {
                    let ask = |_| system.properties(&SystemPropertyQuery::new()).unwrap();
                    (0..EACH).map(ask).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let open = counters::read("computecore.dll").operations;
    let unfinished = asked.iter().flatten().filter(|operation| !operation.is_finished()).count();
    counters::hold(false);
    assert_eq!(unfinished, THREADS * EACH);
    assert!(open >= 1024, "{open} operations were open in the library");
    for (asked, id) in asked.into_iter().zip(&ids) {
        for operation in asked {
            assert_eq!(operation.wait().unwrap().id.as_ref(), Some(id));
        }
    }
    for (system, id) in systems.iter().zip(&ids) {
        system.terminate().unwrap().wait().unwrap();
        eventually("the end", || service.open_system(id).is_err());
    }
}
