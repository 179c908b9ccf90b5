//! `test windows`: what is built for Windows, run under Wine.
//!
//! The Host Compute Service that Wine lacks is this project's own: the libraries of `crates/hcs-abi` over the in-memory
//! service, put where Windows has its own. Tests and examples of `hcs` find them there, so each of their calls crosses
//! the C interface.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::{Server, TARGET};
use crate::project::cargo;
use crate::steps;
use crate::tally::Tally;
use crate::verbs::setup;

/// The libraries, which are also the packages that they are built from.
const LIBRARIES: [&str; 4] = ["computecore", "vmcompute", "computestorage", "computenetwork"];

/// The packages that are for Windows, or for it too.
pub(crate) const PACKAGES: [&str; 7] =
    ["hcs", "hcs-faulty", "hcs-exports", "computecore", "vmcompute", "computestorage", "computenetwork"];

/// The examples of `hcs`, and what each must say.
const EXAMPLES: [(&str, &str); 4] = [
    ("systems", "example-systems"),
    ("watch", "ForcedExit"),
    ("exec", "exit code 0"),
    ("network", "10.0.0."),
];

/// What `hcs` is tested with.
const FEATURES: &str = "suite,undocumented";

/// Run the tests of what is built for Windows, under Wine
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Run only tests whose name contains this
    filter: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::windows(true)?;
    let libraries = build_libraries()?;
    let server = Server::start()?;
    for library in &libraries {
        let name = library.file_name().context("a library without a name")?;
        std::fs::copy(library, server.system32().join(name))
            .with_context(|| format!("copy {} to system32", library.display()))?;
    }
    let mut tally = Tally::default();
    let (passed, cases) = test(arguments, &mut tally)?;
    if arguments.filter.is_none() {
        examples()?;
        shared_object()?;
    }
    let (all, failed) = (tally.passed, tally.failed());
    eprintln!("\nunder Wine: {all} passed, {failed} failed; of the suite's cases {cases} passed");
    ensure!(passed, "tests failed under Wine:{}", tally.failures());
    ensure!(tally.passed > 0, "no test ran");
    Ok(())
}

/// Builds the libraries over the in-memory service, and everything that uses them; returns where the libraries are.
///
/// In one go, because then the parts that they share are built once.
fn build_libraries() -> Result<Vec<PathBuf>> {
    let mut build = cargo("build");
    build.args(["--target", TARGET, "--message-format=json-render-diagnostics"]);
    build.args(["--lib", "--examples", "--test", "windows", "--package", "hcs", "--package", "hcs-faulty"]);
    let features = LIBRARIES.map(|library| format!("{library}/memory")).join(",");
    build.arg("--features").arg(format!("{features},hcs/suite,hcs/undocumented"));
    for library in LIBRARIES {
        build.args(["--package", library]);
    }
    let output = build.stderr(Stdio::inherit()).output().context("run cargo build")?;
    ensure!(output.status.success(), "cargo build of the libraries: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let libraries: Vec<PathBuf> = text.lines().flat_map(dynamic_libraries).collect();
    ensure!(libraries.len() == LIBRARIES.len(), "cargo built {libraries:?} and not {LIBRARIES:?}");
    Ok(libraries)
}

/// What cargo says in a line of JSON about something it has built.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The DLLs of a message of cargo's.
fn dynamic_libraries(message: &str) -> Vec<PathBuf> {
    let Ok(artifact) = serde_json::from_str::<Artifact>(message) else { return Vec::new() };
    let ours = LIBRARIES.contains(&artifact.target.name.as_str());
    let is_dll = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "dll");
    artifact.filenames.into_iter().filter(|path| ours && is_dll(path)).collect()
}

/// Runs the tests; whether all passed, and how many of them were cases of the suite. Lines that are not a test's verdict
/// are shown.
fn test(arguments: &Arguments, tally: &mut Tally) -> Result<(bool, usize)> {
    let mut cargo = cargo("test");
    cargo.args(["--target", TARGET, "--package", "hcs", "--features", FEATURES]);
    cargo.args(["--test", "windows", "--", "--color", "never"]);
    cargo.args(&arguments.filter);
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("run cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no stdout")?;
    let mut cases = 0;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("read the output of cargo test")?;
        let line = line.trim_end();
        cases += usize::from(line.starts_with("test suite by ") && line.ends_with(" ... ok"));
        if tally.read(line) {
            eprintln!("{line}");
        }
    }
    Ok((child.wait().context("wait for cargo test")?.success(), cases))
}

/// Runs the examples, which `test` has built.
fn examples() -> Result<()> {
    for (example, must_say) in EXAMPLES {
        let output = cargo("run")
            .args([
                "--quiet",
                "--target",
                TARGET,
                "--package",
                "hcs",
                "--features",
                FEATURES,
                "--example",
                example,
            ])
            .args((example == "systems").then_some(["--", "demo"]).into_iter().flatten())
            .stderr(Stdio::inherit())
            .output()
            .context("run cargo run")?;
        let said = String::from_utf8_lossy(&output.stdout);
        eprintln!("example {example}: {}", said.trim().replace("\r\n", "\n  ").replace('\n', "\n  "));
        if !output.status.success() || !said.contains(must_say) {
            bail!("example {example}: {}, and it was to say {must_say:?}", output.status);
        }
    }
    Ok(())
}

/// The same library for Linux, by a C program that is linked with it.
fn shared_object() -> Result<()> {
    let target = tempfile::tempdir().context("make a folder for the program")?;
    let (shared, program) = (crate::project::root().join("target/shared"), target.path().join("linked"));
    let shared =
        std::env::var_os("CARGO_TARGET_DIR").map_or(shared, |folder| PathBuf::from(folder).join("shared"));
    let mut build = cargo("build");
    build.args(["--quiet", "--package", "computecore", "--features", "memory", "--target-dir"]).arg(&shared);
    // A program of ours is static, a library for others' cannot be.
    build.env("RUSTFLAGS", "-C target-feature=-crt-static").args(["--config", "profile.dev.opt-level=0"]);
    steps::run(&mut build)?;
    let libraries = find(&shared, "libcomputecore.so").context("cargo built no libcomputecore.so")?;
    let source = crate::project::root().join("crates/hcs-abi/computecore/tests/linked.c");
    let mut link = Command::new("cc");
    link.args(["-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(source).arg("-L").arg(&libraries);
    steps::run(link.arg("-lcomputecore").arg(format!("-Wl,-rpath,{}", libraries.display())))?;
    steps::run(&mut Command::new(program)).context("the C program that is linked with libcomputecore.so")
}

/// The folder of a built file: `debug`, or that of a target.
fn find(built: &std::path::Path, name: &str) -> Option<PathBuf> {
    let targets = std::fs::read_dir(built).ok()?.flatten().map(|entry| entry.path().join("debug"));
    targets.chain([built.join("debug")]).find(|folder| folder.join(name).is_file())
}

/// The linter, on everything that is for Windows.
pub(crate) fn lint() -> Command {
    let mut clippy = cargo("clippy");
    clippy.args(["--target", TARGET, "--all-targets", "--all-features"]);
    for package in PACKAGES {
        clippy.args(["--package", package]);
    }
    clippy.args(["--", "-D", "warnings"]);
    clippy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_dlls_are_taken_from_cargos_messages() {
        let message = |name: &str| {
            format!(r#"{{"target":{{"name":"{name}"}},"filenames":["/t/{name}.dll","/t/lib{name}.dll.a"]}}"#)
        };
        assert_eq!(dynamic_libraries(&message("vmcompute")), [PathBuf::from("/t/vmcompute.dll")]);
        assert!(dynamic_libraries(&message("hcs_faulty")).is_empty());
        assert!(dynamic_libraries(r#"{"reason":"build-finished","success":true}"#).is_empty());
    }
}
