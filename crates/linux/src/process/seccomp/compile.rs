//! From a profile to a BPF program, by libseccomp and in the way of runc, so that a profile means the same in both.

use super::enosys;
use super::names::architecture;
use crate::process::error::Error;
use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Seek};

/// What an ERRNO or TRACE without a number means.
const EPERM: u32 = 1;

/// From this many rules on libseccomp arranges them as a tree instead of a list. Its versions up to 2.5.4 get an empty
/// tree wrong, and put four system calls on a leaf.
const TREE_FROM: usize = 32;

/// Compiles the profile, and puts in front what makes unknown system calls look unknown.
pub(super) fn program(profile: &LinuxSeccomp) -> Result<Vec<u8>, Error> {
    let default =
        action(profile.default_action(), profile.default_errno_ret(), "linux.seccomp.defaultErrnoRet")?;
    let mut context = ScmpFilterContext::new(default).map_err(failed("create a filter"))?;
    for arch in profile.architectures().iter().flatten() {
        let (scmp, _) = architecture(*arch);
        context.add_arch(scmp).map_err(failed(format!("add architecture {arch} to the filter")))?;
    }
    let rules = || profile.syscalls().iter().flatten();
    if rules().map(|rule| rule.names().len()).sum::<usize>() > TREE_FROM {
        // An old library without the option makes a slower filter, not a wrong one.
        let _ = context.set_ctl_optimize(2);
    }
    context.set_ctl_nnp(false).map_err(failed("leave no_new_privs to us"))?;
    for rule in rules() {
        add_rule(&mut context, rule, default)?;
    }
    let mut program = enosys::stub(profile);
    export(&context, &mut program)?;
    Ok(program)
}

fn add_rule(context: &mut ScmpFilterContext, rule: &LinuxSyscall, default: ScmpAction) -> Result<(), Error> {
    let action = action(rule.action(), rule.errno_ret(), "linux.seccomp.syscalls[].errnoRet")?;
    // libseccomp refuses a rule that says what happens anyway.
    if action == default {
        return Ok(());
    }
    let args = rule.args().as_deref().unwrap_or_default();
    let conditions = args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    for name in rule.names() {
        if name.is_empty() {
            return Err(Error::invalid("empty string is not a valid syscall"));
        }
        // A profile is written for many kernels; what this library does not know, no process can call by that name.
        let Ok(number) = ScmpSyscall::from_name(name) else {
            log::debug!("unknown seccomp syscall {name:?} ignored");
            continue;
        };
        let failed = || failed(format!("add the rule for syscall {name}"));
        if conditions.is_empty() {
            context.add_rule(action, number).map_err(failed())?;
        } else if one_each(args) {
            context.add_rule_conditional(action, number, &conditions).map_err(failed())?;
        } else {
            // Two conditions on one argument cannot be one rule; each is its own, as ever in runc.
            for condition in &conditions {
                context.add_rule_conditional(action, number, &[*condition]).map_err(failed())?;
            }
        }
    }
    Ok(())
}

fn one_each(args: &[LinuxSeccompArg]) -> bool {
    args.iter().enumerate().all(|(i, arg)| args.iter().take(i).all(|earlier| earlier.index() != arg.index()))
}

fn condition(arg: &LinuxSeccompArg) -> Result<ScmpArgCompare, Error> {
    use LinuxSeccompOperator as O;
    let index = u32::try_from(arg.index()).ok().filter(|index| *index < 6).ok_or_else(|| {
        Error::invalid(format!("linux.seccomp.syscalls[].args[].index: {} is above 5", arg.index()))
    })?;
    // A masked comparison has its mask in `value` and what is left in `valueTwo`.
    let (operator, value) = match arg.op() {
        O::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        O::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        O::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        O::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        O::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        O::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
        O::ScmpCmpMaskedEq => (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or(0)),
    };
    Ok(ScmpArgCompare::new(index, operator, value))
}

fn action(action: LinuxSeccompAction, errno: Option<u32>, field: &str) -> Result<ScmpAction, Error> {
    use LinuxSeccompAction as A;
    let number = || {
        let errno = errno.unwrap_or(EPERM);
        u16::try_from(errno).map_err(|_| Error::invalid(format!("{field}: {errno} is above {}", u16::MAX)))
    };
    Ok(match action {
        A::ScmpActKill | A::ScmpActKillThread => ScmpAction::KillThread,
        A::ScmpActKillProcess => ScmpAction::KillProcess,
        A::ScmpActTrap => ScmpAction::Trap,
        A::ScmpActErrno => ScmpAction::Errno(i32::from(number()?)),
        A::ScmpActTrace => ScmpAction::Trace(number()?),
        A::ScmpActLog => ScmpAction::Log,
        A::ScmpActNotify => ScmpAction::Notify,
        A::ScmpActAllow => ScmpAction::Allow,
    })
}

/// libseccomp 2.5 writes to a descriptor only; a file in memory takes any length without somebody reading.
fn export(context: &ScmpFilterContext, program: &mut Vec<u8>) -> Result<(), Error> {
    let file =
        memfd_create(c"seccomp", MemfdFlags::CLOEXEC).map_err(Error::system("make a file for the filter"))?;
    context.export_bpf(&file).map_err(failed("export the filter"))?;
    let mut file = File::from(file);
    file.rewind().and_then(|()| file.read_to_end(program)).map_err(Error::system("read the filter"))?;
    Ok(())
}

fn failed(attempted: impl Into<String>) -> impl FnOnce(libseccomp::error::SeccompError) -> Error {
    let attempted = format!("seccomp: {}", attempted.into());
    move |error| match error.sysrawrc() {
        Some(errno) if errno != 0 => Error::system(attempted)(std::io::Error::from_raw_os_error(errno.abs())),
        _ => Error::system(attempted)(std::io::Error::other(error.to_string())),
    }
}
