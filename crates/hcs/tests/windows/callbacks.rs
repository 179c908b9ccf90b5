//! Callbacks: on which threads, until when, and what they may do.

use crate::counters;
use crate::fixture::place;
use crate::tools::{eventually, running, service, unique};
use hcs::document::Guid;
use hcs::documents::network::{HostComputeNamespace, NamespaceType};
use hcs::documents::{Properties, SystemPropertyQuery};
use hcs::event::{Event, EventOptions};
use hcs::network::{ComputeNetwork as _, Watch};
use hcs::operation::Operation;
use hcs::service::{ComputeService, System};
use hcs::windows::computenetwork::ComputeNetwork;
use hcs::windows::vmcompute::VmCompute;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("no callback comes after the close", none_after_close),
    ("a close and an event may meet", races),
    ("a panic in a callback ends there", panics),
    ("a callback may close its own handle", closes_itself),
    ("a callback may close its own handle of version 1", closes_itself_v1),
    ("a callback of the network service may end itself", watch_ends_itself),
    ("an operation is awaited without an executor of ours", awaited),
    ("a context is freed when its handle is closed", context_freed),
];

const PATIENCE: Duration = Duration::from_secs(60);

fn none_after_close() {
    let service = service();
    let id = unique("none-after-close");
    let system = running(&service, &id);
    let heard = Arc::new(AtomicU32::new(0));
    for _ in 0..8 {
        let (handle, count) = (service.open_system(&id).unwrap(), Arc::clone(&heard));
        let callback = move |_: &Event| {
            count.fetch_add(1, Ordering::SeqCst);
        };
        handle.set_callback(EventOptions::default(), Box::new(callback)).unwrap();
    }
    let exit = system.exit().unwrap();
    system.terminate().unwrap().wait().unwrap();
    exit.wait().unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 0);
}

fn races() {
    let services: [Box<dyn ComputeService>; 2] =
        [Box::new(service()), Box::new(VmCompute::load(&place()).unwrap())];
    for service in services {
        for _ in 0..40 {
            let id = unique("races");
            let system = running(&*service, &id);
            let (closed, late) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let handle = service.open_system(&id).unwrap();
            let (is_closed, was_late) = (Arc::clone(&closed), Arc::clone(&late));
            let callback = move |_: &Event| {
                thread::yield_now();
                if is_closed.load(Ordering::SeqCst) {
                    was_late.store(true, Ordering::SeqCst);
                }
            };
            handle.set_callback(EventOptions::default(), Box::new(callback)).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| system.terminate().unwrap().wait().unwrap());
                drop(handle);
                closed.store(true, Ordering::SeqCst);
            });
            assert!(!late.load(Ordering::SeqCst), "a callback began, or went on, after the close");
        }
    }
}

fn panics() {
    let service = service();
    let id = unique("panics");
    let system = running(&service, &id);
    system.set_callback(EventOptions::default(), Box::new(|_| panic!("asked for"))).unwrap();
    let other = service.open_system(&id).unwrap();
    let (sender, receiver) = mpsc::channel();
    let callback = move |event: &Event| sender.send(event.code()).unwrap();
    other.set_callback(EventOptions::default(), Box::new(callback)).unwrap();
    let exits = [system.exit().unwrap(), other.exit().unwrap()];
    system.terminate().unwrap().wait().unwrap();
    for exit in exits {
        exit.wait().unwrap();
    }
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(1));
}

/// The callback of the handle drops it.
fn close_in_callback(service: &dyn ComputeService) {
    let id = unique("closes-itself");
    let system = running(service, &id);
    let handle: Arc<Mutex<Option<Box<dyn System>>>> = Arc::default();
    let (sender, receiver) = mpsc::channel();
    let taken = Arc::clone(&handle);
    let callback = move |_: &Event| {
        let handle = taken.lock().unwrap().take();
        sender.send(handle.is_some()).unwrap();
    };
    let opened = service.open_system(&id).unwrap();
    *handle.lock().unwrap() = Some(opened);
    handle
        .lock()
        .unwrap()
        .as_ref()
        .unwrap()
        .set_callback(EventOptions::default(), Box::new(callback))
        .unwrap();
    system.terminate().unwrap().wait().unwrap();
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
}

fn closes_itself() {
    close_in_callback(&service());
}

fn closes_itself_v1() {
    close_in_callback(&VmCompute::load(&place()).unwrap());
}

fn watch_ends_itself() {
    let network = ComputeNetwork::load(&place()).unwrap();
    let watch: Arc<Mutex<Option<Box<dyn Watch>>>> = Arc::default();
    let (sender, receiver) = mpsc::channel();
    let taken = Arc::clone(&watch);
    let callback = move |_: &hcs::network::NetworkEvent| {
        if let Some(watch) = taken.lock().unwrap().take() {
            drop(watch);
            sender.send(()).unwrap();
        }
    };
    let mut place = watch.lock().unwrap();
    *place = Some(network.watch(Box::new(callback)).unwrap());
    drop(place);
    let namespace = HostComputeNamespace::new().kind(NamespaceType::Host);
    let made = network.namespaces().create(None, &namespace).unwrap();
    receiver.recv_timeout(PATIENCE).unwrap();
    let id: Guid = made.id.unwrap();
    network.namespaces().delete(&id).unwrap();
    eventually("the end of the registration", || counters::read("computenetwork.dll").registrations <= 1);
}

/// Waits for a future with nothing but a thread that can be woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Parked(Thread);
    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn awaited() {
    let service = service();
    let id = unique("awaited");
    let system = running(&service, &id);
    let properties: Properties = block_on(async {
        let asked: Operation<Properties> = system.properties(&SystemPropertyQuery::new())?;
        asked.await
    })
    .unwrap();
    assert_eq!(properties.id.as_deref(), Some(id.as_str()));
    let exit = system.exit().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| system.terminate().unwrap().wait().unwrap());
        block_on(exit).unwrap();
    });
}

fn context_freed() {
    let services: [Box<dyn ComputeService>; 2] =
        [Box::new(service()), Box::new(VmCompute::load(&place()).unwrap())];
    for service in services {
        let id = unique("context-freed");
        let system = running(&*service, &id);
        let alive = Arc::new(());
        for _ in 0..10 {
            let (handle, kept) = (service.open_system(&id).unwrap(), Arc::clone(&alive));
            handle.set_callback(EventOptions::default(), Box::new(move |_| drop(Arc::clone(&kept)))).unwrap();
        }
        assert_eq!(Arc::strong_count(&alive), 1);
        system.terminate().unwrap().wait().unwrap();
    }
}
