//! The option reference: one Markdown page with every verb, its arguments, options, defaults and values.

use std::fmt::Write as _;

use clap::{Arg, Command};

const HEAD: &str = "<!-- Made by `cargo xtask gen` from the definition of the command line. -->\n";

/// Renders the page.
pub(crate) fn render(command: &Command) -> String {
    let mut page = format!("{HEAD}# {}\n\n", command.get_name());
    section(command, &mut page);
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        let _ = write!(page, "## {}\n\n", verb.get_name());
        section(verb, &mut page);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn section(command: &Command, page: &mut String) {
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        let _ = write!(page, "{about}\n\n");
    }
    let usage = command.clone().render_usage().to_string();
    let _ = write!(page, "```text\n{}\n```\n\n", usage.trim_start_matches("Usage: "));
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !is_standard(argument))
        .collect();
    if shown.is_empty() {
        return;
    }
    page.push_str("| argument | meaning | default |\n|---|---|---|\n");
    for argument in shown {
        let _ = writeln!(page, "| {} | {} | {} |", name(argument), meaning(argument), default(argument));
    }
    page.push('\n');
}

/// What clap adds to every command.
fn is_standard(argument: &Arg) -> bool {
    matches!(argument.get_id().as_str(), "help" | "version")
}

fn name(argument: &Arg) -> String {
    let takes_value = argument.get_action().takes_values();
    let value = argument.get_value_names().and_then(|names| names.first()).map_or_else(
        || argument.get_id().as_str().to_ascii_uppercase(),
        |name| name.as_str().to_ascii_uppercase(),
    );
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let spellings: Vec<String> = [short, long].into_iter().flatten().collect();
    match (spellings.is_empty(), takes_value) {
        (true, _) => format!("`{value}`"),
        (false, true) => format!("`{} {value}`", spellings.join(", ")),
        (false, false) => format!("`{}`", spellings.join(", ")),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let values = argument.get_possible_values();
    let values: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
    if argument.get_action().takes_values() && !values.is_empty() {
        let _ = write!(meaning, " ({})", values.join(", "));
    }
    meaning
}

fn default(argument: &Arg) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    defaults.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ArgAction;

    #[test]
    fn a_page_lists_verbs_options_values_and_defaults() {
        let mut command = Command::new("box").about("Boxes").subcommand(
            Command::new("open")
                .about("Open a box")
                .arg(Arg::new("id").required(true).help("Which | box"))
                .arg(
                    Arg::new("format")
                        .short('f')
                        .long("format")
                        .value_parser(["table", "json"])
                        .default_value("table"),
                )
                .arg(Arg::new("force").long("force").action(ArgAction::SetTrue).help("Break it"))
                .arg(Arg::new("secret").long("secret").hide(true)),
        );
        command.build();
        let page = render(&command);
        assert!(page.contains("## open\n\nOpen a box\n\n```text\nbox open"), "{page}");
        assert!(page.contains("| `ID` | Which \\| box |  |"), "{page}");
        assert!(page.contains("| `-f, --format FORMAT` |  (`table`, `json`) | `table` |"), "{page}");
        assert!(page.contains("| `--force` | Break it |  |"), "{page}");
        assert!(!page.contains("secret"), "{page}");
    }
}
