//! Renders what is derived from the definition of the command line into the folder given as the only argument:
//! `docs/man/*.1`, `docs/reference.md` and `contrib/completions/*`.
//!
//! The definition is the one that the program parses with, so none of these can say something else than it does.

mod reference;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: manual FOLDER")?;
    let mut command = runhcs::command();
    command.build();
    render(&command, Path::new(&folder))
}

fn render(command: &Command, folder: &Path) -> Result<()> {
    let manuals = folder.join("docs/man");
    let completions = folder.join("contrib/completions");
    for folder in [&manuals, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    manual(command, &manuals)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        manual(verb, &manuals)?;
    }
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command.clone(), command.get_name(), &completions)
            .with_context(|| format!("write the completions for {shell}"))?;
    }
    let page = folder.join("docs/reference.md");
    fs::write(&page, reference::render(command)).with_context(|| format!("write {}", page.display()))
}

/// Writes `runhcs.1` or `runhcs-VERB.1`. No date in it: the same command line gives the same bytes.
fn manual(command: &Command, folder: &Path) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().name(name))
        .date("")
        .render(&mut page)
        .context("render a manual page")?;
    fs::write(&path, page).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn every_shown_verb_has_a_manual_page_and_the_result_is_always_the_same() {
        let mut command = Command::new("box")
            .version("1")
            .about("Boxes")
            .subcommand(Command::new("open").about("Open a box").arg(Arg::new("id").help("Which box")))
            .subcommand(Command::new("init").hide(true));
        command.build();
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        render(&command, one.path()).unwrap();
        render(&command, two.path()).unwrap();
        for file in
            ["docs/man/box.1", "docs/man/box-open.1", "docs/reference.md", "contrib/completions/box.bash"]
        {
            assert_eq!(fs::read(one.path().join(file)).unwrap(), fs::read(two.path().join(file)).unwrap());
        }
        assert!(!one.path().join("docs/man/box-init.1").exists());
        let page = fs::read_to_string(one.path().join("docs/man/box-open.1")).unwrap();
        assert!(page.contains("Which box"), "{page}");
    }
}
