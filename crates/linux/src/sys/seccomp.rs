//! Loading a seccomp filter into the kernel, and asking the kernel what it knows.
// UNSAFETY: seccomp(2) takes a pointer to a program and returns a descriptor as a number.
#![expect(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Log every action but "allow" that the administrator has not excluded.
pub const FLAG_LOG: u32 = 1 << 1;
/// Leave speculative store bypass as it is.
pub const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// Return a descriptor on which notifications arrive.
pub const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// A process that waits for an answer to its notification can be killed.
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// One instruction of classic BPF, `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    filter: *const Instruction,
}

/// Applies the program to the calling thread from now on. With [`FLAG_NEW_LISTENER`] the result is the notification
/// descriptor, which is close-on-exec.
pub fn load(program: &[Instruction], flags: u32) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program { length, filter: program.as_ptr() };
    // SAFETY: the kernel reads `length` instructions from an array of that length.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: with this flag, and only then, the result is a new descriptor that nobody else owns.
        fd if flags & FLAG_NEW_LISTENER != 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as i32) })),
        _ => Ok(None),
    }
}

/// Whether the kernel knows a filter flag: it looks at the flags before it looks at the (missing) program.
pub fn knows_flag(flag: u32) -> bool {
    // WAIT_KILLABLE_RECV is only legal together with NEW_LISTENER.
    let flags = if flag == FLAG_WAIT_KILLABLE_RECV { flag | FLAG_NEW_LISTENER } else { flag };
    // SAFETY: a null program is refused with EFAULT; nothing is read or loaded.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::null::<Program>())
    };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}
