//! The Windows half of the project on a Linux machine: built by the host's rustc for `x86_64-pc-windows-gnu`, linked
//! by mingw, run under Wine.
//!
//! | part           | from                                                                   | kept in             |
//! |----------------|------------------------------------------------------------------------|---------------------|
//! | std            | rustup, else built from Debian's rust-src of the same version           | the toolchain       |
//! | linker         | Debian's mingw                                                          | the system          |
//! | Wine           | Debian's package; version 8 needs one library more (`bcryptprimitives`) | the system          |
//! | a Wine prefix  | made by `wineboot`, with that library in it                             | the cache folder    |
//!
//! `wine.sh` is what `.cargo/config.toml` runs a Windows program with, so `cargo test --target
//! x86_64-pc-windows-gnu` needs no more than this setup.

mod std_library;
pub(crate) mod test;
mod wine;

use anyhow::Result;

use wine::Server;

/// The target triple of everything that is built for Windows here.
pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";

/// Something that a Windows build or test needs and that is not a package.
pub(crate) struct Piece {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    install: fn() -> Result<()>,
}

impl Piece {
    /// Installs it; whatever it needs of packages must be there.
    pub(crate) fn install(&self) -> Result<()> {
        (self.install)()
    }
}

/// What is missing here, in the order in which it has to be installed.
pub(crate) fn missing() -> Result<Vec<Piece>> {
    let mut missing = Vec::new();
    if !std_library::is_there()? {
        let why = "the standard library of the target, of the rustc that is used";
        missing.push(Piece { name: "std for x86_64-pc-windows-gnu", why, install: std_library::install });
    }
    if !wine::is_there() {
        let why = "the Windows machine that tests run on, kept in the cache folder";
        missing.push(Piece { name: "a Wine prefix", why, install: wine::install });
    }
    Ok(missing)
}
