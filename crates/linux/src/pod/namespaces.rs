//! The namespaces of a pod: made by a child, named, and pinned.

use super::{Request, invalid, reaper};
use crate::init::{Lost, read_plainly, write_plainly};
use crate::namespaces::{self, Having};
use crate::process::{Procfs, hostname, network, sysctl};
use crate::sealed::Program;
use crate::sys::clone::{Split, split};
use crate::sys::exec;
use crate::sys::unshare::unshare;
use crate::{create, idmap};
use compute::{Error, Kind};
use oci_spec::runtime::{LinuxNamespaceType as Type, Spec};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{Gid, LinkNameSpaceType, Uid, UnshareFlags, move_into_link_name_space};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Those that can be pinned, in the order in which they are made: what comes after a user namespace belongs to it.
const KINDS: [(Type, &str, UnshareFlags); 5] = [
    (Type::User, "user", UnshareFlags::NEWUSER),
    (Type::Network, "net", UnshareFlags::NEWNET),
    (Type::Ipc, "ipc", UnshareFlags::NEWIPC),
    (Type::Uts, "uts", UnshareFlags::NEWUTS),
    (Type::Pid, "pid", UnshareFlags::NEWPID),
];

#[derive(Serialize, Deserialize)]
enum Word {
    MapUser,
    Continue,
    Made { reaper: Option<i32> },
    Failed(Error),
}

/// What the child does.
pub(super) struct Plan<'a> {
    spec: &'a Spec,
    pins: &'a Path,
    /// Those that are made, of [`KINDS`].
    new: Vec<(Type, &'static str, UnshareFlags)>,
    netns: Option<&'a Path>,
    sysctls: Vec<sysctl::Sysctl>,
}

/// Whether the pod shares a new PID namespace.
pub(super) fn wants_reaper(spec: &Spec) -> bool {
    namespaces::having(spec, Type::Pid) == Having::New
}

/// Decides; makes nothing.
pub(super) fn plan<'a>(request: &Request<'a>) -> Result<Plan<'a>, Error> {
    let spec = request.spec;
    let netns = request.netns.or(match namespaces::having(spec, Type::Network) {
        Having::Joined(path) => Some(path),
        Having::New | Having::Shared => None,
    });
    for namespace in namespaces::of(spec) {
        let kind = namespace.typ();
        let pinned = KINDS.iter().any(|(known, ..)| *known == kind);
        let joined = matches!(namespaces::having(spec, kind), Having::Joined(_));
        if joined && kind != Type::Network {
            return Err(invalid(format!("a pod cannot join another's {kind:?} namespace")));
        }
        if !pinned && !matches!(kind, Type::Mount | Type::Cgroup) {
            return Err(invalid(format!("a pod has no {kind:?} namespace that its containers could share")));
        }
    }
    let is_new =
        |kind| namespaces::having(spec, kind) == Having::New && !(kind == Type::Network && netns.is_some());
    let new: Vec<_> = KINDS.into_iter().filter(|(kind, ..)| is_new(*kind)).collect();
    if is_new(Type::User) && create::mappings(spec).0.is_empty() {
        return Err(invalid("the pod's user namespace has no id mappings"));
    }
    let named = |name: &Option<String>| name.as_deref().is_some_and(|name| !name.is_empty());
    if !is_new(Type::Uts) && (named(spec.hostname()) || named(spec.domainname())) {
        return Err(invalid("the pod has a name, but no UTS namespace to keep it in"));
    }
    let none = HashMap::new();
    let wanted = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref()).unwrap_or(&none);
    let own_network = is_new(Type::Network) || netns.is_some();
    let sysctls = sysctl::plan(
        wanted,
        &sysctl::Namespaces {
            ipc: is_new(Type::Ipc),
            uts: is_new(Type::Uts),
            user: is_new(Type::User),
            host_network: &|| Ok(!own_network),
        },
    )?;
    Ok(Plan { spec, pins: request.pins, new, netns, sysctls })
}

/// Makes them; returns the id of the reaper, if there is one.
pub(super) fn make(request: &Request<'_>) -> Result<Option<i32>, Error> {
    let plan = plan(request)?;
    if plan.new.is_empty() && plan.sysctls.is_empty() {
        return Ok(None);
    }
    std::fs::create_dir_all(plan.pins)
        .map_err(|cause| Error::io(format!("make {}", plan.pins.display()), cause))?;
    let (ours, theirs) = UnixStream::pair().map_err(|cause| Error::io("make a socket", cause))?;
    match split(0).map_err(|cause| Error::io("start a process that makes the pod's namespaces", cause))? {
        Split::Child => {
            drop(ours);
            child(&plan, &theirs)
        }
        Split::Parent(pid) => {
            drop(theirs);
            let mut child = crate::Child::of(pid)?;
            let made = converse(&plan, &ours, pid);
            // Without the socket it ends, whatever it was at.
            drop(ours);
            if made.is_err() {
                child.kill();
            }
            child.reap();
            made
        }
    }
}

fn converse(plan: &Plan<'_>, socket: &UnixStream, pid: i32) -> Result<Option<i32>, Error> {
    loop {
        match read_plainly::<Word>(socket).map_err(lost)? {
            Word::MapUser => {
                let (uids, gids) = create::mappings(plan.spec);
                idmap::write(pid, uids, gids)?;
                write_plainly(socket, &Word::Continue).map_err(lost)?;
            }
            Word::Made { reaper } => {
                pin(plan, pid)?;
                return Ok(reaper);
            }
            Word::Failed(error) => return Err(error),
            Word::Continue => return Err(Error::new(Kind::Internal, "the pod's child answered itself")),
        }
    }
}

fn lost(lost: Lost) -> Error {
    Error::from(lost).context("make the pod's namespaces")
}

/// A bind mount keeps a namespace alive without a process in it.
fn pin(plan: &Plan<'_>, pid: i32) -> Result<(), Error> {
    for (kind, name, _) in &plan.new {
        let path = plan.pins.join(name);
        let source = match kind {
            Type::Pid => format!("/proc/{pid}/ns/pid_for_children"),
            _ => format!("/proc/{pid}/ns/{name}"),
        };
        std::fs::File::create(&path).map_err(|cause| Error::io(format!("make {}", path.display()), cause))?;
        rustix::mount::mount_bind(&source, &path)
            .map_err(|cause| Error::io(format!("pin {source} at {}", path.display()), cause))?;
    }
    Ok(())
}

fn child(plan: &Plan<'_>, socket: &UnixStream) -> ! {
    let word = match become_pod(plan, socket) {
        Ok(reaper) => Word::Made { reaper },
        Err(error) => Word::Failed(error),
    };
    // Nobody is left to be told when this fails. Until the end of the stream the namespaces are pinned.
    let _ = write_plainly(socket, &word);
    let _ = read_plainly::<Word>(socket);
    exec::end(0)
}

fn become_pod(plan: &Plan<'_>, socket: &UnixStream) -> Result<Option<i32>, Error> {
    let joined = plan.netns.map(open).transpose()?;
    let is_shared = plan.new.iter().any(|(kind, ..)| *kind == Type::Pid);
    // As long as it can be reached.
    let program = is_shared.then(|| Program::of_this_process(plan.pins)).transpose()?;
    for (kind, name, flag) in &plan.new {
        unshare(*flag).map_err(|cause| Error::io(format!("make a {name} namespace"), cause))?;
        match kind {
            Type::User => {
                write_plainly(socket, &Word::MapUser).map_err(lost)?;
                let _: Word = read_plainly(socket).map_err(lost)?;
                become_root()?;
            }
            Type::Network => network::loopback_up()?,
            _ => {}
        }
    }
    // The configuration of a network that others made is set where that is.
    if let Some(namespace) = joined.filter(|_| !plan.sysctls.is_empty()) {
        move_into_link_name_space(rustix::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
            .map_err(|cause| Error::io("join the pod's network namespace", cause))?;
    }
    if !plan.sysctls.is_empty() {
        sysctl::write(&Procfs::open()?, &plan.sysctls)?;
    }
    if let Some(name) = plan.spec.hostname().as_deref().filter(|name| !name.is_empty()) {
        hostname::set_hostname(name)?;
    }
    if let Some(name) = plan.spec.domainname().as_deref().filter(|name| !name.is_empty()) {
        hostname::set_domainname(name)?;
    }
    program.map(|program| reaper::start(&program)).transpose()
}

fn open(path: &Path) -> Result<OwnedFd, Error> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|cause| Error::io(format!("open network namespace {}", path.display()), cause))
}

/// What is made from here on belongs to root of the namespace.
fn become_root() -> Result<(), Error> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
        .map_err(|cause| Error::io("become root of the pod's user namespace (is id 0 mapped?)", cause))
}
