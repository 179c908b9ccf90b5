//! `restore`: a container from what a checkpoint wrote.

use super::criu::{Criu, Notice, Streams};
use super::dump::EXTERNAL_NAMESPACES;
use super::error::Error;
use super::image::{Folders, number};
use super::rpc::{self, Opt, Opts, Verb};
use super::{Restore, descriptors};
use crate::backend::{Linux, Options};
use crate::cgroup::Cgroup;
use crate::cgroup::layout::Membership;
use crate::namespaces::{self, Having};
use crate::process::terminal;
use crate::rootfs::{External, Plan, in_scratch_namespace};
use crate::saved::{Saved, Stage};
use crate::{Child, create, rootfs};
use compute::Kind;
use compute::backend::NewContainer;
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Makes the container; its processes run. The caller undoes a failure with `kill_all` and `delete`.
pub(crate) fn restore(
    linux: &Linux,
    new: &NewContainer<'_>,
    options: Options,
    request: &Restore,
    saved: &mut Saved,
    commit: &mut dyn FnMut(&Saved) -> Result<(), compute::Error>,
) -> Result<Child, compute::Error> {
    request.image.check()?;
    let streams = descriptors::inherited(&request.image.path)?;
    create::keep_spec(new)?;
    let request_of_root =
        create::rootfs_request(new.spec, new.bundle, options.no_pivot, linux.is_rootless(), saved);
    let plan = rootfs::plan(&request_of_root)?;
    plan.check()?;
    let external = in_scratch_namespace(|| plan.make_mount_points())?;
    let joined = Joined::open(new.spec)?;

    let mut cgroup = Cgroup::prepare(saved.cgroup.clone())?;
    saved.cgroup = cgroup.placement().clone();
    saved.stage = Stage::Prepared;
    commit(saved)?;
    let root = MountPoint::make(new.state_dir)?;
    let (criu, folders) = in_scratch_namespace(|| {
        bind_root(&plan, &root.0)?;
        let folders = Folders::open(&request.image, "restore.log")?;
        let mut descriptors: Vec<BorrowedFd<'_>> = folders.descriptors().collect();
        descriptors.extend(joined.external.iter().map(|(_, file)| file.as_fd()));
        let criu = Criu::start(linux.criu(), Streams::Ours, &descriptors)?;
        Ok::<_, compute::Error>((criu, folders))
    })?;
    create::place(new.spec, &mut cgroup, saved, criu.pid(), false)?;
    saved.cgroup = cgroup.placement().clone();

    let mut opts = folders.options(&request.image, new.spec);
    describe(&mut opts, request);
    opts.path(Opt::Root, &root.0);
    for (stream, key) in &streams {
        opts.numbered(Opt::InheritFd, key, *stream);
    }
    for External { key, source, .. } in &external {
        opts.pair(Opt::ExtMnt, key.as_os_str().as_bytes(), source.as_os_str().as_bytes());
    }
    joined.name(&mut opts);
    name_cgroups(&mut opts, criu.pid())?;
    let mut restoring = Restoring { new, saved, commit, console: options.console.as_ref(), child: None };
    let request = rpc::request(Verb::Restore, &opts);
    let restored = criu.ask(Verb::Restore, &request, &folders.log, &mut |notice| restoring.on(&notice));
    let child = restoring.child.take();
    match (restored, child) {
        (Ok(_), Some(child)) => Ok(child),
        (Ok(_), None) => Err(compute::Error::new(Kind::Internal, "criu restored no process")),
        (Err(error), child) => {
            if let Some(mut child) = child {
                child.kill_and_reap();
            }
            Err(error)
        }
    }
}

fn describe(opts: &mut Opts, request: &Restore) {
    // The restored process is our child, not criu's.
    opts.flag(Opt::RstSibling, true);
    opts.flag(Opt::EvasiveDevices, true);
    if let Some(profile) = &request.lsm_profile {
        opts.text(Opt::LsmProfile, profile);
    }
    if let Some(context) = &request.lsm_mount_context {
        opts.text(Opt::LsmMountContext, context);
    }
}

/// Namespaces that are there already.
#[derive(Default)]
struct Joined<'a> {
    /// Those that a checkpoint leaves outside, by the keys of [`EXTERNAL_NAMESPACES`].
    external: Vec<(&'static str, OwnedFd)>,
    /// Those that CRIU makes anew unless it is told to join.
    others: Vec<(&'static str, &'a Path)>,
}

impl<'a> Joined<'a> {
    fn open(spec: &'a Spec) -> Result<Self, Error> {
        let mut all = Self::default();
        for namespace in namespaces::of(spec) {
            let kind = namespace.typ();
            let Having::Joined(path) = namespaces::having(spec, kind) else { continue };
            if let Some((_, name, key)) = EXTERNAL_NAMESPACES.iter().find(|(known, ..)| *known == kind) {
                let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                let attempted = || format!("open {name} namespace {}", path.display());
                all.external.push((key, file.map_err(|cause| Error::io(attempted(), cause))?));
                continue;
            }
            let name = match kind {
                LinuxNamespaceType::Mount => "mnt",
                LinuxNamespaceType::Uts => "uts",
                LinuxNamespaceType::Ipc => "ipc",
                LinuxNamespaceType::User => "user",
                LinuxNamespaceType::Time => "time",
                LinuxNamespaceType::Cgroup => return Err(Error::Namespace("cgroup")),
                LinuxNamespaceType::Network | LinuxNamespaceType::Pid => continue,
            };
            all.others.push((name, path));
        }
        Ok(all)
    }

    fn name(&self, opts: &mut Opts) {
        for (key, file) in &self.external {
            opts.numbered(Opt::InheritFd, key, number(file));
        }
        for (name, path) in &self.others {
            opts.pair(Opt::JoinNs, name.as_bytes(), path.as_os_str().as_bytes());
        }
    }
}

/// The cgroups of the image become those that criu is in.
fn name_cgroups(opts: &mut Opts, criu: i32) -> Result<(), compute::Error> {
    for (controller, path) in Membership::of(&criu.to_string())?.controllers() {
        opts.pair(Opt::CgRoot, controller.as_bytes(), path.as_os_str().as_bytes());
    }
    Ok(())
}

/// An empty folder of ours, gone when dropped. CRIU wants a root that is a mount point whose parent nothing covers,
/// which the bundle's own folder may not be.
struct MountPoint(PathBuf);

impl MountPoint {
    fn make(state_dir: &Path) -> Result<Self, Error> {
        let path = state_dir.join("criu-root");
        std::fs::create_dir(&path).map_err(|cause| Error::io(format!("make {}", path.display()), cause))?;
        let real = path.canonicalize();
        Ok(Self(real.map_err(|cause| Error::io(format!("resolve {}", path.display()), cause))?))
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.0) {
            log::warn!("remove {}: {error}", self.0.display());
        }
    }
}

fn bind_root(plan: &Plan, on: &Path) -> Result<(), Error> {
    rustix::mount::mount_bind_recursive(plan.root(), on)
        .map_err(|cause| Error::io(format!("bind {} on {}", plan.root().display(), on.display()), cause))
}

/// Our part while CRIU works.
struct Restoring<'a, 'n> {
    new: &'a NewContainer<'n>,
    saved: &'a mut Saved,
    commit: &'a mut dyn FnMut(&Saved) -> Result<(), compute::Error>,
    console: Option<&'a OwnedFd>,
    child: Option<Child>,
}

impl Restoring<'_, '_> {
    fn on(&mut self, notice: &Notice) -> Result<(), compute::Error> {
        match (notice.script.as_str(), &notice.descriptor) {
            ("setup-namespaces", _) => create::runtime_hooks(self.new, notice.pid),
            ("post-restore", _) => self.restored(notice.pid),
            ("orphan-pts-master", Some(master)) => match self.console {
                Some(console) => Ok(terminal::send_master(console.as_fd(), master.as_fd())?),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Everything is back but does not run yet: time to put it on record.
    fn restored(&mut self, pid: i32) -> Result<(), compute::Error> {
        self.child = Some(Child::of(pid)?);
        self.saved.init = Some(create::init_process(pid)?);
        // CRIU gives it a time namespace, so that clocks go on where they were; an exec has to join that.
        if is_other_time_namespace(pid) {
            self.saved.namespaces |= namespaces::clone_flag(LinuxNamespaceType::Time);
        }
        (self.commit)(self.saved)
    }
}

fn is_other_time_namespace(pid: i32) -> bool {
    let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/time")).ok();
    of(&pid.to_string()).is_some_and(|theirs| of("self").is_some_and(|ours| ours != theirs))
}
