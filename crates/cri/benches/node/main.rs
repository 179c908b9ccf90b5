//! The daemon against containerd with runc and crun: every figure of a node, taken in turns in one run.
//!
//! It is started by `cargo xtask bench cri`, as root, in a Debian tree with containerd, in namespaces of its own. Where
//! every contestant can do a thing once per round, rounds are interleaved, so that what the machine does besides hits
//! all alike. Processor time is what the kernel charged to a contestant's cgroup: the daemon, its shims, runtimes,
//! network plugins and containers, not this program and not the registry.
#![expect(clippy::print_stderr, reason = "tells the person at the terminal how far it is")]

mod cgroup;
mod client;
mod contestant;
mod crowd;
mod cycle;
mod figures;
mod image;
mod left_behind;
mod plugins;
mod pulls;
mod registry;
mod report;
mod scale;
mod soak;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use contestant::{Contestant, Kind};
use figures::Figures;

#[derive(Debug, clap::Parser)]
struct Arguments {
    /// The work folder, with `bin/cofferdam` and its shim in it
    #[arg(long)]
    work: PathBuf,
    /// How often each verb is timed
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How many pods there are when memory, lists and statistics are measured
    #[arg(long, default_value_t = 50)]
    crowd: usize,
    /// How often the large image is pulled
    #[arg(long, default_value_t = 3)]
    pulls: usize,
    /// Up to how many pods ours is scaled; 0 leaves that out
    #[arg(long, default_value_t = 0)]
    scale: usize,
    /// How many cycles ours is run for, to see what is left behind; 0 leaves that out
    #[arg(long, default_value_t = 0)]
    soak: usize,
    /// Which parts: cycle, crowd, pull
    #[arg(long, value_delimiter = ',', default_values = ["cycle", "crowd", "pull"])]
    parts: Vec<String>,
    /// Where the results are written, as JSON and as Markdown with this stem
    #[arg(long)]
    results: PathBuf,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("make an executor")?;
    runtime.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let images = image::build(&arguments.work.join("registry"))?;
    let _registry = registry::serve(&arguments.work.join("registry")).await?;
    plugins::configure()?;
    let mut figures = Figures::default();

    let ours = Contestant::start(Kind::Cofferdam, &arguments.work).await?;
    let theirs = Contestant::start(Kind::Containerd, &arguments.work).await?;
    let daemons = [&ours, &theirs];
    for daemon in daemons {
        daemon.client().pull(image::SMALL).await?;
    }
    let wants = |part: &str| arguments.parts.iter().any(|wanted| wanted == part);
    if wants("crowd") {
        // First, before anything else makes a daemon's heap grow.
        crowd::measure(&daemons, arguments.crowd, &mut figures).await?;
    }
    if wants("cycle") {
        cycle::measure(&daemons, arguments.rounds, &mut figures).await?;
        plugins::measure(&arguments.work, arguments.rounds, &mut figures).await?;
    }
    if wants("pull") {
        pulls::measure(&daemons, arguments.pulls, &mut figures).await?;
    }
    theirs.stop().await?;
    if arguments.scale > 0 {
        scale::measure(&ours, arguments.scale, &mut figures).await?;
    }
    if arguments.soak > 0 {
        soak::measure(&ours, arguments.soak, &mut figures).await?;
    }
    ours.stop().await?;
    report::write(&figures, &images, &arguments.results)
}
