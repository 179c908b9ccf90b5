//! Session keyrings.
// UNSAFETY: keyctl(2) has no wrapper in the standard library, rustix or libc.
#![expect(unsafe_code)]

use std::ffi::{CStr, c_long};
use std::io;

const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
const KEYCTL_SETPERM: c_long = 5;
const KEYCTL_DESCRIBE: c_long = 6;

/// A key's serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(i32);

/// Joins the session keyring of that name, or makes it.
pub fn join_session_keyring(name: &CStr) -> io::Result<Key> {
    // SAFETY: the name is NUL-terminated and outlives the call.
    let key = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    if key == -1 { Err(io::Error::last_os_error()) } else { Ok(Key(key as i32)) }
}

/// `type;uid;gid;permissions in hexadecimal;description`.
pub fn describe(key: Key) -> io::Result<String> {
    let mut text = vec![0u8; 512];
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let needed =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_DESCRIBE, key.0, text.as_mut_ptr(), text.len()) };
    let needed = usize::try_from(needed).map_err(|_| io::Error::last_os_error())?;
    text.truncate(needed.saturating_sub(1));
    String::from_utf8(text).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Sets the permission mask of a key.
pub fn set_permissions(key: Key, permissions: u32) -> io::Result<()> {
    // SAFETY: the call touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, key.0, permissions) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
