//! `cargo xtask`: everything that is done to the project, one verb in one file (`verbs/`).
#![expect(clippy::print_stderr, reason = "a program for the terminal")]

mod bench;
mod elf;
mod inside;
mod musl;
mod project;
mod rootfs;
mod rules;
mod steps;
mod tally;
mod verbs;
mod windows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What is done to the project: setting it up, checking, testing, measuring and shipping it.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Setup(verbs::setup::Arguments),
    Test(verbs::test::Arguments),
    Ci(verbs::ci::Arguments),
    Rules(verbs::rules::Arguments),
    Gen(verbs::generate::Arguments),
    Bench(verbs::bench::Arguments),
    Demo(verbs::demo::Arguments),
    Dist(verbs::dist::Arguments),
    Tree(verbs::tree::Arguments),
    Machine(verbs::machine::Arguments),
}

fn main() -> ExitCode {
    let result = verbs::bench::gauge().unwrap_or_else(|| run(Arguments::parse().verb));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Setup(arguments) => verbs::setup::run(&arguments),
        Verb::Test(arguments) => verbs::test::run(&arguments),
        Verb::Ci(arguments) => verbs::ci::run(&arguments),
        Verb::Rules(arguments) => verbs::rules::run(&arguments),
        Verb::Gen(arguments) => verbs::generate::run(&arguments),
        Verb::Bench(arguments) => verbs::bench::run(&arguments),
        Verb::Demo(arguments) => verbs::demo::run(&arguments),
        Verb::Dist(arguments) => verbs::dist::run(&arguments),
        Verb::Tree(arguments) => verbs::tree::run(&arguments),
        Verb::Machine(arguments) => verbs::machine::run(&arguments),
    }
}
