//! Streams: fifos, terminals, files, programs, logs, and those who attach.

use crate::world::{self, World};
use shim_api::{Kind, Shim, Signal, Streams};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

/// The reading end of a fifo, before anybody writes to it.
fn reader(path: &Path) -> pipe::Receiver {
    pipe::OpenOptions::new().open_receiver(path).unwrap()
}

/// The writing end of a fifo that somebody reads.
fn writer(path: &Path) -> pipe::Sender {
    pipe::OpenOptions::new().open_sender(path).unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

async fn read_all(mut from: pipe::Receiver) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).await.unwrap();
    text
}

/// Reads until `mark` came.
async fn read_until(from: &mut pipe::Receiver, mark: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(mark) {
        assert_ne!(from.read_buf(&mut seen).await.unwrap(), 0, "the stream ended");
    }
    String::from_utf8(seen).unwrap()
}

async fn shim(world: &mut World, script: &str) -> (Shim, serde_json::Value) {
    let config = world.config("a", script);
    world.bundle("a", &config);
    (world.shim("a").await, config)
}

#[test]
fn fifos_carry_everything_and_end_with_the_process() {
    world::test("fifo", async |mut world: World| {
        let (shim, config) = shim(&mut world, "cat; echo done >&2").await;
        let [stdin, stdout, stderr] = ["in", "out", "err"].map(|name| world.fifo(name));
        let (out, err) = (reader(&stdout), reader(&stderr));
        let streams =
            Streams { stdin: text(&stdin), stdout: text(&stdout), stderr: text(&stderr), terminal: false };
        world.run(&shim, "a", &config, streams).await;
        let mut input = writer(&stdin);
        // More than any buffer on the way holds.
        let sent = "0123456789abcde\n".repeat(40_000);
        let (text, ()) = tokio::join!(read_all(out), async {
            input.write_all(sent.as_bytes()).await.unwrap();
            drop(input);
            // Another writer could still come.
            shim.close_stdin(&world.id("a"), None).await.unwrap();
        });
        assert_eq!(text.len(), sent.len());
        assert!(text == sent);
        assert_eq!(read_all(err).await, "done\n");
        assert_eq!(shim.wait(&world.id("a"), None).await.unwrap().code, 0);
        shim.delete(&world.id("a"), None).await.unwrap();
    });
}

/// What a process printed last is there when its end is reported, however short it lived.
#[test]
fn the_last_bytes_come_before_the_exit() {
    world::test("last", async |mut world: World| {
        let (shim, config) = shim(&mut world, "sleep 1000").await;
        world.run(&shim, "a", &config, Streams::default()).await;
        for number in 0..20 {
            let exec = format!("x{number}");
            let script = "head -c 60000 /dev/zero; echo; echo last";
            world.exec(&shim, "a", &exec, script, world.logged(&exec)).await;
            shim.wait(&world.id("a"), Some(&exec)).await.unwrap();
            let log = std::fs::read_to_string(world.path(&format!("{exec}.log"))).unwrap();
            assert!(log.ends_with("stdout F last\n"), "{number}");
        }
        world.end(&shim, "a").await;
    });
}

#[test]
fn a_terminal_has_a_size_and_echoes() {
    world::test("tty", async |mut world: World| {
        let config = {
            let mut config = world.config("a", "stty size; read word; stty size; echo got $word");
            config["process"]["terminal"] = true.into();
            config["process"]["consoleSize"] = serde_json::json!({"width": 80, "height": 24});
            config
        };
        world.bundle("a", &config);
        let shim = world.shim("a").await;
        let [stdin, stdout] = ["in", "out"].map(|name| world.fifo(name));
        let mut out = reader(&stdout);
        let streams =
            Streams { stdin: text(&stdin), stdout: text(&stdout), stderr: String::new(), terminal: true };
        // As containerd asks: a terminal has one output all the same.
        let streams = Streams { stderr: text(&world.path("nothing")), ..streams };
        world.run(&shim, "a", &config, streams).await;
        assert_eq!(read_until(&mut out, "\n").await, "24 80\r\n");
        shim.resize(&world.id("a"), None, 132, 50).await.unwrap();
        let mut input = writer(&stdin);
        input.write_all(b"word\n").await.unwrap();
        assert_eq!(read_until(&mut out, "got word\r\n").await, "word\r\n50 132\r\ngot word\r\n");
        assert_eq!(shim.wait(&world.id("a"), None).await.unwrap().code, 0);
        shim.delete(&world.id("a"), None).await.unwrap();
    });
}

/// A terminal's output is logged as one stream, as the kubelet expects it of a pod with `tty: true`.
#[test]
fn a_terminal_can_be_logged_and_attached_to() {
    world::test("ttylog", async |mut world: World| {
        let mut config = world.config("a", "read word; echo got $word");
        config["process"]["terminal"] = true.into();
        world.bundle("a", &config);
        let shim = world.shim("a").await;
        let streams = Streams {
            stdin: shim_api::cri_stdin(false),
            stderr: String::new(),
            terminal: true,
            ..world.logged("a")
        };
        world.run(&shim, "a", &config, streams).await;
        let [stdin, stdout] = ["in", "out"].map(|name| world.fifo(name));
        let mut out = reader(&stdout);
        let mut keep = pipe::OpenOptions::new().read_write(true).open_sender(&stdin).unwrap();
        let attached = Streams { stdin: text(&stdin), stdout: text(&stdout), ..Streams::default() };
        shim.attach(&world.id("a"), &attached).await.unwrap();
        keep.write_all(b"word\n").await.unwrap();
        read_until(&mut out, "got word\r\n").await;
        shim.wait(&world.id("a"), None).await.unwrap();
        assert_eq!(world.log("a"), ["stdout F word\r", "stdout F got word\r"]);
        shim.delete(&world.id("a"), None).await.unwrap();
    });
}

#[test]
fn input_comes_from_whoever_attaches_and_once_ends_with_the_first() {
    world::test("attach", async |mut world: World| {
        let (shim, config) = shim(&mut world, "cat; echo end").await;
        for (name, once) in [("a", true), ("b", false)] {
            let config = match name {
                "a" => config.clone(),
                _ => world.config(name, "cat; echo end"),
            };
            let streams = Streams { stdin: shim_api::cri_stdin(once), ..world.logged(name) };
            world.run(&shim, name, &config, streams).await;
            let [stdin, stdout] = ["in", "out"].map(|end| world.fifo(&format!("{name}-{end}")));
            let mut out = reader(&stdout);
            // The caller's end has to be there before the shim's.
            let mut input = pipe::OpenOptions::new().read_write(true).open_sender(&stdin).unwrap();
            let attached = Streams { stdin: text(&stdin), stdout: text(&stdout), ..Streams::default() };
            shim.attach(&world.id(name), &attached).await.unwrap();
            input.write_all(b"hello\n").await.unwrap();
            assert_eq!(read_until(&mut out, "hello\n").await, "hello\n");
            drop(input);
            if once {
                assert_eq!(read_all(out).await, "end\n");
                assert_eq!(shim.wait(&world.id(name), None).await.unwrap().code, 0);
                assert_eq!(world.log(name), ["stdout F hello", "stdout F end"]);
                let late = shim.attach(&world.id(name), &attached).await.unwrap_err();
                assert_eq!(late.kind(), Kind::FailedPrecondition);
            } else {
                drop(out);
                let second = world.fifo("second");
                let mut again = pipe::OpenOptions::new().read_write(true).open_sender(&second).unwrap();
                let attached = Streams { stdin: text(&second), ..Streams::default() };
                shim.attach(&world.id(name), &attached).await.unwrap();
                again.write_all(b"again\n").await.unwrap();
                while world.log(name) != ["stdout F hello", "stdout F again"] {
                    tokio::task::yield_now().await;
                }
            }
            world.end(&shim, name).await;
        }
    });
}

/// Neither a reader that does not read, nor one that went away, holds up the container or its log.
#[test]
fn a_slow_reader_is_dropped_and_nobody_waits_for_it() {
    world::test("slow", async |mut world: World| {
        let script = "read go; head -c 3000000 /dev/zero; echo; echo end; read more";
        let (shim, config) = shim(&mut world, script).await;
        let streams = Streams { stdin: shim_api::cri_stdin(false), ..world.logged("a") };
        world.run(&shim, "a", &config, streams).await;
        let [stdin, slow, gone] = ["in", "slow", "gone"].map(|name| world.fifo(name));
        let held = reader(&slow);
        let leaver = reader(&gone);
        let mut input = pipe::OpenOptions::new().read_write(true).open_sender(&stdin).unwrap();
        for (stdin, stdout) in [(text(&stdin), text(&slow)), (String::new(), text(&gone))] {
            let attached = Streams { stdin, stdout, ..Streams::default() };
            shim.attach(&world.id("a"), &attached).await.unwrap();
        }
        let nobody = Streams { stdout: text(&world.fifo("nobody")), ..Streams::default() };
        let refused = shim.attach(&world.id("a"), &nobody).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::FailedPrecondition);
        drop(leaver);
        input.write_all(b"go\n").await.unwrap();
        while world.log("a").last().is_none_or(|line| line != "stdout F end") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // It was dropped: what it had not read by then is all it gets.
        let got = read_bytes(held).await;
        assert!(got < 3_000_000, "{got}");
        world.end(&shim, "a").await;
    });
}

async fn read_bytes(mut from: pipe::Receiver) -> usize {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).await.unwrap();
    bytes.len()
}

#[test]
fn a_log_is_reopened_when_it_was_rotated() {
    world::test("rotate", async |mut world: World| {
        let (shim, config) = shim(&mut world, "while read word; do echo $word; done").await;
        let streams = Streams { stdin: shim_api::cri_stdin(false), ..world.logged("a") };
        world.run(&shim, "a", &config, streams).await;
        let stdin = world.fifo("in");
        let mut input = pipe::OpenOptions::new().read_write(true).open_sender(&stdin).unwrap();
        let attached = Streams { stdin: text(&stdin), ..Streams::default() };
        shim.attach(&world.id("a"), &attached).await.unwrap();
        let log = world.path("a.log");
        input.write_all(b"one\n").await.unwrap();
        while world.log("a") != ["stdout F one"] {
            tokio::task::yield_now().await;
        }
        std::fs::rename(&log, world.path("old.log")).unwrap();
        shim.reopen_log(&world.id("a")).await.unwrap();
        input.write_all(b"two\n").await.unwrap();
        while world.log("a") != ["stdout F two"] {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.log("old"), ["stdout F one"]);
        world.end(&shim, "a").await;
        assert_eq!(shim.reopen_log(&world.id("a")).await.unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn files_and_programs_take_output() {
    world::test("binary", async |mut world: World| {
        let (shim, config) = shim(&mut world, "echo out; echo err >&2").await;
        let (file, program) = (world.path("file"), world.path("program"));
        let script = format!(
            "#!/bin/sh\nexec 5>&-\necho \"$CONTAINER_ID $*\" >{0}.who\ncat <&3 >{0}.out\ncat <&4 >{0}.err\n",
            program.display()
        );
        std::fs::write(&program, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let to_file = format!("file://{}", file.display());
        let streams = Streams { stdout: to_file.clone(), stderr: to_file, ..Streams::default() };
        world.run(&shim, "a", &config, streams).await;
        shim.wait(&world.id("a"), None).await.unwrap();
        shim.delete(&world.id("a"), None).await.unwrap();
        let mut lines: Vec<String> =
            std::fs::read_to_string(&file).unwrap().lines().map(ToOwned::to_owned).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["err", "out"]);

        let to_program = format!("binary://{}?kind=x&flag", program.display());
        let streams = Streams { stdout: to_program.clone(), stderr: to_program, ..Streams::default() };
        let config = world.config("b", "echo out; echo err >&2");
        world.run(&shim, "b", &config, streams).await;
        shim.wait(&world.id("b"), None).await.unwrap();
        let written = |end: &str| std::fs::read_to_string(format!("{}.{end}", program.display()));
        while written("err").unwrap_or_default() != "err\n" {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(written("out").unwrap(), "out\n");
        assert_eq!(written("who").unwrap(), format!("{} kind x flag\n", world.id("b")));
        shim.delete(&world.id("b"), None).await.unwrap();
        let missing = format!("binary://{}", world.path("missing").display());
        let streams = Streams { stdout: missing, ..Streams::default() };
        let config = world.config("c", "true");
        let refused = shim.create(&world.new_task("c", &config, streams)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound);
        let gone = Signal { number: 9, all: false };
        assert_eq!(shim.kill(&world.id("c"), None, gone).await.unwrap_err().kind(), Kind::NotFound);
    });
}
