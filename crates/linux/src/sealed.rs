//! This program in a form that nobody can write to, to be executed as init.
//!
//! A process in a container can reach the file that the runtime's processes there were executed from, through
//! `/proc/<pid>/exe` (CVE-2019-5736). So the file on the host's disk is never executed there. What is executed is the
//! same file through an overlay mount that has no upper layer and no place in any mount namespace: the kernel cannot
//! write through it, and it cannot be made writable. This costs a tenth of a copy and shares the file's pages. Where it
//! cannot be had – without privileges, or without overlayfs – it is a copy in sealed memory.

use compute::{Error, Kind};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};
use std::path::Path;

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// The program.
pub(crate) struct Program(OwnedFd);

impl Program {
    /// This process's own file. `empty` is a folder outside of the program's: an overlay wants two layers.
    pub(crate) fn of_this_process(empty: &Path) -> Result<Self, Error> {
        if let Some(program) = through_overlay(empty) {
            return Ok(Self(program));
        }
        let source = rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|cause| Error::io("open this program's own file (is /proc mounted?)", cause))?;
        sealed_copy(source.as_fd()).map(Self)
    }

    /// What execveat(2) takes.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `None` for whatever reason: the copy is always possible.
fn through_overlay(empty: &Path) -> Option<OwnedFd> {
    let exe = std::fs::read_link("/proc/self/exe").ok()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(exe.parent()?, flags, Mode::empty()).ok()?;
    let empty = rustix::fs::open(empty, flags, Mode::empty()).ok()?;
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).ok()?;
    let layers = format!("/proc/self/fd/{}:/proc/self/fd/{}", folder.as_raw_fd(), empty.as_raw_fd());
    fsconfig_set_string(context.as_fd(), "lowerdir", layers).ok()?;
    fsconfig_create(context.as_fd()).ok()?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).ok()?;
    let through = rustix::fs::openat(
        &mount,
        exe.file_name()?,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    // The name may stand for another file by now: a package was upgraded under us.
    let (ours, found) = (
        rustix::fs::stat("/proc/self/exe").ok()?,
        rustix::fs::statat(CWD, &exe, rustix::fs::AtFlags::empty()).ok()?,
    );
    let same = (ours.st_dev, ours.st_ino) == (found.st_dev, found.st_ino);
    let seen = rustix::fs::fstat(&through).ok()?;
    (same && seen.st_size == ours.st_size && seen.st_mtime == ours.st_mtime).then_some(through)
}

/// A copy in memory that the kernel refuses to change, whoever asks.
fn sealed_copy(source: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let copy = create().map_err(|cause| Error::io("create a file in memory for init", cause))?;
    let size = rustix::fs::fstat(source)
        .map_err(|cause| Error::io("look at this program's own file", cause))?
        .st_size;
    let mut left = usize::try_from(size).unwrap_or(0);
    while left > 0 {
        match rustix::fs::sendfile(&copy, source, None, left) {
            Ok(0) => {
                return Err(Error::new(
                    Kind::Internal,
                    "copy this program for init: its file became shorter",
                ));
            }
            Ok(sent) => left -= sent,
            Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(Error::io("copy this program for init", cause)),
        }
    }
    rustix::fs::fcntl_add_seals(&copy, SEALS).map_err(|cause| Error::io("seal init's program", cause))?;
    Ok(copy)
}

/// `MFD_EXEC` is needed where vm.memfd_noexec is set and unknown before Linux 6.3.
fn create() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create("runhcs-init", flags | MemfdFlags::EXEC) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("runhcs-init", flags),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::io::{Seek, Write};

    fn path(program: &Program) -> String {
        format!("/proc/self/fd/{}", program.0.as_raw_fd())
    }

    fn this_program() -> Vec<u8> {
        std::fs::read("/proc/self/exe").unwrap()
    }

    #[test]
    fn the_copy_is_whole_and_cannot_be_changed() {
        let copy = sealed_copy(File::open("/proc/self/exe").unwrap().as_fd()).unwrap();
        let program = Program(copy);
        assert!(std::fs::read(path(&program)).unwrap() == this_program());
        let mut file = File::from(program.0);
        file.rewind().unwrap();
        assert_eq!(file.write(b"x").unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(file.set_len(0).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn the_overlay_shows_the_whole_program_and_takes_no_write() {
        let empty = tempfile::tempdir().unwrap();
        let Some(program) = through_overlay(empty.path()).map(Program) else {
            println!("skipped: no overlay mounts here (needs root and overlayfs)");
            return;
        };
        assert!(std::fs::read(path(&program)).unwrap() == this_program());
        let refused = OpenOptions::new().write(true).open(path(&program)).unwrap_err();
        assert!(matches!(refused.raw_os_error(), Some(libc::EROFS | libc::ETXTBSY)), "{refused}");
    }
}
