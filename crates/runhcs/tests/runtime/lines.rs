//! Waiting for what another process says: lines and texts from a pipe or a terminal, until a deadline.

use rustix::event::{PollFd, PollFlags, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long anything may take before a story fails. Machines under test are slow and shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The reading end of what another process writes.
pub(crate) struct Lines {
    from: OwnedFd,
    seen: Vec<u8>,
    taken: usize,
}

impl Lines {
    /// Reads from a pipe, a socket or the master of a terminal.
    pub(crate) fn new(from: OwnedFd) -> Self {
        Self { from, seen: Vec::new(), taken: 0 }
    }

    /// The descriptor.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.from
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> String {
        loop {
            let rest = &self.seen[self.taken..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&rest[..end]).into_owned();
                self.taken += end + 1;
                return line;
            }
            assert!(self.more(PATIENCE), "no line came; so far: {:?}", self.text());
        }
    }

    /// Waits until a line is exactly this.
    pub(crate) fn expect(&mut self, line: &str) {
        while self.line().trim_end_matches('\r') != line {}
    }

    /// Waits until the text occurs in what was not taken yet, and takes all up to its end.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            let rest = &self.seen[self.taken..];
            if let Some(at) = rest.windows(text.len()).position(|window| window == text.as_bytes()) {
                let end = self.taken + at + text.len();
                let taken = String::from_utf8_lossy(&self.seen[self.taken..end]).into_owned();
                self.taken = end;
                return taken;
            }
            assert!(self.more(PATIENCE), "{text:?} never came; so far: {:?}", self.text());
        }
    }

    /// All that comes until the other side is closed.
    pub(crate) fn rest(&mut self) -> String {
        while self.more(PATIENCE) {}
        let rest = String::from_utf8_lossy(&self.seen[self.taken..]).into_owned();
        self.taken = self.seen.len();
        rest
    }

    /// Whether anything more comes within the time.
    pub(crate) fn quiet_for(&mut self, time: Duration) -> bool {
        let before = self.seen.len();
        !(self.more(time) && self.seen.len() > before)
    }

    /// Everything seen so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads once; false at the end or when the time is up.
    fn more(&mut self, time: Duration) -> bool {
        if !readable(&self.from, time) {
            return false;
        }
        let mut buffer = [0; 4096];
        match rustix::io::read(&self.from, &mut buffer) {
            Ok(read) if read > 0 => {
                self.seen.extend_from_slice(&buffer[..read]);
                true
            }
            // A terminal whose other side is closed answers with an error.
            _ => false,
        }
    }
}

/// Waits until a descriptor can be read: for a pidfd, until the process has ended.
pub(crate) fn readable(fd: &impl AsFd, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = rustix::time::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// Waits for something that sends no event, such as the kernel removing a cgroup: looks again until it is so.
pub(crate) fn eventually(time: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
