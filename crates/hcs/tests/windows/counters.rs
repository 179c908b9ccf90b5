//! What the libraries under test count: calls that crossed the interface, and what is open.

// UNSAFETY: the counters are functions of the libraries' own.
#![expect(unsafe_code, reason = "the libraries have a C interface")]

use crate::fixture::place;
use hcs::windows::Place;
use std::os::windows::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;
use windows_sys::Win32::System::LibraryLoader::{
    GetProcAddress, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR,
    LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};

/// The libraries.
pub(crate) const LIBRARIES: [&str; 4] =
    ["computecore.dll", "vmcompute.dll", "computestorage.dll", "computenetwork.dll"];

/// As `hcs_exports::counters::Counters` lies.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) calls: u64,
    pub(crate) callbacks: u64,
    pub(crate) texts: u64,
    pub(crate) systems: u64,
    pub(crate) processes: u64,
    pub(crate) operations: u64,
    pub(crate) registrations: u64,
    pub(crate) objects: u64,
    pub(crate) blocks: u64,
}

/// The counters of a library.
pub(crate) fn read(library: &str) -> Counters {
    let mut counters = Counters::default();
    if let Some(address) = function(library, c"CofferdamCounters") {
        // SAFETY: the library exports it with this signature.
        let write = unsafe {
            std::mem::transmute::<
                unsafe extern "system" fn() -> isize,
                unsafe extern "system" fn(*mut Counters),
            >(address)
        };
        // SAFETY: the place is one for the structure.
        unsafe { write(&raw mut counters) };
    }
    counters
}

/// From now on, the service behind computecore.dll carries nothing out, until it is called with `false`.
pub(crate) fn hold(hold: bool) {
    let address =
        function("computecore.dll", c"CofferdamHold").unwrap_or_else(|| panic!("not one of our libraries"));
    // SAFETY: the library exports it with this signature.
    let call = unsafe {
        std::mem::transmute::<unsafe extern "system" fn() -> isize, extern "system" fn(i32)>(address)
    };
    call(hold.into());
}

fn function(library: &str, name: &std::ffi::CStr) -> Option<unsafe extern "system" fn() -> isize> {
    let (path, flags) = match place() {
        Place::System32 => (
            PathBuf::from(std::env::var_os("SystemRoot").unwrap_or_default()).join("system32").join(library),
            LOAD_LIBRARY_SEARCH_SYSTEM32,
        ),
        Place::Folder(folder) => (
            std::path::absolute(folder.join(library)).unwrap_or_default(),
            LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS,
        ),
    };
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    // SAFETY: the path ends with a zero, the name as well, the module stays loaded.
    unsafe {
        let module = LoadLibraryExW(path.as_ptr(), ptr::null_mut(), flags);
        GetProcAddress(module, name.as_ptr().cast())
    }
}

/// Tells how many calls crossed the interface.
pub(crate) fn print() {
    let all = LIBRARIES.map(read);
    let sum = |of: fn(&Counters) -> u64| all.iter().map(of).sum::<u64>();
    eprintln!(
        "crossed the C interface: {} calls, {} callbacks, {} texts",
        sum(|counters| counters.calls),
        sum(|counters| counters.callbacks),
        sum(|counters| counters.texts)
    );
}
