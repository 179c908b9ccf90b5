//! The documents of HCS: schema 2.x and, in [`v1`], 1.0; those of HCN in [`network`].
//!
//! Names are those of the schema without their underscores (`Container_Memory` is [`ContainerMemory`]). Where
//! Microsoft's clients use fields that no published schema has, the field says so.

mod compute_system;
mod container;
mod credential_guard;
mod devices;
mod disks;
mod errors;
mod events;
mod flags;
mod guest;
mod guest_resources;
mod layers;
mod migration;
mod modify;
mod namespaces;
pub mod network;
mod options;
mod process;
mod processor_features;
mod properties;
mod registry;
pub mod resource;
mod service;
mod signal;
mod topology;
pub mod v1;
mod virtual_machine;

pub use compute_system::*;
pub use container::*;
pub use credential_guard::*;
pub use devices::*;
pub use disks::*;
pub use errors::*;
pub use events::*;
pub use flags::*;
pub use guest::*;
pub use guest_resources::*;
pub use layers::*;
pub use migration::*;
pub use modify::*;
pub use namespaces::*;
pub use options::*;
pub use process::*;
pub use processor_features::*;
pub use properties::*;
pub use registry::*;
pub use service::*;
pub use signal::*;
pub use topology::*;
pub use virtual_machine::*;

use crate::document::{Table, Words};

/// The tables of all HCS documents of schema 2.x.
#[expect(unused_qualifications, reason = "each module has tables of its own; the lint sees one glob")]
pub fn tables() -> impl Iterator<Item = &'static Table> {
    [
        compute_system::TABLES,
        container::TABLES,
        credential_guard::TABLES,
        devices::TABLES,
        disks::TABLES,
        errors::TABLES,
        events::TABLES,
        guest::TABLES,
        guest_resources::TABLES,
        layers::TABLES,
        migration::TABLES,
        modify::TABLES,
        namespaces::TABLES,
        options::TABLES,
        process::TABLES,
        properties::TABLES,
        registry::TABLES,
        service::TABLES,
        topology::TABLES,
        virtual_machine::TABLES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The tables of all HCS enumerations, numbers with names included.
#[expect(unused_qualifications, reason = "each module has tables of its own; the lint sees one glob")]
pub fn words() -> impl Iterator<Item = &'static Words> {
    [
        container::WORDS,
        credential_guard::WORDS,
        devices::WORDS,
        disks::WORDS,
        errors::WORDS,
        events::WORDS,
        flags::NUMBERS,
        guest::WORDS,
        guest_resources::WORDS,
        layers::WORDS,
        migration::WORDS,
        modify::WORDS,
        namespaces::WORDS,
        options::WORDS,
        process::WORDS,
        processor_features::WORDS,
        properties::WORDS,
        registry::WORDS,
        service::WORDS,
        topology::WORDS,
        virtual_machine::WORDS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
