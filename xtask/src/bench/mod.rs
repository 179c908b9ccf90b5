//! The benchmark of OCI runtimes against each other: all under the same conditions, in turns.
//!
//! [`place`] makes the conditions, [`bundle`] what is run, [`figures`] runs it, [`measure`] counts what it cost and
//! [`report`] says so.

pub(crate) mod bundle;
pub(crate) mod figures;
pub(crate) mod measure;
pub(crate) mod place;
pub(crate) mod report;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A runtime in the benchmark.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    /// As it is seen inside the benchmark's root file system.
    pub(crate) program: PathBuf,
}

/// What the process inside is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) contestants: Vec<Contestant>,
    /// How often each figure is measured.
    pub(crate) rounds: usize,
    /// How many containers there are for `list`.
    pub(crate) listed: usize,
}
