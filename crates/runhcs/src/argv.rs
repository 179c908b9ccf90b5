//! The command line as callers of runc write it, turned into the one that the definitions in [`crate::cli`] accept.
//!
//! runc reads flags with Go's `flag` package: one dash or two, `-flag value` or `-flag=value`, no bundles of letters,
//! a boolean may be given `=true` or `=false`, the last of several values counts and an empty value is as none. Flags
//! of the program come before the verb; those of a verb may also follow its positionals, except where the positionals
//! are another program's command line (`exec`, `ps`).
//!
//! Which flags exist, which take a value and how many positionals a verb wants is read from the clap definitions, so
//! that they stay the only place where an option is written down.

use clap::{Arg, ArgAction, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A level of the command line: the program's flags, or a verb's flags and positionals.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// The flags, each as one word that clap reads without looking at the next: `--name` or `--name=value`.
    pub(crate) flags: Vec<OsString>,
    /// What follows the flags.
    pub(crate) rest: Vec<OsString>,
    /// Somebody asked for help.
    pub(crate) help: bool,
}

/// Why a command line cannot be read; the texts are those of Go's `flag` package.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    #[error("invalid boolean value {value:?} for -{name}: parse error")]
    NotBoolean { name: String, value: String },
}

/// Reads one level. The rest of the program's level begins with the verb.
pub(crate) fn split(definition: &Command, args: &[OsString]) -> Result<Level, FlagError> {
    let flags_end_at_first_word = definition.has_subcommands() || is_command_line(definition);
    let mut given: Vec<(&Arg, Option<OsString>)> = Vec::new();
    let mut level = Level { flags: Vec::new(), rest: Vec::new(), help: false };
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let Some((name, value)) = as_flag(word) else {
            level.rest.push(word.clone());
            if flags_end_at_first_word {
                break;
            }
            continue;
        };
        if name.is_empty() && value.is_none() {
            // `--` ends the flags; behind a positional it is one more.
            if !level.rest.is_empty() {
                level.rest.push(word.clone());
            }
            break;
        }
        if matches!(name, b"help" | b"h") {
            level.help = true;
            continue;
        }
        match find(definition, name) {
            Some(arg) => given.push((arg, flag_value(arg, name, value, &mut words)?)),
            None if level.rest.is_empty() => return Err(unknown(word, name)),
            None => level.rest.push(word.clone()),
        }
    }
    level.rest.extend(words.cloned());
    level.flags = render(given);
    Ok(level)
}

/// Whether the number of positionals is what the definition wants; if not, the words runc has for it.
pub(crate) fn check_count(definition: &Command, count: usize) -> Result<(), String> {
    let positionals = || definition.get_positionals();
    let least = positionals().filter(|arg| arg.is_required_set()).count();
    let most = match positionals().any(|arg| matches!(arg.get_action(), ArgAction::Append)) {
        true => usize::MAX,
        false => positionals().count(),
    };
    let expected = match (count < least, count > most) {
        (false, false) => return Ok(()),
        (..) if least == most => format!("exactly {least}"),
        (true, _) => format!("a minimum of {least}"),
        (false, _) => format!("a maximum of {most}"),
    };
    Err(format!("{:?} requires {expected} argument(s)", definition.get_name()))
}

/// Whether the positionals end in a command line of another program.
fn is_command_line(definition: &Command) -> bool {
    definition.get_positionals().any(Arg::is_trailing_var_arg_set)
}

/// The name and the value after `=` of a word that looks like a flag. `-` alone is no flag.
fn as_flag(word: &OsStr) -> Option<(&[u8], Option<&[u8]>)> {
    let bytes = word.as_bytes();
    let name = match bytes.strip_prefix(b"--") {
        Some(name) => name,
        None => bytes.strip_prefix(b"-").filter(|name| !name.is_empty())?,
    };
    match name.iter().position(|byte| *byte == b'=') {
        Some(at) => Some((&name[..at], Some(&name[at + 1..]))),
        None => Some((name, None)),
    }
}

fn find<'a>(definition: &'a Command, name: &[u8]) -> Option<&'a Arg> {
    definition.get_arguments().filter(|arg| !arg.is_positional()).find(|arg| {
        let short = |short: char| short.is_ascii() && name == [short as u8];
        arg.get_long().is_some_and(|long| name == long.as_bytes()) || arg.get_short().is_some_and(short)
    })
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// The value of a flag; none for a switch that is on.
fn flag_value<'a>(
    arg: &Arg,
    name: &[u8],
    value: Option<&[u8]>,
    words: &mut impl Iterator<Item = &'a OsString>,
) -> Result<Option<OsString>, FlagError> {
    let name = || String::from_utf8_lossy(name).into_owned();
    let value = value.map(|value| OsString::from_vec(value.to_vec()));
    let may_stand_alone = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    if is_switch(arg) || may_stand_alone {
        return match value {
            None => Ok(Some("true".into())),
            Some(value) => match value.to_str().and_then(boolean) {
                Some(on) => Ok(Some(on.to_string().into())),
                None => {
                    Err(FlagError::NotBoolean { name: name(), value: value.to_string_lossy().into_owned() })
                }
            },
        };
    }
    match value {
        Some(value) => Ok(Some(value)),
        None => words.next().cloned().map(Some).ok_or_else(|| FlagError::NoValue(name())),
    }
}

/// What Go's `strconv.ParseBool` takes.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn unknown(word: &OsStr, name: &[u8]) -> FlagError {
    match name.first() {
        None | Some(b'-' | b'=') => FlagError::Syntax(word.to_string_lossy().into_owned()),
        Some(_) => FlagError::Unknown(String::from_utf8_lossy(name).into_owned()),
    }
}

/// Writes the flags for clap: the last value of each, all of those that collect.
fn render(given: Vec<(&Arg, Option<OsString>)>) -> Vec<OsString> {
    let mut flags = Vec::new();
    for (at, (arg, value)) in given.iter().enumerate() {
        let collects = matches!(arg.get_action(), ArgAction::Append);
        let overridden = || given[at + 1..].iter().any(|(later, _)| later.get_id() == arg.get_id());
        if !collects && overridden() {
            continue;
        }
        let mut flag = OsString::from("--");
        flag.push(arg.get_long().unwrap_or_default());
        match value {
            Some(value) if is_switch(arg) && value == "false" => continue,
            Some(value) if value.is_empty() && !collects => continue,
            Some(value) if !is_switch(arg) => {
                flag.push("=");
                flag.push(value);
            }
            _ => {}
        }
        flags.push(flag);
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn verb(name: &str) -> Command {
        let mut command = cli::command();
        command.build();
        command.find_subcommand(name).unwrap().clone()
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    /// `flags | rest` of a verb's line.
    fn read(name: &str, line: &str) -> String {
        match split(&verb(name), &words(line)) {
            Ok(level) => {
                let join = |words: Vec<OsString>| words.join(OsStr::new(" ")).into_string().unwrap();
                format!("{} | {}", join(level.flags), join(level.rest))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        assert_eq!(read("create", "-bundle /b --pid-file=/p -b=/c id"), "--pid-file=/p --bundle=/c | id");
        assert_eq!(read("run", "-d -keep x"), "--detach --keep | x");
    }

    #[test]
    fn flags_may_follow_the_id() {
        assert_eq!(read("delete", "id --force"), "--force | id");
        assert_eq!(read("kill", "--all id KILL"), "--all | id KILL");
        assert_eq!(
            read("update", "id --memory-swap -1 --pids-limit -1"),
            "--memory-swap=-1 --pids-limit=-1 | id"
        );
        // What is no flag of the verb is one positional too many, as in runc.
        assert_eq!(read("delete", "id -x"), " | id -x");
    }

    #[test]
    fn a_command_line_behind_the_id_is_left_alone() {
        assert_eq!(
            read("exec", "-t -e A=1 -e B= id ls -l --tty"),
            "--tty --env=A=1 --env=B= | id ls -l --tty"
        );
        assert_eq!(read("exec", "id -- ls -e x"), " | id -- ls -e x");
        assert_eq!(read("ps", "--format json id -e -f json"), "--format=json | id -e -f json");
    }

    #[test]
    fn switches_take_a_boolean() {
        assert_eq!(read("run", "--detach=false --keep=T id"), "--keep | id");
        assert_eq!(read("run", "-d -d=0 id"), " | id");
        assert_eq!(read("exec", "--no-new-privs=false id"), "--no-new-privs=false | id");
        assert_eq!(read("exec", "--no-new-privs id"), "--no-new-privs=true | id");
        assert_eq!(read("run", "-d=x id"), "invalid boolean value \"x\" for -d: parse error");
    }

    #[test]
    fn the_last_value_counts_and_an_empty_one_is_none() {
        assert_eq!(read("create", "-b /a --bundle /b id"), "--bundle=/b | id");
        assert_eq!(read("create", "-b /a --bundle= id"), " | id");
        assert_eq!(read("exec", "--env= id"), "--env= | id");
    }

    #[test]
    fn mistakes_are_told_as_go_tells_them() {
        assert_eq!(read("start", "-x id"), "flag provided but not defined: -x");
        assert_eq!(read("start", "--long=1 id"), "flag provided but not defined: -long");
        assert_eq!(read("run", "-dt id"), "flag provided but not defined: -dt");
        assert_eq!(read("start", "---x"), "bad flag syntax: ---x");
        assert_eq!(read("start", "-=x"), "bad flag syntax: -=x");
        assert_eq!(read("create", "--bundle"), "flag needs an argument: -bundle");
    }

    #[test]
    fn two_dashes_end_the_flags() {
        assert_eq!(read("state", "-- -id"), " | -id");
        assert_eq!(read("kill", "id -- -9"), " | id -- -9");
        assert_eq!(read("update", "-r - id"), "--resources=- | id");
    }

    #[test]
    fn the_programs_flags_end_at_the_verb() {
        let level = split(&cli::command(), &words("-root /r --debug kill --all x")).unwrap();
        assert_eq!(level.flags, words("--root=/r --debug"));
        assert_eq!(level.rest, words("kill --all x"));
        assert!(split(&cli::command(), &words("--debug -h")).unwrap().help);
    }

    #[test]
    fn counts_are_told_in_runcs_words() {
        let check = |name: &str, count| check_count(&verb(name), count).err().unwrap_or_default();
        assert_eq!(check("start", 0), "\"start\" requires exactly 1 argument(s)");
        assert_eq!(check("start", 1), "");
        assert_eq!(check("list", 1), "\"list\" requires exactly 0 argument(s)");
        assert_eq!(check("exec", 0), "\"exec\" requires a minimum of 1 argument(s)");
        assert_eq!(check("exec", 9), "");
        assert_eq!(check("kill", 0), "\"kill\" requires a minimum of 1 argument(s)");
        assert_eq!(check("kill", 3), "\"kill\" requires a maximum of 2 argument(s)");
        assert_eq!(check("resize-tty", 2), "\"resize-tty\" requires exactly 3 argument(s)");
    }

    #[test]
    fn bytes_that_are_no_text_pass_through() {
        let path = OsString::from_vec(b"/\xff".to_vec());
        let level = split(&verb("create"), &["-b".into(), path.clone(), "id".into()]).unwrap();
        assert!(level.flags[0].as_bytes().ends_with(b"=/\xff"));
    }
}
