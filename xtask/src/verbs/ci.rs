//! `ci`: everything that must hold before a change is taken. `.ci/run` sets a bare machine up and runs this; so
//! can anybody, with the same answer.

use std::process::Command;

use anyhow::Result;

use super::{generate, rules, setup, test};
use crate::project::cargo;
use crate::steps::{self, Steps};
use crate::windows;

/// Run every check that a change has to pass
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<()> {
    let mut steps = Steps::default();
    steps.step("format", || steps::run(cargo("fmt").args(["--all", "--check"])));
    steps.step("rules", || rules::run(&rules::Arguments::default()));
    // In the profile of the tests: the build scripts and procedural macros of dependencies are built once.
    steps.step("lints", || {
        steps::run(cargo("clippy").args([
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]))
    });
    steps.step("lints for Windows", || steps::run(&mut windows::test::lint()));
    steps.step("documentation", || {
        let arguments = ["--workspace", "--all-features", "--no-deps", "--document-private-items", "--quiet"];
        // With private items documented, links to them lead somewhere.
        let flags = "-D warnings -A rustdoc::private_intra_doc_links";
        steps::run(cargo("doc").args(arguments).env("RUSTDOCFLAGS", flags))
    });
    steps.step("dependencies", deny);
    steps.step("generated files", || generate::run(&generate::Arguments { check: true }));
    steps.step("tests", || test::run(&test::Arguments::default()));
    steps.step("tests under Wine", || windows::test::run(&windows::test::Arguments::default()));
    steps.finish()
}

/// Licences, bans and sources. Advisories are for a machine that reaches their database: `cargo deny check`.
fn deny() -> Result<()> {
    let manifest = crate::project::root().join("Cargo.toml");
    steps::run(
        Command::new(setup::tool("cargo-deny"))
            .args(["--log-level", "warn", "--all-features", "--manifest-path"])
            .arg(manifest)
            .args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]),
    )
}
