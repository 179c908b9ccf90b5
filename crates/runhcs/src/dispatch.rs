//! From `argv` to a verb and back to an exit code, with the order of checks, the words and the exit codes of runc.
//!
//! | what is wrong                         | on stdout                          | error                              | exit |
//! |---------------------------------------|------------------------------------|------------------------------------|------|
//! | a flag of the program                 | `Incorrect Usage.` and why, help   | why                                | 1    |
//! | the root, the log or its format       |                                    | why                                | 1    |
//! | an unknown verb                       |                                    | `No help topic for 'x'`            | 3    |
//! | a flag of the verb                    | `Incorrect Usage:` and why, help   | why                                | 1    |
//! | the number of positionals             | `Incorrect Usage.`, help           | `<argv0>: "start" requires …`      | 1    |
//! | what the verb does                    |                                    | why                                | 1, `exec` 255 |
//! | what `compat` is asked for            | the verdict                        |                                    | 2    |

use crate::argv::{self, FlagError};
use crate::cli::{self, Globals};
use crate::context::{self, Context};
use crate::verbs::{Failure, Verb};
use crate::{logging, version};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, FromArgMatches};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Runs the program with these arguments.
pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let (argv0, args) = match args.split_first() {
        Some((argv0, args)) => (argv0.clone(), args),
        None => ("runhcs".into(), [].as_slice()),
    };
    let program = context::program(Path::new(&argv0));
    match run(program, &argv0.to_string_lossy(), args) {
        Ok(status) => ExitCode::from(status),
        Err(Failure { status, message }) => {
            logging::fatal(&message);
            ExitCode::from(status)
        }
    }
}

fn run(program: &'static str, argv0: &str, args: &[OsString]) -> Result<u8, Failure> {
    let definition = cli::globals(cli::verbs(program));
    let level = argv::split(&definition, args).map_err(|error| wrong_flag(program, &error))?;
    if level.help {
        print(&program_help(program))?;
        return Ok(0);
    }
    let globals = parse_globals(program, level.flags)?;
    if globals.version {
        print(&version::text(program))?;
        return Ok(0);
    }
    let context = Context::open(program, globals)?;
    let Some((name, rest)) = level.rest.split_first() else {
        print(&program_help(program))?;
        return Ok(0);
    };
    if name == "help" || name == "h" {
        return help(program, rest);
    }
    let Some(verb) = name.to_str().and_then(|name| find(definition, name)) else {
        return Err(unknown(name));
    };
    parse(&context, argv0, verb, rest)?.map_or(Ok(0), |verb| verb.run(&context))
}

/// Reads the verb's level; none when help was asked for and given.
fn parse(context: &Context, argv0: &str, verb: Command, rest: &[OsString]) -> Result<Option<Verb>, Failure> {
    let program = context.program;
    let usage = |why: String| {
        show(&format!("Incorrect Usage: {why}\n\n{}", verb_help(program, verb.clone())));
        Failure::new(1, why)
    };
    let level = argv::split(&verb, rest).map_err(|error| usage(error.to_string()))?;
    if level.help {
        print(&verb_help(program, verb))?;
        return Ok(None);
    }
    argv::check_count(&verb, level.rest.len()).map_err(|why| {
        show(&format!("Incorrect Usage.\n\n{}", verb_help(program, verb.clone())));
        Failure::new(1, format!("{argv0}: {why}"))
    })?;
    let words = [program.into(), verb.get_name().into()].into_iter();
    let words = words.chain(level.flags).chain([OsString::from("--")]).chain(level.rest);
    let parsed =
        cli::verbs(program).try_get_matches_from(words).and_then(|matches| Verb::from_arg_matches(&matches));
    parsed.map(Some).map_err(|error| usage(in_gos_words(&error)))
}

fn parse_globals(program: &'static str, flags: Vec<OsString>) -> Result<Globals, Failure> {
    let definition = cli::globals(Command::new(program)).disable_version_flag(true);
    let matches = definition.try_get_matches_from([program.into()].into_iter().chain(flags));
    matches.and_then(|matches| Globals::from_arg_matches(&matches)).map_err(|error| {
        let why = in_gos_words(&error);
        show(&format!("Incorrect Usage. {why}\n\n{}", program_help(program)));
        Failure::new(1, why)
    })
}

fn wrong_flag(program: &'static str, error: &FlagError) -> Failure {
    show(&format!("Incorrect Usage. {error}\n\n{}", program_help(program)));
    Failure::new(1, error.to_string())
}

/// A value that cannot be read, as Go's `flag` package tells it; anything else in clap's words.
fn in_gos_words(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match (error.kind(), text(ContextKind::InvalidArg), text(ContextKind::InvalidValue)) {
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, Some(arg), Some(value))
            if arg.starts_with('-') =>
        {
            let name = arg.split([' ', '=']).next().unwrap_or(arg).trim_start_matches('-');
            format!("invalid value {value:?} for flag -{name}: parse error")
        }
        _ => {
            let told = error.to_string();
            let line = told.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

fn find(definition: Command, name: &str) -> Option<Command> {
    let mut verb = definition.find_subcommand(name)?.clone();
    verb.build();
    Some(verb)
}

fn unknown(name: &OsString) -> Failure {
    Failure::new(3, format!("No help topic for '{}'\n", name.to_string_lossy()))
}

fn help(program: &'static str, rest: &[OsString]) -> Result<u8, Failure> {
    let text = match rest.first() {
        None => program_help(program),
        Some(name) => {
            let verb = name.to_str().and_then(|name| find(cli::verbs(program), name));
            verb_help(program, verb.ok_or_else(|| unknown(name))?)
        }
    };
    print(&text)?;
    Ok(0)
}

fn program_help(program: &'static str) -> String {
    let template = format!(
        "NAME:\n   {program} - {{about}}\n\nUSAGE:\n   {program} [global options] command [command options] [arguments...]\n\n\
         VERSION:\n   {}\n\nCOMMANDS:\n{{subcommands}}\n\nGLOBAL OPTIONS:\n{{options}}\n",
        version::of(program)
    );
    cli::command().name(program).help_template(template).render_help().to_string()
}

fn verb_help(program: &'static str, verb: Command) -> String {
    let name = verb.get_name().to_owned();
    let template = format!(
        "NAME:\n   {program} {name} - {{about}}\n\nUSAGE:\n   {{usage}}\n\nARGUMENTS:\n{{positionals}}\n\nOPTIONS:\n{{options}}\n"
    );
    let template = match verb.get_positionals().next() {
        Some(_) => template,
        None => template.replace("ARGUMENTS:\n{positionals}\n\n", ""),
    };
    verb.bin_name(format!("{program} {name}")).help_template(template).render_help().to_string()
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::from(anyhow::Error::new(error)))
}

/// Shows what precedes an error. When that fails the error is still told.
fn show(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
