//! The root file system of a container: decided by [`plan()`], its outside sources opened by [`open_sources`], made by
//! [`Rootfs`] in three steps with the caller's own between them.
//!
//! | step                     | where                 | what                                                            |
//! |--------------------------|-----------------------|-----------------------------------------------------------------|
//! | [`plan()`]               | runtime               | options, validation; touches nothing                            |
//! | [`Plan::check`]          | runtime               | the root is there                                               |
//! | [`open_sources`]         | runtime               | id-mapped sources, and all of them for a user namespace         |
//! | [`Rootfs::prepare`]      | init, the host's `/`  | propagation, the root, all mounts, devices                      |
//! | *hooks*                  |                       | `prestart`, `createRuntime`, `createContainer`                  |
//! | [`Rootfs::enter`]        | init                  | pivots                                                          |
//! | *terminal*               | init, the container's | `/dev/console`, by [`process`](crate::process)                  |
//! | *sysctls*                |                       | while `/proc/sys` can be written                                |
//! | [`Rootfs::finish`]       | init, the container's | read-only mounts, root and paths; masked paths                  |
//!
//! Nothing here trusts the image or what is in volumes, not even to stay as it is while it is looked at: see `target`.

mod attach;
mod cgroup;
mod copy_up;
mod devices;
mod enter;
mod error;
mod external;
mod layers;
mod mountinfo;
mod mounts;
mod options;
mod plan;
mod restrict;
mod scratch;
mod sources;
mod target;
#[cfg(test)]
mod tests;

pub use error::{DeviceRule, Error, Failure, MountRule, Refusal};
pub use external::External;
pub use layers::{mount_layers, unmount_layers};
pub use options::known_options;
pub use plan::{CgroupView, Hierarchy, Plan, Request, plan};
pub(crate) use scratch::in_scratch_namespace;
pub use sources::open_sources;

use crate::sys::mount::Change;
use attach::{Mounter, Source};
use error::Attempted;
use mounts::Maker;
use options::ms;
use plan::Entry;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use std::path::Path;
use target::Root;

/// A container's root file system in the making. See the module's table for the order of its steps.
pub struct Rootfs<'a> {
    plan: &'a Plan,
    root: Root,
    mounter: Mounter,
    late_readonly: Vec<OwnedFd>,
}

impl<'a> Rootfs<'a> {
    /// Makes everything below the container's root, while `/` is still the host's. `sources` are what
    /// [`open_sources`] returned, in order.
    pub fn prepare(plan: &'a Plan, sources: Vec<OwnedFd>) -> Result<Self, Error> {
        Self::prepare_with(plan, sources, Mounter::default())
    }

    fn prepare_with(plan: &'a Plan, sources: Vec<OwnedFd>, mounter: Mounter) -> Result<Self, Error> {
        // Folders and nodes come out with the modes that are asked for.
        let umask = rustix::process::umask(Mode::empty());
        let prepared = make(plan, sources, mounter);
        rustix::process::umask(umask);
        prepared
    }

    /// Makes the container's root this process's `/` and working directory.
    pub fn enter(&self) -> Result<(), Error> {
        enter::enter(self.plan, self.root.as_fd())?;
        if self.plan.devices.is_some() {
            devices::reopen_null(&self.root)?;
        }
        Ok(())
    }

    /// Takes away what the container may not change or see. Comes last: what was writable until now no longer is.
    pub fn finish(self) -> Result<(), Error> {
        if self.plan.entry == Entry::Chroot {
            return Ok(());
        }
        if let Some(flags) = self.plan.propagation.filter(|flags| flags & ms::PRIVATE == 0) {
            rustix::mount::mount_change("/", MountPropagationFlags::from_bits_retain(flags))
                .attempted(|| "apply root propagation flags")?;
        }
        for mount in &self.late_readonly {
            restrict::make_readonly(&self.mounter, mount.as_fd(), "a mount")?;
        }
        if self.plan.readonly {
            restrict::make_readonly(&self.mounter, self.root.as_fd(), "rootfs")?;
        }
        restrict::readonly_paths(&self.root, &self.mounter, &self.plan.read_only)?;
        restrict::mask_paths(&self.root, &self.mounter, &self.plan.masked, self.plan.label.as_deref())?;
        Ok(())
    }
}

impl Plan {
    /// Undoes what [`Rootfs::prepare`] leaves behind for a container without a mount namespace of its own: its mounts
    /// are the host's. For all others there is nothing to undo.
    pub fn unmount_from_host(&self) -> Result<(), Error> {
        if self.entry != Entry::Chroot {
            return Ok(());
        }
        // A root that is a mount by itself belongs to the caller.
        if !mountinfo::is_bound_to_itself(&mountinfo::read()?, &self.root) {
            return Ok(());
        }
        rustix::mount::unmount(&self.root, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .attempted(|| format!("unmount {}", self.root.display()))?;
        Ok(())
    }
}

fn make<'a>(plan: &'a Plan, sources: Vec<OwnedFd>, mounter: Mounter) -> Result<Rootfs<'a>, Error> {
    let root = mount_root(plan, &mounter)?;
    let mut maker = Maker { plan, root: &root, mounter: &mounter, late_readonly: Vec::new() };
    maker.make_all(sources)?;
    let late_readonly = maker.late_readonly;
    if let Some(devices) = &plan.devices {
        devices::make(plan, devices, &root, &mounter)?;
    }
    Ok(Rootfs { plan, root, mounter, late_readonly })
}

/// The root becomes a mount of its own, over itself: pivot_root(2) needs one, and a private one keeps what happens in
/// the container from the host and the reverse.
fn mount_root(plan: &Plan, mounter: &Mounter) -> Result<Root, Error> {
    if plan.entry != Entry::Chroot {
        let flags = plan.propagation.unwrap_or(ms::SLAVE | ms::REC);
        rustix::mount::mount_change("/", MountPropagationFlags::from_bits_retain(flags))
            .attempted(|| "change the propagation of /")?;
        if !plan.isolates_mounts() {
            make_parent_private(&plan.root)?;
        }
    }
    let place = plan.open_root()?;
    let mount = match mounter.clone_of(place.as_fd(), true)? {
        Source::Detached(mount) => {
            mounter.change(mount.as_fd(), &PRIVATE)?;
            attach::attach(mount, place.as_fd())?
        }
        Source::Place { fd, recursive } => {
            attach::classic_bind(fd.as_fd(), recursive, place.as_fd())?;
            let mount = plan.open_root()?;
            mounter.change(mount.as_fd(), &PRIVATE)?;
            mount
        }
    };
    Ok(Root::new(mount))
}

const PRIVATE: Change = Change { set: 0, clear: 0, propagation: ms::PRIVATE as u64, recursive: false };

/// pivot_root(2) refuses a new root whose parent is shared, and the bind would reach the host.
fn make_parent_private(root: &Path) -> Result<(), Failure> {
    for ancestor in root.ancestors() {
        match rustix::mount::mount_change(ancestor, MountPropagationFlags::PRIVATE) {
            // Not a mount point.
            Err(Errno::INVAL) => {}
            changed => return changed.attempted(|| format!("make {} private", ancestor.display())),
        }
    }
    Ok(())
}
