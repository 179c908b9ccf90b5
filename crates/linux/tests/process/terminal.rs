//! The terminal that a process has, and the one that its caller gets.

use crate::{Story, Told, inside, plan, spec};
use linux::process;
use rustix::mount::{MountFlags, mount};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::json;
use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;

pub(crate) fn stories() -> Vec<Story> {
    vec![
        Story("a_caller_gets_the_master_and_the_process_a_terminal", terminal, terminal_inside),
        Story("a_devpts_that_is_none_is_refused", fake, fake_inside),
    ]
}

const TERMINAL: &str = "a_caller_gets_the_master_and_the_process_a_terminal";

fn terminal() -> Told {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console");
    let listener = UnixListener::bind(&path).unwrap();
    let mut command = inside(TERMINAL, &["--mount"]);
    let mut child = command.env("CONSOLE", &path).stdin(Stdio::null()).spawn().unwrap();
    let (socket, _) = listener.accept().unwrap();
    let (name, mut master) = receive(&socket);
    assert_eq!(name, "/dev/pts/ptmx");
    // The slave's end is an I/O error for the master.
    let mut said = Vec::new();
    let _ = File::from(master.remove(0)).read_to_end(&mut said);
    assert!(child.wait().unwrap().success());
    let said = String::from_utf8(said).unwrap();
    let lines: Vec<&str> = said.split("\r\n").collect();
    assert_eq!(
        &lines[..5],
        ["41 101", "/dev/pts/0", "owner 33", "controlling", "console"],
        "with the carriage returns that a caller of runc gets"
    );
    Told::True
}

fn receive(socket: &UnixStream) -> (String, Vec<OwnedFd>) {
    let mut data = [0; 4096];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got =
        recvmsg(socket, &mut [IoSliceMut::new(&mut data)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut messages: Vec<Vec<OwnedFd>> = control
        .drain()
        .map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(messages.len(), 1, "exactly one control message");
    let fds = messages.remove(0);
    assert_eq!(fds.len(), 1, "with exactly one descriptor");
    (String::from_utf8_lossy(&data[..got.bytes]).into_owned(), fds)
}

/// A /dev of the story's own in the mount namespace.
fn make_dev() {
    mount("tmpfs", "/mnt", "tmpfs", MountFlags::empty(), None).unwrap();
    for name in ["null", "tty"] {
        let target = format!("/mnt/{name}");
        File::create(&target).unwrap();
        rustix::mount::mount_bind(format!("/dev/{name}"), target).unwrap();
    }
    std::fs::create_dir("/mnt/pts").unwrap();
    rustix::mount::mount_move("/mnt", "/dev").unwrap();
}

fn terminal_inside() {
    make_dev();
    mount("devpts", "/dev/pts", "devpts", MountFlags::empty(), Some(c"newinstance,ptmxmode=0666")).unwrap();
    let script = "stty size; tty; echo owner $(stat -c %u /dev/pts/0); : >/dev/tty && echo controlling; echo console >/dev/console";
    let spec = spec(
        script,
        json!({"process": {
            "terminal": true, "consoleSize": {"height": 41, "width": 101}, "user": {"uid": 33, "gid": 33},
            "capabilities": {}
        }}),
    );
    let plan = plan(&spec);
    let socket = UnixStream::connect(std::env::var("CONSOLE").unwrap()).unwrap();
    process::before_root(&plan).unwrap();
    process::after_root(&plan, None, Some(socket.as_fd())).unwrap();
    let image = process::settle(&plan, None, 3, &[], &mut |_| Ok(())).unwrap();
    panic!("{}", process::become_program(&plan, &image, Vec::new(), &mut |_| Ok(())));
}

const FAKE: &str = "a_devpts_that_is_none_is_refused";

fn fake() -> Told {
    let said = crate::told(inside(FAKE, &["--mount"]));
    assert_eq!(said, "/dev/pts is not on a real devpts mount -- possible container breakout detected\n");
    Told::True
}

fn fake_inside() {
    make_dev();
    std::os::unix::fs::symlink("/dev/null", "/dev/pts/ptmx").unwrap();
    println!("{}", process::terminal::allocate(&process::terminal::Terminal::default()).unwrap_err());
}
