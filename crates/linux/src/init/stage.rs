//! The first steps, the same for a container's first process and for one that joins it: into the namespaces.

use super::{Answer, Fds, Namespaces, Plan, Report, Runtime, container};
use crate::process::{Procfs, clock, oom};
use crate::sys::clone::{Split, split};
use compute::{Error, Kind};
use rustix::process::DumpableBehavior;
use rustix::thread::{Gid, LinkNameSpaceType, ThreadNameSpaceType, Uid, UnshareFlags};
use std::convert::Infallible;

/// Receives the plan and becomes what it says.
pub(super) fn run(runtime: &Runtime) -> Result<Infallible, Error> {
    let (mut plan, fds): (Plan, _) = runtime.receive()?;
    let (filter, _) = super::wire::receive_bytes(&runtime.input).map_err(Error::from)?;
    if !filter.is_empty() {
        let described = plan.process.seccomp.as_mut();
        let described = described
            .ok_or_else(|| Error::new(Kind::Internal, "a filter came that the plan does not have"))?;
        described.program = filter;
    }
    let mut fds = Fds::new(fds);
    // Before anything of the container can be reached: what was inherited is the user's to use, not ours.
    let stdin = fds.take(plan.stdin)?;
    rustix::stdio::dup2_stdin(&stdin).map_err(|cause| Error::io("set up standard input", cause))?;
    drop(stdin);

    if let Some(score) = plan.process.oom_score_adj {
        oom::set_score(&Procfs::open()?, score, plan.process.rootless)?;
    }
    enter(&plan, &fds, runtime)?;
    let (_, sources) = runtime.receive::<Answer>()?;
    container::run(plan, fds, sources, runtime)
}

/// Enters the namespaces. Returns in the process that is in all of them.
fn enter(plan: &Plan, fds: &Fds, runtime: &Runtime) -> Result<(), Error> {
    let namespaces = &plan.namespaces;
    join(namespaces, fds)?;
    if namespaces.new_user {
        unshare(UnshareFlags::NEWUSER, "user")?;
        // The runtime may be no more than our own user, who can write the mappings of a dumpable process only.
        dumpable(DumpableBehavior::Dumpable)?;
        runtime.ask(&Report::MapUser)?;
        dumpable(DumpableBehavior::NotDumpable)?;
    }
    if namespaces.new_user || joins(namespaces, libc::CLONE_NEWUSER) {
        become_root()?;
    }
    let new = u64::from(namespaces.new);
    if new & libc::CLONE_NEWTIME as u64 != 0 {
        unshare(UnshareFlags::NEWTIME, "time")?;
        if let Some(offsets) = &plan.process.time_offsets {
            clock::set_offsets(&Procfs::open()?, "self", offsets)?;
        }
    }
    let new = new & !(libc::CLONE_NEWTIME as u64);
    if !namespaces.split {
        if new != 0 {
            let flags = UnshareFlags::from_bits_retain(namespaces.new & !(libc::CLONE_NEWTIME as u32));
            unshare(flags, "new")?;
        }
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        return runtime.tell(&Report::Init { pid });
    }
    // A sibling, not a child: the runtime waits for it, and this process is gone before the container begins.
    match split(new | libc::CLONE_PARENT as u64)
        .map_err(|cause| Error::io("create the init process", cause))?
    {
        Split::Parent(pid) => {
            let told = runtime.tell(&Report::Init { pid });
            std::process::exit(i32::from(told.is_err()));
        }
        Split::Child => Ok(()),
    }
}

fn joins(namespaces: &Namespaces, kind: i32) -> bool {
    let kind = kind as u32;
    namespaces.join.iter().any(|(joined, _)| joined & kind != 0)
        || namespaces.join_process.is_some_and(|(kinds, _)| kinds & kind != 0)
}

/// Joins what exists. Privileges over a namespace are either ours from the start or those of the user namespace that is
/// joined: what cannot be joined before it is joined after it.
fn join(namespaces: &Namespaces, fds: &Fds) -> Result<(), Error> {
    if let Some((kinds, slot)) = namespaces.join_process {
        return rustix::thread::move_into_thread_name_spaces(
            fds.get(slot)?,
            ThreadNameSpaceType::from_bits_retain(kinds),
        )
        .map_err(|cause| Error::io("join the namespaces of the container's init", cause));
    }
    let user = libc::CLONE_NEWUSER as u32;
    let mut later = Vec::new();
    for (kind, slot) in namespaces.join.iter().filter(|(kind, _)| *kind != user) {
        match set_namespace(fds, *kind, *slot) {
            Err(error) if error.errno() == Some(libc::EPERM) && joins(namespaces, libc::CLONE_NEWUSER) => {
                later.push((*kind, *slot));
            }
            other => other?,
        }
    }
    if let Some((kind, slot)) = namespaces.join.iter().find(|(kind, _)| *kind == user) {
        set_namespace(fds, *kind, *slot)?;
    }
    later.into_iter().try_for_each(|(kind, slot)| set_namespace(fds, kind, slot))
}

fn set_namespace(fds: &Fds, kind: u32, slot: super::Slot) -> Result<(), Error> {
    let (name, link) = match kind as i32 {
        libc::CLONE_NEWNS => ("mount", LinkNameSpaceType::Mount),
        libc::CLONE_NEWUTS => ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
        libc::CLONE_NEWIPC => ("ipc", LinkNameSpaceType::InterProcessCommunication),
        libc::CLONE_NEWUSER => ("user", LinkNameSpaceType::User),
        libc::CLONE_NEWPID => ("pid", LinkNameSpaceType::ProcessID),
        libc::CLONE_NEWNET => ("network", LinkNameSpaceType::Network),
        libc::CLONE_NEWCGROUP => ("cgroup", LinkNameSpaceType::ControlGroup),
        _ => ("time", LinkNameSpaceType::Time),
    };
    rustix::thread::move_into_link_name_space(fds.get(slot)?, Some(link))
        .map_err(|cause| Error::io(format!("join the {name} namespace that the bundle names by path"), cause))
}

fn unshare(flags: UnshareFlags, name: &str) -> Result<(), Error> {
    crate::sys::unshare::unshare(flags).map_err(|cause| {
        let hint = match cause.raw_os_error() {
            Some(libc::ENOSPC) => " (the limit of /proc/sys/user/max_*_namespaces is reached)",
            _ => "",
        };
        Error::io(format!("make a {name} namespace{hint}"), cause)
    })
}

fn dumpable(behavior: DumpableBehavior) -> Result<(), Error> {
    rustix::process::set_dumpable_behavior(behavior).map_err(|cause| Error::io("change dumpability", cause))
}

/// In a user namespace we are nobody until we take an id that is mapped; root, if it is.
fn become_root() -> Result<(), Error> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    match rustix::thread::set_thread_res_gid(gid, gid, gid)
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
    {
        // Root is not mapped: the user of the process is, and becomes so later.
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(cause) => Err(Error::io("become root of the user namespace", cause)),
    }
}
