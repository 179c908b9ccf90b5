//! `delete`: removes what was made for a container outside of its own processes.

use crate::process::hooks::{self, DefaultEnv, Point};
use crate::saved::{Saved, Stage};
use crate::{create, hook_state, rootfs};
use compute::Error;
use compute::backend::Existing;
use oci_spec::runtime::ContainerState;

/// Goes on through errors, so that one thing that cannot be removed does not keep the others.
pub(crate) fn delete(container: &Existing<'_, Saved>) -> Result<(), Error> {
    let saved = container.saved;
    let mut errors = Vec::new();
    match saved.stage {
        Stage::Planned => abandon(saved),
        Stage::Prepared => errors.extend(saved.cgroup().destroy().err().map(Error::from)),
    }
    if let Some(class) = &saved.rdt
        && let Err(error) = class.destroy()
    {
        errors.push(Error::from(error));
    }
    if saved.host_mounts
        && let Err(error) = unmount(container)
    {
        errors.push(error);
    }
    if saved.poststop
        && let Err(error) = poststop(container)
    {
        // "The runtime MUST log a warning, but continue as if the hook succeeded."
        log::warn!("poststop hooks of {}: {error}", container.id);
    }
    let mut errors = errors.into_iter();
    match errors.next() {
        None => Ok(()),
        Some(first) => {
            let rest: String = errors.map(|error| format!("; {error}")).collect();
            Err(Error::new(first.kind(), format!("{first}{rest}")))
        }
    }
}

/// A creation that was cut off may have made control groups before this was on record, or may have found somebody
/// else's: only what is empty can be removed, and only that is.
fn abandon(saved: &Saved) {
    if saved.cgroup.unit.is_some() {
        return;
    }
    for hierarchy in &saved.cgroup.hierarchies {
        if let Err(cause) = rustix::fs::rmdir(&hierarchy.path) {
            log::debug!("{} is left alone: {cause}", hierarchy.path.display());
        }
    }
}

/// A container in the host's mount namespace leaves its mounts there.
fn unmount(container: &Existing<'_, Saved>) -> Result<(), Error> {
    let spec = create::kept_spec(container.state_dir)?;
    let request = create::rootfs_request(&spec, container.bundle, false, false, container.saved);
    Ok(rootfs::plan(&request)?.unmount_from_host()?)
}

fn poststop(container: &Existing<'_, Saved>) -> Result<(), Error> {
    let spec = create::kept_spec(container.state_dir)?;
    let state =
        hook_state::state(container.id.as_str(), container.bundle, &spec, ContainerState::Stopped, 0)?;
    let state = hook_state::json(&state)?;
    for hook in Point::Poststop.of_spec(&spec) {
        if let Err(error) = hooks::run(Point::Poststop, std::slice::from_ref(hook), &state, DefaultEnv::Empty)
        {
            log::warn!("{}", Error::from(error));
        }
    }
    Ok(())
}
