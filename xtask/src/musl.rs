//! musl, the C library of the program that is shipped: whether rustc can build for it, and what it is linked with.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use xtask::trees;

use crate::steps;

/// Names the folder that the linker finds libseccomp.a in.
pub(crate) const LIBSECCOMP: &str = "LIBSECCOMP_LIB_PATH";

/// What rustc calls this machine with musl.
pub(crate) fn triple() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// [`triple`], if rustc has the standard library for it.
pub(crate) fn target() -> Option<String> {
    let triple = triple();
    let output =
        Command::new("rustc").args(["--print", "target-libdir", "--target", &triple]).output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    Path::new(folder.trim()).is_dir().then_some(triple)
}

/// Has rustup install the standard library. Without rustup, or without its server, programs are built with glibc.
pub(crate) fn install() {
    if let Err(error) = steps::run(Command::new("rustup").args(["target", "add", &triple()])) {
        eprintln!("setup: {error:#}; programs will be built with glibc, which start slower");
    }
}

/// A folder with the distribution's libseccomp.a and nothing else: beside it lies the libc.a of glibc, which the
/// linker would take for musl's.
pub(crate) fn libseccomp() -> Result<PathBuf> {
    let given = std::env::var_os(LIBSECCOMP).map_or_else(distribution, PathBuf::from);
    if !given.join("libc.a").exists() {
        return Ok(given);
    }
    let archive = given.join("libseccomp.a");
    ensure!(archive.is_file(), "{} is missing (`cargo xtask setup` installs it)", archive.display());
    let folder = trees::cache().join("libseccomp");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let link = folder.join("libseccomp.a");
    if std::fs::read_link(&link).ok().as_deref() != Some(&archive) {
        let fresh = folder.join(format!("libseccomp.a.{}", std::process::id()));
        std::os::unix::fs::symlink(&archive, &fresh).with_context(|| format!("make {}", fresh.display()))?;
        std::fs::rename(&fresh, &link).with_context(|| format!("make {}", link.display()))?;
    }
    Ok(folder)
}

/// Where Debian keeps the libraries of this architecture.
fn distribution() -> PathBuf {
    Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH))
}
