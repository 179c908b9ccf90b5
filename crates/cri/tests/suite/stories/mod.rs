//! What a client of any runtime sees, by area.

mod containers;
mod events;
mod exec;
mod fields;
mod image_volumes;
mod images;
mod limits;
mod logs;
mod mounts;
mod namespaces;
mod networks;
mod nri;
mod pods;
mod runtime;
mod security;
mod stats;
mod streaming;
mod users;

use crate::story::Story;

pub(crate) fn all() -> impl Iterator<Item = Story> {
    [
        runtime::STORIES,
        pods::STORIES,
        namespaces::STORIES,
        networks::STORIES,
        nri::STORIES,
        containers::STORIES,
        logs::STORIES,
        exec::STORIES,
        streaming::STORIES,
        users::STORIES,
        security::STORIES,
        limits::STORIES,
        mounts::STORIES,
        image_volumes::STORIES,
        fields::STORIES,
        images::STORIES,
        stats::STORIES,
        events::STORIES,
    ]
    .into_iter()
    .flatten()
    .copied()
}
