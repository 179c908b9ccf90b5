//! What a process cost: wall time, processor time of it and of the children it waited for, and peak memory.
//!
//! Also the floor that no runtime can go below: the kernel's own price of new namespaces, exec and wait.

// UNSAFETY: wait4 (for the usage it returns), pidfd_open, clone and prctl have no safe wrapper in std.
#![expect(unsafe_code, reason = "wait4, pidfd_open, clone and prctl")]

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// What one run cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// The largest resident set of the process or of a child it waited for.
    pub(crate) peak_kib: u64,
}

/// A program that takes longer than this will never end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a program to its end; fails if it does, or if it does not come to an end.
pub(crate) fn run(command: &mut Command) -> Result<Spent> {
    let begun = Instant::now();
    let child = command.spawn().with_context(|| format!("run {}", command.get_program().display()))?;
    let pid = c_int::try_from(child.id()).context("process id")?;
    let hangs = !ends_in_time(pid).context("wait with a limit")?;
    if hangs {
        // SAFETY: takes two numbers. The process is a child that nobody has waited for, so its id is still its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    let (status, usage) =
        wait(pid).with_context(|| format!("wait for {}", command.get_program().display()))?;
    let wall = begun.elapsed();
    ensure!(!hangs, "no end after {} s", PATIENCE.as_secs());
    ensure!(status == 0, "{}", ExitStatus::from_raw(status));
    Ok(Spent { wall, ..spent(&usage) })
}

/// Waits for a process that has become this one's child because its parent ended.
pub(crate) fn reap(pid: i32) -> Result<Spent> {
    let (_, usage) = wait(pid).with_context(|| format!("wait for process {pid}"))?;
    Ok(spent(&usage))
}

/// Makes this process the new parent of orphaned descendants.
pub(crate) fn adopt_orphans() -> Result<()> {
    // SAFETY: PR_SET_CHILD_SUBREAPER takes one number and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    ensure!(result == 0, "become a subreaper: {}", io::Error::last_os_error());
    Ok(())
}

/// Starts `program` in six new namespaces and waits for its end: what there is to do at the very least.
pub(crate) fn floor(program: &CStr, arguments: &[&CStr]) -> Result<Spent> {
    const NAMESPACES: c_int = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWCGROUP;
    let mut argv: Vec<*const libc::c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    argv.push(std::ptr::null());
    let mut exec = Exec { program: program.as_ptr(), argv: argv.as_ptr() };
    // Words, so that the stack is aligned as the ABI wants it.
    let mut stack = vec![0_u128; 4096];
    let begun = Instant::now();
    // SAFETY: the child shares this memory, but CLONE_VFORK holds this thread until it has called exec or ended, so
    // `exec`, `argv` and `stack` outlive its use of them. The stack grows down from the end of `stack`, which is
    // 64 KiB and aligned.
    let pid = unsafe {
        libc::clone(
            start,
            stack.as_mut_ptr_range().end.cast(),
            NAMESPACES | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut exec).cast(),
        )
    };
    ensure!(pid > 0, "clone into new namespaces: {}", io::Error::last_os_error());
    let (status, usage) = wait(pid).context("wait for the floor")?;
    ensure!(status == 0, "the floor ended with wait status {status:#x}");
    Ok(Spent { wall: begun.elapsed(), ..spent(&usage) })
}

/// Waits until a child has ended, but not for ever; whether it has.
fn ends_in_time(pid: c_int) -> io::Result<bool> {
    // SAFETY: takes two numbers.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let pidfd = c_int::try_from(pidfd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout = c_int::try_from(PATIENCE.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: one entry is passed, and it is a live local.
    let ready = unsafe { libc::poll(&raw mut poll, 1, timeout) };
    if ready < 0 { Err(io::Error::last_os_error()) } else { Ok(ready == 1) }
}

struct Exec {
    program: *const libc::c_char,
    argv: *const *const libc::c_char,
}

extern "C" fn start(exec: *mut c_void) -> c_int {
    let exec: *const Exec = exec.cast();
    let environment: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: `exec` is the pointer that `floor` passed; its strings end with NUL and its list with null. Between
    // clone and exec nothing is called that could take a lock.
    unsafe {
        libc::execve((*exec).program, (*exec).argv, environment.as_ptr());
        libc::_exit(127)
    }
}

fn wait(pid: c_int) -> io::Result<(c_int, libc::rusage)> {
    // SAFETY: rusage is a plain structure of numbers, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    loop {
        // SAFETY: both pointers are to live locals of the right types.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if waited == pid {
            return Ok((status, usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn spent(usage: &libc::rusage) -> Spent {
    let time = |time: libc::timeval| {
        let micros = time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_usec);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    Spent {
        wall: Duration::ZERO,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_of_a_child_is_counted_and_failure_is_one() {
        let busy =
            run(Command::new("sh").args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])).unwrap();
        assert!(busy.cpu > Duration::from_micros(500) && busy.wall >= busy.cpu / 4, "{busy:?}");
        assert!(run(&mut Command::new("false")).is_err());
    }

    #[test]
    fn the_floor_runs_a_program_in_new_namespaces() {
        match floor(c"/bin/true", &[c"true"]) {
            Ok(spent) => assert!(spent.wall > Duration::ZERO),
            Err(error) if format!("{error:#}").contains("not permitted") => {
                println!("skipped: making namespaces needs root");
            }
            Err(error) => panic!("{error:#}"),
        }
    }
}
