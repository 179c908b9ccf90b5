//! One verb of `cargo xtask` in one file: its arguments, and `run`.

pub(crate) mod bench;
pub(crate) mod ci;
pub(crate) mod demo;
pub(crate) mod dist;
pub(crate) mod generate;
pub(crate) mod machine;
pub(crate) mod rules;
pub(crate) mod setup;
pub(crate) mod test;
pub(crate) mod tree;
