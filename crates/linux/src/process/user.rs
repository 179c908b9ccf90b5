//! Who the process is: user, group, additional groups, and the owner of its standard streams.

use super::error::Error;
use super::procfs::Procfs;
use oci_spec::runtime::User as UserSpec;
use rustix::fs::{FileType, Gid, Uid, fchown, fstat, major, minor};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};

/// By number, as the container sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Additional groups; everything else is dropped.
    pub groups: Vec<u32>,
    /// Whether setgroups(2) is to be called at all: an unprivileged runtime cannot.
    pub set_groups: bool,
}

pub(crate) fn plan(user: &UserSpec, rootless: bool) -> Result<User, Error> {
    // What the system calls take as "leave it".
    if user.uid() == u32::MAX || user.gid() == u32::MAX {
        return Err(Error::invalid("process.user: 4294967295 is no id"));
    }
    let groups = user.additional_gids().clone().unwrap_or_default();
    Ok(User { uid: user.uid(), gid: user.gid(), groups, set_groups: !rootless })
}

/// Becomes the user. The caller has set keep-caps if capabilities are to survive.
pub fn become_user(user: &User) -> Result<(), Error> {
    own_standard_streams(user.uid)?;
    if user.set_groups {
        set_groups(&user.groups)?;
    }
    let gid = Gid::from_raw(user.gid);
    set_thread_res_gid(gid, gid, gid).map_err(|errno| match errno {
        Errno::INVAL => {
            Error::invalid(format!("cannot setgid to unmapped gid {} in user namespace", user.gid))
        }
        errno => Error::system(format!("setgid to {}", user.gid))(errno),
    })?;
    let uid = Uid::from_raw(user.uid);
    set_thread_res_uid(uid, uid, uid).map_err(|errno| match errno {
        Errno::INVAL => {
            Error::invalid(format!("cannot setuid to unmapped uid {} in user namespace", user.uid))
        }
        errno => Error::system(format!("setuid to {}", user.uid))(errno),
    })
}

/// A user namespace whose maker could not set groups has it denied (Linux 3.19): the host's groups stay, nothing can
/// be done about it, and runc says nothing either.
fn set_groups(groups: &[u32]) -> Result<(), Error> {
    let gids: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match set_thread_groups(&gids) {
        Ok(()) => Ok(()),
        Err(Errno::PERM) if setgroups_denied() => Ok(()),
        Err(errno) => Err(Error::system(format!("setgroups to {groups:?}"))(errno)),
    }
}

fn setgroups_denied() -> bool {
    Procfs::open()
        .ok()
        .and_then(|proc| proc.try_read("self/setgroups").ok())
        .is_some_and(|text| text.starts_with(b"deny"))
}

/// The streams were made outside; without owning them a process that is not root could not reopen its own
/// `/dev/stdout`. Only the user changes: a group may have been chosen by the mount of devpts. What cannot be given
/// away (an owner that is not mapped, a read-only file system) stays as it is, as do streams that are `/dev/null`.
fn own_standard_streams(uid: u32) -> Result<(), Error> {
    for (name, fd) in [("stdin", stdin()), ("stdout", stdout()), ("stderr", stderr())] {
        let stat = match fstat(fd) {
            Ok(stat) => stat,
            // Closed by the caller of the runtime.
            Err(Errno::BADF) => continue,
            Err(errno) => return Err(Error::system(format!("look at {name}"))(errno)),
        };
        let null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
        if stat.st_uid == uid || null {
            continue;
        }
        match fchown(fd, Some(Uid::from_raw(uid)), None) {
            Ok(()) | Err(Errno::PERM | Errno::ROFS | Errno::INVAL | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(Error::system(format!("give {name} to user {uid}"))(errno)),
        }
    }
    Ok(())
}
