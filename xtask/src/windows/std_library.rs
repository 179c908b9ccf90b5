//! The standard library for the Windows target: of exactly the rustc in use, in the place where that looks for it.
//!
//! rustup has it ready. Where rustup is not the toolchain's owner or cannot reach its server, it is built from
//! Debian's `rust-src` of the same version, once, into the cache folder; the toolchain gets a link to it. A toolchain
//! that was replaced is noticed by the link's name, a cache that was emptied by a link that leads nowhere.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::trees;

use super::TARGET;
use crate::steps;

/// The suites that have a `rust-src` newer than Debian's stable one, smallest index first.
const SUITES: [&str; 3] = ["trixie-backports", "trixie", "sid"];

/// How long rustup may take to fetch 30 MB. Behind a firewall that swallows packets it would try for minutes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the toolchain has the target's std, and of its own version.
pub(super) fn is_there() -> Result<bool> {
    let toolchain = Toolchain::in_use()?;
    let place = toolchain.place();
    let linked = fs::read_link(&place).ok();
    Ok(holds_std(&place) && linked.is_none_or(|built| built == toolchain.built()))
}

/// Puts the target's std into the toolchain.
pub(super) fn install() -> Result<()> {
    let toolchain = Toolchain::in_use()?;
    let place = toolchain.place();
    // A link of ours that is out of date would have rustup write into our cache.
    if place.is_symlink() {
        fs::remove_file(&place).with_context(|| format!("remove the old link {}", place.display()))?;
    }
    if add_by_rustup() && holds_std(&place) {
        return Ok(());
    }
    let built = toolchain.built();
    if !holds_std(&built) {
        build(&toolchain)?;
    }
    let parent = place.parent().unwrap_or(&place);
    fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    std::os::unix::fs::symlink(&built, &place).with_context(|| {
        format!("link {} to {}; is the toolchain another user's?", place.display(), built.display())
    })
}

fn holds_std(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder.join("lib")) else { return false };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    // rustup's has a hash in its name; cargo gives a crate that is also a dynamic library none.
    names.any(|name| name == "libstd.rlib" || name.to_string_lossy().starts_with("libstd-"))
}

/// The rustc that cargo uses here.
struct Toolchain {
    sysroot: PathBuf,
    /// Such as `1.95.0`.
    version: String,
    /// Distinguishes builds of one version: rustc refuses a std that another build of it has made.
    commit: String,
}

impl Toolchain {
    fn in_use() -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let ask = |argument: &[&str]| -> Result<String> {
            let output = Command::new(&rustc).args(argument).output().context("run rustc")?;
            ensure!(output.status.success(), "rustc {}: {}", argument.join(" "), output.status);
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let verbose = ask(&["--version", "--verbose"])?;
        let line = |key: &str| verbose.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let version = line("release:").context("rustc names no release")?.to_owned();
        let commit = line("commit-hash:").unwrap_or("unknown").chars().take(9).collect();
        let sysroot = ask(&["--print", "sysroot"])?.trim().into();
        Ok(Self { sysroot, version, commit })
    }

    /// Where this rustc looks for the target.
    fn place(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(TARGET)
    }

    /// Where a std that was built here is kept.
    fn built(&self) -> PathBuf {
        trees::cache().join("windows").join(format!("std-{}-{}", self.version, self.commit))
    }
}

/// Whether rustup has added the target.
fn add_by_rustup() -> bool {
    let mut rustup = Command::new("rustup");
    rustup.args(["--quiet", "target", "add", TARGET]).stdin(Stdio::null());
    let Ok(mut child) = rustup.spawn() else { return false };
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(_) => break,
        }
    }
    eprintln!("rustup did not get the target in {} s", PATIENCE.as_secs());
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// Builds std from Debian's sources and leaves it in [`Toolchain::built`].
fn build(toolchain: &Toolchain) -> Result<()> {
    let built = toolchain.built();
    let work = built.with_extension("unfinished");
    if work.exists() {
        fs::remove_dir_all(&work)
            .with_context(|| format!("remove what an interrupted run left in {}", work.display()))?;
    }
    fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
    let library = fetch_sources(toolchain, &work)?;
    eprintln!("building std {} for {TARGET} (once, one to three minutes)", toolchain.version);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--release", "--target", TARGET, "--features", "panic-unwind,backtrace"])
        .arg("--manifest-path")
        .arg(library.join("sysroot/Cargo.toml"))
        .arg("--target-dir")
        .arg(work.join("target"))
        // Away from the clone: its .cargo/config.toml is for the product.
        .current_dir(&library)
        // As rustc's own build does it: std uses what is unstable, and marks itself so that its dependencies do not
        // meet those of the product.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    steps::run(&mut cargo)?;
    let whole = work.join("whole");
    collect(&work.join("target").join(TARGET).join("release/deps"), &whole.join("lib"))?;
    if built.exists() {
        fs::remove_dir_all(&built).with_context(|| format!("remove {}", built.display()))?;
    }
    fs::rename(&whole, &built).with_context(|| format!("move the built std to {}", built.display()))?;
    let _ = fs::remove_dir_all(&work);
    ensure!(holds_std(&built), "{} holds no std after its build", built.display());
    Ok(())
}

fn collect(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("list {}", from.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("list {}", from.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "rlib")
            && let Some(name) = path.file_name()
        {
            fs::copy(&path, to.join(name)).with_context(|| format!("copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// Unpacks the sources of std in `work`; returns the folder `library` of the Rust sources.
fn fetch_sources(toolchain: &Toolchain, work: &Path) -> Result<PathBuf> {
    for suite in SUITES {
        let apt = PrivateApt::new(work, suite)?;
        apt.update()?;
        let Some(version) = apt.version_of(&toolchain.version)? else { continue };
        let package = apt.download(&version)?;
        return unpack(&package, work);
    }
    bail!(
        "no {} has rust-src {}; use a rustc of one of them, or one that rustup installed where its server can be \
         reached",
        SUITES.join(", "),
        toolchain.version
    )
}

/// apt with package lists of its own, so that neither the machine's sources nor its lists change.
struct PrivateApt<'a> {
    folder: &'a Path,
    suite: &'static str,
}

impl<'a> PrivateApt<'a> {
    fn new(folder: &'a Path, suite: &'static str) -> Result<Self> {
        for folder in ["lists/partial", "archives/partial"].map(|part| folder.join(part)) {
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let (keys, mirror) = ("/usr/share/keyrings/debian-archive-keyring.gpg", mirror()?);
        let source = format!("deb [signed-by={keys}] {mirror} {suite} main\n");
        let list = folder.join(suite).with_extension("list");
        fs::write(&list, source).with_context(|| format!("write {}", list.display()))?;
        Ok(Self { folder, suite })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let option = |key: &str, path: &str| format!("--option={key}={}", self.folder.join(path).display());
        command
            .arg("--quiet")
            .arg(option("Dir::State::Lists", "lists"))
            .arg(option("Dir::Cache", ""))
            .arg(option("Dir::Etc::SourceList", &format!("{}.list", self.suite)))
            // Sources are signed and their checksums verified; a mirror's old index is a matter of days.
            .args(["--option=Dir::Etc::SourceParts=-", "--option=Acquire::Check-Valid-Until=false"])
            .args(["--option=Acquire::Languages=none", "--option=Acquire::Retries=3"])
            // Its own folders may be closed to the user that apt would become.
            .arg("--option=APT::Sandbox::User=root")
            .current_dir(self.folder);
        command
    }

    fn update(&self) -> Result<()> {
        steps::run(self.command("apt-get").arg("update").stdout(Stdio::null()))
    }

    /// The Debian version of `rust-src` for this version of rustc.
    fn version_of(&self, rustc: &str) -> Result<Option<String>> {
        let output =
            self.command("apt-cache").args(["madison", "rust-src"]).output().context("run apt-cache")?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(offered(&text).find(|version| upstream(version) == rustc).map(str::to_owned))
    }

    fn download(&self, version: &str) -> Result<PathBuf> {
        steps::run(self.command("apt-get").arg("download").arg(format!("rust-src={version}")))?;
        let entries = fs::read_dir(self.folder).with_context(|| format!("list {}", self.folder.display()))?;
        let mut files = entries.flatten().map(|entry| entry.path());
        files
            .find(|path| path.extension().is_some_and(|ext| ext == "deb"))
            .context("apt-get downloaded nothing")
    }
}

/// Where this machine has its own packages from.
fn mirror() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(SITE)", "Created-By: Packages"])
        .output()
        .context("run apt-get indextargets")?;
    let sites = String::from_utf8_lossy(&output.stdout);
    // Security updates come from another place, which has nothing else.
    let site = sites.lines().find(|site| !site.contains("security"));
    site.map(str::to_owned).context("apt has no source of packages")
}

/// The versions in `apt-cache madison`'s table.
fn offered(madison: &str) -> impl Iterator<Item = &str> {
    madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim)
}

/// `1.95.0` of `1.95.0+dfsg1-2~bpo13+1`.
fn upstream(debian: &str) -> &str {
    debian.split(['+', '-', '~']).next().unwrap_or(debian)
}

/// Unpacks the part of the package that std is built from.
fn unpack(package: &Path, work: &Path) -> Result<PathBuf> {
    let sources = work.join("sources");
    fs::create_dir_all(&sources).with_context(|| format!("make {}", sources.display()))?;
    let mut contents = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("run dpkg-deb")?;
    let stdin = contents.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--directory").arg(&sources).args(["--strip-components=4", "--wildcards"]);
    steps::run(tar.arg("./usr/src/rustc-*/library").stdin(stdin))?;
    let status = contents.wait().context("wait for dpkg-deb")?;
    ensure!(status.success(), "dpkg-deb: {status}");
    let library = sources.join("library");
    // The lock file that cargo checks lies here; its absence would let versions drift.
    File::open(library.join("Cargo.lock")).context("rust-src has no library/Cargo.lock")?;
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_the_same_rustc_is_found_among_several() {
        let table = "  rust-src | 1.96.1+dfsg1-2~bpo13+1 | mirror trixie-backports/main\n\
                     \x20 rust-src | 1.95.0+dfsg1-2~bpo13+1 | mirror trixie-backports/main\n";
        let found: Vec<_> = offered(table).map(|version| (upstream(version), version)).collect();
        assert_eq!(found, [("1.96.1", "1.96.1+dfsg1-2~bpo13+1"), ("1.95.0", "1.95.0+dfsg1-2~bpo13+1")]);
    }
}
