//! A session keyring of the container's own, so that it neither sees nor fills that of whoever runs the runtime.

use super::error::Error;
use crate::sys::keys::{describe, join_session_keyring, set_permissions};
use serde::{Deserialize, Serialize};
use std::ffi::CString;

/// Let the user search the keyring.
const USER_SEARCH: u32 = 0x0008_0000;
/// Let anybody search it.
const OTHER_SEARCH: u32 = 0x0000_0008;

/// The keyring to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    name: CString,
    /// Permissions to add; the container's first process sets them, those that join it later do not.
    add: Option<u32>,
}

/// The name is runc's, by which processes of the same container find it.
pub(crate) fn plan(container: &str, first_process: bool, user_namespace: bool) -> Result<Keyring, Error> {
    let name = CString::new(format!("_ses.{container}"))
        .map_err(|_| Error::invalid(format!("container id {container:?} contains a nul byte")))?;
    // The keyring belongs to the host's user; to search it from inside a user namespace one is "other".
    let search = if user_namespace { OTHER_SEARCH } else { USER_SEARCH };
    Ok(Keyring { name, add: first_process.then_some(search) })
}

/// Joins it. A kernel without keyrings is no error: they protect little that file permissions do not.
pub fn join(keyring: &Keyring) -> Result<(), Error> {
    let key = match join_session_keyring(&keyring.name) {
        Ok(key) => key,
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => return Ok(()),
        Err(error) => {
            return Err(Error::system("unable to join session keyring: unable to create session key")(error));
        }
    };
    let Some(add) = keyring.add else { return Ok(()) };
    let failed = "unable to mod keyring permissions";
    let text = describe(key).map_err(Error::system(failed))?;
    let now = text.split(';').nth(3).and_then(|hex| u32::from_str_radix(hex, 16).ok()).ok_or_else(|| {
        Error::system(failed)(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("no permissions in {text:?}"),
        ))
    })?;
    set_permissions(key, now | add).map_err(Error::system(failed))
}
