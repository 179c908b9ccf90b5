//! Ours with more and more pods: what grows, and how.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::contestant::Contestant;
use crate::crowd;
use crate::cycle::Network;
use crate::figures::Figures;

/// So many steps to the whole number.
const STEPS: usize = 5;

/// Starts pods step by step and measures after each; then ends them all.
pub(crate) async fn measure(ours: &Contestant, count: usize, figures: &mut Figures) -> Result<()> {
    let daemon = ours.pid().context("the daemon's process id")?;
    let mut pods = Vec::new();
    let (before, mut held) = (crowd::pss(&[daemon]), 0);
    for step in 1..=STEPS {
        let more = (count * step / STEPS).saturating_sub(pods.len());
        let begun = Instant::now();
        pods.extend(crowd::start(ours, more, Network::Host).await?);
        let who = format!("{} pods", pods.len());
        eprintln!("{who}");
        let each = begun.elapsed().as_secs_f64() * 1000.0 / more.max(1) as f64;
        figures.add("scale: start of one more pod by ten workers, ms", &who, each);
        tokio::time::sleep(Duration::from_secs(1)).await;
        held = crowd::pss(&[daemon]);
        let mut lists = Figures::default();
        crowd::lists(ours, &pods, ("all", &who), &mut lists).await?;
        for what in lists.order.clone() {
            let median = lists.median(&what, &who).context("a median")?;
            figures.add(&format!("scale: {what}"), &who, median);
        }
        figures.add("scale: memory of the daemon (PSS), KiB", &who, held as f64);
        figures.add("scale: memory of all (PSS), KiB", &who, crowd::pss(&ours.group.daemons()) as f64);
    }
    let each = held.saturating_sub(before) as f64 / pods.len().max(1) as f64;
    figures.add("scale: the daemon's memory for each pod, KiB", &format!("{} pods", pods.len()), each);
    crowd::end(ours, pods).await
}
