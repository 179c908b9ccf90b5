//! Where things are in the project, and cargo on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::sync::LazyLock;

use crate::musl;

/// The root of the clone that cargo runs this program for. Asked when it runs: with a target folder that several clones
/// share, cargo takes a program that was built for another one.
pub(crate) fn root() -> &'static Path {
    static MANIFEST: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    MANIFEST.parent().unwrap_or(Path::new("."))
}

/// The cargo that runs this program.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(root());
    command
}

/// What `cargo metadata` tells of the workspace's own packages.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// The name it has in code, where that differs.
    pub(crate) rename: Option<String>,
    /// `None` for what the product is built from, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Set for packages of this workspace.
    pub(crate) path: Option<PathBuf>,
}

/// The packages of this workspace, without what they depend on.
pub(crate) fn metadata() -> Result<Metadata> {
    let output = cargo("metadata")
        .args(["--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", output.status);
    serde_json::from_slice(&output.stdout).context("read the output of cargo metadata")
}

/// Builds a program of the workspace the way it is shipped and returns where it is.
pub(crate) fn release(package: &str, program: &str) -> Result<PathBuf> {
    build(package, program, &[])
}

/// As [`release`], with more arguments for cargo.
pub(crate) fn build(package: &str, program: &str, more: &[String]) -> Result<PathBuf> {
    let mut cargo = cargo("build");
    match musl::target() {
        Some(target) => {
            cargo.args(["--target", &target]).env(musl::LIBSECCOMP, musl::libseccomp()?);
        }
        None => {
            eprintln!("no standard library for musl (`cargo xtask setup` installs it): building with glibc");
        }
    }
    cargo.args(more);
    built(cargo, package, "bin", program)
}

/// Builds a benchmark that is a program of its own, for this machine.
pub(crate) fn benchmark(package: &str, name: &str) -> Result<PathBuf> {
    built(cargo("build"), package, "bench", name)
}

/// Runs a build of one target, `bin` or `bench`, and returns the program it has made.
fn built(mut cargo: Command, package: &str, kind: &str, name: &str) -> Result<PathBuf> {
    let output = cargo
        .args(["--release", "--message-format=json-render-diagnostics", "--package", package])
        .args([&format!("--{kind}"), name])
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo build")?;
    ensure!(output.status.success(), "cargo build of {package}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| executable(line, name))
        .with_context(|| format!("cargo build of {package} named no program {name}"))
}

/// What cargo says in a line of JSON about something it has built.
#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// The file that a message of cargo says it has made, if that is `program`.
fn executable(message: &str, program: &str) -> Option<PathBuf> {
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    artifact.executable.filter(|_| artifact.target.name == program)
}

/// The program of tests that a message of cargo says it has made: its package's manifest, its target, its file.
pub(crate) fn test_program(message: &str) -> Option<(PathBuf, String, PathBuf)> {
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    let file = artifact.executable.filter(|_| artifact.profile.test)?;
    Some((artifact.manifest_path, artifact.target.name, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_program_asked_for_is_taken_from_cargos_messages() {
        let artifact = |name: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/c/Cargo.toml","target":{{"name":"{name}"}},
                    "profile":{{"test":true}},"executable":{file}}}"#
            )
        };
        assert_eq!(executable(&artifact("runhcs", r#""/t/runhcs""#), "runhcs"), Some("/t/runhcs".into()));
        assert_eq!(executable(&artifact("compute", "null"), "compute"), None);
        assert_eq!(executable(&artifact("manual", r#""/t/manual""#), "runhcs"), None);
        let test = test_program(&artifact("suite", r#""/t/suite-1""#));
        assert_eq!(test, Some(("/c/Cargo.toml".into(), "suite".to_owned(), "/t/suite-1".into())));
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#, "runhcs"), None);
    }
}
