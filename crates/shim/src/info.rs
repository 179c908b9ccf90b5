//! `-v` and `-info`: what this shim is.

use crate::backends::features;
use anyhow::Context as _;
use std::ffi::OsStr;
use std::io::Write;

const NAME: &str = "io.containerd.runhcs.v1";
/// Of the OCI runtime specification.
const SPEC: &str = "1.3.0";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Says the version, for people.
pub(crate) fn version(program: &OsStr) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}:\n  Version:  {VERSION}\n", program.display()).context("print the version")
}

/// Says it for containerd, which decides by it what pods may ask for; options on standard input change nothing about it.
pub(crate) fn info() -> anyhow::Result<()> {
    let features = serde_json::to_vec(&features::of(SPEC, [])).context("encode the features")?;
    std::io::stdout()
        .write_all(&shim_api::bootstrap::runtime_info(NAME, VERSION, features))
        .context("print the information")
}
