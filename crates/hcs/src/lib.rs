//! The Host Compute Service for Rust.
//!
//! [`documents`] has the JSON documents of the service as types; [`document`] says what all of them have in common.
//!
//! [`service`], [`network`] and [`storage`] have its calls as traits, which speak these documents: [`operation`] says
//! what an accepted call is until its result is there, [`event`] what a handle's callback hears, [`state`] what is
//! legal when, and [`hresult`] what the codes mean that come back.

pub mod abi;
pub mod document;
pub mod documents;
pub mod error;
pub mod event;
pub mod hresult;
pub mod network;
pub mod operation;
pub mod service;
pub mod state;
pub mod storage;
#[cfg(feature = "suite")]
pub mod suite;
pub mod tracker;
#[cfg(windows)]
pub mod windows;

pub use error::{Error, Result};
pub use hresult::HResult;
