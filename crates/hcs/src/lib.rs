//! The Host Compute Service for Rust.

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
pub mod tracker;
#[cfg(windows)]
pub mod windows;

pub use error::{Error, Result};
pub use hresult::HResult;
