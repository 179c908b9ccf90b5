//! `setup`: what the project needs on this machine, installed where it is missing.
//!
//! Debian packages by apt-get, and the cargo programs that CI runs, at the versions pinned here, below the cache
//! folder. Programs that must be newer than the host's come from a Debian tree (`trees.rs`) and are not
//! installed. When nothing is missing it costs a tenth of a second.
//!
//! `setup windows` brings what the Windows half needs besides (`crate::windows`).

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use xtask::trees;

use crate::{musl, steps, windows};

/// A Debian package and what the project wants it for.
struct Package {
    name: &'static str,
    why: &'static str,
}

const PACKAGES: [Package; 19] = [
    Package { name: "gcc", why: "links Rust programs" },
    Package { name: "libc6-dev", why: "the C library, linked statically into the product" },
    Package { name: "libseccomp-dev", why: "compiles seccomp profiles, linked statically into the product" },
    Package { name: "busybox-static", why: "the programs inside test containers" },
    Package {
        name: "mmdebstrap",
        why: "makes the Debian trees that callers, crun and test machines come from",
    },
    Package { name: "debian-archive-keyring", why: "the keys that those trees are checked with" },
    Package { name: "ca-certificates", why: "package sources over TLS" },
    Package { name: "qemu-system-x86", why: "boots the test machine that has systemd and cgroup v2" },
    Package { name: "e2fsprogs", why: "makes that machine's disk from a folder (mkfs.ext4 -d)" },
    Package { name: "zstd", why: "unpacks that machine's kernel" },
    Package { name: "uidmap", why: "rootless containers (newuidmap, newgidmap)" },
    Package { name: "iproute2", why: "network namespaces and devices in tests" },
    Package { name: "procps", why: "`runhcs ps` prints what ps(1) says" },
    Package { name: "util-linux", why: "unshare and nsenter, which tests and benchmarks start in" },
    Package { name: "containernetworking-plugins", why: "pod networks in tests" },
    Package { name: "iptables", why: "ports of the host that lead into pods" },
    Package { name: "docker-registry", why: "the registry that images are pulled from in tests" },
    Package { name: "openssl", why: "certificates for that registry and for streams" },
    Package { name: "xz-utils", why: "compresses the package that `cargo xtask dist` makes" },
];

/// What the Windows half needs besides.
const WINDOWS_PACKAGES: [Package; 3] = [
    Package { name: "gcc-mingw-w64-x86-64-win32", why: "links Windows programs" },
    Package { name: "wine", why: "runs them" },
    Package { name: "wine64", why: "the 64-bit half of it" },
];

/// A program that cargo builds, at the version that CI was last green with.
struct Tool {
    name: &'static str,
    version: &'static str,
    features: &'static str,
    why: &'static str,
    /// Built as its authors release it, because its speed is compared. Others are quick to build instead.
    measured: bool,
}

const TOOLS: [Tool; 1] = [Tool {
    name: "cargo-deny",
    version: "0.20.2",
    features: "",
    why: "licences, bans and sources of dependencies",
    measured: false,
}];

const YOUKI: Tool = Tool {
    name: "youki",
    version: "0.7.0",
    features: "v1,v2,systemd,seccomp",
    why: "a contestant in `cargo xtask bench oci`",
    measured: true,
};

/// Install what building, testing and measuring need and this machine lacks
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Bring what this part needs besides: a cross target, its linker, Wine
    part: Option<Part>,
    /// Only say what is missing
    #[arg(long)]
    check: bool,
    /// Also build youki, which `bench oci` compares with (some minutes)
    #[arg(long)]
    youki: bool,
}

/// A part of the project that not everybody needs to build and test.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Part {
    Windows,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match arguments.part {
        None => base(arguments),
        Some(Part::Windows) => windows(arguments.check),
    }
}

fn base(arguments: &Arguments) -> Result<()> {
    let packages = missing_packages(&PACKAGES)?;
    let tools: Vec<&Tool> =
        TOOLS.iter().chain(arguments.youki.then_some(&YOUKI)).filter(|tool| !is_installed(tool)).collect();
    for Package { name, why } in &packages {
        eprintln!("missing: {name} – {why}");
    }
    for Tool { name, version, why, .. } in &tools {
        eprintln!("missing: {name} {version} – {why}");
    }
    let musl = musl::target().is_some();
    if !musl {
        eprintln!("missing: {} – the standard library that the product is built with", musl::triple());
    }
    if arguments.check {
        ensure!(
            packages.is_empty() && tools.is_empty() && musl,
            "`cargo xtask setup` installs what is missing"
        );
        return Ok(());
    }
    if !packages.is_empty() {
        install_packages(&packages)?;
    }
    if !musl {
        musl::install();
    }
    for tool in tools {
        install_tool(tool)?;
    }
    eprintln!("setup: everything is there");
    Ok(())
}

/// The cross target, its linker and Wine; tells what is missing and why before it brings it.
pub(crate) fn windows(only_check: bool) -> Result<()> {
    let packages = missing_packages(&WINDOWS_PACKAGES)?;
    for Package { name, why } in &packages {
        eprintln!("missing: {name} – {why}");
    }
    if !packages.is_empty() && !only_check {
        install_packages(&packages)?;
    }
    let pieces = windows::missing()?;
    for windows::Piece { name, why, .. } in &pieces {
        eprintln!("missing: {name} – {why}");
    }
    if only_check {
        let all = packages.is_empty() && pieces.is_empty();
        ensure!(all, "`cargo xtask setup windows` installs what is missing");
        return Ok(());
    }
    for piece in pieces {
        piece.install()?;
    }
    eprintln!("setup windows: everything is there");
    Ok(())
}

/// Installs those of `packages` that are missing, for a verb that needs more than `setup` brings.
pub(crate) fn need(name: &'static str, why: &'static str) -> Result<()> {
    let package = Package { name, why };
    if installed(&[package.name])?.is_empty() {
        eprintln!("missing: {name} – {why}");
        install_packages(&[&package])?;
    }
    Ok(())
}

/// Where a cargo program of [`TOOLS`] is.
pub(crate) fn tool(name: &str) -> PathBuf {
    trees::cache().join("tools/bin").join(name)
}

fn missing_packages(wanted: &'static [Package]) -> Result<Vec<&'static Package>> {
    let names: Vec<&str> = wanted.iter().map(|package| package.name).collect();
    let installed = installed(&names)?;
    Ok(wanted.iter().filter(|package| !installed.iter().any(|name| name == package.name)).collect())
}

/// Those of `names` that dpkg has installed.
fn installed(names: &[&str]) -> Result<Vec<String>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\\n"])
        .args(names)
        .output()
        .context(
            "run dpkg-query (setup knows Debian only; PACKAGES in xtask/src/verbs/setup.rs is the list)",
        )?;
    // It fails as soon as one of the packages is unknown, and still lists the others.
    let listed = String::from_utf8_lossy(&output.stdout);
    Ok(listed.lines().filter_map(|line| line.strip_suffix(" installed")).map(str::to_owned).collect())
}

fn install_packages(packages: &[&Package]) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    if !is_root() {
        bail!("not root, so nothing was installed; run: sudo apt-get install {}", names.join(" "));
    }
    steps::run(apt_get().arg("update"))?;
    steps::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(names))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "--option=Acquire::Retries=3"]);
    command
}

fn is_installed(wanted: &Tool) -> bool {
    let Ok(output) = Command::new(tool(wanted.name)).arg("--version").output() else { return false };
    String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == wanted.version)
}

fn install_tool(tool: &Tool) -> Result<()> {
    eprintln!("building {} {} (once, some minutes)", tool.name, tool.version);
    let root = trees::cache().join("tools");
    std::fs::create_dir_all(&root).with_context(|| format!("make {}", root.display()))?;
    let mut cargo = Command::new("cargo");
    cargo
        .args(["install", "--quiet", "--locked", tool.name, "--version", tool.version])
        .args(["--features", tool.features, "--root"])
        .arg(&root)
        .arg("--target-dir")
        .arg(root.join("target"))
        // Away from the clone: its .cargo/config.toml is for the product.
        .current_dir(&root);
    if !tool.measured {
        // It is used for seconds; half the time to build it counts for more.
        cargo
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    }
    steps::run(&mut cargo)?;
    let _ = std::fs::remove_dir_all(root.join("target"));
    Ok(())
}

/// Whether files in /usr can be written: the owner of this process, as the kernel shows it.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
