//! Replacing the process, and keeping descriptors out of what replaces it.
// UNSAFETY: execve(2) takes raw string arrays, close_range(2) works on numbers instead of owned descriptors, and a
// hook that runs between fork and exec can only be set by an unsafe method.
#![expect(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

/// The arguments of execve(2), laid out beforehand: between a seccomp filter and the call nothing is allocated.
#[derive(Debug)]
pub struct Image {
    path: CString,
    argv: Strings,
    envp: Strings,
}

/// An array of strings as C has it.
#[derive(Debug)]
struct Strings {
    /// Into `owned`, and a null at the end.
    pointers: Vec<*const c_char>,
    /// What they point to; never changed, so the strings stay where they are.
    _owned: Vec<CString>,
}

impl Strings {
    fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, _owned: owned }
    }
}

impl Image {
    /// What is to be executed.
    pub fn new(path: CString, argv: Vec<CString>, envp: Vec<CString>) -> Self {
        Self { path, argv: Strings::new(argv), envp: Strings::new(envp) }
    }

    /// The path that will be executed.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Replaces the process; returns only to say why that failed.
    pub fn exec(&self) -> io::Error {
        loop {
            // SAFETY: all three point to NUL-terminated data that lives until the call returns; the arrays end in null.
            unsafe {
                libc::execve(self.path.as_ptr(), self.argv.pointers.as_ptr(), self.envp.pointers.as_ptr())
            };
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return error;
            }
        }
    }
}

/// Puts back what execve(2) hands down to what a program expects: no signal is blocked, and SIGPIPE, which the Rust
/// runtime ignores, ends a process again.
pub fn default_signals() {
    // SAFETY: the set is initialised by sigemptyset(3) before it is read; neither call can fail with these arguments.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// Ends this process, also where its filter refuses the calls that do that: a C library may then repeat them for ever.
pub fn end(code: i32) -> ! {
    // SAFETY: the call takes a number and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_exit_group, code) };
    std::process::abort()
}

/// Whether [`close_range`] closes at once or at the next execve(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Now: the descriptors are gone when the call returns.
    Now,
    /// Marks them close-on-exec.
    OnExec,
}

/// Closes every descriptor from `first` to `last`, both included. Needs Linux 5.9, and 5.11 to mark.
///
/// The caller must be done with all of them: an owner that closes its descriptor later closes a stranger's.
pub fn close_range(first: u32, last: u32, close: Close) -> io::Result<()> {
    let flags = match close {
        Close::Now => 0,
        Close::OnExec => libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: the call touches no memory of ours.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Closes one descriptor by number; one that is not open is no error. For kernels without [`close_range`].
pub fn close_one(fd: RawFd) -> io::Result<()> {
    // SAFETY: the call touches no memory.
    match unsafe { libc::close(fd) } {
        -1 if io::Error::last_os_error().raw_os_error() != Some(libc::EBADF) => {
            Err(io::Error::last_os_error())
        }
        _ => Ok(()),
    }
}

/// Lets `command` inherit stdin, stdout and stderr and nothing else, whatever was left open without close-on-exec.
pub fn inherit_stdio_only(command: &mut Command) {
    let mark = || match close_range(3, u32::MAX, Close::OnExec) {
        // Before 5.11: every descriptor we open ourselves is close-on-exec already.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
        done => done,
    };
    // SAFETY: the closure makes one system call and neither allocates nor locks.
    unsafe { command.pre_exec(mark) };
}

/// Lets `command` inherit these descriptors, under the numbers that they have here.
pub fn keep(command: &mut Command, descriptors: &[BorrowedFd<'_>]) {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let keep = move || {
        for number in &numbers {
            // SAFETY: the call touches no memory.
            if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only, and neither allocates nor locks.
    unsafe { command.pre_exec(keep) };
}
