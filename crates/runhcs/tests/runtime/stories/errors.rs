//! Usage errors, the log file, help and version: what callers of runc parse.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::Value;
use std::fs;

pub(crate) const STORIES: &[Story] = &[
    story!(errors_go_to_standard_error_with_code_1, Need::NotCrun, Need::Anyone),
    story!(the_json_log_is_what_container_managers_parse, Need::Anyone),
    story!(the_json_log_is_appended_to, Need::Anyone),
    story!(the_text_log_has_level_and_message, Need::NotCrun, Need::Anyone),
    story!(an_unknown_log_format_is_refused, Need::NotCrun, Need::Anyone),
    story!(a_log_that_cannot_be_opened_is_an_error, Need::NotCrun, Need::Anyone),
    story!(debug_says_more, Need::NotCrun, Need::Anyone),
    story!(debug_reaches_the_log_file, Need::NotCrun, Need::Anyone),
    story!(a_missing_argument_is_named, Need::NotCrun, Need::Anyone),
    story!(too_many_arguments_are_refused, Need::NotCrun, Need::Anyone),
    story!(an_unknown_flag_is_refused, Need::Anyone),
    story!(an_unknown_command_gives_3, Need::NotCrun, Need::Anyone),
    story!(every_command_has_help, Need::NotCrun, Need::Anyone),
    story!(version_names_the_specification, Need::Anyone),
    story!(the_root_cannot_be_slash, Need::Ours("runc has it since 1.2"), Need::Anyone),
    story!(a_missing_bundle_says_so, Need::Anyone),
    story!(a_missing_config_says_so, Need::NotCrun, Need::Anyone),
    story!(people_are_told_how_to_make_a_bundle, Need::Ours("a next step in errors"), Need::Anyone),
    story!(errors_of_init_reach_the_log, Need::NotCrun, Need::Anyone),
];

fn errors_go_to_standard_error_with_code_1(w: &World) {
    let output = w.call(&["state", "nobody"]).run().code(1).fails("container");
    assert_eq!(output.stdout, "");
}

fn last_error(log: &str) -> String {
    let records =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    let errors: Vec<Value> = records.filter(|record| record["level"] == "error").collect();
    errors.last().unwrap_or_else(|| panic!("no error in {log}"))["msg"].as_str().unwrap().to_owned()
}

fn the_json_log_is_what_container_managers_parse(w: &World) {
    let log = w.path("log.json");
    let global = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    let output = w.call(&["state", "nobody"]).global(&global).run().code(1);
    let text = fs::read_to_string(&log).unwrap();
    let record: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    assert!(["level", "msg", "time"].iter().all(|key| keys.iter().any(|have| have == key)), "{text}");
    let message = last_error(&text);
    if w.kind() != Kind::Crun {
        assert!(message.contains("does not exist"), "{message}");
        assert!(output.stderr.contains("does not exist"), "errors go to both: {output}");
    }
}

fn the_json_log_is_appended_to(w: &World) {
    let log = w.path("log.json");
    let global = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    for _ in 0..2 {
        w.call(&["state", "nobody"]).global(&global).run().code(1);
    }
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 2);
}

fn the_text_log_has_level_and_message(w: &World) {
    let log = w.path("log");
    w.call(&["state", "nobody"]).global(&["--log", log.to_str().unwrap()]).run().code(1);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("level=error") && text.contains("msg=\"container does not exist"), "{text}");
    assert!(text.starts_with("time=\""), "{text}");
}

fn an_unknown_log_format_is_refused(w: &World) {
    let text = match w.kind() {
        Kind::Ours => "invalid log-format: yaml",
        _ => "log-format",
    };
    w.call(&["list"]).global(&["--log-format", "yaml"]).run().code(1).fails(text);
}

fn a_log_that_cannot_be_opened_is_an_error(w: &World) {
    w.call(&["list"]).global(&["--log", "/no/such/folder/log"]).run().code(1).fails("/no/such/folder/log");
}

fn debug_says_more(w: &World) {
    let bundle = w.bundle().sh("true");
    let quiet = w.run_call(&bundle, "a", &[]).run().ok();
    assert_eq!(quiet.stderr, "");
    let loud = w.run_call(&bundle, "b", &[]).global(&["--debug"]).run().ok();
    assert!(loud.stderr.contains("level=debug"), "{loud}");
}

fn debug_reaches_the_log_file(w: &World) {
    let log = w.path("log.json");
    let bundle = w.bundle().sh("true");
    let global = ["--debug", "--log", log.to_str().unwrap(), "--log-format", "json"];
    let output = w.run_call(&bundle, "a", &[]).global(&global).run().ok();
    assert_eq!(output.stderr, "", "the log has it: {output}");
    let text = fs::read_to_string(&log).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "debug");
}

fn a_missing_argument_is_named(w: &World) {
    for verb in ["create", "start", "state", "delete", "pause", "resume", "events", "run"] {
        let output = w.call(&[verb]).run().code(1);
        assert!(output.stdout.contains("Incorrect Usage."), "{output}");
        assert!(output.said().contains(&format!("\"{verb}\" requires exactly 1 argument")), "{output}");
    }
    for verb in ["exec", "kill", "ps", "update"] {
        let output = w.call(&[verb]).run().code(1);
        assert!(output.said().contains("argument"), "{output}");
    }
}

fn too_many_arguments_are_refused(w: &World) {
    for verb in ["start", "state", "delete", "pause", "resume", "create"] {
        let output = w.call(&[verb, "a", "b"]).run().code(1);
        assert!(output.said().contains("requires exactly 1 argument"), "{output}");
    }
    let output = w.call(&["list", "x"]).run().code(1);
    assert!(output.said().contains("argument"), "{output}");
}

fn an_unknown_flag_is_refused(w: &World) {
    let output = w.call(&["state", "--no-such-flag", "x"]).run();
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
    assert!(output.said().contains("no-such-flag"), "{output}");
}

fn an_unknown_command_gives_3(w: &World) {
    let output = w.call(&["dance"]).run().code(3);
    assert!(output.said().contains("No help topic for 'dance'"), "{output}");
}

fn every_command_has_help(w: &World) {
    let help = w.call(&["--help"]).run().ok();
    let verbs = "create delete events exec kill list pause ps resume run spec start state update checkpoint restore features";
    for verb in verbs.split(' ') {
        assert!(help.stdout.contains(verb), "{verb} is not in the help");
        for flag in ["--help", "-h"] {
            let output = w.call(&[verb, flag]).run().ok();
            assert!(output.stdout.contains(verb), "{output}");
        }
    }
    w.call(&["-h"]).run().ok();
}

fn version_names_the_specification(w: &World) {
    for flag in ["--version", "-v"] {
        if flag == "-v" && w.kind() == Kind::Crun {
            continue;
        }
        let output = w.call(&[flag]).run().ok();
        let mut lines = output.stdout.lines();
        assert!(lines.next().unwrap().contains(" version "), "{output}");
        assert!(lines.any(|line| line.starts_with("spec: 1.")), "{output}");
        assert!(output.stdout.contains("commit: "), "{output}");
    }
}

fn the_root_cannot_be_slash(w: &World) {
    let runtime = w.runtime().with_root(std::path::Path::new("/"));
    runtime.call(&["list"]).run().code(1).fails("Option --root argument should not be set to /");
}

fn a_missing_bundle_says_so(w: &World) {
    let output = w.call(&["create", "-b", "/no/such/bundle", "c"]).run();
    output.fails("/no/such/bundle");
}

fn a_missing_config_says_so(w: &World) {
    let empty = w.path("empty");
    fs::create_dir(&empty).unwrap();
    for verb in ["create", "run"] {
        let output = w.call(&[verb, "-b", empty.to_str().unwrap(), "c"]).run().code(1);
        output.fails("JSON specification file config.json not found");
    }
}

fn people_are_told_how_to_make_a_bundle(w: &World) {
    let empty = w.path("empty");
    fs::create_dir(&empty).unwrap();
    let output = w.call(&["run", "-b", empty.to_str().unwrap(), "c"]).run().code(1);
    assert!(output.stderr.contains("spec"), "the next step is `spec`: {output}");
}

fn errors_of_init_reach_the_log(w: &World) {
    let log = w.path("log.json");
    let global = ["--log", log.to_str().unwrap(), "--log-format", "json"];
    let bundle = w.bundle().mount("/data", "bind", "/no/such/source", &["bind"]);
    w.create_call(&bundle, "c", &[]).global(&global).run().code(1).fails("/no/such/source");
    let message = last_error(&fs::read_to_string(&log).unwrap());
    assert!(
        message.contains("/no/such/source") && message.contains("no such file or directory"),
        "{message}"
    );
    let c = w.idle();
    fs::write(&log, "").unwrap();
    c.exec_with(&[], &["/no/such/program"]).global(&global).run().code(255);
    let message = last_error(&fs::read_to_string(&log).unwrap());
    assert!(
        message.contains("/no/such/program") && message.contains("no such file or directory"),
        "{message}"
    );
}
