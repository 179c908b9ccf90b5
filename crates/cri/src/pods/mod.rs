//! The verbs of pods, one file each.
//!
//! | state    | stop     | remove                     | create a container in it |
//! |----------|----------|----------------------------|--------------------------|
//! | ready    | notready | gone, stopped on the way   | ok                       |
//! | notready | notready | gone                       | –                        |
//!
//! A pod becomes not ready when it is stopped, when its shim dies, or with the host. It never becomes ready again:
//! the kubelet makes a new one.

mod files;
mod list;
mod network;
mod port_forward;
mod remove;
mod run;
mod stop;
mod update;

pub(crate) use files::shared;
pub(crate) use list::{list, matches_labels, status, status_response};
pub(crate) use port_forward::port_forward_url;
pub(crate) use remove::{remove, remove_leftovers};
pub(crate) use run::{name, ready, run, watch};
pub(crate) use stop::stop;
pub(crate) use update::update_resources;
