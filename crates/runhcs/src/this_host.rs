//! This host, as the compatibility matrix asks for it.

use compute::compat::{Arch, Host, System, Unknown};
use rustix::fs::{Access, Mode, OFlags, access, open};

/// A Linux of this machine's processors; it can run virtual machines if KVM can be used or QEMU is installed. Emulation
/// of other processors is left out: it may be there, but it has to be wanted.
pub(crate) fn look() -> Result<Host, Unknown> {
    let uname = rustix::system::uname();
    let machine = uname.machine().to_string_lossy();
    let arch: Arch = machine.parse()?;
    let emulator = match arch {
        Arch::I386 => "i386",
        Arch::Arm => "arm",
        Arch::Ppc64le => "ppc64",
        _ => &machine,
    };
    Ok(Host { hypervisor: has_kvm() || has_emulator(emulator), ..Host::new(System::Linux, arch) })
}

/// The device may be there without anything behind it, or for others only.
fn has_kvm() -> bool {
    open("/dev/kvm", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

fn has_emulator(machine: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let program = |folder: &str| format!("{folder}/qemu-system-{machine}");
    path.split(':').any(|folder| access(program(folder), Access::EXEC_OK).is_ok())
}
