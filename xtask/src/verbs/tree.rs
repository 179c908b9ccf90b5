//! `tree`: the path of a Debian tree, made if it is not there, for scripts and for a look at what is in it.

use anyhow::Result;
use xtask::trees;

/// Print the root of a cached Debian tree that has the given packages
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A word that tells this tree from others
    name: String,
    /// What to install in it
    packages: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let packages: Vec<&str> = arguments.packages.iter().map(String::as_str).collect();
    println!("{}", trees::debian(&arguments.name, &packages)?.display());
    Ok(())
}
