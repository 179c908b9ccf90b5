//! The loop on real terminals, processes and signals. The supervisor is this test program once more, in the role of
//! [`role`]: signals and terminal modes belong to a process, and the tests need theirs.
//!
//! ```text
//! test ══ outer pty ══ role (supervise) ══ inner pty ══ sh -c script
//! ```

use super::*;
use crate::terminal::Awaited;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{PidfdFlags, kill_process, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = "RUNHCS_TEST_SCRIPT";
const TERMINAL: &str = "RUNHCS_TEST_TERMINAL";

struct Supervised(Child);

impl Process for Supervised {
    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    fn wait(&mut self) -> compute::error::Result<Exit> {
        let status = self.0.wait().map_err(|cause| compute::Error::io("wait", cause))?;
        Ok(status.signal().map_or_else(|| Exit::Code(status.code().unwrap_or(0)), Exit::Signal))
    }
}

/// Not a test of its own: what the tests below run in a process of their own.
#[test]
fn role() {
    let Ok(script) = std::env::var(SCRIPT) else { return };
    let mut foreground = Foreground::new(true).unwrap();
    let mut command = Command::new("setsid");
    let mut awaited = None;
    if std::env::var_os(TERMINAL).is_some() {
        let (ours, theirs) = Awaited::new().unwrap();
        let (master, slave) = pty();
        command
            .arg("--ctty")
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave);
        crate::backends::raw_output(master.as_fd()).unwrap();
        send(&theirs, &master);
        awaited = Some(ours);
    }
    let child = command.args(["sh", "-c", &script]).spawn().unwrap();
    drop(command);
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    foreground.terminal = awaited.map(|awaited| awaited.attach().unwrap());
    let exit = foreground.supervise(&mut Supervised(child), pidfd).unwrap();
    std::process::exit(exit.status());
}

fn pty() -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    (master, slave)
}

/// As init does it, once the output is raw: the name is the payload, the master the one descriptor.
fn send(socket: &OwnedFd, master: &OwnedFd) {
    let fds = [master.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[IoSlice::new(b"/dev/pts/0")], &mut control, SendFlags::empty()).unwrap();
}

fn supervisor(script: &str, session: &[&str]) -> Command {
    let mut command = Command::new("env");
    // The test harness has threads of its own, and a signal goes to any that does not block it.
    command.arg("--block-signal").arg("setsid").args(session).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "foreground::tests::role", "--nocapture", "--test-threads=1"]);
    command.env(SCRIPT, script).env_remove(TERMINAL);
    command
}

/// A supervisor at a terminal.
struct Session {
    child: Child,
    outer: File,
    slave: OwnedFd,
    seen: String,
}

impl Session {
    fn start(script: &str) -> Self {
        let (master, slave) = pty();
        tcsetwinsize(&master, size(33, 99)).unwrap();
        let mut command = supervisor(script, &["--ctty"]);
        command.env(TERMINAL, "1").stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap());
        let child = command.stderr(slave.try_clone().unwrap()).spawn().unwrap();
        Self { child, outer: File::from(master), slave, seen: String::new() }
    }

    /// Reads until `what` was shown.
    fn expect(&mut self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.seen.contains(what) {
            assert!(Instant::now() < deadline, "{what:?} is not in {:?}", self.seen);
            self.read_for(100);
        }
    }

    fn read_for(&mut self, milliseconds: i64) -> usize {
        let mut fds = [PollFd::new(&self.outer, PollFlags::IN)];
        let patience = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        if poll(&mut fds, Some(&patience)).unwrap() == 0 {
            return 0;
        }
        let mut bytes = [0; 65536];
        let count = self.outer.read(&mut bytes).unwrap();
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        count
    }

    fn end(mut self) -> (i32, String) {
        loop {
            self.read_for(20);
            if let Some(status) = self.child.try_wait().unwrap() {
                while self.read_for(0) > 0 {}
                let modes = tcgetattr(&self.slave).unwrap().local_modes;
                assert!(
                    modes.contains(LocalModes::ICANON | LocalModes::ECHO),
                    "the host's terminal is still raw"
                );
                return (status.code().unwrap(), self.seen);
            }
        }
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

#[test]
fn what_is_typed_arrives_and_what_is_printed_is_shown() {
    let mut session = Session::start("echo ready; read x; echo got-$x; stty size; exit 7");
    session.expect("ready\r\n");
    session.outer.write_all(b"hello\r").unwrap();
    let (status, seen) = session.end();
    assert_eq!(status, 7);
    // The echo and every line end are processed once.
    assert!(seen.contains("ready\r\nhello\r\ngot-hello\r\n33 99\r\n"), "{seen:?}");
}

#[test]
fn a_new_size_reaches_the_process() {
    let mut session =
        Session::start("trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done");
    session.expect("ready");
    tcsetwinsize(&session.outer, size(50, 132)).unwrap();
    session.expect("50 132");
    assert_eq!(session.end().0, 3);
}

#[test]
fn an_interrupt_that_is_typed_is_the_containers() {
    let mut session = Session::start("trap 'exit 4' INT; echo ready; while :; do sleep 0.05; done");
    session.expect("ready");
    session.outer.write_all(b"\x03").unwrap();
    assert_eq!(session.end().0, 4);
}

#[test]
fn all_that_was_printed_is_shown_after_the_end() {
    let (status, seen) = Session::start("seq 1 20000; exit 6").end();
    assert_eq!(status, 6);
    let expected: String = (1..=20000).map(|n| format!("{n}\r\n")).collect();
    assert!(seen.contains(&expected), "{} bytes seen", seen.len());
}

#[test]
fn a_terminal_that_others_keep_open_does_not_keep_us() {
    let mut session = Session::start("trap '' HUP; sleep 300 & echo child-$!; exit 2");
    session.expect("child-");
    let (status, seen) = session.end();
    assert_eq!(status, 2);
    let pid: i32 = seen.split("child-").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn signals_go_to_the_process_and_its_end_is_ours() {
    let mut command = supervisor(
        "trap 'exit 5' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done",
        &[],
    );
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = String::new();
    let mut out = child.stdout.take().unwrap();
    let pid = Pid::from_child(&child);
    read_until(&mut out, &mut seen, "ready");
    kill_process(pid, Signal::USR1).unwrap();
    read_until(&mut out, &mut seen, "usr1");
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

fn read_until(out: &mut impl Read, seen: &mut String, what: &str) {
    while !seen.contains(what) {
        let mut bytes = [0; 1024];
        let count = out.read(&mut bytes).unwrap();
        assert!(count > 0, "{what:?} is not in {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

#[test]
fn a_process_that_ends_at_once_is_not_missed() {
    for (script, status) in [("exit 9", 9), ("kill -KILL $$", 137), ("exit 0", 0)].repeat(8) {
        let mut child = supervisor(script, &[]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{script}");
    }
}

#[test]
fn orphans_are_reaped() {
    // The grandchildren are ours once their parent is gone, and must not stay as zombies.
    let script =
        "for i in 1 2 3; do (sleep 0.01 &); done; sleep 0.3; exec sh -c 'ps -o stat= --ppid $PPID; exit 1'";
    let output = supervisor(script, &[]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stdout).contains('Z'), "{output:?}");
}

#[test]
fn without_a_terminal_one_is_asked_for() {
    if Path::new("/dev/tty").exists() && File::open("/dev/tty").is_ok() {
        println!("skipped: this program has a terminal");
        return;
    }
    let mut command = supervisor("true", &[]);
    let child = command.env(TERMINAL, "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = child.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("find the host's terminal"), "{output:?}");
}
