//! `test`: every test there is, on the program as it is shipped: here, and in the test machine (`xtask::machine`),
//! which has what this one may lack: systemd, cgroup v2 alone, and a user without privileges.
//!
//! `test windows` runs what is built for Windows (`crate::windows::test`).
//!
//! In CI a test that fails runs once more by itself: a machine that others use too makes some stories late. It is named
//! at the end if it passes then, and has failed if it does not.
//!
//! What can be tested nowhere is listed at the end with the reason. In CI a reason that is not in [`ALLOWED`] is a
//! failure, so that a missing package never turns the suite green.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::{machine, trees};

use super::setup;
use crate::tally::{AGAIN, Tally};
use crate::{project, windows};

/// What may be skipped in CI: part of the reason that the test gives, and why that is not CI's to change.
const ALLOWED: [(&str, &str); 18] = [
    ("a measurement", "it tells a figure and checks nothing"),
    ("run by another test", "it is what that test starts as a process of its own"),
    ("systemd is not installed", "the stories of the test machine run on a real one"),
    ("CAP_SYS_RESOURCE", "containers that CI runs in seldom have it"),
    ("needs capability", "the same"),
    ("resctrl", "needs a processor with Intel RDT"),
    ("the kernel offers no", "the kernel is the host's"),
    ("no cgroup controller", "the kernel is the host's"),
    ("the kernel has no NAT", "the kernel is the host's"),
    ("user namespaces are not to be had", "the kernel is the host's"),
    ("criu, and a kernel", "the test machine has both"),
    (
        "Go client",
        "client-go speaks to the streaming server where there is Go; our own client does everywhere",
    ),
    ("the plugin cannot be built", "plugins are built with NRI's library where there is Go"),
    ("COFFERDAM_CONTAINERD names no containerd 2", "the interface's suite is proven where there is one"),
    ("podman has no engine", "every podman command is its own"),
    ("ctr has no --init", "Docker and podman have it"),
    ("told of containerd only", "the others start no shim of their own accord"),
    ("this program has a terminal", "the test machine's console; it is tested on the host"),
];

/// Names the program under test to the acceptance suite and to the tests of callers.
const RUNTIME: &str = "COFFERDAM_RUNTIME";

/// Names the shim under test to its own tests and to those of callers.
const SHIM: &str = "COFFERDAM_SHIM";

/// Names the Debian tree with podman, containerd and Docker to the tests of callers.
const CALLERS: &str = "COFFERDAM_TREE";

/// Run every test: units, the engine in namespaces, the command line, its callers, the test machine
#[derive(clap::Args, Default)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Run only tests whose name contains this
    filter: Option<String>,
    /// Run only the tests of this crate
    #[arg(long, short)]
    package: Option<String>,
    /// Leave the test machine out
    #[arg(long)]
    no_machine: bool,
}

/// A part that is tested by itself.
#[derive(clap::Subcommand)]
enum Part {
    Windows(windows::test::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(Part::Windows(arguments)) = &arguments.part {
        return windows::test::run(arguments);
    }
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    if !here(arguments, &mut tally)? {
        failed.push("here");
    }
    if !arguments.no_machine && !in_machine(arguments, &mut tally)? {
        failed.push("in the test machine");
    }
    let skipped = tally.skipped().count();
    for (test, reason) in tally.skipped() {
        eprintln!("skipped {test}: {reason}");
    }
    for test in tally.unsteady() {
        eprintln!("unsteady {test}: failed among the others, passed by itself");
    }
    eprintln!("\n{} passed, {} failed, {skipped} skipped", tally.passed, tally.failed());
    ensure!(failed.is_empty(), "tests failed {}:{}", failed.join(" and "), tally.failures());
    if is_ci() {
        refuse_new_skips(&tally)?;
    }
    ensure!(tally.passed > 0, "no test ran");
    Ok(())
}

/// Runs the tests on this machine; whether all passed.
fn here(arguments: &Arguments, tally: &mut Tally) -> Result<bool> {
    let mut cargo = cargo_test(arguments);
    let shared =
        Shared::copy(&[&project::release("runhcs", RUNHCS)?, &project::release("shim", CONTAINERD_SHIM)?])?;
    cargo.env(RUNTIME, shared.0.join(RUNHCS)).env(SHIM, shared.0.join(CONTAINERD_SHIM));
    cargo.arg("--no-fail-fast").args(&arguments.filter).args(["--", "--color", "never", "--show-output"]);
    if std::env::var_os(CALLERS).is_none() && setup::is_root() {
        cargo.env(CALLERS, trees::callers()?);
    }
    let passed = count(&mut cargo, tally)?;
    if passed || !is_ci() {
        return Ok(passed);
    }
    // A program that died in the middle has no names for what it did not run, and no second try.
    let mut mended = tally.is_between_programs() && tally.failed() > 0;
    tally.again();
    for test in &tally.failed_tests() {
        eprintln!("again: {test}");
        let mut again = cargo_test(arguments);
        for (name, value) in cargo.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            again.env(name, value);
        }
        again.args(["--no-fail-fast", test, "--", "--exact", "--color", "never", "--show-output"]);
        // Several programs may have a test of that name.
        mended &= count(&mut again, tally)?;
    }
    Ok(mended && tally.failed() == 0)
}

/// Runs `cargo test` and counts what its programs say; whether all passed.
fn count(cargo: &mut Command, tally: &mut Tally) -> Result<bool> {
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("run cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no stdout")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("read the output of cargo test")?;
        if tally.read(&line) {
            eprintln!("{line}");
        }
    }
    Ok(child.wait().context("wait for cargo test")?.success())
}

fn is_ci() -> bool {
    std::env::var_os("COFFERDAM_CI").is_some_and(|value| value == "1")
}

/// The programs under test.
const RUNHCS: &str = "runhcs";
const CONTAINERD_SHIM: &str = "containerd-shim-runhcs-v1";

/// The programs in a folder that every user can reach, which the build's need not be: some tests run them as another.
struct Shared(PathBuf);

impl Shared {
    fn copy(programs: &[&Path]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("cofferdam-test-{}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let shared = Self(folder);
        std::fs::set_permissions(&shared.0, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        for program in programs {
            let name = program.file_name().context("a program has a name")?;
            std::fs::copy(program, shared.0.join(name))
                .with_context(|| format!("copy {}", program.display()))?;
        }
        Ok(shared)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("remove {}: {error}", self.0.display());
        }
    }
}

/// Runs the tests of the engine and of the command line in the test machine, the latter also as an unprivileged
/// user; whether all passed.
fn in_machine(arguments: &Arguments, tally: &mut Tally) -> Result<bool> {
    let programs = programs(arguments)?;
    if programs.is_empty() {
        return Ok(true);
    }
    let (runtime, shim) = (project::release("runhcs", RUNHCS)?, project::release("shim", CONTAINERD_SHIM)?);
    let mut payload = vec![(runtime.as_path(), RUNHCS), (shim.as_path(), CONTAINERD_SHIM)];
    payload.extend(programs.iter().map(|program| (program.file.as_path(), program.name.as_str())));
    let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
    let script = script(&names, arguments.filter.as_deref().unwrap_or_default(), is_ci());
    let outcome = match machine::run(&payload, &script, machine::PATIENCE) {
        // An emulator that gives up says nothing of what is tested in it.
        Err(error) if is_ci() => {
            eprintln!("the test machine, which is started once more: {error:#}");
            machine::run(&payload, &script, machine::PATIENCE)?
        }
        outcome => outcome?,
    };
    for line in outcome.output.lines() {
        tally.read(line.trim_end());
    }
    eprintln!("the test machine ran for {:.1} s", outcome.took.as_secs_f64());
    Ok(outcome.code == 0)
}

/// What the machine runs: each program as root, then the stories of the command line once more as its user.
fn script(programs: &[&str], filter: &str, again: bool) -> String {
    let mut script = "export COFFERDAM_RUNTIME=/payload/runhcs COFFERDAM_BUSYBOX=/usr/bin/busybox\n\
         export COFFERDAM_SHIM=/payload/containerd-shim-runhcs-v1\n\
         # What is repeated to find leaks and races is repeated on the host; an emulated processor is slow.\n\
         export COFFERDAM_SOAK=20 COFFERDAM_KILL_POINTS=10\nfailed=0\n"
        .to_owned();
    script += &play(again);
    let arguments = format!("--color never --show-output {filter}");
    for program in programs.iter().filter(|program| **program != CALLERS_PROGRAM) {
        script += &format!("play '{program}' './{program} {arguments}'\n");
    }
    if programs.contains(&STORIES) {
        script += &format!(
            "play '{STORIES} as a user' 'runuser -u user -- env XDG_RUNTIME_DIR=/run/user/1000 \
             DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus ./{STORIES} {arguments}'\n"
        );
    }
    if programs.contains(&CALLERS_PROGRAM) && filter.is_empty() {
        let skip = SLOW_BY_EMULATION.map(|story| format!("--skip {story}")).join(" ");
        let podman = format!("./{CALLERS_PROGRAM} --color never {skip}");
        let of_user = "cd /payload; COFFERDAM_RUNTIME=$COFFERDAM_RUNTIME COFFERDAM_TREE=/";
        script += &format!(
            "export COFFERDAM_TREE=/\nplay podman '{podman}' podman\n\
             as_user() {{ su --login user --command \"{of_user} $*\"; }}\n\
             play 'podman of a user' 'as_user {podman}' podman\n"
        );
    }
    script + "exit $failed\n"
}

/// The shell function that runs a program of tests: `play HEADLINE COMMAND [FILTER]`.
fn play(again: bool) -> String {
    let mut play =
        "play() {\n echo; echo \"== $1\"\n { $2 $3 2>&1; echo $? > /tmp/code; } | tee /tmp/played\n \
         [ \"$(cat /tmp/code)\" = 0 ] && return\n"
            .to_owned();
    if again {
        play += &format!(
            " tests=$(sed -n 's/^test \\([^ ]*\\) *[.]* FAILED$/\\1/p' /tmp/played)\n \
             [ \"$tests\" ] && grep -q '^test result: ' /tmp/played || failed=1\n echo; echo '{AGAIN}'\n \
             for test in $tests; do $2 --exact \"$test\" || failed=1; done\n"
        );
    } else {
        play += " failed=1\n";
    }
    play + "}\n"
}

/// The test program of podman and others, of which the machine has podman.
const CALLERS_PROGRAM: &str = "runhcs-callers";

/// Stories of callers that tell nothing of systemd or cgroup v2, and take long where a processor is emulated.
const SLOW_BY_EMULATION: [&str; 7] =
    ["twenty_at_once", "logs", "kill", "volumes", "init", "health", "refusals"];

/// The test program that plays the stories of the command line.
const STORIES: &str = "runhcs-runtime";

/// A program of tests.
struct Program {
    /// `CRATE-TARGET`
    name: String,
    file: PathBuf,
}

/// Those test programs whose tests depend on the system that they run in.
fn programs(arguments: &Arguments) -> Result<Vec<Program>> {
    let output = cargo_test(arguments)
        .args(["--no-run", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo test")?;
    ensure!(output.status.success(), "cargo test --no-run: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let tests = text.lines().filter_map(project::test_program);
    // The engine's units look at what a host of theirs has; of its tests the suite makes containers.
    let wanted = tests.filter(|(manifest, target, _)| match package_of(manifest) {
        "linux" => target == "suite",
        "shim" => target == "pods",
        package => package == "runhcs",
    });
    Ok(wanted
        .map(|(manifest, target, file)| Program { name: format!("{}-{target}", package_of(&manifest)), file })
        .collect())
}

fn package_of(manifest: &Path) -> &str {
    manifest.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default()
}

fn cargo_test(arguments: &Arguments) -> Command {
    let mut cargo = project::cargo("test");
    // The tests themselves in the quick profile; the program they test is the one that is shipped.
    cargo.arg("--all-features");
    match &arguments.package {
        Some(package) => cargo.args(["--package", package]),
        None => cargo.arg("--workspace"),
    };
    cargo
}

fn refuse_new_skips(tally: &Tally) -> Result<()> {
    let allowed = |reason: &str| ALLOWED.iter().any(|(part, _)| reason.contains(part));
    let new: Vec<&str> =
        tally.skipped().filter(|(_, reason)| !allowed(reason)).map(|(test, _)| test).collect();
    if new.is_empty() {
        return Ok(());
    }
    bail!(
        "skipped, which CI does not allow: {}; make `cargo xtask setup` install what they miss, or add the reason to \
         ALLOWED in xtask/src/verbs/test.rs",
        new.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_failing_test_passes_by_itself_passes() {
        let folder = tempfile::tempdir().unwrap();
        let tests = folder.path().join("tests");
        // Fails among others, and passes by itself; with -d it dies on the way.
        let program = "#!/bin/sh\ncase \"$*\" in\n *--exact\\ late) echo 'test late ... ok';;\n \
             *) echo 'test late     ... FAILED'; [ $1 = -d ] || echo 'test result: FAILED.'; exit 1;;\nesac\n";
        std::fs::write(&tests, program).unwrap();
        std::fs::set_permissions(&tests, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let run = |again, how| {
            let script =
                format!("failed=0\n{}play tests '{} {how}'\nexit $failed", play(again), tests.display());
            Command::new("sh").args(["-c", &script]).output().unwrap()
        };
        let output = run(true, "-q");
        assert!(output.status.success(), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("\n== again\ntest late ... ok\n"),
            "{output:?}"
        );
        assert_eq!(run(false, "-q").status.code(), Some(1));
        // It died before its end: what it did not run has not passed.
        assert_eq!(run(true, "-d").status.code(), Some(1));
    }

    #[test]
    fn ci_allows_only_the_skips_on_the_list() {
        let mut tally = Tally::default();
        tally.read("test a ... ignored (needs CAP_SYS_RESOURCE)");
        assert!(refuse_new_skips(&tally).is_ok());
        tally.read("test b ... ignored (crun is not installed)");
        let refusal = refuse_new_skips(&tally).unwrap_err().to_string();
        assert!(refusal.starts_with("skipped, which CI does not allow: b; "), "{refusal}");
    }

    #[test]
    fn the_machine_runs_every_program_and_the_stories_twice() {
        let script = script(&["linux-linux", STORIES], "exec", true);
        assert!(
            script.contains("\nplay 'linux-linux' './linux-linux --color never --show-output exec'\n"),
            "{script}"
        );
        assert_eq!(script.matches("./runhcs-runtime").count(), 2, "{script}");
        assert!(script.ends_with("exit $failed\n"));
    }
}
