//! Unknown system calls look unknown.
//!
//! A profile that allows some system calls and answers EPERM to all others breaks programs when the kernel or the C
//! library learns a new one: glibc tries `clone3`, and falls back to `clone` on ENOSYS but not on EPERM. The author of
//! the profile did not mean to refuse what did not exist when it was written. So, as runc does, a few instructions go
//! in front of the filter: a system call whose number is above every number that the profile names, on that
//! architecture, gets ENOSYS; the rest is the filter's. It is left out when the default action lets calls through, or
//! is ENOSYS already.
//!
//! This is an approximation: numbers are mostly given in order of time, not always (`close_range`).

use super::names::architecture;
use crate::sys::seccomp::Instruction;
use libseccomp::{ScmpArch, ScmpSyscall};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSyscall};
use std::collections::BTreeMap;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Loads a word of the data; jumps; returns. (`linux/bpf_common.h`)
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_ABOVE: u16 = 0x25;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// `SECCOMP_RET_ERRNO | ENOSYS`.
const RETURN_ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;

/// Set in the number of every system call of x32.
const X32_BIT: u32 = 1 << 30;

/// The highest numbers of one architecture of the kernel's.
#[derive(Default, Clone, Copy)]
struct Highest {
    plain: Option<u32>,
    x32: Option<u32>,
    /// Whether calls that the kernel does not know arrive as number 0 (s390).
    multiplexes: bool,
}

/// What goes in front of the filter; nothing when it would change nothing.
pub(super) fn stub(profile: &LinuxSeccomp) -> Vec<u8> {
    use LinuxSeccompAction as A;
    match profile.default_action() {
        // Whoever traces may well know a call that we do not.
        A::ScmpActAllow | A::ScmpActLog | A::ScmpActTrace => return Vec::new(),
        A::ScmpActErrno if profile.default_errno_ret() == Some(libc::ENOSYS as u32) => return Vec::new(),
        _ => {}
    }
    let sections: Vec<Vec<Instruction>> =
        highest(profile).iter().map(|(audit, highest)| section(*audit, highest)).collect();
    let mut stub = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        stub.extend_from_slice(section);
        // The section ends in a jump over all that follow.
        let rest: usize = sections.iter().skip(index + 1).map(Vec::len).sum();
        if let Some(last) = stub.last_mut() {
            last.operand = rest as u32;
        }
    }
    stub.iter().flat_map(encode).collect()
}

/// For each architecture of the profile, and always for the native one (some profiles leave it out).
fn highest(profile: &LinuxSeccomp) -> BTreeMap<u32, Highest> {
    let mut all: BTreeMap<u32, Highest> = BTreeMap::new();
    let listed = profile.architectures().iter().flatten().copied();
    for (scmp, audit) in listed.chain([Arch::ScmpArchNative]).map(architecture) {
        let number =
            |name: &String| ScmpSyscall::from_name_by_arch(name, scmp).ok().map(ScmpSyscall::as_raw_syscall);
        let names = profile.syscalls().iter().flatten().flat_map(LinuxSyscall::names);
        // libseccomp has negative numbers for calls that other architectures have.
        let Some(top) = names.filter_map(number).filter_map(|n| u32::try_from(n).ok()).max() else {
            continue;
        };
        let entry = all.entry(audit).or_default();
        entry.multiplexes |= matches!(scmp, ScmpArch::S390 | ScmpArch::S390X);
        match scmp {
            ScmpArch::X32 => entry.x32 = Some(top),
            _ => entry.plain = Some(top),
        }
    }
    all
}

/// If the architecture is this one: ENOSYS above the highest number, else on to the filter. The operand of the last
/// jump is filled in by the caller.
fn section(audit: u32, highest: &Highest) -> Vec<Instruction> {
    let mut body = vec![op(LOAD, NUMBER, 0, 0)];
    if highest.multiplexes {
        body.extend([op(JUMP_IF_EQUAL, 0, 0, 1), op(RETURN, RETURN_ENOSYS, 0, 0)]);
    }
    match (highest.plain, highest.x32) {
        (Some(plain), Some(x32)) => body.extend([
            op(JUMP_IF_ANY_BIT, X32_BIT, 1, 0),
            op(JUMP_IF_ABOVE, plain, 1, 2),
            op(JUMP_IF_ABOVE, x32, 0, 1),
            op(RETURN, RETURN_ENOSYS, 0, 0),
        ]),
        // The other of the two is no business of this profile: the filter has its answer for it.
        (Some(plain), None) if audit == architecture(Arch::ScmpArchX86_64).1 => body.extend([
            op(JUMP_IF_ANY_BIT, X32_BIT, 2, 0),
            op(JUMP_IF_ABOVE, plain, 0, 1),
            op(RETURN, RETURN_ENOSYS, 0, 0),
        ]),
        (Some(plain), None) => {
            body.extend([op(JUMP_IF_ABOVE, plain, 0, 1), op(RETURN, RETURN_ENOSYS, 0, 0)]);
        }
        (None, Some(x32)) => body.extend([
            op(JUMP_IF_ANY_BIT, X32_BIT, 0, 2),
            op(JUMP_IF_ABOVE, x32, 0, 1),
            op(RETURN, RETURN_ENOSYS, 0, 0),
        ]),
        (None, None) => {}
    }
    body.push(op(JUMP, 0, 0, 0));
    // Ten instructions at most, so the short jump reaches.
    let over = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut section = vec![op(LOAD, ARCHITECTURE, 0, 0), op(JUMP_IF_EQUAL, audit, 0, over)];
    section.append(&mut body);
    section
}

fn op(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, operand }
}

fn encode(instruction: &Instruction) -> [u8; 8] {
    let [a, b] = instruction.code.to_ne_bytes();
    let [c, d, e, f] = instruction.operand.to_ne_bytes();
    [a, b, instruction.jump_true, instruction.jump_false, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use super::super::instructions;
    use super::*;

    const FILTER: u32 = u32::MAX;

    /// Runs the stub as the kernel would; [`FILTER`] when it falls through to the filter.
    fn decide(stub: &[u8], audit: u32, number: u32) -> u32 {
        let program = instructions(stub).unwrap_or_default();
        let (mut at, mut value) = (0, 0);
        while let Some(i) = program.get(at) {
            let jump = |holds: bool| usize::from(if holds { i.jump_true } else { i.jump_false });
            at += 1;
            match i.code {
                LOAD => value = if i.operand == NUMBER { number } else { audit },
                JUMP => at += i.operand as usize,
                JUMP_IF_EQUAL => at += jump(value == i.operand),
                JUMP_IF_ABOVE => at += jump(value > i.operand),
                JUMP_IF_ANY_BIT => at += jump(value & i.operand != 0),
                RETURN => return i.operand,
                code => panic!("{code:#x}"),
            }
        }
        assert_eq!(at, program.len(), "it jumps to the filter's first instruction");
        FILTER
    }

    fn profile(archs: &str, default: &str) -> LinuxSeccomp {
        serde_json::from_str(&format!(
            r#"{{{default},"architectures":[{archs}],
                "syscalls":[{{"names":["read","openat2","clone3"],"action":"SCMP_ACT_ALLOW"}}]}}"#
        ))
        .unwrap()
    }

    const ERRNO: &str = r#""defaultAction":"SCMP_ACT_ERRNO""#;
    const X86_64: u32 = 0xc000_003e;
    const X86: u32 = 0x4000_0003;
    const AARCH64: u32 = 0xc000_00b7;
    /// openat2 on every architecture of this century.
    const OPENAT2: u32 = 437;

    #[test]
    fn what_is_above_the_profile_is_unknown() {
        let stub = stub(&profile(
            r#""SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32","SCMP_ARCH_AARCH64""#,
            ERRNO,
        ));
        for audit in [X86_64, X86, AARCH64] {
            assert_eq!(decide(&stub, audit, 1), FILTER);
            assert_eq!(decide(&stub, audit, OPENAT2), FILTER);
            assert_eq!(decide(&stub, audit, OPENAT2 + 1), RETURN_ENOSYS);
            assert_eq!(decide(&stub, audit, 5000), RETURN_ENOSYS);
        }
        assert_eq!(decide(&stub, X86_64, X32_BIT | OPENAT2), FILTER);
        assert_eq!(decide(&stub, X86_64, X32_BIT | (OPENAT2 + 1)), RETURN_ENOSYS);
        assert_eq!(
            decide(&stub, 0x1234, 5000),
            FILTER,
            "the filter has its own answer for other architectures"
        );
    }

    #[test]
    fn without_x32_its_calls_are_left_to_the_filter() {
        let stub = stub(&profile(r#""SCMP_ARCH_X86_64""#, ERRNO));
        assert_eq!(decide(&stub, X86_64, OPENAT2 + 1), RETURN_ENOSYS);
        assert_eq!(decide(&stub, X86_64, X32_BIT | 5000), FILTER);
    }

    #[test]
    fn s390_multiplexes() {
        let stub = stub(&profile(r#""SCMP_ARCH_S390X""#, ERRNO));
        assert_eq!(decide(&stub, 0x8000_0016, 0), RETURN_ENOSYS);
        assert_eq!(decide(&stub, 0x8000_0016, 3), FILTER);
    }

    #[test]
    fn a_default_that_lets_through_needs_none() {
        for default in [
            r#""defaultAction":"SCMP_ACT_ALLOW""#,
            r#""defaultAction":"SCMP_ACT_LOG""#,
            r#""defaultAction":"SCMP_ACT_TRACE""#,
            r#""defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38"#,
        ] {
            assert!(stub(&profile(r#""SCMP_ARCH_X86_64""#, default)).is_empty(), "{default}");
        }
    }
}
