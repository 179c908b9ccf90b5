//! This host, as the compatibility matrix asks for it.

use compute::compat::{Arch, Host, System, Unknown};
use rustix::fs::{Mode, OFlags};
use std::path::Path;

/// A Linux of this machine's processors; it can run virtual machines if KVM can be used or QEMU is installed. Emulation
/// of other processors is left out: it may be there, but it has to be wanted.
pub(crate) fn look() -> Result<Host, Unknown> {
    let uname = rustix::system::uname();
    let machine = uname.machine().to_string_lossy();
    let arch: Arch = machine.parse()?;
    Ok(Host { hypervisor: has_kvm() || has_emulator(&machine), ..Host::new(System::Linux, arch) })
}

/// The device may be there without anything behind it, or for others only.
fn has_kvm() -> bool {
    rustix::fs::open("/dev/kvm", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

fn has_emulator(machine: &str) -> bool {
    let machine = match machine {
        "i486" | "i586" | "i686" => "i386",
        "ppc64le" => "ppc64",
        "armv6l" | "armv7l" | "armv8l" => "arm",
        other => other,
    };
    let program = format!("qemu-system-{machine}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where distributions of Red Hat keep the one they have.
    std::env::split_paths(&path).any(|folder| folder.join(&program).is_file())
        || Path::new("/usr/libexec/qemu-kvm").is_file()
}
