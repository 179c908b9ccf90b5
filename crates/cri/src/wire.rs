//! The interface's messages, as they are compiled from `proto/runtime.proto`.
//!
//! Inside this crate they are the words that verbs speak: a second family of the same sixty structures would only be
//! copied to and fro. They go no further: what leaves the crate is an OCI spec, a mount list, a network attachment.

// What the generated code is made of.
use {prost as _, tonic_prost as _};

/// Version 1, the only one that a kubelet of today speaks.
#[allow(missing_docs, clippy::all, unused_qualifications, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("runtime.v1");
}
