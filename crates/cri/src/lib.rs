//! The CRI daemon `cofferdam`: the kubelet's runtime and image services, over images, snapshots, networks and the shims
//! that hold the pods.
//!
//! ```text
//!  runtime_service ─▶ pods/*, containers/*  one verb, one file ─▶ spec ─▶ shim (by shim-api)
//!  image_service   ─▶ images                                  ├─▶ network, snapshots
//!  streaming       ─▶ sessions                                └─▶ store: records
//!  recovery: after a start, records and shims are compared
//! ```

mod calls;
mod cdi;
pub mod cli;
mod clock;
mod commands;
pub mod config;
mod containers;
mod copies;
mod daemon;
pub mod error;
mod events;
mod figures;
mod host;
mod id;
mod image_service;
mod metrics;
mod node;
mod plugins;
mod pods;
mod qos;
mod record;
mod recovery;
mod runtime_service;
mod serve;
mod sessions;
mod spec;
mod state;
mod stats;
mod store;
pub mod streaming;
mod traces;
pub mod wire;
