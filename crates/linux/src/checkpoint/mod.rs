//! `checkpoint` and `restore`: a container's processes written to disk, and brought back from it, by CRIU.
//!
//! What a container consists of outside of its processes is ours at both ends: CRIU is told what comes from the host, and
//! gets it from us again.
//!
//! | of the container        | at a checkpoint                                  | at a restore                                     |
//! |-------------------------|--------------------------------------------------|--------------------------------------------------|
//! | memory, files, sockets, own namespaces | written                           | restored                                         |
//! | bind mounts, masked files, devices of the host | named                     | bound anew from the bundle's sources             |
//! | network and PID namespaces by path | named                                 | opened anew from the bundle's paths              |
//! | standard streams        | `descriptors.json` names them                    | ours take their places                           |
//! | terminal                | written without its master                       | its master goes to the console socket            |
//! | control groups          | written, with a mode of choice                   | made and limited as `create` does; CRIU is put into them first |
//! | root file system        | –                                                | the bundle's, bound in a mount namespace of CRIU's own |
//! | hooks                   | –                                                | prestart and createRuntime                       |
//!
//! The files have the names, and in them external things the keys, that runc gives them.

mod criu;
mod descriptors;
mod dump;
mod error;
mod image;
mod logfile;
mod protobuf;
mod restore;
mod rpc;

pub use error::Error;

pub(crate) use dump::checkpoint;
pub(crate) use restore::restore;

use std::fs::File;
use std::path::PathBuf;

/// How control groups are written and restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupMode {
    /// As CRIU's release has it.
    #[default]
    Default,
    /// The properties of those that a restore makes.
    Soft,
    /// All properties.
    Full,
    /// All properties, and none may exist.
    Strict,
    /// Not at all.
    Ignore,
}

/// What checkpoint and restore are both told.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The image's folder, absolute.
    pub path: PathBuf,
    /// Where CRIU works and writes its log, absolute; the image's folder if not given.
    pub work: Option<PathBuf>,
    /// With open TCP connections.
    pub tcp_established: bool,
    /// With unix sockets whose other end is outside.
    pub ext_unix_sk: bool,
    /// With a session leader outside.
    pub shell_job: bool,
    /// With file locks.
    pub file_locks: bool,
    /// See [`CgroupMode`].
    pub cgroups: CgroupMode,
    /// A network namespace is made, but what is in it is not restored.
    pub empty_network: bool,
    /// What newer images have is removed from older ones.
    pub auto_dedup: bool,
    /// Memory is fetched when it is touched.
    pub lazy_pages: bool,
}

/// What a checkpoint is told.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// What both are told.
    pub image: Image,
    /// An earlier image, relative to this one's folder.
    pub parent: Option<PathBuf>,
    /// Only memory, and the container runs on.
    pub pre_dump: bool,
    /// The container runs on.
    pub leave_running: bool,
    /// Without TCP connections that are being made.
    pub skip_in_flight: bool,
    /// With files that were deleted while open.
    pub link_remap: bool,
    /// Gets a zero byte when lazy pages can be fetched.
    pub status: Option<File>,
    /// Where memory is sent.
    pub page_server: Option<(String, u16)>,
}

/// What a restore is told.
#[derive(Debug, Default)]
pub struct Restore {
    /// What both are told.
    pub image: Image,
    /// The security label of the processes, `type:name`.
    pub lsm_profile: Option<String>,
    /// The security context of mounts.
    pub lsm_mount_context: Option<String>,
}
