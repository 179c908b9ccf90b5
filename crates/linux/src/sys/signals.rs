//! Signals: in a descriptor (signalfd(2)) for a program that supervises another, and sent by number, which the safe
//! wrappers do for signals that have a name only.

// UNSAFETY: rustix has neither sigprocmask nor signalfd, and sends only signals that have names.
#![expect(unsafe_code, reason = "no safe wrapper exists")]

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::io;
use std::mem::MaybeUninit;

/// All signals that reach this thread, in a descriptor. When it is dropped, the thread's signal mask is as before, and
/// what was not read arrives.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    before: libc::sigset_t,
}

impl Signals {
    /// Blocks every signal but SIGPIPE, which would otherwise report this program's own writes, and opens the
    /// descriptor that receives them. Faults of this program still end it.
    pub fn block() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: a set is bits, all of which are set here; pthread_sigmask initialises `before`; both are read only
        // afterwards.
        unsafe {
            // sigfillset(3) leaves out what the C library uses itself, with musl also the first real-time signal.
            set.as_mut_ptr().write_bytes(0xff, 1);
            libc::sigdelset(set.as_mut_ptr(), libc::SIGPIPE);
            let errno = libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), before.as_mut_ptr());
            if errno != 0 {
                return Err(io::Error::from_raw_os_error(errno));
            }
            let before = before.assume_init();
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                let error = io::Error::last_os_error();
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
                return Err(error);
            }
            Ok(Self { fd: OwnedFd::from_raw_fd(fd), before })
        }
    }

    /// The number of the next signal that has arrived, none if none has.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.fd, &mut info) {
            // The number is the first field.
            Ok(_) => Ok(info.first_chunk().map(|number| i32::from_ne_bytes(*number))),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(cause) => Err(cause.into()),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: `before` was filled by the kernel.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// Sends a signal by number, real-time signals included, to the process that `pidfd` stands for.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: without a siginfo the call reads no memory of ours.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0 as libc::c_uint,
        )
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a signal by number to the process with this id. Zero and negative ids, which would mean groups of processes, are
/// refused.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: takes two numbers and touches no memory of ours.
    let result = unsafe { libc::kill(pid, signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets the kernel forget every child as soon as it ends.
pub fn reap_children_unseen() -> io::Result<()> {
    // SAFETY: to ignore a signal runs no code of ours.
    match unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A child that has ended and was not waited for; it stays so.
pub fn ended_child() -> io::Result<Option<i32>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: all zeroes is a valid siginfo, and one without a process; the kernel fills it if there is one. Only the
    // process id is read, which is where waitid(2) puts it.
    let (done, pid) = unsafe {
        let done = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags);
        (done, info.assume_init_ref().si_pid())
    };
    if done == 0 { Ok((pid != 0).then_some(pid)) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{PidfdFlags, getpid, pidfd_open};

    #[test]
    fn a_signal_waits_until_it_is_asked_for() {
        let signals = Signals::block().unwrap();
        assert_eq!(signals.next().unwrap(), None);
        // SAFETY: no memory is involved. The signal goes to this thread alone: the others do not block it.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGRTMIN() + 3) };
        assert_eq!(signals.next().unwrap(), Some(libc::SIGRTMIN() + 3));
        assert_eq!(signals.next().unwrap(), None);
    }

    #[test]
    fn sending_reports_what_the_kernel_says() {
        let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        send(me.as_fd(), 0).unwrap();
        assert_eq!(send(me.as_fd(), 1000).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
