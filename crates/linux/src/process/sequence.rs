//! The three steps in which init applies a plan, and the last one. Their order is the table in the module's text.

use super::error::Error;
use super::plan::Plan;
use super::procfs::Procfs;
use super::{
    apparmor, capabilities, cwd, descriptors, env, executable, hostname, io_priority, keyring, memory_policy,
    network, personality, scheduler, seccomp, selinux, sysctl, terminal, user,
};
use crate::sys::exec::{Image, default_signals};
use rustix::fs::Mode;
use rustix::process::{parent_process_death_signal, set_parent_process_death_signal, umask};
use rustix::thread::{set_keep_capabilities, set_no_new_privs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// Before the root file system is entered; all namespaces are.
pub fn before_root(plan: &Plan) -> Result<(), Error> {
    terminal::new_session()?;
    if let Some(keyring) = &plan.keyring {
        match &plan.selinux {
            None => keyring::join(keyring)?,
            Some(label) => {
                let proc = Procfs::open()?;
                selinux::label_keys(&proc, label)?;
                keyring::join(keyring)?;
                selinux::label_keys(&proc, "")?;
            }
        }
    }
    if plan.loopback {
        network::loopback_up()?;
    }
    Ok(())
}

/// In the root file system, before it and parts of it become read-only or masked. `proc` is a procfs to use instead of
/// the one at `/proc`; `console` is where the terminal's master goes, if there is a terminal.
pub fn after_root(plan: &Plan, proc: Option<&Procfs>, console: Option<BorrowedFd<'_>>) -> Result<(), Error> {
    if plan.first {
        cwd::create(&plan.cwd)?;
    }
    if let Some(wanted) = &plan.terminal {
        set_up_terminal(wanted, plan.first, console)?;
    }
    if let Some(name) = &plan.hostname {
        hostname::set_hostname(name)?;
    }
    if let Some(name) = &plan.domainname {
        hostname::set_domainname(name)?;
    }
    if let Some(profile) = &plan.apparmor {
        with_proc(proc, |proc| apparmor::confine_on_exec(proc, profile))?;
    }
    if !plan.sysctls.is_empty() {
        with_proc(proc, |proc| sysctl::write(proc, &plan.sysctls))?;
    }
    if let Some(mask) = plan.umask {
        umask(Mode::from_raw_mode(mask & 0o777));
    }
    if plan.no_new_privileges {
        set_no_new_privs(true).map_err(Error::system("prctl(SET_NO_NEW_PRIVS)"))?;
    }
    plan.scheduler.as_ref().map_or(Ok(()), scheduler::set)?;
    plan.io_priority.map_or(Ok(()), io_priority::set)?;
    plan.personality.map_or(Ok(()), personality::set)?;
    plan.memory_policy.as_ref().map_or(Ok(()), memory_policy::set)
}

fn set_up_terminal(
    wanted: &terminal::Terminal,
    first: bool,
    console: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    let console =
        console.ok_or_else(|| Error::invalid("a terminal is wanted, but there is nobody to hand it to"))?;
    let pty = terminal::allocate(wanted)?;
    if first {
        terminal::mount_console(pty.slave.as_fd())?;
    }
    terminal::send_master(console, pty.master.as_fd())?;
    terminal::attach(&pty.slave)
}

/// The last steps before the program can be executed: from here on the process has the container's privileges only.
///
/// Of the descriptors, those below `passed` go on to the program; every other is closed but for `keep`, what the caller
/// needs until then. A seccomp filter that notifies hands its descriptor to `listener`, which must get it to the
/// runtime under that filter. What is returned has everything that execve(2) takes; the process may still wait, and
/// run hooks, before it [becomes](become_program) it.
pub fn settle(
    plan: &Plan,
    proc: Option<Procfs>,
    passed: RawFd,
    keep: &[BorrowedFd<'_>],
    listener: &mut dyn FnMut(OwnedFd) -> Result<(), Error>,
) -> Result<Image, Error> {
    if let Some(label) = &plan.selinux {
        with_proc(proc.as_ref(), |proc| selinux::label_on_exec(proc, label))?;
    }
    drop(proc);
    // Before any filter, because one need not allow the calls that this takes.
    descriptors::close_from(passed, keep)?;
    default_signals();
    // Without no_new_privs a filter may be loaded by CAP_SYS_ADMIN alone, which goes away below.
    if !plan.no_new_privileges {
        load_seccomp(plan, listener)?;
    }
    let entered = cwd::enter(&plan.cwd)?;
    let mut env = plan.env.clone();
    if plan.add_home {
        env::add_home(&mut env, plan.user.uid);
    }
    become_user(plan, entered)?;
    executable::find(&plan.args, &env)
}

fn become_user(plan: &Plan, entered: cwd::Entered) -> Result<(), Error> {
    if let Some(sets) = &plan.capabilities {
        capabilities::drop_bounding(sets)?;
    }
    // A change of the user clears it, and with it goes what ends init when the runtime dies.
    let death_signal = parent_process_death_signal().map_err(Error::system("can't get pdeath signal"))?;
    set_keep_capabilities(true).map_err(Error::system("unable to set keep caps"))?;
    user::become_user(&plan.user)?;
    cwd::enter_as_user(&plan.cwd, entered)?;
    set_keep_capabilities(false).map_err(Error::system("unable to clear keep caps"))?;
    if let Some(sets) = &plan.capabilities {
        capabilities::apply(sets)?;
    }
    if death_signal.is_some() {
        set_parent_process_death_signal(death_signal)
            .map_err(Error::system("can't restore pdeath signal"))?;
    }
    Ok(())
}

fn load_seccomp(plan: &Plan, listener: &mut dyn FnMut(OwnedFd) -> Result<(), Error>) -> Result<(), Error> {
    match plan.seccomp.as_ref().map(seccomp::load).transpose()?.flatten() {
        Some(notifications) => listener(notifications),
        None => Ok(()),
    }
}

/// Closes what was kept until now, loads the filter if it has to wait until now, and executes the program: a profile
/// need not allow more than execve(2). Returns only to say why that failed; the way on which this is told may stay
/// open, being close-on-exec and nothing that could be executed.
pub fn become_program(
    plan: &Plan,
    image: &Image,
    kept: Vec<OwnedFd>,
    listener: &mut dyn FnMut(OwnedFd) -> Result<(), Error>,
) -> Error {
    drop(kept);
    let confined = if plan.no_new_privileges { load_seccomp(plan, listener) } else { Ok(()) };
    match confined {
        Ok(()) => executable::exec(image),
        Err(error) => error,
    }
}

fn with_proc<T>(given: Option<&Procfs>, act: impl FnOnce(&Procfs) -> Result<T, Error>) -> Result<T, Error> {
    match given {
        Some(proc) => act(proc),
        None => act(&Procfs::open_or_make()?),
    }
}
