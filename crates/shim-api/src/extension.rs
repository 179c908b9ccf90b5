//! The generated code of our protocol files.
#![allow(warnings, clippy::all, clippy::unwrap_used, reason = "generated")]

pub(crate) mod extension {
    include!(concat!(env!("OUT_DIR"), "/extension.rs"));
}

pub(crate) mod runc {
    include!(concat!(env!("OUT_DIR"), "/runc.rs"));
}

pub(crate) mod rpc {
    include!(concat!(env!("OUT_DIR"), "/extension_ttrpc.rs"));
}

pub(crate) use extension::{AttachRequest, Nothing, ReopenLogRequest};
pub(crate) use rpc::{Extension, ExtensionClient, create_extension};
