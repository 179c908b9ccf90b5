//! From the bundle's list of namespaces to what init joins and makes.

use crate::init::{Namespaces, Slot};
use compute::{Classify, Error, Kind};
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType as Type, Spec};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::path::{Path, PathBuf};

/// What can be wrong with a namespace of a bundle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamespaceError {
    /// The file is not there or cannot be opened.
    #[error("open {} namespace {}", name(*.kind), path.display())]
    Open {
        /// The kind that was asked for.
        kind: Type,
        /// By this path.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
}

impl Classify for NamespaceError {
    fn kind(&self) -> Kind {
        Kind::InvalidArgument
    }
}

/// The word for a kind, as the specification has it.
fn name(kind: Type) -> &'static str {
    match kind {
        Type::Mount => "mount",
        Type::Cgroup => "cgroup",
        Type::Uts => "uts",
        Type::Ipc => "ipc",
        Type::User => "user",
        Type::Pid => "pid",
        Type::Network => "network",
        Type::Time => "time",
    }
}

/// The kernel's number for a kind.
pub(crate) fn clone_flag(kind: Type) -> u32 {
    let flag = match kind {
        Type::Mount => libc::CLONE_NEWNS,
        Type::Cgroup => libc::CLONE_NEWCGROUP,
        Type::Uts => libc::CLONE_NEWUTS,
        Type::Ipc => libc::CLONE_NEWIPC,
        Type::User => libc::CLONE_NEWUSER,
        Type::Pid => libc::CLONE_NEWPID,
        Type::Network => libc::CLONE_NEWNET,
        Type::Time => libc::CLONE_NEWTIME,
    };
    flag as u32
}

/// The namespaces of a bundle.
pub(crate) fn of(spec: &Spec) -> &[LinuxNamespace] {
    spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default()
}

/// How a bundle has one kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Having<'a> {
    /// The host's, or that of whoever started us.
    Shared,
    /// One of its own.
    New,
    /// The one behind a path.
    Joined(&'a Path),
}

/// How `spec` has namespaces of this kind.
pub(crate) fn having(spec: &Spec, kind: Type) -> Having<'_> {
    match of(spec).iter().find(|namespace| namespace.typ() == kind) {
        None => Having::Shared,
        Some(namespace) => match path(namespace) {
            Some(path) => Having::Joined(path),
            None => Having::New,
        },
    }
}

fn path(namespace: &LinuxNamespace) -> Option<&Path> {
    namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty())
}

/// Opens what is joined and lists what is made; that no kind is named twice was validated. Descriptors are pushed to `fds`, where init will find them.
pub(crate) fn plan(spec: &Spec, fds: &mut Vec<OwnedFd>) -> Result<Namespaces, Error> {
    let mut plan = Namespaces::default();
    for namespace in of(spec) {
        let kind = namespace.typ();
        let flag = clone_flag(kind);
        match path(namespace) {
            Some(path) => {
                let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(
                    |cause| NamespaceError::Open { kind, path: path.to_owned(), cause: cause.into() },
                )?;
                plan.join.push((flag, Slot(fds.len() as u32)));
                fds.push(file);
            }
            None if kind == Type::User => plan.new_user = true,
            None => plan.new |= flag,
        }
        // A process does not change its own PID or time namespace, only that of its children.
        plan.split |= matches!(kind, Type::Pid | Type::Time);
    }
    Ok(plan)
}
