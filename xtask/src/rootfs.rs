//! The smallest root file system in which one can look around: a static busybox under the names of its commands.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result};

const COMMANDS: [&str; 14] =
    ["cat", "dd", "echo", "hostname", "id", "kill", "ls", "nc", "ps", "sh", "sleep", "tail", "true", "wc"];

/// Makes it at `rootfs`.
pub(crate) fn make(rootfs: &Path, busybox: &Path) -> Result<()> {
    for folder in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
        let folder = rootfs.join(folder);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&folder)
            .with_context(|| format!("make {}", folder.display()))?;
    }
    let program = rootfs.join("bin/busybox");
    fs::copy(busybox, &program).with_context(|| format!("copy {}", busybox.display()))?;
    for name in COMMANDS {
        symlink("busybox", rootfs.join("bin").join(name))
            .with_context(|| format!("link {name} to busybox"))?;
    }
    let etc = rootfs.join("etc/passwd");
    fs::write(&etc, "root:x:0:0:root:/root:/bin/sh\n").with_context(|| format!("write {}", etc.display()))
}
