//! The stories, by what a user is about.

mod checkpoint;
mod compat;
mod delete;
mod descriptors;
mod documents;
mod errors;
mod events;
mod exec;
mod faults;
mod hooks;
mod hostile;
mod invalid;
mod kill;
mod killed;
mod lifecycle;
mod limits;
mod list;
mod mounts;
mod namespaces;
mod notify;
mod pause;
mod process;
mod rootfs;
mod rootless;
mod run;
mod seccomp;
mod soak;
mod terminal;
mod update;
mod userns;

use crate::story::Story;

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = Story> {
    [
        lifecycle::STORIES,
        run::STORIES,
        list::STORIES,
        exec::STORIES,
        kill::STORIES,
        delete::STORIES,
        errors::STORIES,
        terminal::STORIES,
        descriptors::STORIES,
        notify::STORIES,
        namespaces::STORIES,
        userns::STORIES,
        rootfs::STORIES,
        mounts::STORIES,
        process::STORIES,
        seccomp::STORIES,
        limits::STORIES,
        update::STORIES,
        events::STORIES,
        pause::STORIES,
        hooks::STORIES,
        checkpoint::STORIES,
        documents::STORIES,
        compat::STORIES,
        rootless::STORIES,
        hostile::STORIES,
        invalid::STORIES,
        faults::STORIES,
        killed::STORIES,
        soak::STORIES,
    ]
    .into_iter()
    .flatten()
    .copied()
}
