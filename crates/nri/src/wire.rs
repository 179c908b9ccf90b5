//! The messages, as they are compiled from `proto/`.

/// The interface's own. They are plain structures, and the words in which a runtime talks to [`crate::Plugins`].
#[allow(missing_docs, clippy::all, unused_qualifications, reason = "generated")]
pub mod api {
    include!(concat!(env!("OUT_DIR"), "/nri.pkg.api.v1alpha1.rs"));
}

/// The envelope of a call.
#[allow(missing_docs, unreachable_pub, clippy::all, unused_qualifications, reason = "generated")]
pub(crate) mod ttrpc {
    include!(concat!(env!("OUT_DIR"), "/ttrpc.rs"));
}
