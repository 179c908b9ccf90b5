//! `bench oci`: our runtime against crun, runc and youki in one interleaved run. `bench cri`: our daemon against
//! containerd, by a program of its own that knows the interface.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use xtask::trees;

use super::setup;
use crate::bench::figures::{self, Figures};
use crate::bench::{Contestant, Plan, measure, place, report};
use crate::inside::{self, Cgroups, WORK};
use crate::{project, steps};

/// What crun and runc come from.
const TREE: [&str; 2] = ["crun", "runc"];

/// What the daemon is measured against, and what both call.
const DAEMONS: [&str; 8] = [
    "busybox-static",
    "ca-certificates",
    "containerd",
    "containernetworking-plugins",
    "crun",
    "iproute2",
    "iptables",
    "runc",
];

/// Measure our programs against others of their kind
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// OCI runtimes: time, processor time and memory of every verb
    Oci(Oci),
    /// CRI daemons: pods, processes in them, lists, statistics, pulls, memory, scale, leaks
    Cri(Cri),
    /// What `oci` does inside the place it has made
    #[command(hide = true)]
    Inside,
}

#[derive(clap::Args)]
struct Oci {
    /// How often each figure is measured
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// How many containers `list` has to list
    #[arg(long, default_value_t = 100)]
    listed: usize,
    /// A further contestant, or another program for one
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = contestant)]
    runtime: Vec<(String, PathBuf)>,
    /// Leave contestants out
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Where to write bench-oci.md and bench-oci.json
    #[arg(long, short, default_value = "target")]
    output: PathBuf,
}

#[derive(clap::Args)]
struct Cri {
    /// Where to write bench-cri.md and bench-cri.json
    #[arg(long, short, default_value = "target")]
    output: PathBuf,
    /// Passed on: --rounds, --crowd, --pulls, --scale, --soak, --parts
    #[arg(last = true)]
    passed_on: Vec<String>,
}

fn contestant(text: &str) -> Result<(String, PathBuf), String> {
    let (name, program) = text.split_once('=').ok_or("NAME=PROGRAM is wanted")?;
    Ok((name.to_owned(), PathBuf::from(program)))
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Oci(oci) => outside(oci),
        What::Cri(cri) => node(cri),
        What::Inside => inside(),
    }
}

fn outside(oci: &Oci) -> Result<()> {
    ensure!(setup::is_root(), "the contestants make namespaces and cgroups: run this as root");
    setup::need("busybox-static", "the programs inside the containers")?;
    let tree = trees::debian("oci-runtimes", &TREE)?;
    let work =
        tempfile::Builder::new().prefix("bench-").tempdir_in(trees::cache()).context("make a work folder")?;
    copy(Path::new("/bin/busybox"), &work.path().join("busybox"))?;

    let contestants = contestants(oci, work.path())?;
    let order: Vec<String> = contestants.iter().map(|contestant| contestant.name.clone()).collect();
    place::run(&tree, work.path(), &Plan { contestants, rounds: oci.rounds, listed: oci.listed })?;

    let results = work.path().join(place::RESULTS);
    let json = fs::read(&results).with_context(|| format!("read {}", results.display()))?;
    let all: BTreeMap<String, Figures> = serde_json::from_slice(&json).context("read the results")?;
    let page = report::markdown(&all, &order);
    eprintln!("\n{page}");
    fs::create_dir_all(&oci.output).with_context(|| format!("make {}", oci.output.display()))?;
    for (name, content) in [("bench-oci.md", page.as_bytes()), ("bench-oci.json", json.as_slice())] {
        let path = oci.output.join(name);
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// Ours, crun, runc, youki where it was built, and what the command line names.
fn contestants(oci: &Oci, work: &Path) -> Result<Vec<Contestant>> {
    let left_out = |name: &str| oci.without.iter().any(|other| other == name);
    let given = |name: &str| oci.runtime.iter().any(|(other, _)| other == name);
    let mut programs: Vec<(String, PathBuf)> = Vec::new();
    if !left_out("runhcs") && !given("runhcs") {
        programs.push(("runhcs".to_owned(), project::release("runhcs", "runhcs")?));
    }
    programs.extend(oci.runtime.iter().cloned());
    let mut contestants = Vec::new();
    for (name, program) in programs {
        copy(&program, &work.join(&name))?;
        contestants.push(Contestant { program: Path::new(WORK).join(&name), name });
    }
    for (name, program) in [("crun", "/usr/bin/crun"), ("runc", "/usr/sbin/runc")] {
        if !left_out(name) && !given(name) {
            contestants.push(Contestant { name: name.to_owned(), program: program.into() });
        }
    }
    let youki = setup::tool("youki");
    if !left_out("youki") && !given("youki") {
        if youki.is_file() {
            copy(&youki, &work.join("youki"))?;
            contestants.push(Contestant { name: "youki".to_owned(), program: Path::new(WORK).join("youki") });
        } else {
            eprintln!(
                "youki is left out: {} is not there (`cargo xtask setup --youki` builds it)",
                youki.display()
            );
        }
    }
    ensure!(!contestants.is_empty(), "nobody is left to measure");
    Ok(contestants)
}

/// The daemons run in a tree of Debian's newest versions, in namespaces that end with the run.
fn node(cri: &Cri) -> Result<()> {
    ensure!(setup::is_root(), "the contestants make namespaces and cgroups: run this as root");
    let tree = trees::tree(trees::NEWEST, "cri-daemons", &DAEMONS)?;
    let work =
        tempfile::Builder::new().prefix("bench-").tempdir_in(trees::cache()).context("make a work folder")?;
    let bin = work.path().join("bin");
    fs::create_dir(&bin).with_context(|| format!("make {}", bin.display()))?;
    for (package, program) in [("cri", "cofferdam"), ("shim", "containerd-shim-runhcs-v1")] {
        copy(&project::release(package, program)?, &bin.join(program))?;
    }
    copy(&project::benchmark("cri", "node")?, &bin.join("bench"))?;
    let mut command = inside::command(&tree, work.path(), Cgroups::Plain, "unshare");
    command
        .args(["--net", "--pid", "--ipc", "--mount", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", "ip link set lo up; exec \"$@\"", "bench", "/mnt/bin/bench"])
        .args(["--work", WORK, "--results", "/mnt/bench-cri"])
        .args(&cri.passed_on);
    let measured = steps::run(&mut command);
    fs::create_dir_all(&cri.output).with_context(|| format!("make {}", cri.output.display()))?;
    for name in ["bench-cri.md", "bench-cri.json", "cofferdam.log", "containerd.log"] {
        let from = work.path().join(name);
        if from.exists() {
            let to = cri.output.join(name);
            copy(&from, &to)?;
            eprintln!("wrote {}", to.display());
        }
    }
    measured
}

fn inside() -> Result<()> {
    let work = Path::new(WORK);
    let plan = work.join(place::PLAN);
    let text = fs::read(&plan).with_context(|| format!("read {}", plan.display()))?;
    let plan: Plan = serde_json::from_slice(&text).context("read the plan")?;
    let all = figures::take(&plan, work)?;
    let results = work.join(place::RESULTS);
    let json = serde_json::to_vec_pretty(&all).context("write the results")?;
    fs::write(&results, json).with_context(|| format!("write {}", results.display()))
}

/// `bench gauge FILE PROGRAM ARGUMENT…`: runs a program and writes its peak memory to a file. `None` if the command
/// line is another; it is looked at before clap takes memory that would count as the program's.
pub(crate) fn gauge() -> Option<Result<()>> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != "bench" || arguments.next()? != "gauge" {
        return None;
    }
    let (file, program) = (PathBuf::from(arguments.next()?), arguments.next()?);
    let spent = measure::run(Command::new(program).args(arguments));
    Some(spent.and_then(|spent| {
        fs::write(&file, spent.peak_kib.to_string()).with_context(|| format!("write {}", file.display()))
    }))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(|_| ()).with_context(|| format!("copy {} to {}", from.display(), to.display()))
}
