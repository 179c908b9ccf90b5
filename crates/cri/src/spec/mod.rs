//! From the interface's words to OCI configurations: what a pod's shim and a container's runtime read.
//!
//! Everything here decides and does nothing, but for looking at the host paths and devices that a request names.

mod annotations;
mod capabilities;
mod container;
mod devices;
mod mountinfo;
mod mounts;
mod pod;
mod resources;
mod seccomp;
mod selinux;
mod signal;
mod user;

pub(crate) use annotations::{of_container, of_pod};
pub(crate) use container::{
    ContainerRequest, container_spec, exec_process, read as read_spec, write as write_spec,
};
pub(crate) use pod::{
    Mappings, Namespaces, PodRequest, has_own_cgroup, hostname, pod_mappings, pod_spec, security,
};
pub(crate) use resources::{Cgroups, limits, merge, over};
pub(crate) use selinux::of_files as file_label;
pub(crate) use signal::{of_name as signal_of_name, of_wire as signal_of_wire, to_wire as signal_to_wire};
pub(crate) use user::{Accounts, resolve};
