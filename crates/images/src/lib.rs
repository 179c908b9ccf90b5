//! Container images: references, registries, the content store, unpacking, garbage collection.

pub mod unpack;
