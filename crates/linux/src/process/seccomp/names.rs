//! The words of a profile: what this build knows of each, and what they are to libseccomp and the kernel.

use crate::sys::seccomp as sys;
use libseccomp::ScmpArch;
use oci_spec::runtime::{Arch, LinuxSeccompFilterFlag};

/// Every action, in the order in which `features` lists them.
pub fn actions() -> Vec<&'static str> {
    vec![
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_TRAP",
    ]
}

/// Every comparison of an argument.
pub fn operators() -> Vec<&'static str> {
    vec![
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_LE",
        "SCMP_CMP_LT",
        "SCMP_CMP_MASKED_EQ",
        "SCMP_CMP_NE",
    ]
}

/// Every architecture that profiles may name.
pub fn architectures() -> Vec<&'static str> {
    ARCHITECTURES.iter().map(|(_, name, ..)| *name).collect()
}

/// Every flag that profiles may name.
pub fn flags() -> Vec<&'static str> {
    FLAGS.iter().map(|(_, name, _)| *name).collect()
}

/// The flags that the running kernel knows too.
pub fn supported_flags() -> Vec<&'static str> {
    let known = |bit: &Option<u32>| bit.is_none_or(sys::knows_flag);
    FLAGS.iter().filter(|(_, _, bit)| known(bit)).map(|(_, name, _)| *name).collect()
}

/// What libseccomp calls an architecture, and the kernel's number for it (`AUDIT_ARCH_*`).
pub(super) fn architecture(arch: Arch) -> (ScmpArch, u32) {
    let native = ScmpArch::native();
    ARCHITECTURES
        .iter()
        .find(|(oci, _, scmp, _)| *oci == arch || (arch == Arch::ScmpArchNative && *scmp == native))
        .map_or((native, 0), |(_, _, scmp, audit)| (*scmp, *audit))
}

/// The flag that SECCOMP_FILTER_FLAG_TSYNC stands for is never used, so every kernel has it.
const FLAGS: [(LinuxSeccompFilterFlag, &str, Option<u32>); 4] = [
    (LinuxSeccompFilterFlag::SeccompFilterFlagTsync, "SECCOMP_FILTER_FLAG_TSYNC", None),
    (
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow,
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        Some(sys::FLAG_SPEC_ALLOW),
    ),
    (LinuxSeccompFilterFlag::SeccompFilterFlagLog, "SECCOMP_FILTER_FLAG_LOG", Some(sys::FLAG_LOG)),
    (
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv,
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        Some(sys::FLAG_WAIT_KILLABLE_RECV),
    ),
];

/// `linux/audit.h`. x32 shares its number with x86-64: a bit of the system call's number tells them apart.
const ARCHITECTURES: [(Arch, &str, ScmpArch, u32); 23] = [
    (Arch::ScmpArchAarch64, "SCMP_ARCH_AARCH64", ScmpArch::Aarch64, 0xc000_00b7),
    (Arch::ScmpArchArm, "SCMP_ARCH_ARM", ScmpArch::Arm, 0x4000_0028),
    (Arch::ScmpArchLoongarch64, "SCMP_ARCH_LOONGARCH64", ScmpArch::Loongarch64, 0xc000_0102),
    (Arch::ScmpArchM68k, "SCMP_ARCH_M68K", ScmpArch::M68k, 0x0000_0004),
    (Arch::ScmpArchMips, "SCMP_ARCH_MIPS", ScmpArch::Mips, 0x0000_0008),
    (Arch::ScmpArchMips64, "SCMP_ARCH_MIPS64", ScmpArch::Mips64, 0x8000_0008),
    (Arch::ScmpArchMips64n32, "SCMP_ARCH_MIPS64N32", ScmpArch::Mips64N32, 0xa000_0008),
    (Arch::ScmpArchMipsel, "SCMP_ARCH_MIPSEL", ScmpArch::Mipsel, 0x4000_0008),
    (Arch::ScmpArchMipsel64, "SCMP_ARCH_MIPSEL64", ScmpArch::Mipsel64, 0xc000_0008),
    (Arch::ScmpArchMipsel64n32, "SCMP_ARCH_MIPSEL64N32", ScmpArch::Mipsel64N32, 0xe000_0008),
    (Arch::ScmpArchParisc, "SCMP_ARCH_PARISC", ScmpArch::Parisc, 0x0000_000f),
    (Arch::ScmpArchParisc64, "SCMP_ARCH_PARISC64", ScmpArch::Parisc64, 0x8000_000f),
    (Arch::ScmpArchPpc, "SCMP_ARCH_PPC", ScmpArch::Ppc, 0x0000_0014),
    (Arch::ScmpArchPpc64, "SCMP_ARCH_PPC64", ScmpArch::Ppc64, 0x8000_0015),
    (Arch::ScmpArchPpc64le, "SCMP_ARCH_PPC64LE", ScmpArch::Ppc64Le, 0xc000_0015),
    (Arch::ScmpArchRiscv64, "SCMP_ARCH_RISCV64", ScmpArch::Riscv64, 0xc000_00f3),
    (Arch::ScmpArchS390, "SCMP_ARCH_S390", ScmpArch::S390, 0x0000_0016),
    (Arch::ScmpArchS390x, "SCMP_ARCH_S390X", ScmpArch::S390X, 0x8000_0016),
    (Arch::ScmpArchSh, "SCMP_ARCH_SH", ScmpArch::Sh, 0x4000_002a),
    (Arch::ScmpArchSheb, "SCMP_ARCH_SHEB", ScmpArch::Sheb, 0x0000_002a),
    (Arch::ScmpArchX32, "SCMP_ARCH_X32", ScmpArch::X32, 0xc000_003e),
    (Arch::ScmpArchX86, "SCMP_ARCH_X86", ScmpArch::X86, 0x4000_0003),
    (Arch::ScmpArchX86_64, "SCMP_ARCH_X86_64", ScmpArch::X8664, 0xc000_003e),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_specifications() {
        for (arch, name, ..) in ARCHITECTURES {
            assert_eq!(serde_json::to_value(arch).unwrap(), name);
        }
        for (flag, name, _) in FLAGS {
            assert_eq!(serde_json::to_value(flag).unwrap(), name);
        }
    }

    #[test]
    fn this_kernel_knows_the_flags_of_its_time() {
        assert!(supported_flags().contains(&"SECCOMP_FILTER_FLAG_LOG"));
        assert_eq!(architecture(Arch::ScmpArchNative).0, ScmpArch::native());
    }
}
