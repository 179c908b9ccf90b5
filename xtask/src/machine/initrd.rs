//! The initial RAM disk: busybox, the one module that the root disk needs, and the files of `guest/`.
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

/// `modules` is the folder of the kernel's version below /lib/modules.
pub(super) fn build(busybox: &Path, modules: &Path) -> Result<Vec<u8>> {
    let module = modules.join("kernel/drivers/block/virtio_blk.ko.xz");
    let module = fs::read(&module).with_context(|| format!("read {}", module.display()))?;
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "guest", "proc", "root", "sys"] {
        archive.add(directory, DIRECTORY, &[]);
    }
    archive.add(
        "bin/busybox",
        PROGRAM,
        &fs::read(busybox).with_context(|| format!("read {}", busybox.display()))?,
    );
    archive.add("virtio_blk.ko", FILE, &decompress("xz", &module)?);
    archive.add("init", PROGRAM, include_bytes!("guest/init.sh"));
    archive.add("guest/payload.sh", PROGRAM, include_bytes!("guest/payload.sh"));
    archive.add("guest/payload.service", FILE, include_bytes!("guest/payload.service"));
    archive.add("guest/payload.target", FILE, include_bytes!("guest/payload.target"));
    Ok(archive.finish())
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
