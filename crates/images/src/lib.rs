//! Container images: references, registries, the content store, unpacking, garbage collection.
//!
//! [`Images`] is what callers hold. From a name to a root file system:
//! ```text
//! Reference ─▶ registry ─▶ manifest ─▶ plan ─▶ layers ─▶ unpack ─▶ Snapshotter
//!                                        └────────── store ──────────▶ Image { id, tags, digests, chain, config }
//! ```
//! What comes from a registry or an archive is believed only as far as its digest proves it. Containers are not known
//! here: an image's `chain` is what the snapshotter makes roots of.

mod archive;
mod config;
mod digest;
mod error;
mod garbage;
mod image;
mod images;
mod incoming;
mod layers;
mod leases;
mod manifest;
mod plan;
mod platform;
mod pull;
mod reference;
mod registry;
mod reserve;
mod store;
pub mod unpack;

pub use archive::{ArchiveError, Input};
pub use config::{Config, Network, Platform};
pub use digest::{Digest, DigestError, Hasher};
pub use error::{Error, FetchError, Kind, Result};
pub use garbage::Collected;
pub use image::{Image, Layer};
pub use images::Images;
pub use layers::{Progress, Step};
pub use manifest::ManifestError;
pub use reference::{Reference, ReferenceError};
pub use registry::{Auth, CredentialsError, HostsError, RegistryError, TlsError};
pub use reserve::Reserve;
pub use store::StoreError;
