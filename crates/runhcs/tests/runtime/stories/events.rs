//! events: what a container uses, and that it ran out of memory.

use crate::runtime::Kind;
use crate::story::{Need, Story, story};
use crate::world::World;
use rustix::process::Signal;
use serde_json::{Value, json};

pub(crate) const STORIES: &[Story] = &[
    story!(stats_are_one_document, Need::NotCrun),
    story!(stats_have_the_sections_of_runc, Need::NotCrun, Need::Controller("memory")),
    story!(stats_come_every_interval, Need::NotCrun),
    story!(running_out_of_memory_is_an_event, Need::NotCrun, Need::Controller("memory")),
    story!(the_stream_ends_with_the_container, Need::NotCrun),
    story!(an_interval_must_be_positive, Need::NotCrun),
    story!(a_stopped_container_has_no_events, Need::NotCrun),
    story!(a_watcher_that_goes_away_does_no_harm, Need::NotCrun),
];

fn stats_are_one_document(w: &World) {
    let c = w.idle();
    let output = c.verb(&["events", "--stats"]).ok();
    assert_eq!(output.stdout.lines().count(), 1, "{output}");
    let event = output.json();
    assert_eq!(event["type"], "stats");
    assert_eq!(event["id"], c.id.as_str());
    assert!(event["data"].is_object());
}

fn stats_have_the_sections_of_runc(w: &World) {
    let memory = json!({"limit": 64 << 20});
    let bundle =
        w.bundle().set("/linux/resources/memory", memory).set("/linux/resources/pids", json!({"limit": 20}));
    let c = w.ready(&bundle);
    let data = c.verb(&["events", "--stats"]).ok().json()["data"].clone();
    for section in ["cpu", "memory", "pids", "blkio"] {
        assert!(data[section].is_object(), "{section}: {data}");
    }
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{data}");
    assert!(data["cpu"]["usage"]["kernel"].is_u64() && data["cpu"]["usage"]["user"].is_u64());
    assert!(data["cpu"]["throttling"].is_object());
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
    assert!(data["memory"]["raw"].is_object(), "{data}");
    assert_eq!((&data["pids"]["current"], &data["pids"]["limit"]), (&json!(1), &json!(20)));
}

fn stats_come_every_interval(w: &World) {
    let c = w.idle();
    let mut events = c.call(&["events", "--interval", "100ms"]).spawn();
    for _ in 0..3 {
        let event: Value = serde_json::from_str(&events.out.line()).unwrap();
        assert_eq!(event["type"], "stats");
    }
    events.signal(Signal::TERM);
    events.wait();
}

fn running_out_of_memory_is_an_event(w: &World) {
    let memory = json!({"limit": 32 << 20, "swap": 32 << 20});
    let bundle = w.bundle().with_programs().set("/linux/resources/memory", memory);
    let c = w.ready(&bundle.sh("echo ready; exec sleep 1000"));
    let mut events = c.call(&["events", "--interval", "50ms"]).spawn();
    events.out.line();
    // What runs out is not init, so that the container and its cgroup are still there to be watched.
    let mut eater = c.exec_with(&[], &["/bin/inside", "--inside", "use-memory", "512"]).spawn();
    eater.wait().code(137);
    loop {
        let event: Value = serde_json::from_str(&events.out.line()).unwrap();
        if event["type"] == "oom" {
            assert_eq!(event["id"], c.id.as_str());
            break;
        }
    }
    events.signal(Signal::TERM);
    events.wait();
}

fn the_stream_ends_with_the_container(w: &World) {
    let c = w.idle();
    let mut events = c.call(&["events", "--interval", "50ms"]).spawn();
    events.out.line();
    c.kill_and_wait();
    c.delete();
    if w.kind() == Kind::Ours {
        events.wait();
    }
}

fn an_interval_must_be_positive(w: &World) {
    let c = w.idle();
    c.verb(&["events", "--interval", "0s"]).code(1).fails("duration interval must be greater than 0");
    c.verb(&["events", "--interval", "often"]).fails("");
}

fn a_stopped_container_has_no_events(w: &World) {
    let c = w.idle();
    c.kill_and_wait();
    let text = format!("container with id {} is not running", c.id);
    c.verb(&["events", "--stats"]).code(1).fails(&text);
    w.call(&["events", "--stats", "nobody"]).run().knows_nobody();
}

fn a_watcher_that_goes_away_does_no_harm(w: &World) {
    let c = w.idle();
    let mut events = c.call(&["events", "--interval", "20ms"]).spawn();
    events.out.line();
    events.signal(Signal::KILL);
    events.wait();
    assert_eq!(c.status(), "running");
}
