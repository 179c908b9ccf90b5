//! Thousands of cycles, and what is left behind after them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cri::wire::v1::{RemoveContainerRequest, StopContainerRequest};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::contestant::{Contestant, Handler};
use crate::crowd::pss;
use crate::cycle::{Network, Pod};
use crate::figures::Figures;
use crate::left_behind::Census;

const WORKERS: usize = 4;

/// Files that the daemon may have open more than before: connections that are about to close.
const FILES: usize = 4;

/// Runs cycles; fails with what is left that was not there before.
pub(crate) async fn measure(ours: &Contestant, cycles: usize, figures: &mut Figures) -> Result<()> {
    let handler = *ours.kind.handlers().first().context("a handler")?;
    let daemon = ours.pid().context("the daemon's process id")?;
    // What the first pod makes for all that follow.
    once(ours, handler, 0).await?;
    let (before, memory, files) = (Census::take(), pss(&[daemon]), open_files(daemon));
    let begun = Instant::now();
    let cycle = |number| once(ours, handler, number);
    let done = stream::iter(0..cycles).map(cycle).buffer_unordered(WORKERS);
    done.try_collect::<Vec<()>>().await?;
    let who = format!("{cycles} cycles");
    figures.add("soak: cycles per second", &who, cycles as f64 / begun.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(2)).await;
    figures.add("soak: memory of the daemon before (PSS), KiB", &who, memory as f64);
    figures.add("soak: memory of the daemon after (PSS), KiB", &who, pss(&[daemon]) as f64);
    let left = Census::take().since(&before);
    figures.add("soak: things left behind", &who, left.len() as f64);
    ensure!(left.is_empty(), "left behind after {cycles} cycles:\n{}", left.join("\n"));
    let open = open_files(daemon);
    ensure!(open <= files + FILES, "{open} open files after {cycles} cycles, {files} before");
    Ok(())
}

/// One cycle: now and then with a command, now and then with an orderly stop of the container.
async fn once(ours: &Contestant, handler: Handler, number: usize) -> Result<()> {
    let network = if number.is_multiple_of(2) { Network::Cni } else { Network::Host };
    let pod = Pod::start(ours, handler, network).await?;
    if number.is_multiple_of(3) {
        pod.exec(ours, &["true"]).await?;
    }
    if number % 4 == 1 {
        let mut runtime = ours.client().runtime;
        let request = StopContainerRequest { container_id: pod.container.clone(), timeout: 0 };
        runtime.stop_container(request).await.context("StopContainer")?;
        let request = RemoveContainerRequest { container_id: pod.container.clone() };
        runtime.remove_container(request).await.context("RemoveContainer")?;
    }
    pod.end(ours).await.map(|_| ())
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
