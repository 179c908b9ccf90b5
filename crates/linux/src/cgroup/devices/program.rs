//! A device policy as an eBPF program: the kernel runs it at each open and mknod of a device in the cgroup, and
//! refuses when it returns 0.
//!
//! The registers hold, throughout: r2 the type, r3 the access asked for, r4 major, r5 minor. Each exception is a run
//! of tests that jump to the next exception unless they match, and ends in a return.

use super::{Access, Device, Policy, Type};
use crate::sys::bpf::Instruction;

const R0: u8 = 0;
const R1: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// Class | operation | source, of linux/bpf_common.h and linux/bpf.h.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

const TYPE_BLOCK: i32 = 1;
const TYPE_CHAR: i32 = 2;

fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: to | from << 4, offset, immediate }
}

/// What the policy says, as a program.
pub(crate) fn of(policy: &Policy) -> Vec<Instruction> {
    // struct bpf_cgroup_dev_ctx { u32 access_type /* access << 16 | type */, major, minor }, at r1.
    let mut program = vec![
        instruction(LOAD_WORD, TYPE, R1, 0, 0),
        instruction(MOVE_REGISTER, ACCESS, TYPE, 0, 0),
        instruction(AND, TYPE, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, R1, 4, 0),
        instruction(LOAD_WORD, MINOR, R1, 8, 0),
    ];
    for (device, access) in &policy.exceptions {
        program.extend(exception(policy.allows_by_default, device, *access));
    }
    program.extend(answer(policy.allows_by_default));
    program
}

fn answer(allow: bool) -> [Instruction; 2] {
    [instruction(MOVE, R0, 0, 0, i32::from(allow)), instruction(EXIT, 0, 0, 0, 0)]
}

fn exception(allows_by_default: bool, device: &Device, access: Access) -> Vec<Instruction> {
    let typ = match device.typ {
        Type::Block => TYPE_BLOCK,
        Type::Char => TYPE_CHAR,
    };
    let mut tests = vec![instruction(JUMP_UNLESS_EQUAL, TYPE, 0, 0, typ)];
    let bits = i32::from(access.bits());
    if access != Access::ALL {
        tests.push(instruction(MOVE_REGISTER, R1, ACCESS, 0, 0));
        if allows_by_default {
            // Denied as soon as any part of what is asked for is.
            tests.push(instruction(AND, R1, 0, 0, bits));
            tests.push(instruction(JUMP_IF_EQUAL, R1, 0, 0, 0));
        } else {
            // Allowed only when all of it is.
            tests.push(instruction(AND, R1, 0, 0, !bits));
            tests.push(instruction(JUMP_UNLESS_EQUAL, R1, 0, 0, 0));
        }
    }
    for (register, number) in [(MAJOR, device.major), (MINOR, device.minor)] {
        // A number that does not fit was refused when the policy was made.
        if let Some(number) = number.and_then(|number| i32::try_from(number).ok()) {
            tests.push(instruction(JUMP_UNLESS_EQUAL, register, 0, 0, number));
        }
    }
    tests.extend(answer(!allows_by_default));
    let count = tests.len();
    for (index, test) in tests.iter_mut().enumerate() {
        if test.code == JUMP_IF_EQUAL || test.code == JUMP_UNLESS_EQUAL {
            // At most eight instructions.
            test.offset = i16::try_from(count.saturating_sub(index.saturating_add(1))).unwrap_or(i16::MAX);
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The few instructions above, as the kernel runs them.
    fn run(program: &[Instruction], typ: u32, access: u32, major: u32, minor: u32) -> bool {
        let context = [access << 16 | typ, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0usize;
        loop {
            let i = program[at];
            let (to, from) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
            at += 1;
            let jump = |at: usize, taken: bool| if taken { at + i.offset as usize } else { at };
            match i.code {
                LOAD_WORD => registers[to] = u64::from(context[i.offset as usize / 4]),
                MOVE => registers[to] = u64::from(i.immediate as u32),
                MOVE_REGISTER => registers[to] = u64::from(registers[from] as u32),
                AND => registers[to] = u64::from(registers[to] as u32 & i.immediate as u32),
                SHIFT_RIGHT => registers[to] = u64::from(registers[to] as u32 >> i.immediate),
                JUMP_IF_EQUAL => at = jump(at, registers[to] == i.immediate as i64 as u64),
                JUMP_UNLESS_EQUAL => at = jump(at, registers[to] != i.immediate as i64 as u64),
                EXIT => return registers[0] != 0,
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    const M: u32 = 1;
    const R: u32 = 2;
    const W: u32 = 4;
    const BLOCK: u32 = 1;
    const CHAR: u32 = 2;

    fn policy(json: &str) -> Vec<Instruction> {
        of(&Policy::of_spec(&serde_json::from_str::<Vec<_>>(json).unwrap()).unwrap())
    }

    #[test]
    fn a_list_of_allowed_devices() {
        let program = policy(
            r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":8,"minor":0,"access":"r"},
                {"allow":true,"type":"b","major":8,"minor":0,"access":"w"}]"#,
        );
        for (typ, access, major, minor, allowed) in [
            (CHAR, R | W, 1, 3, true),
            (CHAR, R | W, 136, 77, true),
            (CHAR, M, 240, 9, true),
            (BLOCK, M, 8, 0, true),
            (BLOCK, R | W, 8, 0, true),
            (BLOCK, R, 8, 1, false),
            (CHAR, R, 8, 0, false),
            (CHAR, R, 1, 1, false),
            (CHAR, R | M, 1, 1, false),
        ] {
            assert_eq!(run(&program, typ, access, major, minor), allowed, "{typ} {access} {major}:{minor}");
        }
    }

    #[test]
    fn a_list_of_denied_devices() {
        let program = policy(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"w"},
                {"allow":false,"type":"b","access":"rwm"}]"#,
        );
        for (typ, access, major, minor, allowed) in [
            (CHAR, R, 1, 11, true),
            (CHAR, W, 1, 11, false),
            // Opening for both is no way around the denial of one.
            (CHAR, R | W, 1, 11, false),
            (CHAR, R | W, 1, 12, true),
            (BLOCK, R, 8, 0, true), // the defaults allow mknod of any, which lifts that part of the denial only
        ] {
            let allowed = allowed && typ == CHAR;
            assert_eq!(run(&program, typ, access, major, minor), allowed, "{typ} {access} {major}:{minor}");
        }
    }

    #[test]
    fn everything() {
        let program = of(&Policy { allows_by_default: true, ..Policy::default() });
        assert_eq!(program.len(), 8);
        assert!(run(&program, BLOCK, R | W | M, 8, 0));
    }
}
