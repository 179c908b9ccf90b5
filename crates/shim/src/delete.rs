//! `delete`: ends and removes what a shim that is gone has left behind of one container or sandbox.
//!
//! Everything it needs lies in the bundle: the records of containers, that of the pod, and how the container ended, if it
//! did before its shim. It goes on through errors, so that one thing that cannot be removed does not keep the others.

use crate::flags::Flags;
use crate::{address, backends, pod, start};
use anyhow::Context as _;
use shim_api::Exited;
use shim_api::outcome::Outcome;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::SystemTime;

/// What is reported of a container that was killed here.
const KILLED: i32 = 137;

/// See the module's text.
pub(crate) fn delete(flags: &Flags) -> anyhow::Result<()> {
    let bundle = flags.bundle()?;
    let mut pid = 0;
    let mut result = Ok(());
    let engine = backends::engine(&bundle, &shim_api::Options::default());
    for id in engine.store().ids().context("list the containers of the bundle")? {
        pid = engine.state(&id).map_or(pid, |state| state.pid);
        result = result.and(engine.delete(&id, true).with_context(|| format!("remove container {id}")));
    }
    result = result.and(
        backends::unmount_layers(&bundle.join("rootfs"))
            .map_err(compute::Error::from)
            .context("unmount the root file system"),
    );
    result = result.and(pod::remove_leftovers(&bundle).context("remove the pod"));
    remove_socket(flags);
    let outcome = Outcome::read(&bundle).unwrap_or_else(|error| {
        log::warn!("{error}");
        None
    });
    let outcome = outcome.unwrap_or(Outcome { code: KILLED, at: SystemTime::now(), oom_killed: false });
    let exited = Exited { pid, code: outcome.code, at: outcome.at };
    result?;
    std::io::stdout().write_all(&shim_api::bootstrap::deleted(exited)).context("print the exit status")
}

/// Unless somebody listens.
fn remove_socket(flags: &Flags) {
    let socket = address::socket(start::params().as_ref(), &flags.address, &flags.namespace, &flags.id);
    if is_dead(&socket) {
        // What is left of it does no harm: the next shim of this name takes it over.
        let _ = std::fs::remove_file(&socket);
    }
}

fn is_dead(socket: &Path) -> bool {
    UnixStream::connect(socket).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}
