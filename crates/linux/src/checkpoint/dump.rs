//! `checkpoint`: a running container to disk.

use super::Checkpoint;
use super::criu::{self, Criu, Notice, Streams};
use super::descriptors::Descriptors;
use super::error::Error;
use super::image::Folders;
use super::rpc::{self, Opt, Opts, Verb};
use crate::backend::Linux;
use crate::namespaces::{self, Having};
use crate::saved::Saved;
use crate::{create, rootfs, signal};
use compute::Kind;
use compute::backend::Existing;
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Namespaces that a container may share with others, and what images call them.
pub(super) const EXTERNAL_NAMESPACES: [(LinuxNamespaceType, &str, &str); 2] =
    [(LinuxNamespaceType::Network, "net", "extRootNetNS"), (LinuxNamespaceType::Pid, "pid", "extRootPidNS")];

/// Writes it, and ends it unless it is to run on.
pub(crate) fn checkpoint(
    linux: &Linux,
    container: &Existing<'_, Saved>,
    mut request: Checkpoint,
) -> Result<(), compute::Error> {
    let init = container.saved.init;
    let pid = init.ok_or_else(|| compute::Error::new(Kind::Internal, "no init is on record"))?.pid;
    let spec = create::kept_spec(container.state_dir)?;
    check(linux, &request)?;
    let folders = Folders::make(&request.image, "dump.log")?;
    if let Some(parent) = &request.parent {
        request.image.check_parent(parent)?;
    }
    let mut opts = folders.options(&request.image, &spec);
    describe(&mut opts, &request, pid);
    if let Some(freezer) = container.saved.cgroup().freezer_path() {
        opts.path(Opt::FreezeCgroup, freezer);
    }
    name_namespaces(&mut opts, &spec, pid)?;
    let plan = rootfs::plan(&create::rootfs_request(
        &spec,
        container.bundle,
        false,
        linux.is_rootless(),
        container.saved,
    ))?;
    opts.path(Opt::Root, plan.root());
    if !request.pre_dump {
        name_mounts(&mut opts, &plan, pid)?;
        let descriptors = Descriptors::of(pid)?;
        for key in &descriptors.external {
            opts.text(Opt::External, key);
        }
        descriptors.write(&request.image.path)?;
    }
    let verb = if request.pre_dump { Verb::PreDump } else { Verb::Dump };
    let descriptors: Vec<BorrowedFd<'_>> = folders.descriptors().collect();
    let criu = Criu::start(linux.criu(), Streams::Null, &descriptors)?;
    criu.ask(verb, &rpc::request(verb, &opts), &folders.log, &mut |notice| {
        tell_ready(&notice, &mut request.status);
        Ok::<(), Error>(())
    })?;
    if !request.pre_dump && !request.leave_running {
        // CRIU has killed them; this waits until they are gone.
        signal::kill_all(container)?;
    }
    Ok(())
}

/// What depends on the kernel and on CRIU's release is refused before a process is touched.
fn check(linux: &Linux, request: &Checkpoint) -> Result<(), Error> {
    if !request.pre_dump && !request.image.lazy_pages {
        return Ok(());
    }
    let features = criu::features(linux.criu())?;
    if request.pre_dump && !features.mem_track {
        return Err(Error::Missing("MemTrack"));
    }
    if request.image.lazy_pages && !features.lazy_pages {
        return Err(Error::Missing("LazyPages"));
    }
    Ok(())
}

fn describe(opts: &mut Opts, request: &Checkpoint, pid: i32) {
    opts.number(Opt::Pid, pid.unsigned_abs());
    opts.flag(Opt::LeaveRunning, request.leave_running);
    opts.flag(Opt::TcpSkipInFlight, request.skip_in_flight);
    opts.flag(Opt::LinkRemap, request.link_remap);
    if let Some((address, port)) = &request.page_server {
        opts.numbered(Opt::PageServer, address, u32::from(*port));
    }
    if let Some(parent) = &request.parent {
        opts.path(Opt::ParentImg, parent);
        opts.flag(Opt::TrackMem, true);
    }
}

fn name_namespaces(opts: &mut Opts, spec: &Spec, pid: i32) -> Result<(), Error> {
    for (kind, name, key) in EXTERNAL_NAMESPACES {
        if matches!(namespaces::having(spec, kind), Having::Joined(_)) {
            // By the process: the path may have come to mean another.
            let path = format!("/proc/{pid}/ns/{name}");
            let stat =
                rustix::fs::stat(&path).map_err(|cause| Error::io(format!("look at {path}"), cause))?;
            opts.text(Opt::External, &format!("{name}[{}]:{key}", stat.st_ino));
        }
    }
    Ok(())
}

fn name_mounts(opts: &mut Opts, plan: &rootfs::Plan, pid: i32) -> Result<(), compute::Error> {
    let path = format!("/proc/{pid}/root");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&path, flags, Mode::empty())
        .map_err(|cause| Error::io(format!("open {path}"), cause))?;
    for mount in plan.external_mounts(root)? {
        opts.pair(Opt::ExtMnt, mount.point.as_os_str().as_bytes(), mount.key.as_os_str().as_bytes());
    }
    Ok(())
}

/// Whoever waits to fetch lazy pages may begin.
fn tell_ready(notice: &Notice, status: &mut Option<File>) {
    if notice.script == "status-ready"
        && let Some(mut status) = status.take()
        && let Err(error) = status.write_all(&[0])
    {
        log::warn!("write to --status-fd: {error}");
    }
}
