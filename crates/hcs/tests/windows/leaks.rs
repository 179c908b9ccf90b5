//! Nothing stays behind: in a process of its own, lives are lived again and again through every library, and then what
//! is open and allocated is counted: handles of the process; handles, callbacks and blocks of memory of the libraries;
//! blocks of this program; texts that the libraries gave, and those that were given back.

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
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use windows_sys::Wdk::System::SystemInformation::NtQuerySystemInformation;

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

/// What is counted.
#[derive(Debug, Clone, Copy)]
struct Count {
    handles: usize,
    blocks: u64,
    blocks_of_libraries: u64,
    texts_given: u64,
    texts_freed: u64,
}

impl Count {
    fn now() -> Self {
        settle();
        let libraries = LIBRARIES.map(counters::read);
        Self {
            handles: handles(),
            blocks: BLOCKS.load(Ordering::Relaxed),
            blocks_of_libraries: libraries.iter().map(|library| library.blocks).sum(),
            texts_given: libraries.iter().map(|library| library.texts).sum(),
            texts_freed: hcs::windows::texts_freed(),
        }
    }
}

/// What the process of its own does.
pub(crate) fn count() {
    let services: [Box<dyn ComputeService>; 2] =
        [Box::new(service()), Box::new(VmCompute::load(&place()).unwrap())];
    let network = ComputeNetwork::load(&place()).unwrap();
    for _ in 0..WARM_UP {
        live(&services, &network);
    }
    let before = Count::now();
    for _ in 0..LIVES {
        live(&services, &network);
    }
    let after = Count::now();
    eprintln!("{LIVES} lives: {before:?} -> {after:?}");
    // One leak in each life would be a hundred.
    assert!(before.handles > 0, "the host does not tell its handles");
    assert!(after.handles < before.handles + 20, "handles of the process were left open");
    assert!(after.blocks < before.blocks + 50, "blocks were left behind");
    assert!(
        after.blocks_of_libraries < before.blocks_of_libraries + 50,
        "blocks were left behind in a library"
    );
    assert!(after.texts_given > before.texts_given + LIVES as u64);
    assert_eq!(after.texts_given, after.texts_freed, "each text is given back, once");
}

/// The system's allocator, counted.
struct Counted;

static BLOCKS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: the system's allocator does what is asked.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BLOCKS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
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

/// The open handles of this process: of the system's table, since Wine before version 9 answers 0 to
/// `GetProcessHandleCount`.
fn handles() -> usize {
    #[repr(C)]
    struct Entry {
        process: u16,
        rest: [u16; 3],
        object: usize,
        access: u32,
    }
    const SYSTEM_HANDLE_INFORMATION: i32 = 16;
    let mut table = vec![0_u64; 1 << 18];
    let mut length = 0;
    let size = u32::try_from(size_of_val(table.as_slice())).unwrap();
    // SAFETY: the table has that many bytes, the last is a place for a number.
    let status = unsafe {
        NtQuerySystemInformation(SYSTEM_HANDLE_INFORMATION, table.as_mut_ptr().cast(), size, &raw mut length)
    };
    assert_eq!(status, 0, "the system's handles are told");
    let count = usize::try_from(table[0] & 0xFFFF_FFFF).unwrap();
    // SAFETY: that many entries follow the number, which the pointers in them align to eight bytes.
    let entries = unsafe { std::slice::from_raw_parts(table.as_ptr().add(1).cast::<Entry>(), count) };
    let me = std::process::id() & 0xFFFF;
    entries.iter().filter(|entry| u32::from(entry.process) == me).count()
}
