//! Programs that run at points of a container's life, on the host's side or the container's.
//!
//! A hook gets its own arguments and environment and nothing else: the state on stdin, no descriptor of ours. What it
//! says comes back in the error when it fails. A hook that outlives its timeout is killed; one that leaves a process
//! behind that holds its output open is not waited for.

use super::error::Error;
use crate::sys::exec::inherit_stdio_only;
use oci_spec::runtime::{Hook, Hooks, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Where in a container's life a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Runtime's namespaces, before the root is changed; deprecated.
    Prestart,
    /// Runtime's namespaces, before the root is changed.
    CreateRuntime,
    /// Container's namespaces, before the root is changed.
    CreateContainer,
    /// Container's namespaces, before the program is executed.
    StartContainer,
    /// Runtime's namespaces, after the program was executed.
    Poststart,
    /// Runtime's namespaces, after the container was deleted.
    Poststop,
}

impl Point {
    /// In the order of a container's life.
    pub const ALL: [Self; 6] = [
        Self::Prestart,
        Self::CreateRuntime,
        Self::CreateContainer,
        Self::StartContainer,
        Self::Poststart,
        Self::Poststop,
    ];

    /// The specification's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }

    /// Its hooks in a specification.
    pub fn of_spec(self, spec: &Spec) -> &[Hook] {
        spec.hooks().as_ref().map(|hooks| self.of(hooks)).unwrap_or_default()
    }

    /// Its hooks.
    pub fn of(self, hooks: &Hooks) -> &[Hook] {
        match self {
            Self::Prestart => hooks.prestart(),
            Self::CreateRuntime => hooks.create_runtime(),
            Self::CreateContainer => hooks.create_container(),
            Self::StartContainer => hooks.start_container(),
            Self::Poststart => hooks.poststart(),
            Self::Poststop => hooks.poststop(),
        }
        .as_deref()
        .unwrap_or_default()
    }
}

/// Output beyond this is read and dropped: it ends up in an error message.
const KEPT_OUTPUT: usize = 64 << 10;

/// The environment of a hook that has none of its own.
#[derive(Debug, Clone, Copy)]
pub enum DefaultEnv<'a> {
    /// None, as the specification has it.
    Empty,
    /// The container's process's; runc does so for startContainer, and people rely on it.
    Process(&'a [String]),
}

/// Checks what can be checked without running anything.
pub(crate) fn validate(hooks: &Hooks) -> Result<(), Error> {
    for point in Point::ALL {
        for (index, hook) in point.of(hooks).iter().enumerate() {
            let field = format!("hooks.{}[{index}]", point.name());
            if !hook.path().is_absolute() {
                return Err(Error::invalid(format!(
                    "{field}.path: {:?} is not an absolute path",
                    hook.path()
                )));
            }
            if hook.timeout().is_some_and(|seconds| seconds <= 0) {
                return Err(Error::invalid(format!("{field}.timeout must be greater than zero")));
            }
        }
    }
    Ok(())
}

/// Runs hooks one after the other up to the first that fails. `state` is the container's state as JSON.
pub fn run(point: Point, hooks: &[Hook], state: &[u8], env: DefaultEnv<'_>) -> Result<(), Error> {
    for (index, hook) in hooks.iter().enumerate() {
        run_one(hook, state, env).map_err(|failure| {
            let (why, timed_out) = failure.describe(hook);
            Error::Hook { hook: point.name(), index, why, timed_out }
        })?;
    }
    Ok(())
}

/// How a hook failed.
enum Failure {
    Start(io::Error),
    Watch(io::Error),
    Exit { status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8> },
    Timeout(Duration),
}

impl Failure {
    /// In Go's words, which are in runc's messages.
    fn describe(&self, hook: &Hook) -> (String, bool) {
        let words = |error: &io::Error| {
            compute::Error::io(String::new(), clone_io(error)).chain().last().cloned().unwrap_or_default()
        };
        let path = hook.path().display();
        match self {
            Self::Start(error) => (format!("fork/exec {path}: {}", words(error)), false),
            Self::Watch(error) => (format!("watch {path}: {}", words(error)), false),
            Self::Timeout(limit) => {
                (format!("hook ran past specified timeout of {:.1}s", limit.as_secs_f64()), true)
            }
            Self::Exit { status, stdout, stderr } => {
                let how = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit status {code}"),
                    (None, Some(signal)) => format!("signal: {}", signal_words(signal)),
                    (None, None) => status.to_string(),
                };
                let text = String::from_utf8_lossy;
                (format!("{how}, stdout: {}, stderr: {}", text(stdout), text(stderr)), false)
            }
        }
    }
}

fn clone_io(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

/// Those that end a hook in practice.
fn signal_words(signal: i32) -> String {
    match signal {
        libc::SIGKILL => "killed".to_owned(),
        libc::SIGTERM => "terminated".to_owned(),
        libc::SIGSEGV => "segmentation fault".to_owned(),
        libc::SIGABRT => "aborted".to_owned(),
        other => format!("signal {other}"),
    }
}

fn run_one(hook: &Hook, state: &[u8], env: DefaultEnv<'_>) -> Result<(), Failure> {
    let limit = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    let mut child = command(hook, env).spawn().map_err(Failure::Start)?;
    match watch(&mut child, state, limit) {
        Ok(Outcome::Ended { status, .. }) if status.success() => Ok(()),
        Ok(Outcome::Ended { status, stdout, stderr }) => Err(Failure::Exit { status, stdout, stderr }),
        Ok(Outcome::Late(limit)) => {
            end(&mut child);
            Err(Failure::Timeout(limit))
        }
        Err(error) => {
            end(&mut child);
            Err(Failure::Watch(error))
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself meanwhile; either way it is reaped.
    let _ = child.kill();
    let _ = child.wait();
}

fn command(hook: &Hook, env: DefaultEnv<'_>) -> Command {
    let mut command = Command::new(hook.path());
    match hook.args().as_deref() {
        None | Some([]) => {}
        Some([name, rest @ ..]) => {
            command.arg0(name).args(rest);
        }
    }
    let own = hook.env().as_deref().unwrap_or_default();
    let env = match env {
        DefaultEnv::Process(inherited) if own.is_empty() => inherited,
        _ => own,
    };
    command.env_clear();
    for pair in env {
        // What is no pair cannot be expressed; nobody could read it either.
        if let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    inherit_stdio_only(&mut command);
    command
}

enum Outcome {
    Ended { status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8> },
    Late(Duration),
}

/// One loop over the process and its three pipes, without a thread.
fn watch(child: &mut Child, state: &[u8], limit: Option<Duration>) -> io::Result<Outcome> {
    let process = pidfd(child);
    let mut streams = Streams::take(child, state)?;
    // A limit beyond what the clock can tell is none.
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit).map(|end| (limit, end)));
    loop {
        let patience = match deadline {
            None => None,
            Some((limit, end)) => match end.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => Some(left),
                _ => return Ok(Outcome::Late(limit)),
            },
        };
        if streams.wait(child, process.as_ref(), patience)? {
            let status = child.wait()?;
            streams.drain()?;
            return Ok(Outcome::Ended { status, stdout: streams.stdout.kept, stderr: streams.stderr.kept });
        }
    }
}

/// How often a process is looked at that cannot be waited for with everything else.
const GLANCE: Duration = Duration::from_millis(10);

/// None before Linux 5.3, or where the container's own filter refuses it to a startContainer hook.
fn pidfd(child: &Child) -> Option<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

struct Streams<'a> {
    stdin: Option<ChildStdin>,
    state: &'a [u8],
    stdout: Output<ChildStdout>,
    stderr: Output<ChildStderr>,
}

struct Output<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
}

impl<'a> Streams<'a> {
    fn take(child: &mut Child, state: &'a [u8]) -> io::Result<Self> {
        let streams = Self {
            stdin: child.stdin.take(),
            state,
            stdout: Output { pipe: child.stdout.take(), kept: Vec::new() },
            stderr: Output { pipe: child.stderr.take(), kept: Vec::new() },
        };
        let fds = [
            streams.stdin.as_ref().map(AsFd::as_fd),
            streams.stdout.pipe.as_ref().map(AsFd::as_fd),
            streams.stderr.pipe.as_ref().map(AsFd::as_fd),
        ];
        for fd in fds.into_iter().flatten() {
            fcntl_setfl(fd, OFlags::NONBLOCK)?;
        }
        Ok(streams)
    }

    /// Waits for something to happen and moves what can be moved; tells whether the process has ended.
    fn wait(
        &mut self,
        child: &mut Child,
        process: Option<&OwnedFd>,
        patience: Option<Duration>,
    ) -> io::Result<bool> {
        let mut fds: Vec<PollFd<'_>> =
            process.map(|process| PollFd::new(process, PollFlags::IN)).into_iter().collect();
        fds.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        fds.extend(self.stdout.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.stderr.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let patience = match process {
            Some(_) => patience,
            None => Some(patience.map_or(GLANCE, |patience| patience.min(GLANCE))),
        };
        let patience =
            patience.map(Timespec::try_from).transpose().map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut fds, patience.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        let ended = match process {
            Some(_) => fds.first().is_some_and(|fd| !fd.revents().is_empty()),
            None => child.try_wait()?.is_some(),
        };
        self.feed();
        self.drain()?;
        Ok(ended)
    }

    /// A hook need not read its input: a broken pipe is its choice.
    fn feed(&mut self) {
        let Some(pipe) = self.stdin.as_mut() else { return };
        while !self.state.is_empty() {
            match pipe.write(self.state) {
                Ok(n) => self.state = self.state.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.stdin = None;
    }

    fn drain(&mut self) -> io::Result<()> {
        self.stdout.drain()?;
        self.stderr.drain()
    }
}

impl<R: Read> Output<R> {
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while let Some(pipe) = self.pipe.as_mut() {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    let room = KEPT_OUTPUT.saturating_sub(self.kept.len()).min(n);
                    self.kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str, timeout: Option<i64>) -> Hook {
        let json = serde_json::json!({
            "path": "/bin/sh", "args": ["hook", "-c", script], "env": ["A=1"], "timeout": timeout
        });
        serde_json::from_value(json).unwrap()
    }

    fn run_script(script: &str, timeout: Option<i64>) -> Result<(), String> {
        let hooks = [hook("true", None), hook(script, timeout)];
        run(Point::CreateRuntime, &hooks, br#"{"id":"c"}"#, DefaultEnv::Empty)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_hook_has_the_state_its_arguments_its_environment_and_nothing_else() {
        let script =
            r#"test "$(cat)" = '{"id":"c"}' && test "$0" = hook && test "$A" = 1 && test -z "$HOME""#;
        assert_eq!(run_script(script, None), Ok(()));
        // A descriptor without close-on-exec, as a careless caller of the runtime leaves it.
        let leak = rustix::io::dup(rustix::stdio::stderr()).unwrap();
        assert_eq!(
            run_script("test $(ls /proc/self/fd | wc -l) = 4 || { ls -l /proc/self/fd >&2; false; }", None),
            Ok(())
        );
        drop(leak);
    }

    #[test]
    fn a_failure_says_what_the_hook_said() {
        assert_eq!(
            run_script("cat >/dev/null; echo out; echo err >&2; exit 3", None).unwrap_err(),
            "error running createRuntime hook #1: exit status 3, stdout: out\n, stderr: err\n"
        );
        assert_eq!(
            run_script("kill -9 $$", None).unwrap_err(),
            "error running createRuntime hook #1: signal: killed, stdout: , stderr: "
        );
        let missing = serde_json::from_value(serde_json::json!({"path": "/no/hook"})).unwrap();
        assert_eq!(
            run(Point::Poststop, &[missing], b"", DefaultEnv::Empty).unwrap_err().to_string(),
            "error running poststop hook #0: fork/exec /no/hook: no such file or directory"
        );
    }

    #[test]
    fn a_hook_that_is_late_is_killed() {
        let start = Instant::now();
        let error = run_script("exec sleep 60", Some(1)).unwrap_err();
        assert_eq!(error, "error running createRuntime hook #1: hook ran past specified timeout of 1.0s");
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn neither_a_full_pipe_nor_a_daemon_left_behind_holds_it_up() {
        assert_eq!(run_script("yes | head -c 1000000; cat >/dev/null", None), Ok(()));
        let start = Instant::now();
        assert_eq!(run_script("sleep 5 & true", None), Ok(()));
        assert!(start.elapsed() < Duration::from_secs(4));
        let big = vec![b'x'; 1 << 20];
        let ignores_its_input = [hook("true", None)];
        assert!(run(Point::Prestart, &ignores_its_input, &big, DefaultEnv::Empty).is_ok());
    }

    #[test]
    fn without_a_pidfd_it_is_looked_at() {
        let mut child = command(&hook("cat; echo err >&2; exit 4", None), DefaultEnv::Empty).spawn().unwrap();
        let mut streams = Streams::take(&mut child, b"state").unwrap();
        while !streams.wait(&mut child, None, None).unwrap() {}
        streams.drain().unwrap();
        assert_eq!((&streams.stdout.kept[..], &streams.stderr.kept[..]), (&b"state"[..], &b"err\n"[..]));
        assert_eq!(child.wait().unwrap().code(), Some(4));
    }

    #[test]
    fn the_environment_of_the_process_fills_an_empty_one_only() {
        let bare: Hook = serde_json::from_value(serde_json::json!({
            "path": "/bin/sh", "args": ["sh", "-c", "test \"$B\" = 2"]
        }))
        .unwrap();
        let env = ["B=2".to_owned()];
        assert!(
            run(Point::StartContainer, std::slice::from_ref(&bare), b"", DefaultEnv::Process(&env)).is_ok()
        );
        assert!(run(Point::StartContainer, &[bare], b"", DefaultEnv::Empty).is_err());
    }
}
