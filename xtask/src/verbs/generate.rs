//! `gen`: manual pages, completions and the option reference, kept equal to the command line they describe.
//!
//! The package `manual` renders them, because it needs the product and this program must not (see Cargo.toml).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::{project, steps};

/// The folders that hold generated files and nothing else, and the page beside them.
const GENERATED: [&str; 3] = ["docs/man", "docs/reference.md", "contrib/completions"];

/// Render manual pages, shell completions and the option reference
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if a file is not what it would be
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let rendered = tempfile::tempdir().context("make a temporary folder")?;
    steps::run(
        project::cargo("run")
            .args(["--release", "--quiet", "--package", "manual", "--"])
            .arg(rendered.path()),
    )?;
    let (wanted, found) = (files(rendered.path())?, files(project::root())?);
    let stale: Vec<&String> = found.keys().filter(|path| !wanted.contains_key(*path)).collect();
    let changed: Vec<&String> =
        wanted.iter().filter(|(path, text)| found.get(*path) != Some(text)).map(|(path, _)| path).collect();
    if arguments.check {
        let differing: Vec<&str> = stale.into_iter().chain(changed).map(String::as_str).collect();
        ensure!(
            differing.is_empty(),
            "not what the command line says: {}; run `cargo xtask gen` and commit",
            differing.join(", ")
        );
        eprintln!("gen: {} files are up to date", wanted.len());
        return Ok(());
    }
    for path in stale {
        let path = project::root().join(path);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    for path in changed {
        let target = project::root().join(path);
        let folder = target.parent().unwrap_or(&target);
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        fs::copy(rendered.path().join(path), &target)
            .with_context(|| format!("write {}", target.display()))?;
        eprintln!("gen: {path}");
    }
    Ok(())
}

/// The generated files below `root`, by path from there.
fn files(root: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for place in GENERATED {
        let path = root.join(place);
        if path.is_file() {
            let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            files.insert(place.to_owned(), content);
        } else if path.is_dir() {
            for entry in fs::read_dir(&path).with_context(|| format!("list {}", path.display()))? {
                let entry = entry.with_context(|| format!("list {}", path.display()))?;
                let content =
                    fs::read(entry.path()).with_context(|| format!("read {}", entry.path().display()))?;
                files.insert(format!("{place}/{}", entry.file_name().to_string_lossy()), content);
            }
        }
    }
    Ok(files)
}
