//! Nothing stays behind: in a process of its own, lives are lived again and again through every library, and then what
//! is open and allocated is counted: handles of the process, handles and callbacks of the libraries, blocks of the
//! heap that Rust, `LocalAlloc` and `CoTaskMemAlloc` share on Windows.

// UNSAFETY: Windows is asked for its counts.
#![expect(unsafe_code, reason = "Windows has a C interface")]

use crate::counters::{self, LIBRARIES};
use crate::fixture::place;
use crate::tools::{eventually, running, service, unique};
use hcs::documents::network::{HostComputeNetwork, HostComputeQuery, NetworkMode};
use hcs::documents::{SystemPropertyQuery, SystemQuery};
use hcs::event::EventOptions;
use hcs::network::ComputeNetwork as _;
use hcs::service::ComputeService;
use hcs::suite::Program;
use hcs::suite::memory::MemoryFixture;
use hcs::windows::computenetwork::ComputeNetwork;
use hcs::windows::vmcompute::VmCompute;
use std::mem::MaybeUninit;
use windows_sys::Win32::System::Memory::{
    GetProcessHeap, HeapLock, HeapUnlock, HeapWalk, PROCESS_HEAP_ENTRY,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};

pub(crate) const TESTS: &[(&str, fn())] = &[("a hundred lives leave nothing behind", nothing_left)];

/// Set for the process that counts.
pub(crate) const ALONE: &str = "COFFERDAM_COUNT_LEAKS";

const WARM_UP: usize = 20;
const LIVES: usize = 100;

fn nothing_left() {
    let output =
        std::process::Command::new(std::env::current_exe().unwrap()).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

/// What the process of its own does.
pub(crate) fn count() {
    let services: [Box<dyn ComputeService>; 2] =
        [Box::new(service()), Box::new(VmCompute::load(&place()).unwrap())];
    let network = ComputeNetwork::load(&place()).unwrap();
    for _ in 0..WARM_UP {
        live(&services, &network);
    }
    settle();
    let (handles, blocks) = (handles(), blocks());
    for _ in 0..LIVES {
        live(&services, &network);
    }
    settle();
    let (handles_after, blocks_after) = (self::handles(), self::blocks());
    eprintln!(
        "{LIVES} lives: handles {handles} -> {handles_after}, blocks of the heap {blocks} -> {blocks_after}"
    );
    // One leak in each life would be a hundred.
    assert!(handles_after < handles + 20, "handles of the process were left open");
    assert!(blocks_after < blocks + 50, "blocks of the heap were left behind");
}

/// Waits until the libraries have nothing open.
fn settle() {
    eventually("the end of everything", || {
        LIBRARIES.iter().all(|library| {
            let counters = counters::read(library);
            counters.systems
                + counters.processes
                + counters.operations
                + counters.registrations
                + counters.objects
                == 0
        })
    });
    // Threads that have told their last notification still have to end.
    std::thread::sleep(std::time::Duration::from_millis(300));
}

/// A life of a system by way of each library, of its processes, and of a network; also what is refused.
fn live(services: &[Box<dyn ComputeService>], network: &ComputeNetwork) {
    for service in services {
        let service = &**service;
        let id = unique("life");
        let system = running(service, &id);
        system.set_callback(EventOptions::default(), Box::new(|_| ())).unwrap();
        let parameters = MemoryFixture::parameters(Program::Says("hello")).create_std_out_pipe(true);
        let (process, created) = system.create_process(&parameters).unwrap();
        let information = created.wait().unwrap();
        let said = std::io::read_to_string(information.stdio.output.unwrap()).unwrap();
        assert_eq!(said, "hello");
        process.exit().unwrap().wait().unwrap();
        drop(process);
        assert_eq!(service.enumerate_systems(&SystemQuery::new()).unwrap().wait().unwrap().len(), 1);
        assert!(service.create_system(&id, &MemoryFixture::container_document().into()).is_err());
        assert!(service.open_system("there is none").is_err());
        let abandoned = system.properties(&SystemPropertyQuery::new()).unwrap();
        drop(abandoned);
        let exit = service.open_system(&id).unwrap().exit().unwrap();
        system.terminate().unwrap().wait().unwrap();
        exit.wait().unwrap();
    }
    let watch = network.watch(Box::new(|_| ())).unwrap();
    let settings = HostComputeNetwork::new().name("leaks").kind(NetworkMode::Private);
    let made = network.networks().create(None, &settings).unwrap();
    let id = made.id.unwrap();
    network.networks().query(&id, &HostComputeQuery::all()).unwrap();
    network.networks().delete(&id).unwrap();
    assert!(network.networks().query(&id, &HostComputeQuery::all()).is_err());
    drop(watch);
}

fn handles() -> u32 {
    let mut count = 0;
    // SAFETY: the handle is the process's own, the place one for a number.
    unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut count) };
    count
}

/// How many blocks of the process's heap are in use.
fn blocks() -> usize {
    const BUSY: u16 = 4;
    let mut count = 0;
    let mut entry = MaybeUninit::<PROCESS_HEAP_ENTRY>::zeroed();
    // SAFETY: the heap is locked while it is walked; the entry begins as zeroes, as the walk wants it.
    unsafe {
        let heap = GetProcessHeap();
        HeapLock(heap);
        while HeapWalk(heap, entry.as_mut_ptr()) != 0 {
            if entry.assume_init_ref().wFlags & BUSY != 0 {
                count += 1;
            }
        }
        HeapUnlock(heap);
    }
    count
}
