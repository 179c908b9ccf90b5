//! A folder as an ext4 image, without a mount or a loop device.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Writes `folder` to `image`, with `free` bytes left over.
pub(super) fn write(folder: &Path, image: &Path, free: u64) -> Result<()> {
    let size = (used(folder)? + free).next_multiple_of(4096);
    fs::File::create(image)?.set_len(size)?;
    let output = Command::new("mkfs.ext4")
        // Thrown away or never written: a journal would only cost time.
        .args([
            "-q",
            "-F",
            "-m",
            "0",
            "-O",
            "^has_journal",
            "-E",
            "lazy_itable_init=1,nodiscard,root_owner=0:0",
            "-d",
        ])
        .args([folder, image])
        .stderr(Stdio::piped())
        .output()
        .context("run mkfs.ext4 (`cargo xtask setup` installs it)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "mkfs.ext4 {}: {said}", image.display());
    Ok(())
}

/// Blocks and inodes that the folder's files take, generously.
fn used(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += metadata.len().next_multiple_of(4096) + 1024;
        if metadata.is_dir() {
            total += used(&entry.path())?;
        }
    }
    Ok(total + total / 32)
}
