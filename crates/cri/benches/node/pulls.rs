//! A large image that nothing is there of, pulled from a registry on this machine and removed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::contestant::Contestant;
use crate::figures::{Figures, Goal};
use crate::image;

/// Pulls in turns.
pub(crate) async fn measure(daemons: &[&Contestant], rounds: usize, figures: &mut Figures) -> Result<()> {
    const PULL: &str = "cold pull, ms";
    const SPENT: &str = "processor time of a cold pull, ms";
    const REMOVE: &str = "RemoveImage, ms";
    for (what, most) in [(PULL, 0.4), (SPENT, 0.6), (REMOVE, 0.5)] {
        figures.goal(what, Goal::AtMost(most));
    }
    for round in 0..rounds {
        eprintln!("pull {} of {rounds}", round + 1);
        for turn in 0..daemons.len() {
            let daemon = daemons.get((round + turn) % daemons.len()).context("a daemon")?;
            let who = daemon.kind.handlers().first().context("a handler")?.title;
            let client = daemon.client();
            let spent = daemon.group.processor_time()?;
            let begun = Instant::now();
            client.pull(image::LARGE).await?;
            figures.time(PULL, who, begun.elapsed());
            figures.time(SPENT, who, daemon.group.processor_time()?.saturating_sub(spent));
            let begun = Instant::now();
            client.remove_image(image::LARGE).await?;
            figures.time(REMOVE, who, begun.elapsed());
            settle(daemon).await?;
        }
    }
    Ok(())
}

/// Waits until a daemon that deletes files after it has answered is done, so that it is nobody else's loss.
async fn settle(daemon: &Contestant) -> Result<()> {
    const QUIET: Duration = Duration::from_millis(500);
    const IDLE: Duration = Duration::from_millis(5);
    let mut before = daemon.group.processor_time()?;
    for _ in 0..60 {
        tokio::time::sleep(QUIET).await;
        let now = daemon.group.processor_time()?;
        if now.saturating_sub(before) < IDLE {
            break;
        }
        before = now;
    }
    Ok(())
}
