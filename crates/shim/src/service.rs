//! Requests: each is looked up, done, and answered. What does not take long is done where it arrives; waiting for an end
//! holds nothing.

use crate::backends::{self, CgroupMode, Checkpoint as Dump, Image, Stats, signals};
use crate::pod::Pod;
use crate::process::State;
use crate::serve::Shim;
use crate::task::{self, Exec, Task};
use compute::backend::Scope;
use compute::{Status, Verb};
use oci_spec::runtime::LinuxResources;
use shim_api::{
    Blkio, BlkioEntry, CgroupVersion, Checkpoint, Connected, Cpu, Event, Exited, Hugetlb, Kind, Memory,
    MemoryEntry, Metrics, NewProcess, NewSandbox, NewTask, Pids, Platform, ProcessEntry, Refusal,
    SandboxStarted, SandboxStatus, Service, Signal, Streams, TaskState,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How long killed containers of a pod may take to be gone, beyond what the request grants.
const END: Duration = Duration::from_secs(10);

/// See the module's text.
pub(crate) struct Requests(pub(crate) Arc<Shim>);

type Answer<T> = Result<T, Refusal>;

impl Requests {
    /// Does something to one container.
    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Task) -> Answer<T>) -> Answer<T> {
        act(self.0.tasks().get_mut(id)?)
    }

    /// Does something to the pod.
    fn with_pod<T>(&self, id: &str, act: impl FnOnce(&mut Pod) -> Answer<T>) -> Answer<T> {
        let mut tasks = self.0.tasks();
        let pod = tasks.pod.as_mut().filter(|pod| pod.id() == id);
        act(pod.ok_or_else(|| Refusal::new(Kind::NotFound, format!("sandbox {id} does not exist")))?)
    }

    /// Kills all containers and waits until they have ended, but not for ever.
    async fn end_all(&self, patience: Duration) -> Answer<()> {
        let mut ends = Vec::new();
        {
            let mut tasks = self.0.tasks();
            for id in tasks.ids() {
                let task = tasks.get_mut(&id)?;
                if task.first.exited().is_none() && task.first.pid() != 0 {
                    task::kill(task)?;
                    ends.push(task.first.watch());
                }
            }
        }
        let all = async {
            for mut end in ends {
                // The sender goes only with the container.
                let _ = end.wait_for(Option::is_some).await;
            }
        };
        tokio::time::timeout(patience.saturating_add(END), all).await.map_err(|_| {
            Refusal::new(
                Kind::DeadlineExceeded,
                "containers of the sandbox did not end after they were killed",
            )
        })
    }
}

impl Service for Requests {
    async fn create(&self, new: NewTask) -> Answer<i32> {
        task::create(&self.0, &mut self.0.tasks(), new)
    }

    async fn start(&self, id: &str, exec: Option<&str>) -> Answer<i32> {
        task::start(&self.0, &mut self.0.tasks(), id, exec)
    }

    async fn exec(&self, new: NewProcess) -> Answer<()> {
        task::exec(&self.0, &mut self.0.tasks(), new)
    }

    async fn kill(&self, id: &str, exec: Option<&str>, signal: Signal) -> Answer<()> {
        self.with(id, |task| kill(task, exec, signal))
    }

    async fn delete(&self, id: &str, exec: Option<&str>) -> Answer<Exited> {
        task::delete(&self.0, &mut self.0.tasks(), id, exec)
    }

    async fn wait(&self, id: &str, exec: Option<&str>) -> Answer<Exited> {
        let end = self.with(id, |task| task.process(exec).map(crate::process::Process::watch))?;
        ended(end).await.ok_or_else(|| {
            Refusal::new(Kind::NotFound, format!("container {id} was removed while it was waited for"))
        })
    }

    async fn state(&self, id: &str, exec: Option<&str>) -> Answer<TaskState> {
        self.with(id, |task| {
            let process = task.process(exec)?;
            let status = match process.status() {
                Status::Running if task.paused => Status::Paused,
                status => status,
            };
            Ok(TaskState {
                id: id.to_owned(),
                exec: exec.map(ToOwned::to_owned),
                bundle: task.bundle.clone(),
                pid: process.pid(),
                status,
                streams: process.streams.clone(),
                exited: process.exited().map(|exited| (exited.code, exited.at)),
            })
        })
    }

    async fn pids(&self, id: &str) -> Answer<Vec<ProcessEntry>> {
        self.with(id, |task| {
            let pids = task.engine.processes(&task.id)?;
            let exec = |pid| task.execs.iter().find(|(_, process)| process.pid() == pid);
            let entry = |pid| ProcessEntry { pid, exec: exec(pid).map(|(exec, _)| exec.clone()) };
            Ok(pids.into_iter().map(entry).collect())
        })
    }

    async fn pause(&self, id: &str) -> Answer<()> {
        self.with(id, |task| {
            task.engine.pause(&task.id)?;
            task.paused = true;
            Ok(())
        })?;
        self.0.events.send(Event::Paused { id: id.to_owned() });
        Ok(())
    }

    async fn resume(&self, id: &str) -> Answer<()> {
        self.with(id, |task| {
            task.engine.resume(&task.id)?;
            task.paused = false;
            Ok(())
        })?;
        self.0.events.send(Event::Resumed { id: id.to_owned() });
        Ok(())
    }

    async fn checkpoint(&self, id: &str, request: Checkpoint) -> Answer<()> {
        let path = request.path.clone();
        self.with(id, |task| checkpoint(task, request))?;
        self.0.events.send(Event::Checkpointed { id: id.to_owned(), path });
        Ok(())
    }

    async fn update(&self, id: &str, resources: LinuxResources) -> Answer<()> {
        // By its id the pod's own control group is meant.
        if self.0.tasks().pod.as_ref().is_some_and(|pod| pod.id() == id) {
            return self.with_pod(id, |pod| {
                if pod.saved().update(&resources)? {
                    return Ok(());
                }
                let text = format!("sandbox {id} has no control group of its own");
                Err(Refusal::new(Kind::FailedPrecondition, text))
            });
        }
        self.with(id, |task| Ok(task.engine.update(&task.id, &resources)?))
    }

    async fn stats(&self, id: &str) -> Answer<Metrics> {
        self.with(id, |task| {
            let (stats, is_v2) = backends::stats(&task.engine, &task.id)?;
            Ok(metrics(stats, is_v2))
        })
    }

    async fn resize(&self, id: &str, exec: Option<&str>, width: u16, height: u16) -> Answer<()> {
        self.with(id, |task| match &task.process(exec)?.io {
            Some(io) => io.resize(width, height),
            None => Err(Refusal::new(Kind::FailedPrecondition, "the process does not run yet")),
        })
    }

    async fn close_stdin(&self, id: &str, exec: Option<&str>) -> Answer<()> {
        self.with(id, |task| {
            if let Some(io) = &task.process(exec)?.io {
                io.close_stdin();
            }
            Ok(())
        })
    }

    async fn connect(&self, id: &str) -> Answer<Connected> {
        // Also before the container is made: containerd asks who is there.
        let task_pid = self.with(id, |task| Ok(task.first.pid())).unwrap_or(0);
        let shim_pid = i32::try_from(std::process::id()).unwrap_or(0);
        Ok(Connected { shim_pid, task_pid, version: env!("CARGO_PKG_VERSION").to_owned() })
    }

    async fn shutdown(&self, _: &str, _: bool) -> Answer<()> {
        if self.0.tasks().is_idle() {
            self.0.end.notify_one();
        }
        Ok(())
    }

    async fn create_sandbox(&self, new: NewSandbox) -> Answer<()> {
        let mut tasks = self.0.tasks();
        if let Some(pod) = &tasks.pod {
            let text = format!("this shim has sandbox {} already", pod.id());
            return Err(Refusal::new(Kind::AlreadyExists, text));
        }
        tasks.pod = Some(Pod::plan(new)?);
        Ok(())
    }

    async fn start_sandbox(&self, id: &str) -> Answer<SandboxStarted> {
        self.with_pod(id, Pod::start)
    }

    async fn platform(&self, id: &str) -> Answer<Platform> {
        self.with_pod(id, |_| {
            let architecture = match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            };
            Ok(Platform { os: std::env::consts::OS.to_owned(), architecture: architecture.to_owned() })
        })
    }

    async fn stop_sandbox(&self, id: &str, timeout_secs: u32) -> Answer<()> {
        self.with_pod(id, |_| Ok(()))?;
        self.end_all(Duration::from_secs(timeout_secs.into())).await?;
        self.with_pod(id, Pod::stop)
    }

    async fn wait_sandbox(&self, id: &str) -> Answer<(i32, SystemTime)> {
        let mut end = self.with_pod(id, |pod| Ok(pod.watch()))?;
        let ended = end.wait_for(Option::is_some).await.ok().and_then(|at| *at);
        ended.map(|at| (0, at)).ok_or_else(|| {
            Refusal::new(Kind::NotFound, format!("sandbox {id} was removed while it was waited for"))
        })
    }

    async fn sandbox_status(&self, id: &str, verbose: bool) -> Answer<SandboxStatus> {
        self.with_pod(id, |pod| Ok(pod.status(verbose)))
    }

    async fn ping_sandbox(&self, id: &str) -> Answer<()> {
        self.with_pod(id, |_| Ok(()))
    }

    async fn shutdown_sandbox(&self, id: &str) -> Answer<()> {
        self.with_pod(id, |_| Ok(()))?;
        self.end_all(Duration::ZERO).await?;
        let mut tasks = self.0.tasks();
        for container in tasks.ids() {
            task::remove(&self.0, &mut tasks, &container)?;
        }
        drop(tasks);
        self.with_pod(id, Pod::stop)?;
        self.0.end.notify_one();
        Ok(())
    }

    async fn sandbox_metrics(&self, id: &str) -> Answer<Metrics> {
        self.with_pod(id, |pod| {
            let text = || format!("sandbox {id} has no control group of its own");
            let stats = pod.saved().stats()?;
            let stats = stats.ok_or_else(|| Refusal::new(Kind::FailedPrecondition, text()))?;
            let at = Some(SystemTime::now());
            Ok(Metrics { at, ..metrics(stats, pod.saved().is_cgroup_v2()) })
        })
    }

    async fn attach(&self, id: &str, streams: Streams) -> Answer<()> {
        self.with(id, |task| match &mut task.first.io {
            Some(io) if task.first.state.is_alive() => io.attach(&streams),
            _ => Err(Refusal::new(Kind::FailedPrecondition, format!("container {id} does not run"))),
        })
    }

    async fn reopen_log(&self, id: &str) -> Answer<()> {
        self.with(id, |task| match &task.first.io {
            Some(io) => io.reopen_log(),
            None => Err(Refusal::new(Kind::FailedPrecondition, format!("container {id} does not run"))),
        })
    }
}

impl State {
    fn is_alive(&self) -> bool {
        matches!(self, State::Created(_) | State::Running(_))
    }
}

async fn ended(mut end: watch::Receiver<Option<Exited>>) -> Option<Exited> {
    end.wait_for(Option::is_some).await.ok().and_then(|exited| *exited)
}

fn kill(task: &mut Task, exec: Exec<'_>, signal: Signal) -> Answer<()> {
    if exec.is_some() && signal.all {
        let text = "a signal goes to one process or to all, not to both";
        return Err(Refusal::new(Kind::FailedPrecondition, text));
    }
    let Some(exec) = exec else {
        if !signal.all {
            task.first.child()?;
        }
        let scope = if signal.all { Scope::All } else { Scope::Init };
        return match task.engine.kill(&task.id, signal.number, scope) {
            // It ended in between.
            Err(error) if error.kind() == compute::Kind::WrongState => {
                Err(Refusal::new(Kind::NotFound, "process already finished"))
            }
            other => Ok(other?),
        };
    };
    let child = task.process(Some(exec))?.child()?;
    signals::send(child.pidfd(), signal.number).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => Refusal::new(Kind::NotFound, "process already finished"),
        _ if cause.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Refusal::new(Kind::NotFound, "process already finished")
        }
        _ => compute::Error::io(format!("send signal {} to process {exec}", signal.number), cause).into(),
    })
}

fn checkpoint(task: &mut Task, request: Checkpoint) -> Answer<()> {
    let invalid = |text: String| Refusal::new(Kind::InvalidArgument, text);
    let cgroups = match request.cgroups_mode.as_str() {
        "" => CgroupMode::Default,
        "soft" => CgroupMode::Soft,
        "full" => CgroupMode::Full,
        "strict" => CgroupMode::Strict,
        "ignore" => CgroupMode::Ignore,
        mode => return Err(invalid(format!("{mode:?} is no mode for control groups"))),
    };
    if let Some(kind) = request.empty_namespaces.iter().find(|kind| *kind != "network") {
        return Err(invalid(format!("a {kind} namespace cannot be written empty")));
    }
    let work = Some(request.work_path).filter(|path| !path.as_os_str().is_empty());
    let image = Image {
        path: absolute(&request.path)?,
        work,
        tcp_established: request.open_tcp,
        ext_unix_sk: request.external_unix_sockets,
        shell_job: request.terminal,
        file_locks: request.file_locks,
        cgroups,
        empty_network: !request.empty_namespaces.is_empty(),
        ..Image::default()
    };
    let dump = Dump { image, leave_running: !request.exit, ..Dump::default() };
    let engine = &task.engine;
    Ok(engine
        .admitted(&task.id, Verb::Checkpoint, |existing, _| engine.backend().checkpoint(existing, dump))?)
}

fn absolute(path: &Path) -> Answer<PathBuf> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    Err(Refusal::new(Kind::InvalidArgument, format!("{} is not absolute", path.display())))
}

/// From the engine's words to the protocol's.
fn metrics(stats: Stats, is_v2: bool) -> Metrics {
    let entry = |entry: backends::MemoryEntry| MemoryEntry {
        limit: entry.limit,
        usage: entry.usage,
        max: entry.max,
        failcnt: entry.failcnt,
    };
    let mut swap = entry(stats.memory.swap);
    if is_v2 {
        // The engine counts memory and swap together on both, as runc does; this message has swap alone.
        swap.usage = swap.usage.saturating_sub(stats.memory.usage.usage);
        swap.limit = match (swap.limit, stats.memory.usage.limit) {
            (u64::MAX, _) => u64::MAX,
            (both, memory) => both.saturating_sub(memory),
        };
    }
    let blkio = |entries: Vec<backends::BlkioEntry>| {
        let entry = |entry: backends::BlkioEntry| BlkioEntry {
            major: entry.major,
            minor: entry.minor,
            op: entry.op,
            value: entry.value,
        };
        entries.into_iter().map(entry).collect()
    };
    let pages =
        |pages: backends::Hugetlb| Hugetlb { usage: pages.usage, max: pages.max, failcnt: pages.failcnt };
    Metrics {
        version: if is_v2 { CgroupVersion::V2 } else { CgroupVersion::V1 },
        at: None,
        cpu: Cpu {
            total: stats.cpu.usage.total,
            user: stats.cpu.usage.user,
            kernel: stats.cpu.usage.kernel,
            percpu: stats.cpu.usage.percpu,
            periods: stats.cpu.throttling.periods,
            throttled_periods: stats.cpu.throttling.throttled_periods,
            throttled: stats.cpu.throttling.throttled_time,
        },
        memory: Memory {
            usage: entry(stats.memory.usage),
            swap,
            kernel: entry(stats.memory.kernel),
            kernel_tcp: entry(stats.memory.kernel_tcp),
            stat: stats.memory.raw,
            ..Memory::default()
        },
        pids: Pids { current: stats.pids.current, limit: stats.pids.limit },
        blkio: Blkio {
            service_bytes: blkio(stats.blkio.io_service_bytes_recursive),
            serviced: blkio(stats.blkio.io_serviced_recursive),
            queued: blkio(stats.blkio.io_queue_recursive),
            service_time: blkio(stats.blkio.io_service_time_recursive),
            wait_time: blkio(stats.blkio.io_wait_time_recursive),
            merged: blkio(stats.blkio.io_merged_recursive),
            time: blkio(stats.blkio.io_time_recursive),
            sectors: blkio(stats.blkio.sectors_recursive),
        },
        hugetlb: stats.hugetlb.into_iter().map(|(size, used)| (size, pages(used))).collect(),
    }
}
