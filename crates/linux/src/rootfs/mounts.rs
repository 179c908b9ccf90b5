//! Each mount of the bundle, in its order.

use super::attach::{self, Filesystem, Mounter, Source, flags_of};
use super::cgroup;
use super::copy_up;
use super::error::{Attempted, Error, Failure, Refusal};
use super::options::{self, Below, describe, ms};
use super::plan::{Kind, Mount, Plan};
use super::target::{Create, Root, Target};
use crate::sys::mount::Change;
use libc::{MOUNT_ATTR__ATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC};
use libc::{MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, PROC_SUPER_MAGIC, XattrFlags};
use rustix::io::Errno;
use std::path::Path;

/// What lxcfs and the like may put over a file of procfs; everything else inside is the kernel's.
const OVER_PROC: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// What every mount is made with.
pub(super) struct Maker<'a> {
    pub(super) plan: &'a Plan,
    pub(super) root: &'a Root,
    pub(super) mounter: &'a Mounter,
    /// Mounts that become read-only when everything else is done.
    pub(super) late_readonly: Vec<OwnedFd>,
}

impl Maker<'_> {
    /// Makes all of them. `sources` are what the runtime opened.
    pub(super) fn make_all(&mut self, sources: Vec<OwnedFd>) -> Result<(), Error> {
        let (expected, got) = (self.plan.sources(), sources.len());
        if expected != got {
            return Err(Error::Sources { expected, got });
        }
        let plan = self.plan;
        let mut sources = sources.into_iter();
        for mount in &plan.mounts {
            let source = if mount.is_passed() { sources.next() } else { None };
            self.make(mount, source).map_err(|cause| mount.failed(cause))?;
        }
        Ok(())
    }

    fn make(&mut self, mount: &Mount, passed: Option<OwnedFd>) -> Result<(), Refusal> {
        match &mount.kind {
            Kind::Bind { path, .. } => {
                let recursive = mount.set & ms::REC != 0;
                let source = match passed {
                    Some(fd) => self.mounter.passed(fd, recursive),
                    None => self.mounter.bind_source(path, recursive)?,
                };
                self.bind(mount, source).map(drop)
            }
            Kind::Filesystem { fstype, copy_up } => self.filesystem(mount, fstype, *copy_up).map(drop),
            Kind::Remount { fstype } => {
                let target = self.target(mount, || Ok(Create::Nothing))?;
                let fs = filesystem(mount, fstype, None);
                Ok(attach::remount(&fs, &target)?)
            }
            Kind::CgroupV1 { hierarchies, namespaced } => cgroup::v1(self, mount, hierarchies, *namespaced),
            Kind::CgroupV2 { host, namespaced } => cgroup::v2(self, mount, host, *namespaced),
        }
    }

    /// Binds, with exactly the attributes that are asked for.
    pub(super) fn bind(&self, mount: &Mount, source: Source) -> Result<OwnedFd, Refusal> {
        let target = self.target(mount, || same_kind(source.fd()))?;
        if target.path == Path::new("/proc") && !is_proc(source.fd())? {
            return Err(Refusal::NotProc(self.on_host(&target.path)));
        }
        let mounted = self.mounter.bind(self.root, source, &target)?;
        self.set_bind_attributes(mount, mounted.as_fd())?;
        self.set_tree(mount, mounted.as_fd())?;
        Ok(mounted)
    }

    /// A new file system.
    pub(super) fn filesystem(
        &mut self,
        mount: &Mount,
        fstype: &str,
        copy_up: bool,
    ) -> Result<OwnedFd, Refusal> {
        let target = match fstype {
            "proc" | "sysfs" => {
                self.root.ordinary_folder(&mount.destination).map_err(|cause| match cause {
                    Errno::LOOP | Errno::NOTDIR => Refusal::NotOrdinaryDirectory(fstype.to_owned()),
                    cause => Refusal::Failed(Failure::new(mountpoint(&mount.destination), cause)),
                })?
            }
            _ => self.target(mount, || Ok(Create::Folder))?,
        };
        self.allow(&target, fstype == "proc")?;
        // procfs and sysfs have contexts of their own, mqueue is labelled afterwards.
        let label = self.plan.label.as_deref().filter(|_| !matches!(fstype, "proc" | "sysfs" | "mqueue"));
        let mut fs = filesystem(mount, fstype, label);
        let inherited = inherited_mode(fstype, mount, &target)?;
        if let Some(options) = &inherited {
            fs.options = options;
        }
        // Something may have to be written there first.
        let late =
            mount.set & ms::RDONLY != 0 && (fstype == "tmpfs" || mount.destination == Path::new("/dev"));
        if late {
            fs.set &= !ms::RDONLY;
        }
        let mounted = self.mounter.mount(self.root, &fs, &target)?;
        if fstype == "mqueue" {
            self.label(mounted.as_fd())?;
        }
        if copy_up && !target.created {
            copy_up::copy(target.fd.as_fd(), mounted.as_fd())?;
        }
        self.set_tree(mount, mounted.as_fd())?;
        if late {
            let kept = mounted.try_clone().map_err(|error| {
                Failure::new("duplicate a descriptor", Errno::from_io_error(&error).unwrap_or(Errno::MFILE))
            })?;
            self.late_readonly.push(kept);
        }
        Ok(mounted)
    }

    /// Where a mount goes, if it may go there.
    pub(super) fn target(
        &self,
        mount: &Mount,
        create: impl FnOnce() -> rustix::io::Result<Create>,
    ) -> Result<Target, Refusal> {
        let target =
            self.root.target(&mount.destination, create).attempted(|| mountpoint(&mount.destination))?;
        self.allow(&target, mount.is_bind() || matches!(mount.kind, Kind::Remount { .. }))?;
        Ok(target)
    }

    /// `over_proc`: it may cover /proc itself.
    fn allow(&self, target: &Target, over_proc: bool) -> Result<(), Refusal> {
        let path = target.path.as_path();
        if path == Path::new("/") {
            return Err(Refusal::OnRoot(self.on_host(path)));
        }
        if !path.starts_with("/proc") || OVER_PROC.iter().any(|allowed| path == Path::new(allowed)) {
            return Ok(());
        }
        if path != Path::new("/proc") {
            return Err(Refusal::InsideProc(self.on_host(path)));
        }
        if over_proc { Ok(()) } else { Err(Refusal::NotProc(self.on_host(path))) }
    }

    /// For messages.
    fn on_host(&self, path: &Path) -> std::path::PathBuf {
        self.plan.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Exactly the attributes that are asked for. A bind of a mount that belongs to a more privileged user namespace
    /// keeps what is locked, unless the bundle asked for the opposite by name.
    pub(super) fn set_bind_attributes(&self, mount: &Mount, mounted: BorrowedFd<'_>) -> Result<(), Refusal> {
        let wanted = mount.set & !(ms::BIND | ms::REC | ms::REMOUNT);
        if wanted | mount.cleared == 0 {
            return Ok(());
        }
        let failure = match self.mounter.change(mounted, &exactly(wanted)) {
            Err(failure) if failure.is(Errno::PERM) => failure,
            changed => return Ok(changed?),
        };
        let locked = flags_of(mounted)? & ms::LOCKABLE;
        let refused = locked & mount.cleared;
        if refused != 0 {
            return Err(Refusal::LockedFlags(describe(refused), failure.into_cause()));
        }
        if wanted & ms::ALL_ATIME != 0 && wanted & ms::ALL_ATIME != locked & ms::ALL_ATIME {
            return Err(Refusal::LockedAtime(describe(locked & ms::ALL_ATIME), failure.into_cause()));
        }
        let add = Change { set: options::attributes(wanted) & !MOUNT_ATTR__ATIME, ..Change::default() };
        Ok(self.mounter.change(mounted, &add)?)
    }

    /// Propagation and recursive attributes.
    fn set_tree(&self, mount: &Mount, mounted: BorrowedFd<'_>) -> Result<(), Refusal> {
        for flags in &mount.propagation {
            let change = Change {
                propagation: u64::from(flags & !ms::REC),
                recursive: flags & ms::REC != 0,
                ..Change::default()
            };
            self.mounter.change(mounted, &change)?;
        }
        let Below { set, clear } = mount.below;
        if set | clear != 0 {
            self.mounter.change(mounted, &Change { set, clear, recursive: true, ..Change::default() })?;
        }
        Ok(())
    }

    /// Gives the root of a file system that takes no context option the container's label.
    fn label(&self, mounted: BorrowedFd<'_>) -> Result<(), Failure> {
        let Some(label) = &self.plan.label else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(mounted, ".", flags, Mode::empty()).attempted(|| "open a mount")?;
        rustix::fs::fsetxattr(folder, "security.selinux", label.as_bytes(), XattrFlags::empty())
            .attempted(|| format!("set file label {label}"))
    }
}

/// What has to be where `source` is bound.
pub(super) fn same_kind(source: BorrowedFd<'_>) -> rustix::io::Result<Create> {
    match FileType::from_raw_mode(rustix::fs::fstat(source)?.st_mode) {
        FileType::Directory => Ok(Create::Folder),
        _ => Ok(Create::File),
    }
}

fn mountpoint(path: &Path) -> String {
    format!("make mountpoint {path:?}")
}

pub(super) fn filesystem<'a>(mount: &'a Mount, fstype: &'a str, label: Option<&'a str>) -> Filesystem<'a> {
    Filesystem { fstype, source: &mount.source, set: mount.set, options: &mount.data, label }
}

/// A tmpfs over a folder that was there has its mode, unless the bundle says another: `/tmp` stays writable by all.
fn inherited_mode(fstype: &str, mount: &Mount, target: &Target) -> Result<Option<Vec<String>>, Failure> {
    if fstype != "tmpfs" || target.created || mount.data.iter().any(|option| option.starts_with("mode=")) {
        return Ok(None);
    }
    let mode = rustix::fs::fstat(&target.fd).attempted(|| mountpoint(&target.path))?.st_mode & 0o7777;
    let mut options = vec![format!("mode={mode:04o}")];
    options.extend(mount.data.iter().cloned());
    Ok(Some(options))
}

/// The change that leaves a mount with these attributes; access times stay as they are when none is named.
fn exactly(wanted: u32) -> Change {
    const ALL: u64 =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
    let set = options::attributes(wanted);
    if wanted & ms::ALL_ATIME == 0 {
        return Change { set: set & !MOUNT_ATTR__ATIME, clear: ALL & !set, ..Change::default() };
    }
    let clear = ((ALL | MOUNT_ATTR_NODIRATIME) & !set) | MOUNT_ATTR__ATIME;
    Change { set, clear, ..Change::default() }
}

fn is_proc(fd: BorrowedFd<'_>) -> Result<bool, Failure> {
    Ok(rustix::fs::fstatfs(fd).attempted(|| "look at a file system")?.f_type == PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libc::{MOUNT_ATTR_NOATIME, MOUNT_ATTR_RELATIME};

    #[test]
    fn a_bind_loses_what_is_not_asked_for() {
        let change = exactly(ms::RDONLY | ms::NOSUID);
        assert_eq!(change.set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
        assert_eq!(change.clear, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW);
    }

    #[test]
    fn access_times_are_replaced_only_when_named() {
        assert_eq!(exactly(ms::RDONLY).clear & MOUNT_ATTR__ATIME, 0);
        assert_eq!(exactly(ms::RELATIME).set, MOUNT_ATTR_RELATIME);
        assert_eq!(exactly(ms::RELATIME).clear & MOUNT_ATTR__ATIME, MOUNT_ATTR__ATIME);
        assert_eq!(exactly(ms::NOATIME).set, MOUNT_ATTR_NOATIME);
        assert_eq!(exactly(ms::NOATIME).clear & MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NODIRATIME);
        assert_eq!(exactly(ms::NOATIME | ms::NODIRATIME).clear & MOUNT_ATTR_NODIRATIME, 0);
    }
}
