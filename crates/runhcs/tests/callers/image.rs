//! One image for all callers: busybox, in the archive format of `docker save`, which each of them loads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::caller::IMAGE;
use crate::command::done;

/// Writes the archive into `directory`; its path.
pub(crate) fn build(directory: &Path) -> Result<PathBuf> {
    let (root, archive) = (directory.join("root"), directory.join("archive"));
    for path in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var"] {
        fs::create_dir_all(root.join(path))?;
    }
    fs::create_dir(&archive)?;
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.context("busybox is not installed")?, root.join("bin/busybox"))?;
    for applet in done(words(&["busybox", "--list"]))?.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\nguest:x:1000:\n")?;

    let layer = archive.join("layer.tar");
    tar(&root, &["--owner=0", "--group=0", "--numeric-owner"], &layer)?;
    let digest = done(words(&["sha256sum", &layer.to_string_lossy()]))?;
    let digest = digest.split(' ').next().context("sha256sum names a digest")?;
    let config = json!({
        "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    fs::write(archive.join("config.json"), config.to_string())?;
    let manifest = json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    fs::write(archive.join("manifest.json"), manifest.to_string())?;
    let image = directory.join("busybox.tar");
    tar(&archive, &[], &image)?;
    Ok(image)
}

fn tar(directory: &Path, options: &[&str], archive: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command
        .args(options)
        .arg("--create")
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(directory)
        .arg(".");
    // `./manifest.json` is not found by those who look for `manifest.json`.
    command.arg("--transform=s,^\\./,,");
    done(command).map(drop)
}

fn words(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}
