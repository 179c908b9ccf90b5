//! The Wine prefix that Windows tests run in: a Windows machine of files, made once and kept in the cache folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use xtask::trees;

use crate::project;
use crate::steps;

/// The script that runs a Windows program in the prefix, from the root of the clone.
const RUNNER: &str = "xtask/src/windows/wine.sh";

/// What Wine before version 9 lacks, see there.
const BCRYPTPRIMITIVES: &str = include_str!("bcryptprimitives.c");

/// The prefix: `C:` is its folder `drive_c`.
fn prefix() -> PathBuf {
    folder().join("prefix")
}

fn folder() -> PathBuf {
    trees::cache().join("windows")
}

fn system32(prefix: &Path) -> PathBuf {
    prefix.join("drive_c/windows/system32")
}

/// Whether the prefix is there, made by the Wine that is installed and with the library as it is here.
pub(super) fn is_there() -> bool {
    fs::read_to_string(stamp(&prefix())).is_ok_and(|made_of| made_of == recipe())
}

fn stamp(prefix: &Path) -> PathBuf {
    prefix.join("cofferdam-recipe")
}

/// The Windows that the prefix says it is: one that has the Host Compute Service. Wine's default is Windows 7.
const WINDOWS: &str = "win10";

/// What the prefix is made of: Wine's version, the Windows that it plays, and the library.
fn recipe() -> String {
    let asked = wine(&prefix()).arg("--version").output();
    let version = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("{} as {WINDOWS}\n{BCRYPTPRIMITIVES}", version.unwrap_or_default())
}

/// Makes the prefix.
pub(super) fn install() -> Result<()> {
    let (prefix, unfinished) = (prefix(), folder().join("prefix.unfinished"));
    for old in [&unfinished, &prefix] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("remove {}", old.display()))?;
        }
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("make {}", unfinished.display()))?;
    eprintln!("making a Wine prefix in {} (once, about 20 s)", prefix.display());
    let log = folder().join("prefix.log");
    let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    for arguments in [["wineboot", "--init"].as_slice(), &["winecfg", "/v", WINDOWS]] {
        let share = || output.try_clone().context("share the log between stdout and stderr");
        let mut step = wine(&unfinished);
        step.args(arguments).stdout(share()?).stderr(share()?);
        steps::run(&mut step).with_context(|| format!("see {}", log.display()))?;
    }
    // The registry is written when the server ends.
    steps::run(wineserver(&unfinished).arg("--wait"))?;
    add_bcryptprimitives(&unfinished)?;
    fs::write(stamp(&unfinished), recipe()).context("write the prefix's recipe")?;
    fs::rename(&unfinished, &prefix)
        .with_context(|| format!("rename {} to {}", unfinished.display(), prefix.display()))
}

fn add_bcryptprimitives(prefix: &Path) -> Result<()> {
    let library = system32(prefix).join("bcryptprimitives.dll");
    if library.exists() {
        return Ok(());
    }
    let source = folder().join("bcryptprimitives.c");
    fs::write(&source, BCRYPTPRIMITIVES).with_context(|| format!("write {}", source.display()))?;
    steps::run(
        Command::new("x86_64-w64-mingw32-gcc")
            .args(["-shared", "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&library, &source])
            .arg("-ladvapi32"),
    )
}

/// Wine on a prefix.
fn wine(prefix: &Path) -> Command {
    let mut command = Command::new(project::root().join(RUNNER));
    command.env("COFFERDAM_PREFIX", prefix).stdin(Stdio::null());
    command
}

fn wineserver(prefix: &Path) -> Command {
    let mut command = Command::new("wineserver");
    command.env("WINEPREFIX", prefix);
    command
}

/// The prefix in use by one process at a time: a server that outlives its programs, so that each starts in a tenth of
/// a second and volatile registry keys stay, until this is dropped.
pub(super) struct Server {
    _lock: File,
}

impl Server {
    /// Waits until no other process uses the prefix.
    pub(super) fn start() -> Result<Self> {
        let path = folder().join("prefix.lock");
        let lock = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        lock.lock().context("wait for another process that uses the Wine prefix")?;
        // It answers 2 if one is running already, which a plain `cargo test` may have left for its last seconds.
        let status = wineserver(&prefix()).arg("--persistent").status().context("run wineserver")?;
        ensure!(status.success() || status.code() == Some(2), "wineserver --persistent: {status}");
        Ok(Self { _lock: lock })
    }

    /// Where the libraries lie that every program finds.
    pub(super) fn system32(&self) -> PathBuf {
        system32(&prefix())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = wineserver(&prefix()).arg("--kill").status();
        let _ = wineserver(&prefix()).arg("--wait").status();
    }
}
