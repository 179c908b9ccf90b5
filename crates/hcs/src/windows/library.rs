//! The service's libraries, loaded when they are first needed and never linked: a program with this crate starts on
//! every Windows, and learns by name what a host lacks.

// UNSAFETY: loading a library and asking it for a function are calls of the C interface of kernel32.dll.
#![expect(unsafe_code, reason = "kernel32.dll has a C interface")]

use crate::error::Error;
use crate::hresult::HResult;
use std::ffi::{CStr, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::windows::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::ptr;
use windows_sys::Wdk::System::SystemServices::RtlGetVersion;
use windows_sys::Win32::Foundation::HMODULE;
use windows_sys::Win32::System::LibraryLoader::{
    GetProcAddress, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::Win32::System::SystemInformation::{GetSystemDirectoryW, OSVERSIONINFOW};

/// Where the libraries are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Place {
    /// Windows' own, in `system32` and nowhere else: a library beside the program or in the working folder is not
    /// taken for it.
    #[default]
    System32,
    /// A folder with another implementation of them.
    Folder(PathBuf),
}

/// What this host lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// A whole library.
    #[error("Windows build {build} has no {library}: {reason}")]
    Library {
        /// The library's file name.
        library: &'static str,
        /// The host's build.
        build: u32,
        /// What the loader says.
        reason: String,
    },
    /// A function of a library.
    #[error("{library} of Windows build {build} has no {function}{}", Since(*.since))]
    Function {
        /// The library's file name.
        library: &'static str,
        /// The function's name.
        function: &'static str,
        /// The host's build.
        build: u32,
        /// The build that brought the function, 0 if that is not documented.
        since: u32,
    },
}

struct Since(u32);

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            build => write!(f, ", which came with build {build}"),
        }
    }
}

impl Unavailable {
    /// The error of a call that needed it.
    pub(super) fn during(self, attempted: impl Into<String>) -> Error {
        let code = match self {
            Unavailable::Library { .. } => HResult::ERROR_MOD_NOT_FOUND,
            Unavailable::Function { .. } => HResult::ERROR_PROC_NOT_FOUND,
        };
        Error::new(attempted, code).caused_by(self)
    }
}

/// A library that is loaded. It stays so until the program ends: its threads and callbacks may outlive every handle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Library {
    module: HMODULE,
    name: &'static str,
    build: u32,
}

// SAFETY: a module handle is a number that every thread may use.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    pub(super) fn load(name: &'static str, place: &Place) -> Result<Self, Unavailable> {
        let build = host_build();
        let unavailable = |reason: String| Unavailable::Library { library: name, build, reason };
        let (path, flags) = match place {
            // With its folder: a bare name is answered with whatever of that name is loaded already.
            Place::System32 => (system32().join(name), LOAD_LIBRARY_SEARCH_SYSTEM32),
            Place::Folder(folder) => {
                let path =
                    std::path::absolute(folder.join(name)).map_err(|error| unavailable(error.to_string()))?;
                (path, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32)
            }
        };
        let path = terminated(&path).ok_or_else(|| unavailable("its path has a zero in it".to_owned()))?;
        // SAFETY: the path ends with a zero and lives until the call returns; the file handle must be null.
        let module = unsafe { LoadLibraryExW(path.as_ptr(), ptr::null_mut(), flags) };
        if module.is_null() {
            return Err(unavailable(io::Error::last_os_error().to_string()));
        }
        Ok(Self { module, name, build })
    }

    /// The address of a function, to be taken for what [`crate::abi`] says it is.
    pub(super) fn address(&self, name: &CStr) -> Option<unsafe extern "system" fn() -> isize> {
        // SAFETY: the module is never unloaded, the name ends with a zero.
        unsafe { GetProcAddress(self.module, name.as_ptr().cast()) }
    }

    pub(super) fn lacks(&self, function: &'static str, since: u32) -> Unavailable {
        Unavailable::Function { library: self.name, function, build: self.build, since }
    }
}

/// The system's folder, which the environment cannot change.
fn system32() -> PathBuf {
    let mut path = vec![0_u16; 512];
    let room = u32::try_from(path.len()).unwrap_or(0);
    // SAFETY: there is room for that many units.
    let length = unsafe { GetSystemDirectoryW(path.as_mut_ptr(), room) } as usize;
    OsString::from_wide(path.get(..length).unwrap_or_default()).into()
}

fn terminated(path: &Path) -> Option<Vec<u16>> {
    let path: &OsStr = path.as_os_str();
    let mut units: Vec<u16> = path.encode_wide().collect();
    if units.contains(&0) {
        return None;
    }
    units.push(0);
    Some(units)
}

/// The build of this host, such as 17763, whatever version the program's manifest claims compatibility with; 0 if
/// Windows does not tell.
pub fn host_build() -> u32 {
    let mut version = OSVERSIONINFOW {
        dwOSVersionInfoSize: size_of::<OSVERSIONINFOW>() as u32,
        ..OSVERSIONINFOW::default()
    };
    // SAFETY: the structure says its own size and lives until the call returns.
    let status = unsafe { RtlGetVersion(&raw mut version) };
    if status == 0 { version.dwBuildNumber } else { 0 }
}

/// A path as the C interface takes it.
pub(super) fn wide_path(path: &Path, attempted: &str) -> Result<Vec<u16>, Error> {
    terminated(path).ok_or_else(|| super::text::zero_inside(attempted))
}

/// Makes a table of a library's functions: `Functions::load`, and for each function a method of its name that says
/// what is missing if the host lacks it.
macro_rules! functions {
    (
        $library:literal
        $([$since:literal] fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)*
    ) => {
        /// The functions of the library that the host has.
        #[expect(non_snake_case, reason = "the names are Microsoft's")]
        pub(super) struct Functions {
            library: $crate::windows::library::Library,
            $($name: Option<unsafe extern "system" fn($($arg: $ty),*) $(-> $ret)?>,)*
        }

        #[expect(non_snake_case, reason = "the names are Microsoft's")]
        #[cfg_attr(
            not(feature = "undocumented"),
            allow(dead_code, reason = "those that are not documented have no use then")
        )]
        impl Functions {
            pub(super) fn load(
                place: &$crate::windows::library::Place,
            ) -> Result<Self, $crate::windows::library::Unavailable> {
                let library = $crate::windows::library::Library::load($library, place)?;
                Ok(Self {
                    library,
                    $($name: {
                        const NAME: &std::ffi::CStr =
                            match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                                Ok(name) => name,
                                Err(_) => panic!("a name with a zero in it"),
                            };
                        // SAFETY: the library exports the function under this name, with this signature.
                        library.address(NAME).map(|address| unsafe {
                            std::mem::transmute::<
                                unsafe extern "system" fn() -> isize,
                                unsafe extern "system" fn($($arg: $ty),*) $(-> $ret)?,
                            >(address)
                        })
                    },)*
                })
            }

            $(
                /// # Safety
                /// What the library's documentation asks of the arguments.
                pub(super) unsafe fn $name(
                    &self,
                    $($arg: $ty),*
                ) -> Result<$crate::windows::library::returned!($($ret)?), $crate::windows::library::Unavailable> {
                    match self.$name {
                        // SAFETY: the caller vouches for the arguments.
                        Some(function) => Ok(unsafe { function($($arg),*) }),
                        None => Err(self.library.lacks(stringify!($name), $since)),
                    }
                }
            )*
        }
    };
}

macro_rules! returned {
    () => {
        ()
    };
    ($ret:ty) => {
        $ret
    };
}

pub(super) use functions;
pub(super) use returned;
