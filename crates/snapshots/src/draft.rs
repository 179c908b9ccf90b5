//! A layer in the making: a folder that is gone again unless it is committed.

use crate::chain::ChainId;
use std::fmt;
use std::path::{Path, PathBuf};

/// In which namespace overlayfs looks for what it has to know of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attributes {
    /// `trusted.overlay.`: the host's root alone can write these.
    #[default]
    Trusted,
    /// `user.overlay.`: in a user namespace.
    User,
}

impl Attributes {
    /// The prefix of all that overlayfs keeps; no image may bring such an attribute along.
    pub fn prefix(self) -> &'static str {
        match self {
            Attributes::Trusted => "trusted.overlay.",
            Attributes::User => "user.overlay.",
        }
    }

    /// The attribute that hides what lower layers have in a folder.
    pub fn opaque(self) -> &'static str {
        match self {
            Attributes::Trusted => "trusted.overlay.opaque",
            Attributes::User => "user.overlay.opaque",
        }
    }
}

/// A folder to unpack a layer into. Dropped before it is committed, it is removed.
pub struct Draft {
    chain: ChainId,
    folder: PathBuf,
    attributes: Attributes,
    discard: Option<Box<dyn FnOnce(PathBuf) + Send>>,
}

impl Draft {
    /// For implementations: `discard` gets the folder if it is not taken.
    pub fn new(
        chain: ChainId,
        folder: PathBuf,
        attributes: Attributes,
        discard: impl FnOnce(PathBuf) + Send + 'static,
    ) -> Self {
        Self { chain, folder, attributes, discard: Some(Box::new(discard)) }
    }

    /// The layer it will be.
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// Where to unpack; empty at first, mode 0755.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How deletions have to be marked in it.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// For implementations: it is theirs now, and nothing removes it.
    pub fn take(mut self) -> (ChainId, PathBuf) {
        self.discard = None;
        (self.chain.clone(), self.folder.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(discard) = self.discard.take() {
            discard(std::mem::take(&mut self.folder));
        }
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("chain", &self.chain).field("folder", &self.folder).finish()
    }
}
