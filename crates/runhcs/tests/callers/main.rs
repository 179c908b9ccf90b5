//! Real callers run their containers with the runtime under test: podman, the Docker engine, containerd.
//!
//! | variable            | what it names                                              | when not set                  |
//! |---------------------|------------------------------------------------------------|-------------------------------|
//! | `COFFERDAM_TREE`    | a Debian tree that has the callers; `/` for this machine    | every story is skipped        |
//! | `COFFERDAM_SHIM`    | the containerd shim, by path                                | its stories are skipped       |
//! | `COFFERDAM_RUNTIME` | the runtime, by path, or by name for a program of the tree | the `runhcs` that cargo built |
//!
//! In a tree the stories play behind walls ([`jail`]); with `/` they play on the machine as it is, which is meant
//! for machines that exist for nothing else.

mod caller;
mod command;
mod containerd;
mod daemon;
mod docker;
mod image;
mod jail;
mod podman;
mod stage;
mod stories;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Trial};

use stage::{Kind, Stage, find};
use stories::{STORIES, Story};

/// Where the runtime under test lies in the jail.
const RUNTIME_IN_JAIL: &str = "/usr/local/sbin/runhcs";
/// Where the shim under test lies there: containerd finds it by its name.
const SHIM_IN_JAIL: &str = "/usr/local/sbin/containerd-shim-runhcs-v1";

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let tree = std::env::var_os("COFFERDAM_TREE").map(PathBuf::from);
    let runtime =
        std::env::var_os("COFFERDAM_RUNTIME").map_or(env!("CARGO_BIN_EXE_runhcs").into(), PathBuf::from);
    match (jail::step(), tree) {
        (jail::Step::Outside, Some(tree)) if tree != Path::new("/") && !arguments.list => {
            let shown = runtime.components().count() > 1;
            let mut files =
                if shown { vec![(runtime.canonicalize()?, RUNTIME_IN_JAIL.into())] } else { Vec::new() };
            if let Some(shim) = std::env::var_os("COFFERDAM_SHIM").map(PathBuf::from) {
                files.push((shim.canonicalize()?, SHIM_IN_JAIL.into()));
            }
            return Ok(ExitCode::from(u8::try_from(jail::enter(&tree, &files)?).unwrap_or(1)));
        }
        (jail::Step::Underway, _) => return Ok(ExitCode::from(u8::try_from(jail::proceed()?).unwrap_or(1))),
        (jail::Step::Outside, None) => {
            let reason =
                "COFFERDAM_TREE names no Debian tree with the callers (`cargo xtask test` makes one)";
            libtest_mimic::run(&arguments, trials(move |_, _| Ok(Completion::ignored_with(reason)))).exit();
        }
        (jail::Step::Inside, _) | (jail::Step::Outside, Some(_)) => {}
    }
    let runtime = match jail::step() {
        jail::Step::Inside if runtime.components().count() > 1 => PathBuf::from(RUNTIME_IN_JAIL),
        _ => find(&runtime)?,
    };
    // Engines keep their storage below: overlay wants a real file system or a tmpfs, not another overlay.
    let directory = tempfile::tempdir_in("/var/tmp")?;
    let stage = Arc::new(Stage::set(directory.path(), runtime)?);
    let conclusion = {
        let stage = Arc::clone(&stage);
        libtest_mimic::run(&arguments, trials(move |kind, story| play(&stage, kind, story)))
    };
    drop(stage);
    Ok(conclusion.exit_code())
}

fn trials<F>(play: F) -> Vec<Trial>
where
    F: Fn(Kind, &Story) -> Result<Completion> + Clone + Send + 'static,
{
    let pairs = STORIES.iter().flat_map(|story| Kind::ALL.map(|kind| (kind, story)));
    pairs
        .map(|(kind, story)| {
            let play = play.clone();
            Trial::ignorable_test(format!("{}::{}", kind.name(), story.name), move || {
                play(kind, story).map_err(|error| format!("{error:#}").into())
            })
        })
        .collect()
}

fn play(stage: &Stage, kind: Kind, story: &Story) -> Result<Completion> {
    if let Some(reason) = kind.cannot(story.name) {
        return Ok(Completion::ignored_with(reason));
    }
    if let Some(absent) = kind.programs().iter().find(|program| find(Path::new(program)).is_err()) {
        return Ok(Completion::ignored_with(format!("{absent} is not installed")));
    }
    let caller = stage.caller(kind, story)?;
    (story.tell)(&*caller)?;
    Ok(Completion::Completed)
}
