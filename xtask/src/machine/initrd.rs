//! The initial RAM disk: busybox, the one module that the root disk needs, and what is laid over the system.
//!
//! Written uncompressed, in the format that the kernel calls newc
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::kernel::decompress;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// Units that no test looks at: under emulation the machine is up in half the time without them.
const MASKED: &[&str] = &[
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty-static.service",
    "getty@tty1.service",
    "kmod-static-nodes.service",
    "ldconfig.service",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount",
    // Without udev they wait for their devices.
    "serial-getty@hvc0.service",
    "serial-getty@ttyS0.service",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-modules-load.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysusers.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
];

/// `modules` is the folder of the kernel's version below /lib/modules.
pub(super) fn build(busybox: &Path, modules: &Path) -> Result<Vec<u8>> {
    let module = modules.join("kernel/drivers/block/virtio_blk.ko.xz");
    let module = fs::read(&module).with_context(|| format!("read {}", module.display()))?;
    let mut archive = Archive::default();
    archive.add("bin", DIRECTORY, &[]);
    archive.add(
        "bin/busybox",
        PROGRAM,
        &fs::read(busybox).with_context(|| format!("read {}", busybox.display()))?,
    );
    archive.add("virtio_blk.ko", FILE, &decompress("xz", &module)?);
    archive.add("init", PROGRAM, include_bytes!("guest/init.sh"));
    overlay(&mut archive);
    Ok(archive.finish())
}

/// What turns the plain system into the test machine: laid over its root as it is.
fn overlay(archive: &mut Archive) {
    for directory in [
        "",
        "/etc",
        "/etc/systemd",
        "/etc/systemd/system",
        "/home",
        "/home/user",
        "/payload",
        "/usr",
        "/usr/local",
        "/usr/local/lib",
        "/var",
        "/var/lib",
        "/var/lib/systemd",
        "/var/lib/systemd/linger",
    ] {
        archive.add(&format!("guest{directory}"), DIRECTORY, &[]);
    }
    archive.add("guest/etc/hostname", FILE, b"machine\n");
    archive.add("guest/etc/hosts", FILE, b"127.0.0.1 localhost machine\n");
    archive.add("guest/var/lib/systemd/linger/user", FILE, &[]);
    archive.add("guest/usr/local/lib/payload.sh", PROGRAM, include_bytes!("guest/payload.sh"));
    archive.add("guest/etc/systemd/system/payload.service", FILE, include_bytes!("guest/payload.service"));
    archive.add("guest/etc/systemd/system/payload.target", FILE, include_bytes!("guest/payload.target"));
    for unit in MASKED {
        archive.add(&format!("guest/etc/systemd/system/{unit}"), LINK, b"/dev/null");
    }
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: usize,
}

impl Archive {
    fn add(&mut self, path: &str, mode: u32, data: &[u8]) {
        self.entries += 1;
        let fields = [
            self.entries, // inode
            mode as usize,
            0, // owner
            0, // group
            1, // links
            0, // time
            data.len(),
            0, // the device that holds it, in two parts
            0,
            0, // the device that it is, in two parts
            0,
            path.len() + 1,
            0, // checksum, which this format has not
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(data);
        self.pad(4);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.pad(512);
        self.bytes
    }

    fn pad(&mut self, boundary: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(boundary), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the entries, as another program reads them.
    #[test]
    fn an_archive_is_read_by_busybox() {
        let mut archive = Archive::default();
        archive.add("etc", DIRECTORY, &[]);
        archive.add("etc/odd", FILE, b"12345");
        archive.add("etc/even", PROGRAM, b"12345678");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), archive.finish()).unwrap();
        let mut cpio = std::process::Command::new("busybox");
        cpio.args(["cpio", "-t"]).stdin(fs::File::open(file.path()).unwrap());
        let Ok(output) = cpio.output() else { return println!("skipped: busybox is not installed") };
        assert_eq!(String::from_utf8_lossy(&output.stdout), "etc\netc/odd\netc/even\n");
    }
}
