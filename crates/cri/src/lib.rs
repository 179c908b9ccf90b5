//! The CRI daemon `cofferdam`: the kubelet's runtime and image services over images, snapshots, networks and the
//! shims that hold the pods.
pub mod wire;
pub mod config;
pub mod error;
mod host;
mod id;
mod record;
mod spec;
mod store;
pub mod streaming;
