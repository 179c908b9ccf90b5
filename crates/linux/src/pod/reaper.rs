//! The first process of a pod's PID namespace: it takes in what others leave behind, and does nothing else.
//!
//! Containers of the pod see it as process 1. So it has nothing that one of them could take from it: its root is an empty
//! read-only file system, it has no capabilities, and all it was started with are its three standard streams, closed.

use crate::init;
use crate::process::capabilities;
use crate::sealed::Program;
use crate::sys::{clone, exec, signals};
use compute::{Error, Kind};
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::DumpableBehavior;
use rustix::thread::UnshareFlags;
use std::os::unix::net::UnixStream;

/// The name under which the runtime executes itself as reaper.
pub const ARGV0: &std::ffi::CStr = c"pause";

/// Whether this process was started as reaper. To be asked before anything else.
pub fn is_reaper() -> bool {
    init::is_called(ARGV0)
}

/// Reaps, for ever.
pub fn main() -> ! {
    let _ = rustix::thread::set_name(ARGV0);
    match confine() {
        Ok(()) => {
            // The pod's maker waits for the end of this stream.
            let _ = exec::close_range(0, u32::MAX, exec::Close::Now);
            loop {
                rustix::event::pause();
            }
        }
        Err(error) => {
            let _ = init::write_plainly(rustix::stdio::stdin(), &error);
            exec::end(1)
        }
    }
}

/// Starts it as the first process of the PID namespace that this process's children are in. Where `program` lies need not
/// be within reach any more.
pub(super) fn start(program: &Program) -> Result<i32, Error> {
    let (ours, theirs) =
        UnixStream::pair().map_err(|cause| Error::io("make a socket for the pod's reaper", cause))?;
    let pid = clone::spawn(program.fd(), ARGV0, theirs.as_fd(), None)
        .map_err(|cause| Error::io("start the pod's reaper", cause))?;
    drop(theirs);
    match init::read_plainly::<Error>(&ours) {
        Err(init::Lost::Closed) => Ok(pid),
        Err(init::Lost::Broken(error)) | Ok(error) => Err(error),
    }
}

fn confine() -> Result<(), Error> {
    let failed = |attempted: &'static str| move |cause: rustix::io::Errno| Error::io(attempted, cause);
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("make the reaper not dumpable"))?;
    signals::reap_children_unseen().map_err(|cause| Error::io("ignore the ends of children", cause))?;
    let _ = rustix::process::setsid();
    crate::sys::unshare::unshare(UnshareFlags::NEWNS)
        .map_err(|cause| Error::io("make the reaper's mount namespace", cause))?;
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave).map_err(failed("make / a slave"))?;
    // Any place that is there whoever we are.
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("none", "/proc", "tmpfs", flags, Some(c"nr_inodes=2,mode=555"))
        .map_err(failed("make the reaper's root"))?;
    let root = rustix::fs::open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("open the reaper's root"))?;
    rustix::process::fchdir(&root).map_err(failed("change to the reaper's root"))?;
    rustix::process::pivot_root(".", ".").map_err(failed("pivot to the reaper's root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(failed("unmount the reaper's old root"))?;
    rustix::process::chdir("/").map_err(failed("change to /"))?;
    rustix::thread::set_no_new_privs(true).map_err(failed("give up new privileges"))?;
    let none = capabilities::Sets::default();
    capabilities::drop_bounding(&none)
        .and_then(|()| capabilities::apply(&none))
        .map_err(|error| Error::new(Kind::Internal, format!("give up capabilities: {}", Error::from(error))))
}
