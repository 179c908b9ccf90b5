//! The one place that names the backend. Everything else speaks of containers.

use compute::backend::Existing;
use compute::record::Store;
use compute::{ContainerId, Runtime};
use linux::{Config, Linux};
use shim_api::{NewTask, Options};
use std::path::{Path, PathBuf};

pub(crate) use linux::Child;
pub(crate) use linux::Options as ProcessOptions;
pub(crate) use linux::cgroup::stats::{BlkioEntry, Hugetlb, MemoryEntry, Stats};
pub(crate) use linux::cgroup::{OomEvent, OomEvents};
pub(crate) use linux::checkpoint::{CgroupMode, Checkpoint, Image, Restore};
pub(crate) use linux::features;
pub(crate) use linux::pod;
pub(crate) use linux::process::terminal::receive_descriptor;
pub(crate) use linux::rootfs::{mount_layers, unmount_layers};
pub(crate) use linux::signals;

/// The folder of records in a container's bundle.
const RECORDS: &str = "runtime";

/// The containers of one bundle: one, and after a crash perhaps what is left of it.
pub(crate) type Engine = Runtime<Linux>;

/// If this process is to become a container's or a pod's, that is done here and never returns.
pub(crate) fn become_init() {
    if linux::init::is_init() {
        linux::init::main()
    }
    if pod::reaper::is_reaper() {
        pod::reaper::main()
    }
}

/// The runtime for the container of a bundle. Its records lie in the bundle, so that they go with it.
pub(crate) fn engine(bundle: &Path, options: &Options) -> Engine {
    let config = Config { systemd_cgroup: options.systemd_cgroup, ..Config::default() };
    Runtime::new(Linux::new(config), Store::new(records(bundle)))
}

/// Where they lie.
pub(crate) fn records(bundle: &Path) -> PathBuf {
    bundle.join(RECORDS)
}

/// How a new process is made.
pub(crate) fn process_options(options: &Options) -> ProcessOptions {
    ProcessOptions {
        no_pivot: options.no_pivot_root,
        no_new_keyring: options.no_new_keyring,
        ..ProcessOptions::default()
    }
}

/// What a container is continued from.
pub(crate) fn restore(new: &NewTask, path: &Path) -> Restore {
    let work = Path::new(&new.options.criu_work_path);
    let work = (!work.as_os_str().is_empty()).then(|| work.to_owned());
    Restore { image: Image { path: path.to_owned(), work, ..Image::default() }, ..Restore::default() }
}

/// Begins to watch for out-of-memory kills.
pub(crate) fn oom_events(engine: &Engine, id: &ContainerId) -> compute::error::Result<OomEvents> {
    with_existing(engine, id, |existing| engine.backend().oom_events(existing))
}

/// Ends what is left of a container whose first process is gone.
pub(crate) fn kill_leftovers(engine: &Engine, id: &ContainerId) -> compute::error::Result<()> {
    use compute::Backend as _;
    with_existing(engine, id, |existing| engine.backend().kill_all(existing))
}

/// What it uses, and whether that was read from the second interface of control groups.
pub(crate) fn stats(engine: &Engine, id: &ContainerId) -> compute::error::Result<(Stats, bool)> {
    let is_v2 = with_existing(engine, id, |existing| Ok(engine.backend().is_cgroup_v2(existing)))?;
    Ok((engine.stats(id)?, is_v2))
}

fn with_existing<T>(
    engine: &Engine,
    id: &ContainerId,
    act: impl FnOnce(&Existing<'_, linux::Saved>) -> compute::error::Result<T>,
) -> compute::error::Result<T> {
    let record = engine.record(id)?;
    let state_dir = engine.store().dir(id);
    act(&Existing { id, bundle: &record.bundle, state_dir: &state_dir, saved: &record.backend })
}
