//! What people do with containers, told once and played by every caller.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::caller::{Caller, Container, Volume};
use crate::command::{done, eventually, outcome};
use crate::terminal::Terminal;

/// A shell command that succeeds where the container of the health story is well.
pub(crate) const HEALTH: &str = "test -e /tmp/well";

/// The engine that a story needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Any, others play there too.
    Shared,
    /// One of its own, for it does things to it.
    Own,
    /// One that gives containers user namespaces.
    UserNamespaces,
}

pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) tell: fn(&dyn Caller) -> Result<()>,
}

pub(crate) const STORIES: &[Story] = &[
    story("hello", Needs::Shared, hello),
    story("refusals", Needs::Shared, refusals),
    story("terminal", Needs::Shared, terminal),
    story("exec", Needs::Shared, exec),
    story("logs", Needs::Shared, logs),
    story("pause", Needs::Shared, pause),
    story("stop", Needs::Shared, stop),
    story("kill", Needs::Shared, kill),
    story("memory_limit", Needs::Shared, memory_limit),
    story("cpu_limit", Needs::Shared, cpu_limit),
    story("volumes", Needs::Shared, volumes),
    story("user_namespace", Needs::UserNamespaces, user_namespace),
    story("init", Needs::Shared, init),
    story("health", Needs::Shared, health),
    story("twenty_at_once", Needs::Shared, twenty_at_once),
    story("restart", Needs::Own, restart),
    story("shim_killed", Needs::Shared, shim_killed),
];

const fn story(name: &'static str, needs: Needs, tell: fn(&dyn Caller) -> Result<()>) -> Story {
    Story { name, needs, tell }
}

/// Ends and removes a container when the story is over, however it ended.
struct Removed<'a>(&'a dyn Caller, &'a str);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        // A story that failed may have started nothing.
        let _ = self.0.remove(self.1);
    }
}

fn container<'a>(name: &'a str, command: &'a [&'a str]) -> Container<'a> {
    Container { name, command, ..Container::default() }
}

/// Prints a line 20 times a second and does not heed SIGTERM, as process 1 never does without a handler.
const TICKING: &[&str] = &["sh", "-c", "while :; do echo tick; sleep 0.05; done"];

fn ticks(caller: &dyn Caller, name: &str) -> Result<usize> {
    Ok(done(caller.logs(name))?.matches("tick").count())
}

fn hello(caller: &dyn Caller) -> Result<()> {
    let said = done(caller.run(&container("hello", &["echo", "hello"])))?;
    ensure!(said == "hello\n", "said {said:?}");
    let ended = outcome(caller.run(&container("hello", &["sh", "-c", "echo oh >&2; exit 42"])))?;
    ensure!(ended.code == 42 && ended.stderr.contains("oh"), "exit code {}: {}", ended.code, ended.stderr);
    Ok(())
}

/// The runtime's words for a program that cannot be started decide over the caller's exit code.
fn refusals(caller: &dyn Caller) -> Result<()> {
    for (name, program, code) in [("absent", "no-such-program", 127), ("barred", "/etc/passwd", 126)] {
        let run = caller.run(&container(name, &[program]));
        let is_ctr = run.get_program() == "ctr";
        let ended = outcome(run)?;
        let _removed = is_ctr.then_some(Removed(caller, name));
        let expected = if is_ctr { 1 } else { code };
        ensure!(
            ended.code == expected,
            "{program}: exit code {}, not {expected}: {}",
            ended.code,
            ended.stderr
        );
        ensure!(ended.stderr.contains(program), "{program} is not named in: {}", ended.stderr);
    }
    Ok(())
}

fn terminal(caller: &dyn Caller) -> Result<()> {
    let shell = Container { terminal: true, ..container("terminal", &["sh"]) };
    let mut screen = Terminal::open(&caller.run(&shell), 31, 97)?;
    screen.type_line("echo $((6 * 7)) $(tty)")?;
    screen.expect("42 /dev/")?;
    screen.type_line("stty size")?;
    screen.expect("31 97")?;
    screen.resize(40, 120)?;
    // The new size arrives when the caller gets to it.
    screen.type_line("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.05; done; echo $((70 * 11))")?;
    screen.expect("770")?;
    screen.type_line("exit 7")?;
    let code = screen.close()?;
    ensure!(code == 7, "exit code {code}");
    Ok(())
}

fn exec(caller: &dyn Caller) -> Result<()> {
    done(caller.start(&container("exec", &["sleep", "600"])))?;
    let _removed = Removed(caller, "exec");
    let ended = outcome(caller.exec("exec", false, &["sh", "-c", "echo in; echo oh >&2; exit 5"]))?;
    ensure!((ended.code, ended.stdout.as_str()) == (5, "in\n"), "exit code {}: {}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains("oh"), "standard error: {}", ended.stderr);
    let first = done(caller.exec("exec", false, &["cat", "/proc/1/comm"]))?;
    ensure!(first.trim() == "sleep", "process 1 is {first}");

    let mut screen = Terminal::open(&caller.exec("exec", true, &["sh"]), 24, 80)?;
    screen.type_line("test -t 0 && echo $((20 + 3))")?;
    screen.expect("23")?;
    screen.type_line("exit 9")?;
    let code = screen.close()?;
    ensure!(code == 9, "exit code {code} at the terminal");

    let absent = outcome(caller.exec("exec", false, &["no-such-program"]))?;
    ensure!(absent.code != 0, "a program that does not exist ran");
    Ok(())
}

fn logs(caller: &dyn Caller) -> Result<()> {
    done(caller.start(&container("logs", &["sh", "-c", "seq 2000; echo last >&2"])))?;
    let _removed = Removed(caller, "logs");
    let code = caller.wait("logs")?;
    let said = outcome(caller.logs("logs"))?;
    ensure!(code == 0 && said.stdout.contains("\n2000\n"), "exit code {code}, {} bytes", said.stdout.len());
    ensure!(format!("{}{}", said.stdout, said.stderr).contains("last"), "no standard error in the log");
    Ok(())
}

fn pause(caller: &dyn Caller) -> Result<()> {
    done(caller.start(&container("pause", TICKING)))?;
    let _removed = Removed(caller, "pause");
    eventually("a tick", || Ok(ticks(caller, "pause")? > 0))?;
    done(caller.pause("pause"))?;
    let status = caller.status("pause")?;
    ensure!(status == "paused", "the status is {status}");
    // What was written before the pause may still be on its way into the log.
    std::thread::sleep(Duration::from_millis(100));
    let before = ticks(caller, "pause")?;
    std::thread::sleep(Duration::from_millis(400));
    let after = ticks(caller, "pause")?;
    ensure!(before == after, "{} ticks while paused", after - before);
    done(caller.unpause("pause"))?;
    eventually("a tick after the pause", || Ok(ticks(caller, "pause")? > after))?;
    let status = caller.status("pause")?;
    ensure!(status == "running", "the status is {status}");
    Ok(())
}

fn stop(caller: &dyn Caller) -> Result<()> {
    let heeds = ["sh", "-c", "trap 'exit 3' TERM; echo tick; while :; do sleep 0.05; done"];
    for (name, command, expected) in [("polite", heeds.as_slice(), 3), ("stubborn", TICKING, 137)] {
        done(caller.start(&container(name, command)))?;
        let _removed = Removed(caller, name);
        eventually("a tick", || Ok(ticks(caller, name)? > 0))?;
        caller.stop(name, if expected == 137 { 1 } else { 30 })?;
        let code = caller.wait(name)?;
        ensure!(code == expected, "{name}: exit code {code}, not {expected}");
    }
    Ok(())
}

fn kill(caller: &dyn Caller) -> Result<()> {
    let command = ["sh", "-c", "trap 'echo tock' USR1; echo tick; while :; do sleep 0.05; done"];
    done(caller.start(&container("kill", &command)))?;
    let _removed = Removed(caller, "kill");
    eventually("a tick", || Ok(ticks(caller, "kill")? > 0))?;
    done(caller.kill("kill", "SIGUSR1"))?;
    eventually("the answer to SIGUSR1", || Ok(done(caller.logs("kill"))?.contains("tock")))?;
    done(caller.kill("kill", "SIGKILL"))?;
    let code = caller.wait("kill")?;
    ensure!(code == 137, "exit code {code}");
    Ok(())
}

fn memory_limit(caller: &dyn Caller) -> Result<()> {
    // dd fills its whole buffer before it writes any of it.
    let greedy = ["dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"];
    let memory = Some(64 << 20);
    done(caller.start(&Container { memory, ..container("memory", &greedy) }))?;
    let _removed = Removed(caller, "memory");
    let code = caller.wait("memory")?;
    ensure!(code == 137, "exit code {code}");

    // With a survivor the cgroup stands, and says what happened in it.
    let survived = format!("{} ; echo dd: $? ; {}", greedy.join(" "), TICKING[2]);
    done(caller.start(&Container { memory, ..container("survivor", &["sh", "-c", &survived]) }))?;
    let _removed = Removed(caller, "survivor");
    eventually("the end of dd", || Ok(done(caller.logs("survivor"))?.contains("dd: 137")))?;
    let show = "cat /sys/fs/cgroup/memory.events || cat /sys/fs/cgroup/memory/memory.oom_control";
    let seen = done(caller.exec("survivor", false, &["sh", "-c", show]))?;
    ensure!(seen.contains("oom_kill 1"), "the cgroup says {seen:?}");
    done(caller.kill("survivor", "SIGKILL"))?;
    let code = caller.wait("survivor")?;
    ensure!(code == 137, "exit code {code}");
    if caller.tells_of_oom_kills() {
        eventually("the caller's word of the OOM kill", || caller.oom_killed("survivor"))?;
    }
    Ok(())
}

fn cpu_limit(caller: &dyn Caller) -> Result<()> {
    let show = "cat /sys/fs/cgroup/cpu.max || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us";
    let command = ["sh", "-c", show];
    let seen = done(caller.run(&Container { cpu_percent: Some(50), ..container("cpu", &command) }))?;
    ensure!(seen.split_whitespace().eq(["50000", "100000"]), "the cgroup says {seen:?}");
    Ok(())
}

fn volumes(caller: &dyn Caller) -> Result<()> {
    let directory = tempfile::tempdir_in("/var/tmp")?;
    let [fixed, open] = ["fixed", "open"].map(|name| directory.path().join(name));
    fs::create_dir(&fixed)?;
    fs::create_dir(&open)?;
    fs::write(fixed.join("question"), "why")?;
    let volumes = [
        Volume { source: &fixed, target: "/fixed", read_only: true },
        Volume { source: &open, target: "/open", read_only: false },
    ];
    let command = ["sh", "-c", "cp /fixed/question /open/answer; touch /fixed/no || echo refused"];
    let said = done(caller.run(&Container { volumes: &volumes, ..container("volumes", &command) }))?;
    ensure!(said == "refused\n", "said {said:?}");
    let answer = fs::read_to_string(open.join("answer")).context("read what the container wrote")?;
    ensure!(answer == "why" && !fs::exists(fixed.join("no"))?, "the answer is {answer:?}");
    Ok(())
}

fn user_namespace(caller: &dyn Caller) -> Result<()> {
    let command = ["sh", "-c", "id -u; cat /proc/self/uid_map; touch /root/mine && stat -c %u /root/mine"];
    let said = done(caller.run(&Container { user_namespace: true, ..container("users", &command) }))?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let [user, inner, outer, length, owner] = words[..] else { anyhow::bail!("said {said:?}") };
    ensure!((user, inner, length, owner) == ("0", "0", "65536", "0") && outer != "0", "said {said:?}");
    Ok(())
}

fn init(caller: &dyn Caller) -> Result<()> {
    // The orphan becomes process 1's child and must be gone once it ended.
    let command =
        ["sh", "-c", "cat /proc/1/comm; (sleep 0.1 &); sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status"];
    let ended = outcome(caller.run(&Container { init: true, ..container("init", &command) }))?;
    let first = ended.stdout.lines().next().unwrap_or_default();
    ensure!(
        ["tini", "docker-init", "podman-init"].contains(&first),
        "process 1 is {first:?}: {}",
        ended.stderr
    );
    ensure!(ended.stdout.lines().count() == 1, "a zombie is left: {}", ended.stdout);
    Ok(())
}

fn health(caller: &dyn Caller) -> Result<()> {
    let watched = Container { health: Some(HEALTH), ..container("health", &["sleep", "600"]) };
    done(caller.start(&watched))?;
    let _removed = Removed(caller, "health");
    ensure!(!caller.healthy("health")?, "healthy before it is well");
    done(caller.exec("health", false, &["touch", "/tmp/well"]))?;
    eventually("health", || caller.healthy("health"))
}

fn twenty_at_once(caller: &dyn Caller) -> Result<()> {
    let names: Vec<String> = (0..20).map(|number| format!("crowd-{number}")).collect();
    let _removed: Vec<_> = names.iter().map(|name| Removed(caller, name)).collect();
    let each = |act: &(dyn Fn(&str) -> Result<()> + Sync)| {
        std::thread::scope(|scope| {
            let acts: Vec<_> = names.iter().map(|name| scope.spawn(move || act(name))).collect();
            acts.into_iter().try_for_each(|act| act.join().map_err(|_| anyhow::anyhow!("panicked"))?)
        })
    };
    each(&|name| done(caller.start(&container(name, &["sleep", "600"]))).map(drop))?;
    each(&|name| {
        let status = caller.status(name)?;
        ensure!(status == "running", "{name} is {status}");
        Ok(())
    })?;
    each(&|name| done(caller.kill(name, "SIGKILL")).map(drop))?;
    each(&|name| {
        let code = caller.wait(name)?;
        ensure!(code == 137, "{name}: exit code {code}");
        Ok(())
    })
}

fn restart(caller: &dyn Caller) -> Result<()> {
    done(caller.start(&container("steady", TICKING)))?;
    let before = (caller.pid("steady")?, ticks(caller, "steady")?);
    caller.restart()?;
    let pid = caller.pid("steady")?;
    ensure!(pid == before.0, "process {} became {pid}", before.0);
    eventually("a tick after the restart", || Ok(ticks(caller, "steady")? > before.1))?;
    let said = done(caller.exec("steady", false, &["echo", "in"]))?;
    ensure!(said == "in\n", "exec said {said:?}");
    caller.stop("steady", 0)?;
    let code = caller.wait("steady")?;
    ensure!(code == 137, "exit code {code}");
    caller.remove("steady")
}

fn shim_killed(caller: &dyn Caller) -> Result<()> {
    done(caller.start(&container("orphan", TICKING)))?;
    eventually("a tick", || Ok(ticks(caller, "orphan")? > 0))?;
    let process = format!("/proc/{}/root", caller.pid("orphan")?);
    caller.kill_shim("orphan")?;
    // The engine cleans up behind it: the container does not run on without anybody who knows of it.
    let code = caller.wait("orphan")?;
    ensure!(code == 137, "exit code {code}");
    eventually("the end of the container", || Ok(!fs::exists(&process)?))?;
    caller.remove("orphan")
}
