//! [`compute::Backend`] for containers that share this kernel.

use crate::cgroup::OomEvents;
use crate::cgroup::layout::Kind;
use crate::checkpoint::{Checkpoint, Restore};
use crate::saved::Saved;
use crate::{Child, checkpoint, create, delete, exec, observe, signal, start, watch};
use compute::backend::{Capabilities, Event, Existing, Isolation, NewContainer, Observed, Scope};
use compute::error::Result;
use compute::{Backend, ContainerId};
use oci_spec::runtime::{LinuxResources, Process as ProcessSpec};
use rustix::fd::OwnedFd;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whether errors of control groups that an unprivileged user meets are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rootless {
    /// Yes, when this is not root of the host.
    #[default]
    Auto,
    /// Yes.
    True,
    /// No.
    False,
}

/// What holds for all containers of one caller.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Control groups are made by systemd, and `cgroupsPath` is `slice:prefix:name`.
    pub systemd_cgroup: bool,
    /// See [`Rootless`].
    pub rootless: Rootless,
    /// The program for checkpoint and restore; `criu` along `PATH` if not given.
    pub criu: Option<PathBuf>,
}

/// Where in a container's state folder its readiness socket lies.
pub const NOTIFY_DIR: &str = "notify";

/// What a caller gives a new process beyond its spec.
#[derive(Debug, Default)]
pub struct Options {
    /// A connected stream socket that gets the terminal's master; without it, standard input and outputs are
    /// inherited.
    pub console: Option<OwnedFd>,
    /// The terminal adds no carriage returns: the caller shows it on a terminal of its own, which does.
    pub raw_output: bool,
    /// A connected stream socket that gets a descriptor of the process.
    pub pidfd_socket: Option<OwnedFd>,
    /// How many descriptors from 3 on the process keeps.
    pub preserve_fds: u32,
    /// How many of them `LISTEN_FDS` announces.
    pub listen_fds: u32,
    /// Enter the root by moving its mount instead of pivot_root, for hosts that run from an initial ramdisk.
    pub no_pivot: bool,
    /// Stay in the caller's session keyring.
    pub no_new_keyring: bool,
    /// Make the folder [`NOTIFY_DIR`] in the container's state folder, for a socket that the bundle has mounted.
    pub notify: bool,
    /// For exec: the sub-cgroups to join, each `path` or `controller,…:path`.
    pub exec_cgroups: Vec<String>,
}

/// The backend.
#[derive(Debug, Default)]
pub struct Linux {
    config: Config,
}

impl Linux {
    /// The backend as `config` has it.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// What holds for all containers.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Writes a container to disk, and unless it is to run on ends it. [`compute::Runtime::admitted`] says when.
    pub fn checkpoint(&self, container: &Existing<'_, Saved>, request: Checkpoint) -> Result<()> {
        checkpoint::checkpoint(self, container, request)
    }

    /// Makes a container of what [`checkpoint`](Self::checkpoint) wrote; see [`compute::Runtime::create_by`].
    pub fn restore(
        &self,
        new: &NewContainer<'_>,
        options: Options,
        request: &Restore,
        saved: &mut Saved,
        commit: &mut dyn FnMut(&Saved) -> Result<()>,
    ) -> Result<Child> {
        checkpoint::restore(self, new, options, request, saved, commit)
    }

    /// The out-of-memory kills of a container, for who waits for many things at once; [`Backend::watch`] waits itself.
    pub fn oom_events(&self, container: &Existing<'_, Saved>) -> Result<OomEvents> {
        Ok(container.saved.cgroup().oom_events()?)
    }

    /// Whether what a container uses is read from the second interface of control groups.
    pub fn is_cgroup_v2(&self, container: &Existing<'_, Saved>) -> bool {
        container.saved.cgroup.layout == Kind::V2
    }

    /// The program for checkpoint and restore.
    pub(crate) fn criu(&self) -> &Path {
        self.config.criu.as_deref().unwrap_or(Path::new("criu"))
    }

    /// Whether this is an unprivileged user.
    pub(crate) fn is_rootless(&self) -> bool {
        !rustix::process::geteuid().is_root()
    }

    /// Whether what an unprivileged user cannot do to control groups is passed over.
    pub(crate) fn is_lenient_about_cgroups(&self) -> bool {
        match self.config.rootless {
            Rootless::True => true,
            Rootless::False => false,
            Rootless::Auto => self.is_rootless() || observe::in_user_namespace(),
        }
    }
}

impl Backend for Linux {
    type Options = Options;
    type Process = Child;
    type Saved = Saved;
    type Stats = crate::cgroup::stats::Stats;

    fn isolation(&self) -> Isolation {
        Isolation::Process
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { pause: true, update: true, checkpoint: true }
    }

    fn plan(&self, new: &NewContainer<'_>, _: &Options) -> Result<Saved> {
        create::plan(self, new)
    }

    fn create(
        &self,
        new: &NewContainer<'_>,
        options: Options,
        saved: &mut Saved,
        commit: &mut dyn FnMut(&Saved) -> Result<()>,
    ) -> Result<Child> {
        create::create(self, new, options, saved, commit)
    }

    fn recover(&self, id: &ContainerId, state_dir: &Path) -> Option<Saved> {
        create::recover(self, id, state_dir)
    }

    fn observe(&self, container: &Existing<'_, Saved>) -> Result<Observed> {
        observe::observe(container)
    }

    fn start(&self, container: &Existing<'_, Saved>) -> Result<()> {
        start::start(container)
    }

    fn exec(
        &self,
        container: &Existing<'_, Saved>,
        process: &ProcessSpec,
        options: Options,
    ) -> Result<Child> {
        exec::exec(self, container, process, options)
    }

    fn signal(&self, container: &Existing<'_, Saved>, number: i32, scope: Scope) -> Result<()> {
        signal::signal(container, number, scope)
    }

    fn pause(&self, container: &Existing<'_, Saved>) -> Result<()> {
        Ok(container.saved.cgroup().freeze()?)
    }

    fn resume(&self, container: &Existing<'_, Saved>) -> Result<()> {
        Ok(container.saved.cgroup().thaw()?)
    }

    fn update(&self, container: &Existing<'_, Saved>, resources: &LinuxResources) -> Result<()> {
        Ok(container.saved.cgroup().update(resources)?)
    }

    fn processes(&self, container: &Existing<'_, Saved>) -> Result<Vec<i32>> {
        Ok(container.saved.cgroup().processes()?)
    }

    fn stats(&self, container: &Existing<'_, Saved>) -> Result<Self::Stats> {
        watch::stats(container)
    }

    fn watch(
        &self,
        container: &Existing<'_, Saved>,
        interval: Duration,
        sink: &mut dyn FnMut(Event<Self::Stats>) -> ControlFlow<()>,
    ) -> Result<()> {
        watch::watch(container, interval, sink)
    }

    fn kill_all(&self, container: &Existing<'_, Saved>) -> Result<()> {
        signal::kill_all(container)
    }

    fn delete(&self, container: &Existing<'_, Saved>) -> Result<()> {
        delete::delete(container)
    }
}
