//! The stories, by what a user is about.

mod delete;
mod errors;
mod exec;
mod kill;
mod lifecycle;
mod list;
mod run;

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
    ]
    .into_iter()
    .flatten()
    .copied()
}
