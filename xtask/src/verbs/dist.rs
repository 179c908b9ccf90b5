//! `dist`: what users install: a tarball and a Debian package, each with the static program, its manual pages and
//! completions.
//!
//! The same commit gives the same bytes on any machine with the same compiler: times come from SOURCE_DATE_EPOCH
//! (else from the commit), owners, orders and modes are fixed, paths of the build machine are cut from the program.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{elf, project, steps};

/// The largest that the program may be: SPECIFICATION.md promises it.
const LARGEST: u64 = 4 << 20;

/// Make the release tarball and the Debian package
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder for the results
    #[arg(long, short, default_value = "target/dist")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let release = Release::build()?;
    fs::create_dir_all(&arguments.output).with_context(|| format!("make {}", arguments.output.display()))?;
    let work = tempfile::tempdir().context("make a temporary folder")?;
    for made in
        [release.tarball(work.path(), &arguments.output)?, release.deb(work.path(), &arguments.output)?]
    {
        let size = fs::metadata(&made).map_or(0, |metadata| metadata.len());
        eprintln!("dist: {} ({} KiB)", made.display(), size.div_ceil(1024));
    }
    Ok(())
}

/// What goes into both.
struct Release {
    program: PathBuf,
    version: String,
    /// Seconds since 1970 that every file is dated.
    epoch: String,
}

impl Release {
    fn build() -> Result<Release> {
        let packages = project::metadata()?.packages;
        let package =
            packages.into_iter().find(|package| package.name == "runhcs").context("no crate runhcs")?;
        let program = project::build("runhcs", "runhcs", &without_paths_of_this_machine())?;
        let file = fs::read(&program).with_context(|| format!("read {}", program.display()))?;
        elf::ensure_static(&file).with_context(|| format!("{} is not static", program.display()))?;
        let size = file.len() as u64;
        ensure!(size <= LARGEST, "{} has {size} bytes, more than the {LARGEST} promised", program.display());
        eprintln!("dist: static, {} KiB of at most {}", size.div_ceil(1024), LARGEST / 1024);
        Ok(Release { program, version: package.version, epoch: epoch()? })
    }

    /// Makes `runhcs-VERSION-ARCH-linux.tar.gz`.
    fn tarball(&self, work: &Path, output: &Path) -> Result<PathBuf> {
        let name = format!("runhcs-{}", self.version);
        let content = work.join(&name);
        install(&self.program, &content.join("runhcs"), 0o755)?;
        for document in ["LICENSE", "README.md", "CHANGELOG.md"] {
            install(&project::root().join(document), &content.join(document), 0o644)?;
        }
        for manual in files("docs/man")? {
            install(&manual, &content.join("man").join(file_name(&manual)), 0o644)?;
        }
        for completion in files("contrib/completions")? {
            install(&completion, &content.join("completions").join(file_name(&completion)), 0o644)?;
        }
        let made = output.join(format!("{name}-{}-linux.tar.gz", std::env::consts::ARCH));
        let tar = made.with_extension("");
        steps::run(
            Command::new("tar")
                .args([
                    "--create",
                    "--sort=name",
                    "--owner=0",
                    "--group=0",
                    "--numeric-owner",
                    "--format=ustar",
                ])
                .arg(format!("--mtime=@{}", self.epoch))
                .arg("--file")
                .arg(&tar)
                .arg("--directory")
                .arg(work)
                .arg(&name),
        )?;
        steps::run(Command::new("gzip").args(["--best", "--no-name", "--force"]).arg(&tar))?;
        Ok(made)
    }

    /// Makes `runhcs_VERSION_ARCH.deb`.
    fn deb(&self, work: &Path, output: &Path) -> Result<PathBuf> {
        let content = work.join("deb");
        install(&self.program, &content.join("usr/bin/runhcs"), 0o755)?;
        for manual in files("docs/man")? {
            let page = content.join("usr/share/man/man1").join(file_name(&manual));
            install(&manual, &page, 0o644)?;
            steps::run(Command::new("gzip").args(["--best", "--no-name"]).arg(&page))?;
        }
        for (from, to) in [
            ("runhcs.bash", "bash-completion/completions/runhcs"),
            ("runhcs.fish", "fish/vendor_completions.d/runhcs.fish"),
            ("_runhcs", "zsh/vendor-completions/_runhcs"),
        ] {
            let from = project::root().join("contrib/completions").join(from);
            install(&from, &content.join("usr/share").join(to), 0o644)?;
        }
        let documents = content.join("usr/share/doc/runhcs");
        write(&documents.join("copyright"), COPYRIGHT)?;
        write(&content.join("DEBIAN/control"), &self.control(installed_size(&content)?))?;
        let made = output.join(format!("runhcs_{}_{}.deb", self.version, debian_architecture()));
        steps::run(
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"])
                .arg(&content)
                .arg(&made)
                .env("SOURCE_DATE_EPOCH", &self.epoch)
                .stdout(std::process::Stdio::null()),
        )?;
        Ok(made)
    }

    fn control(&self, installed_size: u64) -> String {
        format!(
            "Package: runhcs\n\
             Version: {}\n\
             Architecture: {}\n\
             Maintainer: The Cofferdam authors <cofferdam@users.noreply.github.com>\n\
             Installed-Size: {installed_size}\n\
             Recommends: criu, procps, uidmap\n\
             Section: admin\n\
             Priority: optional\n\
             Homepage: https://github.com/cofferdam/cofferdam\n\
             Description: OCI container runtime that takes the place of runc\n \
             runhcs starts containers from OCI bundles. It has the verbs, options, output\n \
             and exit codes of runc, so that podman, containerd and Docker can use it\n \
             unchanged. It is one static program.\n",
            self.version,
            debian_architecture()
        )
    }
}

const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Cofferdam
Source: https://github.com/cofferdam/cofferdam

Files: *
Copyright: The Cofferdam authors
License: Apache-2.0
 On Debian systems the full text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
";

/// Arguments for cargo that give paths in the program (of panics) a name that is the same everywhere.
fn without_paths_of_this_machine() -> Vec<String> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [remap(&cargo_home, "/cargo"), remap(project::root(), "/cofferdam")];
    // Arrays of several sources are joined, so this adds to the flags of .cargo/config.toml.
    let value = format!("target.'cfg(target_os = \"linux\")'.rustflags={flags:?}");
    vec!["--config".to_owned(), value]
}

/// The time that the results are dated: given, or that of the commit.
fn epoch() -> Result<String> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(project::root())
        .output()
        .context("run git")?;
    ensure!(output.status.success(), "no commit to take the time from: set SOURCE_DATE_EPOCH");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn debian_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The sorted files of a folder of the clone.
fn files(folder: &str) -> Result<Vec<PathBuf>> {
    let path = project::root().join(folder);
    let entries =
        fs::read_dir(&path).with_context(|| format!("list {folder} (`cargo xtask gen` makes it)"))?;
    let mut files = entries
        .map(|entry| Ok(entry.with_context(|| format!("list {folder}"))?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_folder_of(to)?;
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(|| format!("chmod {}", to.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_folder_of(path)?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o644))
        .with_context(|| format!("chmod {}", path.display()))
}

/// Makes the folders above `path`, readable for all whatever the umask is.
fn make_folder_of(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.exists()) else { return Ok(()) };
    make_folder_of(folder)?;
    fs::create_dir(folder).with_context(|| format!("make {}", folder.display()))?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
        .with_context(|| format!("chmod {}", folder.display()))
}

/// In KiB, as dpkg counts it: each file by itself, rounded up.
fn installed_size(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        let metadata = entry.metadata().with_context(|| format!("look at {}", entry.path().display()))?;
        size += if metadata.is_dir() {
            1 + installed_size(&entry.path())?
        } else {
            metadata.len().div_ceil(1024)
        };
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_file_says_what_dpkg_asks_for() {
        let release = Release { program: "/p".into(), version: "1.2.3".to_owned(), epoch: "0".to_owned() };
        let control = release.control(7);
        for field in ["Package: runhcs\n", "Version: 1.2.3\n", "Installed-Size: 7\n", "Description: OCI "] {
            assert!(control.contains(field), "{control}");
        }
        let description = control.split_once("Description:").unwrap().1;
        assert!(description.lines().skip(1).all(|line| line.starts_with(' ')), "{control}");
    }

    #[test]
    fn sizes_are_rounded_up_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a/b"), "x").unwrap();
        write(&folder.path().join("c"), &"x".repeat(1025)).unwrap();
        assert_eq!(installed_size(folder.path()).unwrap(), 1 + 1 + 2);
    }
}
