//! What remains true when something dies, hangs or changes in between.

use crate::recorder::{Recorder, pod};
use crate::{Place, Story, wait};
use network::{Cni, Config, Error, Kind};
use serde_json::json;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) fn stories() -> Vec<Story> {
    let story = |name, tell| Story { name, place: Place::Here, tell };
    vec![
        story("an_attachment_is_undone_by_the_configuration_that_made_it", undone_by_what_made_it),
        story(KILLED, killed_while_attaching),
        story("del_goes_on_through_errors_and_tells_all", del_goes_on),
        story("a_record_cut_in_half_is_undone_by_the_present_configuration", cut_record),
        story("a_plugin_that_hangs_is_killed_with_its_children", hanging_plugin),
        story("a_caller_that_goes_away_cuts_nothing_off", caller_goes_away),
        story("a_plugin_need_not_read_and_may_leave_children", careless_plugins),
        story("a_failed_undo_is_told_and_tried_again", failed_undo),
    ]
}

fn configure(recorder: &Recorder, mark: &str) {
    recorder.configure(&json!({"cniVersion": "1.0.0", "name": "net", "plugins": [
        {"type": "a", "mark": mark}, {"type": "b", "mark": mark}
    ]}));
}

fn undone_by_what_made_it() {
    let recorder = Recorder::new(&["a", "b"]);
    configure(&recorder, "old");
    wait(recorder.cni().add(&pod("p1"))).unwrap();
    configure(&recorder, "new");
    recorder.runs();
    wait(recorder.cni().del(&pod("p1"))).unwrap();
    let runs = recorder.runs();
    assert!(runs.len() == 2 && runs.iter().all(|run| run.question["mark"] == "old"), "{runs:?}");

    // Whoever has no record any more is undone all the same, with what there is.
    wait(recorder.cni().del(&pod("p1"))).unwrap();
    assert!(recorder.runs().iter().all(|run| run.question["mark"] == "new"));
    fs::remove_file(recorder.path("net.d/10.conflist")).unwrap();
    wait(recorder.cni().del(&pod("p1"))).unwrap();
    assert_eq!(recorder.commands(), [] as [&str; 0]);
}

const KILLED: &str = "a_process_killed_while_attaching_leaves_what_undoes_it";
const ROOT: &str = "COFFERDAM_STORY_ROOT";

/// The second plugin kills the process that attaches, which is this program again.
fn killed_while_attaching() {
    if let Some(root) = std::env::var_os(ROOT) {
        let root = std::path::PathBuf::from(root);
        let cni = Cni::new(Config {
            conf_dirs: vec![root.join("net.d")],
            bin_dirs: vec![root.join("bin")],
            cache_dir: root.join("cache"),
            ..Config::default()
        });
        let _ = wait(cni.add(&pod("p1")));
        panic!("it should have been killed");
    }
    let recorder = Recorder::new(&["a", "b"]);
    configure(&recorder, "old");
    recorder.says("b-ADD", "kill -9 $PPID");
    let status = Command::new(std::env::current_exe().unwrap())
        .env(crate::STORY, KILLED)
        .env(ROOT, recorder.path(""))
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9));
    configure(&recorder, "new");
    recorder.says_nothing_special("b-ADD");
    assert_eq!(recorder.commands(), ["a ADD", "b ADD"]);
    let cni = recorder.cni();
    assert_eq!(wait(cni.attached("p1")).unwrap(), None);
    assert_eq!(wait(cni.check("p1")).unwrap_err().kind(), Kind::NotFound);
    wait(cni.del(&pod("p1"))).unwrap();
    let runs = recorder.runs();
    assert!(runs.len() == 2 && runs.iter().all(|run| run.question["mark"] == "old"), "{runs:?}");
    assert!(runs.iter().all(|run| run.question.get("prevResult").is_none()));
    assert_eq!(recorder.records(), 0);
}

fn del_goes_on() {
    let recorder = Recorder::new(&["a", "b"]);
    configure(&recorder, "old");
    let cni = recorder.cni();
    wait(cni.add(&pod("p1"))).unwrap();
    recorder.runs();
    recorder.says("DEL", r#"echo "{\"code\": 999, \"msg\": \"$name is stuck\"}"; exit 1"#);
    let error = wait(cni.del(&pod("p1"))).unwrap_err();
    assert_eq!(recorder.commands(), ["b DEL", "a DEL"]);
    let Error::Detach { failures, .. } = &error else { panic!("{error}") };
    assert_eq!(failures.len(), 2);
    let text = error.to_string();
    assert!(text.contains("a is stuck") && text.contains("b is stuck"), "{text}");
    assert_eq!(recorder.records(), 1, "it is kept to be tried again");

    // A plugin that says there is nothing has nothing to undo.
    recorder.says("DEL", r#"echo '{"code": 3, "msg": "unknown"}'; exit 1"#);
    wait(cni.del(&pod("p1"))).unwrap();
    assert_eq!(recorder.records(), 0);
}

fn cut_record() {
    let recorder = Recorder::new(&["a", "b"]);
    configure(&recorder, "old");
    wait(recorder.cni().add(&pod("p1"))).unwrap();
    configure(&recorder, "new");
    recorder.runs();
    fs::write(recorder.path("cache/p1/eth0.json"), r#"{"version":1,"id":"#).unwrap();
    let cni = recorder.cni();
    assert!(matches!(wait(cni.attached("p1")), Err(Error::Record(_))));
    wait(cni.del(&pod("p1"))).unwrap();
    assert!(recorder.runs().iter().all(|run| run.question["mark"] == "new"));
    assert_eq!(recorder.records(), 0);

    fs::create_dir_all(recorder.path("cache/p2")).unwrap();
    fs::write(recorder.path("cache/p2/eth0.json"), r#"{"version":2}"#).unwrap();
    assert_eq!(wait(cni.del(&pod("p2"))).unwrap_err().kind(), Kind::Unsupported);
    assert_eq!(recorder.records(), 1, "what a newer program wrote is not destroyed");
}

fn hanging_plugin() {
    let recorder = Recorder::new(&["a", "b"]);
    configure(&recorder, "x");
    recorder.says("b-ADD", r#"sleep 1000 & echo $! > "$root/child"; wait"#);
    let cni = Cni::new(Config { timeout: Duration::from_millis(500), ..recorder.config() });
    let error = wait(cni.add(&pod("p1"))).unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut);
    assert_eq!(recorder.commands(), ["a ADD", "b ADD", "b DEL", "a DEL"]);
    let child = fs::read_to_string(recorder.path("child")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

fn caller_goes_away() {
    let recorder = Recorder::new(&["a", "b"]);
    configure(&recorder, "x");
    // Both wait until the caller has gone.
    let fifo = recorder.path("gone");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    recorder.says("a-ADD", r#"read go < "$root/gone"; echo '{}'"#);
    recorder.says("b-ADD", r#"echo '{}'; echo done > "$root/gone""#);
    let cni = recorder.cni();
    wait(async {
        let begun = tokio::time::timeout(Duration::from_millis(200), cni.add(&pod("p1"))).await;
        assert!(begun.is_err(), "it waits for us");
        let fifo = fifo.clone();
        let released = tokio::task::spawn_blocking(move || {
            fs::write(&fifo, "go\n").unwrap();
            fs::read_to_string(&fifo).unwrap()
        });
        assert_eq!(released.await.unwrap(), "done\n");
        // Its turn comes after the attachment that nobody waits for.
        cni.check("p1").await.unwrap();
    });
    let commands = recorder.commands();
    assert_eq!(commands, ["a ADD", "b ADD", "a CHECK", "b CHECK"]);
}

fn careless_plugins() {
    let recorder = Recorder::new(&["a"]);
    let long = "x".repeat(1 << 20);
    recorder
        .configure(&json!({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "a", "long": long}]}));
    recorder.says("ADD", "sleep 30 & echo $! > \"$root/child\"; echo '{}'");
    let begun = Instant::now();
    wait(recorder.cni().add(&pod("p1"))).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "its child is not waited for");
    let child = fs::read_to_string(recorder.path("child")).unwrap();
    Command::new("kill").arg(child.trim()).status().unwrap();
    recorder.says("ADD", "cat > /dev/null; head -c 20000000 /dev/zero");
    assert!(matches!(wait(recorder.cni().add(&pod("p2"))), Err(Error::Attach { .. })));
}

fn failed_undo() {
    let recorder = Recorder::new(&["a", "b"]);
    configure(&recorder, "x");
    let cni = recorder.cni();
    recorder.says("b-ADD", "exit 1");
    recorder.says("a-DEL", "exit 1");
    let error = wait(cni.add(&pod("p1"))).unwrap_err();
    assert!(
        error.to_string().contains("undoing it failed too: p1 on network net: plugin a failed to DEL"),
        "{error}"
    );
    assert_eq!(recorder.records(), 1);
    recorder.runs();
    // The next attachment of this id begins with it.
    recorder.says_nothing_special("b-ADD");
    recorder.says_nothing_special("a-DEL");
    wait(cni.add(&pod("p1"))).unwrap();
    assert_eq!(recorder.commands(), ["b DEL", "a DEL", "a ADD", "b ADD"]);
}
