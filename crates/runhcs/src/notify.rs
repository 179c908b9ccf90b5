//! `NOTIFY_SOCKET`: a service manager that started us waits to hear that the service is ready, and the service is in the
//! container, where it cannot reach the manager's socket and its process ids mean nothing to the manager.
//!
//! The container gets a socket of its own, in a folder that is mounted at `/run/notify`. What arrives there is passed on
//! once it says `READY=`, followed by the process that the manager is to watch and by a barrier (sd_notify(3)), so that
//! the manager has read everything before we go.

use crate::backends::NOTIFY_DIR;
use compute::ContainerId;
use oci_spec::runtime::{Mount, MountBuilder, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::fs::{self, Permissions};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the container finds its socket.
const IN_CONTAINER: &str = "/run/notify";
const SOCKET: &str = "notify.sock";
/// As long as runc waits for the manager.
const BARRIER: Duration = Duration::from_secs(30);

/// What went wrong between the container and the service manager.
#[derive(Debug, thiserror::Error)]
#[error("{attempted} {}", path.display())]
pub(crate) struct NotifyError {
    attempted: &'static str,
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// The manager's socket, and the folder of the container's.
#[derive(Debug, Clone)]
pub(crate) struct Notify {
    manager: PathBuf,
    folder: PathBuf,
}

/// The container's socket, listened to.
#[derive(Debug)]
pub(crate) struct Proxy {
    notify: Notify,
    socket: UnixDatagram,
}

impl Notify {
    /// If a service manager waits for us. The folder goes with the container's state.
    pub(crate) fn from_environment(state_dir: &Path) -> Option<Self> {
        let manager = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
        Some(Self { manager: manager.into(), folder: state_dir.join(NOTIFY_DIR) })
    }

    /// The container's folder for the socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds the mount and the variable that lead the container to its socket.
    pub(crate) fn announce(&self, spec: &mut Spec) -> Result<(), oci_spec::OciSpecError> {
        let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(String::from).to_vec();
        let mount: Mount = MountBuilder::default()
            .destination(IN_CONTAINER)
            .source(&self.folder)
            .options(options)
            .build()?;
        spec.set_mounts(Some(spec.mounts().iter().flatten().cloned().chain([mount]).collect()));
        if let Some(process) = spec.process_mut() {
            process.env_mut().get_or_insert_default().push(format!("NOTIFY_SOCKET={IN_CONTAINER}/{SOCKET}"));
        }
        Ok(())
    }

    /// Makes the socket, writable for whoever the container's user is.
    pub(crate) fn listen(self) -> Result<Proxy, NotifyError> {
        let path = self.folder.join(SOCKET);
        let bound = UnixDatagram::bind(&path)
            .and_then(|socket| fs::set_permissions(&path, Permissions::from_mode(0o777)).map(|()| socket));
        match bound {
            Ok(socket) => Ok(Proxy { notify: self, socket }),
            Err(cause) => Err(NotifyError { attempted: "listen for readiness on", path, cause }),
        }
    }
}

impl Proxy {
    /// For a container that goes on without us: waits until it is ready or `process` has ended, then tells the manager
    /// to watch `pid`.
    pub(crate) fn pass_on(self, pid: i32, process: BorrowedFd<'_>) -> Result<(), NotifyError> {
        loop {
            let mut fds =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::from_borrowed_fd(process, PollFlags::IN)];
            wait(&mut fds, None).map_err(|cause| self.failed("wait for readiness on", cause))?;
            if fds[0].revents().contains(PollFlags::IN) {
                if let Some(ready) = self.ready()? {
                    return self
                        .tell(&ready, pid)
                        .and_then(|manager| barrier(&manager).map_err(|cause| self.untold(cause)));
                }
            } else if !fds[1].revents().is_empty() {
                return Ok(());
            }
        }
    }

    /// For a container that we stay with, once its socket can be read: if it is ready, tells the manager to watch us.
    /// Returns itself while it must be listened to.
    pub(crate) fn pass_on_ours(self) -> Option<Self> {
        let told = match self.ready() {
            Ok(None) => return Some(self),
            // No barrier: we are still there when the manager asks who it was.
            Ok(Some(ready)) => self.tell(&ready, rustix::process::getpid().as_raw_nonzero().get()).map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            log::error!("{:#}", anyhow::Error::new(error));
        }
        None
    }

    /// The line of a message that says `READY=`, if it is such a message.
    fn ready(&self) -> Result<Option<Vec<u8>>, NotifyError> {
        let mut message = [0; 4096];
        let read =
            self.socket.recv(&mut message).map_err(|cause| self.failed("read readiness from", cause))?;
        let lines = message.get(..read).unwrap_or_default().split(|byte| *byte == b'\n');
        Ok(lines.into_iter().find(|line| line.starts_with(b"READY=")).map(<[u8]>::to_vec))
    }

    fn tell(&self, ready: &[u8], pid: i32) -> Result<UnixDatagram, NotifyError> {
        let told = connect(&self.notify.manager).and_then(|manager| {
            manager.send(&[ready, b"\n"].concat())?;
            manager.send(format!("MAINPID={pid}\n").as_bytes())?;
            Ok(manager)
        });
        told.map_err(|cause| self.untold(cause))
    }

    fn untold(&self, cause: io::Error) -> NotifyError {
        NotifyError { attempted: "notify the service manager at", path: self.notify.manager.clone(), cause }
    }

    fn failed(&self, attempted: &'static str, cause: impl Into<io::Error>) -> NotifyError {
        NotifyError { attempted, path: self.notify.folder.join(SOCKET), cause: cause.into() }
    }
}

impl AsFd for Proxy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where the state of a container keeps its socket, for `start`.
pub(crate) fn for_container(root: &Path, id: &ContainerId) -> Option<Notify> {
    Notify::from_environment(&root.join(id)).filter(|notify| notify.folder().is_dir())
}

/// A path, or with a leading `@` a name in the abstract namespace.
fn connect(manager: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match manager.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(manager)?,
    }
    Ok(socket)
}

/// Sends the write end of a pipe, which the manager closes when it has read all that was sent before.
fn barrier(manager: &UnixDatagram) -> io::Result<()> {
    let (closed, end): (OwnedFd, OwnedFd) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let fds = [end.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(manager, &[IoSlice::new(b"BARRIER=1")], &mut control, SendFlags::empty())?;
    drop(end);
    let mut fds = [PollFd::new(&closed, PollFlags::empty())];
    wait(&mut fds, Some(BARRIER))?;
    if fds[0].revents().is_empty() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
}

fn wait(fds: &mut [PollFd<'_>], patience: Option<Duration>) -> io::Result<()> {
    let deadline = patience.map(|patience| Instant::now() + patience);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(fds, left.as_ref()) {
            Err(Errno::INTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    use std::io::IoSliceMut;
    use std::thread;

    fn notify(dir: &Path) -> (Notify, UnixDatagram) {
        let manager = dir.join("manager");
        let folder = dir.join("notify");
        fs::create_dir(&folder).unwrap();
        let socket = UnixDatagram::bind(&manager).unwrap();
        (Notify { manager, folder }, socket)
    }

    fn line(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    fn say(proxy: &Proxy, what: &str) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to(what.as_bytes(), proxy.notify.folder.join(SOCKET)).unwrap();
    }

    #[test]
    fn readiness_is_passed_on_with_the_process_and_a_barrier() {
        let dir = tempfile::tempdir().unwrap();
        let (notify, manager) = notify(dir.path());
        let proxy = notify.listen().unwrap();
        let mode = fs::metadata(dir.path().join("notify/notify.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o777);
        say(&proxy, "STATUS=starting");
        say(&proxy, "STATUS=up\nREADY=1\nX=2");
        let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let passing = thread::spawn(move || proxy.pass_on(4711, me.as_fd()));
        assert_eq!(line(&manager), "READY=1\n");
        assert_eq!(line(&manager), "MAINPID=4711\n");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut text = [0; 64];
        let message =
            recvmsg(&manager, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::empty()).unwrap();
        assert_eq!(&text[..message.bytes], b"BARRIER=1");
        assert!(!passing.is_finished());
        // The manager closes what it was sent.
        assert_eq!(control.drain().count(), 1);
        passing.join().unwrap().unwrap();
    }

    #[test]
    fn a_container_that_ends_is_never_ready() {
        let dir = tempfile::tempdir().unwrap();
        let (notify, manager) = notify(dir.path());
        let proxy = notify.listen().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pidfd = pidfd_open(rustix::process::Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        proxy.pass_on(1, pidfd.as_fd()).unwrap();
        child.wait().unwrap();
        manager.set_nonblocking(true).unwrap();
        assert_eq!(manager.recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn in_the_foreground_the_manager_watches_us() {
        let dir = tempfile::tempdir().unwrap();
        let (notify, manager) = notify(dir.path());
        let proxy = notify.listen().unwrap();
        say(&proxy, "STATUS=starting");
        let proxy = proxy.pass_on_ours().expect("not ready yet");
        say(&proxy, "READY=1");
        assert!(proxy.pass_on_ours().is_none());
        assert_eq!(line(&manager), "READY=1\n");
        assert_eq!(line(&manager), format!("MAINPID={}\n", std::process::id()));
    }

    #[test]
    fn a_manager_may_have_an_abstract_name() {
        let name = format!("runhcs-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        connect(Path::new(&format!("@{name}"))).unwrap().send(b"x").unwrap();
        assert_eq!(line(&manager), "x");
    }

    #[test]
    fn the_container_is_led_to_its_socket() {
        let notify = Notify { manager: "/m".into(), folder: "/state/notify".into() };
        let mut spec = Spec::default();
        notify.announce(&mut spec).unwrap();
        let mount = serde_json::to_value(spec.mounts().as_ref().unwrap().last().unwrap()).unwrap();
        assert_eq!(
            mount,
            serde_json::json!({
                "destination": "/run/notify",
                "source": "/state/notify",
                "options": ["bind", "nosuid", "noexec", "nodev", "ro"]
            })
        );
        let env = spec.process().as_ref().unwrap().env().as_ref().unwrap();
        assert_eq!(env.last().unwrap(), "NOTIFY_SOCKET=/run/notify/notify.sock");
    }
}
