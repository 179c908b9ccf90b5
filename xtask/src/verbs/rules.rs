//! `rules`: the house rules (`crate::rules`) on this clone.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::project;
use crate::rules::{self, Project};

/// Check the house rules
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Add the checksums of new fixtures to fixtures.lock first
    #[arg(long)]
    lock: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut project = Project::read()?;
    if arguments.lock {
        project.fixtures_lock = rules::lock(&project);
        let path = project::root().join(rules::LOCK);
        fs::write(&path, &project.fixtures_lock).with_context(|| format!("write {}", path.display()))?;
    }
    let findings = rules::check(&project);
    for finding in &findings {
        eprintln!("{finding}");
    }
    ensure!(findings.is_empty(), "{} house rules are broken", findings.len());
    eprintln!("rules: {} files keep them", project.sources.len());
    Ok(())
}
