//! The state that hooks and seccomp agents get: the specification's, with its word `creating`, which no verb of ours
//! reports.

use compute::{Error, Kind};
use oci_spec::runtime::{ContainerState, Spec, State, StateBuilder};
use std::path::Path;

/// The state of a container that `spec` describes.
pub(crate) fn state(
    id: &str,
    bundle: &Path,
    spec: &Spec,
    status: ContainerState,
    pid: i32,
) -> Result<State, Error> {
    let mut state =
        StateBuilder::default().version(spec.version().clone()).id(id).status(status).bundle(bundle);
    if pid != 0 {
        state = state.pid(pid);
    }
    if let Some(annotations) = spec.annotations() {
        state = state.annotations(annotations.clone());
    }
    state.build().map_err(|cause| Error::new(Kind::Internal, format!("describe the state of {id}: {cause}")))
}

/// As hooks read it.
pub(crate) fn json(state: &State) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(state)
        .map_err(|cause| Error::new(Kind::Internal, format!("encode the container's state: {cause}")))
}
