//! A mount as a value: what a snapshot is made of and what the shim protocol carries.

use serde::{Deserialize, Serialize};

/// One mount, in the words of `mount(8)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The file system, or `bind`.
    pub kind: String,
    /// The device, the folder to bind, or a word.
    pub source: String,
    /// Where, below the mount point that the whole list is for; empty for the mount point itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Options, as in `fstab`.
    pub options: Vec<String>,
}
