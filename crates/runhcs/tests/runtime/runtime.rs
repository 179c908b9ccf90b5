//! The runtime under test: a program, its state root, and calls of it that end in time.

use crate::lines::{Lines, PATIENCE, readable};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Whose program it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ours,
    Runc,
    Crun,
}

/// A runtime with a state root.
#[derive(Clone)]
pub(crate) struct Runtime {
    program: PathBuf,
    kind: Kind,
    /// `--root`, unless empty.
    pub(crate) root: PathBuf,
    /// Words before the program, such as `setpriv --reuid 1000`.
    pub(crate) before: Vec<String>,
    /// Environment of every call.
    pub(crate) env: Vec<(String, String)>,
    /// Where outputs are kept.
    pub(crate) outputs: PathBuf,
    transcript: Arc<Mutex<Vec<String>>>,
}

/// A call that is being put together.
pub(crate) struct Call {
    runtime: Runtime,
    global: Vec<String>,
    args: Vec<String>,
    env: Vec<(String, Option<String>)>,
    stdin: Option<Vec<u8>>,
    stdio: Option<[Stdio; 3]>,
    cwd: Option<PathBuf>,
    patience: Duration,
}

/// What a call came to.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) args: Vec<String>,
    /// The exit code; `None` when a signal ended the runtime or its time was up.
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A call that has not ended.
pub(crate) struct Running {
    child: Child,
    pidfd: OwnedFd,
    args: Vec<String>,
    pub(crate) out: Lines,
    stderr: PathBuf,
    transcript: Arc<Mutex<Vec<String>>>,
}

static CALLS: AtomicU32 = AtomicU32::new(0);

impl Runtime {
    /// The runtime that this run of the suite is about.
    pub(crate) fn under_test() -> Self {
        static FOUND: OnceLock<(PathBuf, Kind)> = OnceLock::new();
        let (program, kind) = FOUND.get_or_init(|| {
            let built = option_env!("CARGO_BIN_EXE_runhcs").map(PathBuf::from);
            let program = match std::env::var_os("COFFERDAM_RUNTIME") {
                Some(named) => which(Path::new(&named)),
                None => built.expect("COFFERDAM_RUNTIME names the runtime to test"),
            };
            let version = Command::new(&program).arg("--version").output();
            let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            let kind = match version.as_deref().unwrap_or_default().split_whitespace().next() {
                Some("runc") => Kind::Runc,
                Some("crun") => Kind::Crun,
                _ => Kind::Ours,
            };
            (program, kind)
        });
        Self {
            program: program.clone(),
            kind: *kind,
            root: PathBuf::new(),
            before: Vec::new(),
            env: Vec::new(),
            outputs: PathBuf::new(),
            transcript: Arc::default(),
        }
    }

    /// Whose it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The file.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The same runtime from another file.
    pub(crate) fn at(&self, program: &Path) -> Self {
        Self { program: program.to_owned(), ..self.clone() }
    }

    /// The same runtime with another state root.
    pub(crate) fn with_root(&self, root: &Path) -> Self {
        Self { root: root.to_owned(), ..self.clone() }
    }

    /// The same runtime, started by these words.
    pub(crate) fn behind<S: AsRef<str>>(&self, words: &[S]) -> Self {
        let mut before: Vec<String> = words.iter().map(|word| word.as_ref().to_owned()).collect();
        before.extend(self.before.iter().cloned());
        Self { before, ..self.clone() }
    }

    /// A call with these arguments.
    pub(crate) fn call<S: AsRef<str>>(&self, args: &[S]) -> Call {
        Call {
            runtime: self.clone(),
            global: Vec::new(),
            args: args.iter().map(|arg| arg.as_ref().to_owned()).collect(),
            env: Vec::new(),
            stdin: None,
            stdio: None,
            cwd: None,
            patience: PATIENCE,
        }
    }

    /// The last calls and what they said, for the report of a failure.
    pub(crate) fn transcript(&self) -> String {
        let calls = self.transcript.lock().expect("a transcript");
        let from = calls.len().saturating_sub(12);
        calls[from..].iter().map(|call| format!("  {call}\n")).collect()
    }
}

impl Call {
    /// Options before the verb.
    pub(crate) fn global<S: AsRef<str>>(mut self, options: &[S]) -> Self {
        self.global.extend(options.iter().map(|option| option.as_ref().to_owned()));
        self
    }

    /// One variable more.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// What the call reads.
    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = Some(bytes.to_owned());
        self
    }

    /// All three streams, such as a terminal.
    pub(crate) fn stdio(mut self, stdio: [Stdio; 3]) -> Self {
        self.stdio = Some(stdio);
        self
    }

    /// Words that start the runtime, such as those of a shell.
    pub(crate) fn behind<S: AsRef<str>>(mut self, words: &[S]) -> Self {
        self.runtime = self.runtime.behind(words);
        self
    }

    /// The working directory.
    pub(crate) fn cwd(mut self, folder: &Path) -> Self {
        self.cwd = Some(folder.to_owned());
        self
    }

    /// How long it may take.
    pub(crate) fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Starts it; its standard output can be read while it runs.
    pub(crate) fn spawn(mut self) -> Running {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let (mut command, stderr) = self.command();
        match self.stdio.take() {
            Some([input, output, error]) => command.stdin(input).stdout(output).stderr(error),
            None => command.stdin(Stdio::null()).stdout(writer),
        };
        let input = self.stdin.take();
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        drop(command);
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), input) {
            // A call that fails early does not read all of it.
            let _ = pipe.write_all(&bytes);
        }
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a pidfd of the call");
        let args = self.shown();
        let transcript = self.runtime.transcript;
        Running { child, pidfd, args, out: Lines::new(reader.into()), stderr, transcript }
    }

    /// Runs it to its end. Output goes to files, not pipes, because a container that lives on inherits them.
    pub(crate) fn run(mut self) -> Output {
        let (mut command, stderr) = self.command();
        let stdout = stderr.with_extension("out");
        if self.stdio.is_none() {
            self.stdio = Some([
                if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() },
                File::create(&stdout).expect("a file for output").into(),
                File::create(&stderr).expect("a file for errors").into(),
            ]);
        }
        if let Some([input, output, error]) = self.stdio.take() {
            command.stdin(input).stdout(output).stderr(error);
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        drop(command);
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.stdin.take()) {
            let _ = pipe.write_all(&bytes);
        }
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a pidfd of the call");
        let in_time = readable(&pidfd, self.patience);
        if !in_time {
            end(&mut child);
        }
        let status = child.wait().expect("the end of the call");
        let mut output = Output {
            args: self.shown(),
            code: status.code(),
            signal: status.signal(),
            stdout: read_lossy(&stdout),
            stderr: read_lossy(&stderr),
        };
        if !in_time {
            output.stderr.push_str("\n(the suite killed it: time is up)");
        }
        record(&self.runtime.transcript, &output);
        assert!(in_time, "`{}` did not end within {:?}", output.args.join(" "), self.patience);
        output
    }

    fn command(&self) -> (Command, PathBuf) {
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let stderr = self.runtime.outputs.join(format!("call-{number}.err"));
        let mut words: Vec<String> = self.runtime.before.clone();
        words.push(self.runtime.program.to_string_lossy().into_owned());
        if !self.runtime.root.as_os_str().is_empty() {
            words.extend(["--root".to_owned(), self.runtime.root.to_string_lossy().into_owned()]);
        }
        words.extend(self.global.iter().cloned());
        words.extend(self.args.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.envs(self.runtime.env.iter().map(|(name, value)| (name, value)));
        command.stderr(File::create(&stderr).expect("a file for errors"));
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        (command, stderr)
    }

    fn shown(&self) -> Vec<String> {
        self.global.iter().chain(&self.args).cloned().collect()
    }
}

impl Running {
    /// Signals the runtime.
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::pidfd_send_signal(&self.pidfd, signal).expect("a signal to the runtime");
    }

    /// Signals the runtime with a number that has no name.
    pub(crate) fn signal_number(&self, number: u32) {
        let script = format!("kill -{number} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &script]).status().expect("sh");
        assert!(status.success(), "{script}: {status}");
    }

    /// What it said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }

    /// Whether it ends within the time.
    pub(crate) fn ends_within(&self, time: Duration) -> bool {
        readable(&self.pidfd, time)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Output {
        let in_time = readable(&self.pidfd, PATIENCE);
        if !in_time {
            end(&mut self.child);
        }
        let status = self.child.wait().expect("the end of the call");
        let output = Output {
            args: self.args.clone(),
            code: status.code(),
            signal: status.signal(),
            stdout: self.out.text(),
            stderr: self.stderr(),
        };
        record(&self.transcript, &output);
        assert!(in_time, "`{}` did not end", self.args.join(" "));
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            end(&mut self.child);
        }
    }
}

impl Output {
    /// It succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// It failed, in its own words and not by a crash, and these words are among them.
    #[track_caller]
    pub(crate) fn fails(self, text: &str) -> Self {
        assert!(self.code.is_some_and(|code| code != 0), "it should have failed: {self}");
        assert!(!self.stderr.contains("panicked at"), "{self}");
        let said = self.said().to_lowercase();
        assert!(said.contains(&text.to_lowercase()), "expected {text:?} in: {self}");
        self
    }

    /// It failed because there is no such container.
    #[track_caller]
    pub(crate) fn knows_nobody(self) -> Self {
        // crun says which file of its state is missing.
        let text = if Runtime::under_test().kind() == Kind::Crun {
            "no such file"
        } else {
            "container does not exist"
        };
        self.fails(text)
    }

    /// Both streams; quotation marks that a log line escapes are as they were meant.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr).replace("\\\"", "\"")
    }

    /// Standard output, trimmed.
    pub(crate) fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in: {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Output { args, code, signal, stdout, stderr } = self;
        let short = |text: &str| -> String { text.trim().chars().take(1500).collect() };
        write!(f, "`{}` ", args.join(" "))?;
        match (code, signal) {
            (Some(code), _) => write!(f, "gave {code}")?,
            (None, Some(signal)) => write!(f, "was ended by signal {signal}")?,
            (None, None) => write!(f, "vanished")?,
        }
        write!(f, ", stdout {:?}, stderr {:?}", short(stdout), short(stderr))
    }
}

fn record(transcript: &Mutex<Vec<String>>, output: &Output) {
    transcript.lock().expect("a transcript").push(output.to_string());
}

/// Ends a call that was started here; words before the runtime may have put it under another process of its own.
fn end(child: &mut Child) {
    let pid = Pid::from_child(child);
    for below in crate::host::descendants(pid.as_raw_nonzero().get()) {
        if let Some(below) = Pid::from_raw(below) {
            let _ = rustix::process::kill_process(below, Signal::KILL);
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn which(name: &Path) -> PathBuf {
    if name.components().count() > 1 {
        return std::path::absolute(name).expect("an absolute path");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.exists())
        .unwrap_or_else(|| name.to_owned())
}
