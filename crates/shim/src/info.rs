//! `-v` and `-info`: what this shim is.

use anyhow::Context as _;
use std::ffi::OsStr;
use std::io::Write;

const NAME: &str = "io.containerd.runhcs.v1";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Says the version, for people.
pub(crate) fn version(program: &OsStr) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}:\n  Version:  {VERSION}\n", program.display()).context("print the version")
}

/// Says it for containerd; options on standard input change nothing about it.
pub(crate) fn info() -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(&shim_api::bootstrap::runtime_info(NAME, VERSION))
        .context("print the information")
}
