//! The documents of HCN. Their schema counts on its own: 2.0 to 2.14.

mod flags;
mod legacy;
mod objects;
mod policies;
mod requests;

pub use flags::*;
pub use legacy::*;
pub use objects::*;
pub use policies::*;
pub use requests::*;

use crate::document::{Table, Words};

/// The tables of all HCN documents.
#[expect(unused_qualifications, reason = "each module has tables of its own; the lint sees one glob")]
pub fn tables() -> impl Iterator<Item = &'static Table> {
    [legacy::TABLES, objects::TABLES, policies::TABLES, requests::TABLES].into_iter().flatten().copied()
}

/// The tables of all HCN enumerations, numbers included.
#[expect(unused_qualifications, reason = "each module has tables of its own; the lint sees one glob")]
pub fn words() -> impl Iterator<Item = &'static Words> {
    [flags::NUMBERS, objects::WORDS, policies::WORDS, requests::WORDS].into_iter().flatten().copied()
}
