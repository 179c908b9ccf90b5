//! Devices by the Container Device Interface: vendors describe in files what makes a device usable in a container, and a
//! request names the device.
//!
//! ```text
//!  names ─▶ [`Cdi`]: the folders' files, read again when they change ─▶ edits ─▶ OCI spec
//! ```
//! A name is `vendor/class=device`. What a file says for all of its devices is applied once, before the first of them.
//! Of two folders that describe one device the later wins; of two files in one folder neither does, and the device
//! cannot be used.

mod document;
mod edits;
mod folders;
mod names;

use std::path::PathBuf;
use std::sync::Mutex;

use oci_spec::runtime::Spec;

pub(crate) use names::asked;

use crate::error::{Error, Result};
use crate::state::lock;
use folders::Folders;

/// The devices that files of this host describe.
pub(crate) struct Cdi {
    folders: Option<Mutex<Folders>>,
}

impl Cdi {
    /// Of these folders, the last of them the most important. With none, every device is refused.
    pub(crate) fn new(folders: &[PathBuf]) -> Self {
        let folders = (!folders.is_empty()).then(|| Mutex::new(Folders::new(folders.to_vec())));
        Self { folders }
    }

    /// Gives a container all devices of these names, or says which of them nobody describes. Blocks.
    pub(crate) fn inject(&self, spec: &mut Spec, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let Some(folders) = &self.folders else {
            let says = format!("CDI_devices: {}: CDI is off, cdi.folders is empty", names.join(", "));
            return Err(Error::invalid(says));
        };
        let all = lock(folders).resolve(names)?;
        all.iter().try_for_each(|edits| edits::apply(edits, spec))
    }
}

#[cfg(test)]
mod tests;
