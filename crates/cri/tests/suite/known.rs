//! What containerd is known to do otherwise than the stories tell, with the reason.
//!
//! Seen with containerd 2.1. A story that [`Fails`](Known::Fails) there is played all the same and has to fail, which
//! shows that it can.

/// What is known of a story.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    /// It fails.
    Fails(&'static str),
    /// It is not played, because it would spoil others.
    Skipped(&'static str),
}

const CONTAINERD: &[(&str, Known)] = &[];

/// What is known of a story, by its name.
pub(crate) fn of_containerd(story: &str) -> Option<Known> {
    CONTAINERD.iter().find(|(name, _)| *name == story).map(|(_, known)| *known)
}
