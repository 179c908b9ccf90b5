//! `create`: from a bundle to a container whose process waits to be started.

use crate::backend::{Linux, NOTIFY_DIR, Options};
use crate::cgroup::{self, Cgroup, Driver, Entrance, layout, rdt};
use crate::init::{Container, Plan, Role, Slot};
use crate::launch::{self, Assist};
use crate::namespaces::{self, Having};
use crate::process::hooks::{self, DefaultEnv, Point};
use crate::process::{affinity, network, rlimits, seccomp, selinux, terminal};
use crate::saved::{InitProcess, Saved, Stage};
use crate::{Child, hook_state, idmap, process, procfs, rootfs, start_fifo};
use compute::backend::NewContainer;
use compute::{ContainerId, Error, Kind};
use oci_spec::runtime::{
    ContainerState, LinuxIdMapping, LinuxIntelRdt, LinuxNamespaceType, LinuxResources, Spec, State,
};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// The bundle's config as it was at creation. The bundle's own file may change, or go, while the container lives.
const KEPT_SPEC: &str = "config.json";

/// What the runtime runs while init waits with its root not yet entered.
const RUNTIME_HOOKS: [Point; 2] = [Point::Prestart, Point::CreateRuntime];

/// Checks the bundle and decides what will be made. Touches nothing.
pub(crate) fn plan(linux: &Linux, new: &NewContainer<'_>) -> Result<Saved, Error> {
    let spec = new.spec;
    process::validate(spec, linux.is_rootless())?;
    let namespaces = namespaces::of(spec).iter().fold(0, |all, one| all | namespaces::clone_flag(one.typ()));
    Ok(Saved {
        stage: Stage::Planned,
        cgroup: cgroup::plan(&cgroup_request(linux, new))?,
        rdt: intel_rdt(spec)
            .map(|wanted| rdt::plan(new.id.as_str(), wanted, &rdt::mount_point()?))
            .transpose()?,
        init: None,
        namespaces,
        own_pid_namespace: namespaces::having(spec, LinuxNamespaceType::Pid) == Having::New,
        host_mounts: namespaces::having(spec, LinuxNamespaceType::Mount) == Having::Shared,
        poststart: !Point::Poststart.of_spec(spec).is_empty(),
        poststop: !Point::Poststop.of_spec(spec).is_empty(),
    })
}

pub(crate) fn intel_rdt(spec: &Spec) -> Option<&LinuxIntelRdt> {
    spec.linux().as_ref().and_then(|linux| linux.intel_rdt().as_ref())
}

fn cgroup_request<'a>(linux: &Linux, new: &NewContainer<'a>) -> cgroup::Request<'a> {
    let section = new.spec.linux().as_ref();
    cgroup::Request {
        id: new.id.as_str(),
        cgroups_path: section.and_then(|linux| linux.cgroups_path().as_deref()),
        driver: if linux.config().systemd_cgroup { Driver::Systemd } else { Driver::Cgroupfs },
        rootless: linux.is_lenient_about_cgroups(),
        annotations: new.spec.annotations().as_ref(),
        owner: delegated_to(new.spec),
    }
}

/// A container with namespaces of its own for users and control groups may manage its own subtree.
fn delegated_to(spec: &Spec) -> Option<u32> {
    let own = |kind| namespaces::having(spec, kind) == Having::New;
    let writable = spec.mounts().iter().flatten().any(|mount| {
        mount.typ().as_deref() == Some("cgroup")
            && !mount.options().iter().flatten().any(|option| option == "ro")
    });
    (own(LinuxNamespaceType::User) && own(LinuxNamespaceType::Cgroup) && writable)
        .then(|| idmap::host_id(mappings(spec).0, 0))
        .flatten()
}

/// The id mappings of the container's user namespace.
pub(crate) fn mappings(spec: &Spec) -> (&[LinuxIdMapping], &[LinuxIdMapping]) {
    let linux = spec.linux().as_ref();
    let uids = linux.and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
    let gids = linux.and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
    (uids, gids)
}

/// What can be known of a container whose record cannot be read: what its kept configuration would be planned as today.
pub(crate) fn recover(linux: &Linux, id: &ContainerId, state_dir: &Path) -> Option<Saved> {
    let spec = kept_spec(state_dir).ok()?;
    let mut saved = plan(linux, &NewContainer { id, bundle: state_dir, spec: &spec, state_dir }).ok()?;
    saved.stage = Stage::Prepared;
    Some(saved)
}

/// What the root file system's plan is made from.
pub(crate) fn rootfs_request<'a>(
    spec: &'a Spec,
    bundle: &'a Path,
    no_pivot: bool,
    rootless: bool,
    saved: &Saved,
) -> rootfs::Request<'a> {
    rootfs::Request {
        spec,
        bundle,
        no_pivot,
        rootless,
        cgroup: cgroup_view(saved, spec),
        selinux: selinux::enabled(),
    }
}

/// What a container sees of its control groups.
fn cgroup_view(saved: &Saved, spec: &Spec) -> rootfs::CgroupView {
    let hierarchies = &saved.cgroup.hierarchies;
    if saved.cgroup.layout == layout::Kind::V2 {
        let own = namespaces::having(spec, LinuxNamespaceType::Cgroup) != Having::Shared;
        let fallback = hierarchies.first().map(|one| if own { one.path.clone() } else { one.mount.clone() });
        return rootfs::CgroupView::V2 {
            fallback: fallback.unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup")),
        };
    }
    let v1 = hierarchies.iter().filter(|one| one.version == layout::Version::V1);
    rootfs::CgroupView::V1(
        v1.map(|one| rootfs::Hierarchy {
            name: one.mount.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            options: one.controllers.join(","),
            path: one.path.clone(),
        })
        .collect(),
    )
}

/// Makes the container. The caller undoes a failure with `kill_all` and `delete`.
pub(crate) fn create(
    linux: &Linux,
    new: &NewContainer<'_>,
    options: Options,
    saved: &mut Saved,
    commit: &mut dyn FnMut(&Saved) -> Result<(), Error>,
) -> Result<Child, Error> {
    keep_spec(new)?;
    if options.notify {
        let folder = new.state_dir.join(NOTIFY_DIR);
        std::fs::create_dir(&folder)
            .map_err(|cause| Error::io(format!("make {}", folder.display()), cause))?;
    }
    let cgroup = Cgroup::prepare(saved.cgroup.clone())?;
    saved.cgroup = cgroup.placement().clone();
    saved.stage = Stage::Prepared;
    commit(saved)?;
    let mut fds = vec![own_stdin()?];
    let (plan, filter) = describe(linux, new, &options, saved, &mut fds)?;
    let mut fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    fds.extend(options.console.as_ref().map(AsFd::as_fd));
    let mut creation = Creation { new, plan: &plan, cgroup, saved, commit };
    let (child, _) = launch::launch(new.state_dir, &plan, &filter, &fds, &mut creation)?;
    if let Some(socket) = options.pidfd_socket {
        send_pidfd(&socket, &child)?;
    }
    Ok(child)
}

/// Everything init will need, and the compiled filter. Descriptors are pushed to `fds`; the console comes last.
fn describe(
    linux: &Linux,
    new: &NewContainer<'_>,
    options: &Options,
    saved: &Saved,
    fds: &mut Vec<OwnedFd>,
) -> Result<(Plan, Vec<u8>), Error> {
    let (spec, rootless) = (new.spec, linux.is_rootless());
    let process = spec.process().as_ref();
    let process =
        process.ok_or_else(|| Error::new(Kind::InvalidArgument, "process property must not be empty"))?;
    let mut process = process::plan(&process::Request {
        container: new.id.as_str(),
        spec,
        process,
        first: true,
        rootless,
        keyring: !options.no_new_keyring,
    })?;
    if let Some(terminal) = &mut process.terminal {
        terminal.raw_output = options.raw_output;
    }
    process.compile(spec, filter_cache().as_deref())?;
    let filter = process.take_program();
    let rootfs = rootfs::plan(&rootfs_request(spec, new.bundle, options.no_pivot, rootless, saved))?;
    rootfs.check()?;
    let namespaces = namespaces::plan(spec, fds)?;
    let pipes = start_fifo::make(new.state_dir)?;
    let (start, answer) = (Slot(fds.len() as u32), Slot(fds.len() as u32 + 1));
    fds.extend([pipes.start, pipes.answer]);
    let plan = Plan {
        namespaces,
        process,
        stdin: Slot(0),
        console: options.console.as_ref().map(|_| Slot(fds.len() as u32)),
        preserve_fds: options.preserve_fds,
        listen_fds: options.listen_fds,
        role: Role::Container(Box::new(Container {
            rootfs,
            state: hook_state::state(new.id.as_str(), new.bundle, spec, ContainerState::Creating, 0)?,
            runtime_hooks: RUNTIME_HOOKS.iter().any(|point| !point.of_spec(spec).is_empty()),
            create_hooks: Point::CreateContainer.of_spec(spec).to_vec(),
            start_hooks: Point::StartContainer.of_spec(spec).to_vec(),
            start,
            answer,
        })),
    };
    Ok((plan, filter))
}

/// Where compiled filters are kept: on a file system that is gone at reboot, private to the user. Without such a place
/// they are compiled each time.
pub(crate) fn filter_cache() -> Option<PathBuf> {
    let base = if rustix::process::geteuid().is_root() {
        PathBuf::from("/run/cofferdam")
    } else {
        PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?).join("cofferdam")
    };
    match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&base) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => None,
        _ => Some(base.join("seccomp")),
    }
}

/// The standard input that the container gets: ours, since init's carries the socket.
pub(crate) fn own_stdin() -> Result<OwnedFd, Error> {
    let stdin = rustix::stdio::stdin();
    rustix::io::fcntl_dupfd_cloexec(stdin, 3).map_err(|cause| Error::io("duplicate standard input", cause))
}

/// Keeps the config for later verbs.
pub(crate) fn keep_spec(new: &NewContainer<'_>) -> Result<(), Error> {
    let path = new.state_dir.join(KEPT_SPEC);
    let text = serde_json::to_vec(new.spec)
        .map_err(|cause| Error::new(Kind::Internal, format!("encode {}: {cause}", path.display())))?;
    std::fs::write(&path, text).map_err(|cause| Error::io(format!("write {}", path.display()), cause))
}

/// Reads the config that was kept at creation.
pub(crate) fn kept_spec(state_dir: &Path) -> Result<Spec, Error> {
    let path = state_dir.join(KEPT_SPEC);
    let text = std::fs::read(&path).map_err(|cause| Error::io(format!("read {}", path.display()), cause))?;
    serde_json::from_slice(&text)
        .map_err(|cause| Error::new(Kind::Internal, format!("understand {}: {cause}", path.display())))
}

/// One SCM_RIGHTS message with the pidfd, as the protocol of `--pidfd-socket` has it.
pub(crate) fn send_pidfd(socket: &OwnedFd, child: &Child) -> Result<(), Error> {
    terminal::send_descriptor(socket.as_fd(), b"pidfd", child.pidfd())
        .map_err(|cause| Error::io("send the process's descriptor to the pidfd socket", cause))
}

/// Takes the listener of a filter from init and hands it to the agent that the bundle names.
pub(crate) fn pass_listener(spec: &Spec, state: State, pid: i32, listener: i32) -> Result<(), Error> {
    let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let described = profile.map(seccomp::describe).transpose()?;
    let agent = described.as_ref().and_then(seccomp::Filter::listener);
    let agent =
        agent.ok_or_else(|| Error::new(Kind::Internal, "init has a listener, the bundle names no agent"))?;
    let taken = Pid::from_raw(pid)
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()))
        .and_then(|process| {
            rustix::process::pidfd_getfd(process, listener, rustix::process::PidfdGetfdFlags::empty())
        })
        .map_err(|cause| Error::io("take the seccomp listener from init", cause))?;
    Ok(seccomp::notify::send(agent, taken.as_fd(), pid, state)?)
}

/// Puts the first process of a new container into its control groups, unless it has entered them by itself, and limits
/// these.
pub(crate) fn place(
    spec: &Spec,
    cgroup: &mut Cgroup,
    saved: &Saved,
    pid: i32,
    entered: bool,
) -> Result<(), Error> {
    let resources = resources(spec);
    if !entered {
        cgroup.place(pid, &resources)?;
    }
    cgroup.set(&resources)?;
    if let (Some(class), Some(wanted)) = (&saved.rdt, intel_rdt(spec)) {
        class.place(pid, wanted)?;
        class.set(wanted)?;
    }
    Ok(())
}

fn resources(spec: &Spec) -> Cow<'_, LinuxResources> {
    let given = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    given.map_or_else(|| Cow::Owned(LinuxResources::default()), Cow::Borrowed)
}

/// A container's first process, as the record has it.
pub(crate) fn init_process(pid: i32) -> Result<InitProcess, Error> {
    let stat =
        procfs::stat(pid)?.ok_or_else(|| Error::new(Kind::Internal, "init is gone before it began"))?;
    Ok(InitProcess { pid, start_time: stat.start_time })
}

/// Runs the hooks whose time is when the namespaces are there and the root is not entered.
pub(crate) fn runtime_hooks(new: &NewContainer<'_>, pid: i32) -> Result<(), Error> {
    let state = hook_state::state(new.id.as_str(), new.bundle, new.spec, ContainerState::Creating, pid)?;
    let state = hook_state::json(&state)?;
    for point in RUNTIME_HOOKS {
        hooks::run(point, point.of_spec(new.spec), &state, DefaultEnv::Empty)?;
    }
    Ok(())
}

/// The runtime's part while init makes the container from inside.
struct Creation<'a, 'n> {
    new: &'a NewContainer<'n>,
    plan: &'a Plan,
    cgroup: Cgroup,
    saved: &'a mut Saved,
    commit: &'a mut dyn FnMut(&Saved) -> Result<(), Error>,
}

impl Creation<'_, '_> {
    fn state(&self, pid: i32) -> Result<State, Error> {
        hook_state::state(self.new.id.as_str(), self.new.bundle, self.new.spec, ContainerState::Creating, pid)
    }
}

impl Assist for Creation<'_, '_> {
    fn entrance(&mut self) -> Result<Option<Entrance>, Error> {
        Ok(self.cgroup.entrance(&resources(self.new.spec))?)
    }

    fn place(&mut self, pid: i32, entered: bool) -> Result<(), Error> {
        place(self.new.spec, &mut self.cgroup, self.saved, pid, entered)
    }

    fn map_user(&mut self, pid: i32) -> Result<(), Error> {
        let (uids, gids) = mappings(self.new.spec);
        idmap::write(pid, uids, gids)
    }

    fn init(&mut self, child: &Child) -> Result<Vec<OwnedFd>, Error> {
        let pid = child.pid();
        self.saved.init = Some(init_process(pid)?);
        self.saved.cgroup = self.cgroup.placement().clone();
        (self.commit)(self.saved)?;
        affinity::reset(Pid::from_raw(pid));
        let namespace = |name: &str| {
            let path = format!("/proc/{pid}/ns/{name}");
            rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|cause| Error::io(format!("open {path}"), cause))
        };
        let devices = &self.plan.process.net_devices;
        if !devices.is_empty() {
            network::move_devices(devices, namespace("net")?.as_fd())?;
        }
        let Role::Container(container) = &self.plan.role else {
            return Err(Error::new(Kind::Internal, "a container is created with another's plan"));
        };
        if container.rootfs.sources() == 0 {
            return Ok(Vec::new());
        }
        Ok(rootfs::open_sources(&container.rootfs, Some(namespace("mnt")?.as_fd()))?)
    }

    fn hooks(&mut self) -> Result<(), Error> {
        runtime_hooks(self.new, self.saved.init.map_or(0, |init| init.pid))
    }

    fn limit(&mut self, child: &Child) -> Result<(), Error> {
        Ok(rlimits::apply(Pid::from_raw(child.pid()), &self.plan.process.rlimits)?)
    }

    fn seccomp_listener(&mut self, child: &Child, listener: i32) -> Result<(), Error> {
        pass_listener(self.new.spec, self.state(child.pid())?, child.pid(), listener)
    }
}
