//! `exec`: one more process in a container that runs.

use crate::backend::{Linux, Options};
use crate::cgroup::Entrance;
use crate::init::{self, Answer, Lost, Namespaces, Plan, Report, Role, Slot};
use crate::launch::{self, Assist};
use crate::process::{affinity, rlimits};
use crate::saved::Saved;
use crate::{Child, cgroup, create, hook_state, process, signal};
use compute::backend::Existing;
use compute::{Error, Kind};
use oci_spec::runtime::{ContainerState, Process as ProcessSpec, Spec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::Pid;
use std::os::unix::net::UnixStream;

/// Runs `process` in the container; returns when its program has been executed.
pub(crate) fn exec(
    linux: &Linux,
    container: &Existing<'_, Saved>,
    process: &ProcessSpec,
    options: Options,
) -> Result<Child, Error> {
    let saved = container.saved;
    let spec = create::kept_spec(container.state_dir)?;
    let recorded = saved.init.ok_or_else(|| Error::new(Kind::Internal, "no init is on record"))?;
    let init = signal::open(recorded)?
        .ok_or_else(|| Error::new(Kind::WrongState, "cannot exec in a stopped container"))?;
    let mut process = process::plan(&process::Request {
        container: container.id.as_str(),
        spec: &spec,
        process,
        first: false,
        rootless: linux.is_rootless(),
        keyring: !options.no_new_keyring,
    })?;
    if let Some(terminal) = &mut process.terminal {
        terminal.raw_output = options.raw_output;
    }
    process.compile(&spec, create::filter_cache().as_deref())?;
    let filter = process.take_program();
    let cgroups = cgroup::parse_sub_cgroups(&options.exec_cgroups)?;
    let kinds = joinable(saved.namespaces, recorded.pid)?;
    let mut fds = vec![create::own_stdin()?, init];
    let console = options.console.map(|console| {
        fds.push(console);
        Slot(fds.len() as u32 - 1)
    });
    let split = kinds & (libc::CLONE_NEWPID | libc::CLONE_NEWTIME) as u32 != 0;
    let plan = Plan {
        namespaces: Namespaces { join_process: Some((kinds, Slot(1))), split, ..Namespaces::default() },
        process,
        stdin: Slot(0),
        console,
        preserve_fds: options.preserve_fds,
        listen_fds: options.listen_fds,
        role: Role::Exec,
    };
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut joining = Joining { container, plan: &plan, spec: &spec, cgroups: &cgroups };
    let (mut child, socket) = launch::launch(container.state_dir, &plan, &filter, &borrowed, &mut joining)?;
    if let Err(error) = until_executed(&socket, &child, &joining) {
        child.kill_and_reap();
        return Err(error);
    }
    if let Some(socket) = options.pidfd_socket {
        create::send_pidfd(&socket, &child)?;
    }
    Ok(child)
}

/// The kinds that differ from ours: joining one's own user namespace is an error, joining one's own others is a waste.
fn joinable(kinds: u32, pid: i32) -> Result<u32, Error> {
    let user = libc::CLONE_NEWUSER as u32;
    if kinds & user == 0 {
        return Ok(kinds);
    }
    let id = |path: String| {
        rustix::fs::stat(&path)
            .map(|stat| (stat.st_dev, stat.st_ino))
            .map_err(|cause| Error::io(format!("look at {path}"), cause))
    };
    let same = id("/proc/self/ns/user".to_owned())? == id(format!("/proc/{pid}/ns/user"))?;
    Ok(if same { kinds & !user } else { kinds })
}

/// After `Ready` the stream ends with the execution, or says why there was none.
fn until_executed(socket: &UnixStream, child: &Child, joining: &Joining<'_, '_>) -> Result<(), Error> {
    loop {
        match init::receive::<Report>(socket) {
            Err(Lost::Closed) => return Ok(()),
            Err(Lost::Broken(error)) => return Err(error),
            Ok((Report::Failed(error), _)) => return Err(error),
            Ok((Report::SeccompListener(fd), _)) => {
                joining.pass_listener(child, fd)?;
                init::send(socket, &Answer::Continue, &[]).map_err(Error::from)?;
            }
            Ok(_) => {
                return Err(Error::new(
                    Kind::Internal,
                    "init said something that does not belong to an exec",
                ));
            }
        }
    }
}

/// The runtime's part while init joins the container.
struct Joining<'a, 'e> {
    container: &'a Existing<'e, Saved>,
    plan: &'a Plan,
    spec: &'a Spec,
    cgroups: &'a [cgroup::SubCgroup],
}

impl Joining<'_, '_> {
    fn pass_listener(&self, child: &Child, listener: i32) -> Result<(), Error> {
        let container = self.container;
        let init = container.saved.init.map_or(0, |init| init.pid);
        let status = ContainerState::Running;
        let state = hook_state::state(container.id.as_str(), container.bundle, self.spec, status, init)?;
        create::pass_listener(self.spec, state, child.pid(), listener)
    }
}

impl Assist for Joining<'_, '_> {
    fn entrance(&mut self) -> Result<Option<Entrance>, Error> {
        Ok(Some(self.container.saved.cgroup().join_entrance(self.cgroups)?))
    }

    fn place(&mut self, pid: i32, entered: bool) -> Result<(), Error> {
        let saved = self.container.saved;
        let process = Pid::from_raw(pid);
        match &self.plan.process.affinity.initial {
            Some(processors) => affinity::set(process, processors)?,
            None => affinity::reset(process),
        }
        if !entered {
            saved.cgroup().join(pid, self.cgroups, saved.init.map(|init| init.pid))?;
        }
        if let (Some(class), Some(wanted)) = (&saved.rdt, create::intel_rdt(self.spec)) {
            class.place(pid, wanted)?;
        }
        Ok(())
    }

    fn map_user(&mut self, _: i32) -> Result<(), Error> {
        Err(Error::new(Kind::Internal, "an exec makes no user namespace"))
    }

    fn init(&mut self, _: &Child) -> Result<Vec<OwnedFd>, Error> {
        Ok(Vec::new())
    }

    fn hooks(&mut self) -> Result<(), Error> {
        Err(Error::new(Kind::Internal, "an exec has no hooks"))
    }

    fn limit(&mut self, child: &Child) -> Result<(), Error> {
        let pid = Pid::from_raw(child.pid());
        rlimits::apply(pid, &self.plan.process.rlimits)?;
        if let Some(processors) = &self.plan.process.affinity.last {
            affinity::set(pid, processors)?;
        }
        Ok(())
    }

    fn seccomp_listener(&mut self, child: &Child, listener: i32) -> Result<(), Error> {
        self.pass_listener(child, listener)
    }
}
