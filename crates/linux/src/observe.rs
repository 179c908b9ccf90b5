//! What is true of a container right now.

use crate::saved::Saved;
use crate::{procfs, start_fifo};
use compute::backend::{Existing, Observed};
use compute::{Error, Status};

/// Looks at its process, its freezer and its start pipe.
pub(crate) fn observe(container: &Existing<'_, Saved>) -> Result<Observed, Error> {
    let stopped = Observed { status: Status::Stopped, pid: 0 };
    let Some(init) = container.saved.init else { return Ok(stopped) };
    if !procfs::is_alive(init)? {
        return Ok(stopped);
    }
    let status = if container.saved.cgroup().frozen()? {
        Status::Paused
    } else if start_fifo::is_waited_on(container.state_dir) {
        Status::Created
    } else {
        Status::Running
    };
    Ok(Observed { status, pid: init.pid })
}

/// Whether this process is in a user namespace other than the first: the first maps all ids to themselves.
pub(crate) fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_ascii_whitespace().ne(["0", "0", "4294967295"]))
}
