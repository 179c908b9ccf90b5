//! A shim as its daemon sees it.

use crate::bootstrap::Answer;
use crate::extension::ExtensionClient;
use crate::launch::Launch;
use crate::sandbox::{NewSandbox, Platform, SandboxStarted, SandboxStatus};
use crate::streams::Streams;
use crate::task::{Checkpoint, Connected, Exited, NewProcess, NewTask, ProcessEntry, Signal, TaskState};
use crate::{Error, Metrics, Refusal, Result, wire};
use containerd_shim_protos::api::{
    CloseIORequest, ConnectRequest, DeleteRequest, KillRequest, PauseRequest, PidsRequest, ResizePtyRequest,
    ResumeRequest, ShutdownRequest, StartRequest, StateRequest, StatsRequest, WaitRequest,
};
use containerd_shim_protos::sandbox_api as sandbox;
use containerd_shim_protos::sandbox_async::SandboxClient;
use containerd_shim_protos::shim_async::TaskClient;
use oci_spec::runtime::LinuxResources;
use std::time::{Duration, SystemTime};
use ttrpc::r#async::Client;
use ttrpc::context::{self, Context};

/// How long an ordinary call may take. Those that wait for an end have no limit.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection to a shim; clones share it. `exec` is a process's id, `None` for the container's first process.
#[derive(Clone)]
pub struct Shim {
    address: String,
    client: Client,
}

impl std::fmt::Debug for Shim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shim").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shim {
    /// Starts a shim and connects to it. One that answers an address that is in use already has taken the container
    /// into a shim that runs.
    pub async fn start(launch: &Launch) -> Result<Self> {
        let Answer { address, .. } = launch.start().await?;
        Self::connect(&address).await
    }

    /// Connects to a shim that runs: after a restart of the daemon. `unix:///path`, or the path alone.
    pub async fn connect(address: &str) -> Result<Self> {
        let url = if address.starts_with('/') { format!("unix://{address}") } else { address.to_owned() };
        match Client::connect(&url).await {
            Ok(client) => Ok(Self { address: url, client }),
            Err(cause) => Err(Error::Connect { address: url, cause: cause.into() }),
        }
    }

    /// Where it listens: to be kept, for [`connect`](Self::connect).
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Makes a container up to *created*; answers the id of its process.
    pub async fn create(&self, new: &NewTask) -> Result<i32> {
        let request = wire::create_request(new);
        let response = self.tasks().create(patient(), &request).await;
        self.answered("create", &new.id, response).map(|response| wire::from_pid(response.pid))
    }

    /// Lets a created container run; returns when its program has been executed.
    pub async fn start_task(&self, id: &str) -> Result<i32> {
        self.start_of(id, "").await
    }

    /// Runs a process that was added by [`exec`](Self::exec).
    pub async fn start_process(&self, id: &str, exec: &str) -> Result<i32> {
        self.start_of(id, exec).await
    }

    async fn start_of(&self, id: &str, exec: &str) -> Result<i32> {
        let request = StartRequest { id: id.to_owned(), exec_id: exec.to_owned(), ..StartRequest::default() };
        let response = self.tasks().start(patient(), &request).await;
        self.answered("start", id, response).map(|response| wire::from_pid(response.pid))
    }

    /// Adds a process to a container; it runs from [`start_process`](Self::start_process) on.
    pub async fn exec(&self, new: &NewProcess) -> Result<()> {
        let request = wire::exec_request(new).map_err(|why| Error::Malformed {
            call: "exec in",
            id: new.id.clone(),
            why,
        })?;
        let response = self.tasks().exec(patient(), &request).await;
        self.answered("exec in", &new.id, response).map(drop)
    }

    /// Sends a signal. A process that has ended is not found.
    pub async fn kill(&self, id: &str, exec: Option<&str>, signal: Signal) -> Result<()> {
        let request = KillRequest {
            id: id.to_owned(),
            exec_id: exec.unwrap_or_default().to_owned(),
            signal: wire::pid(signal.number),
            all: signal.all,
            ..KillRequest::default()
        };
        let response = self.tasks().kill(patient(), &request).await;
        self.answered("kill", id, response).map(drop)
    }

    /// Removes a process that has ended; of the first process, the container with it.
    pub async fn delete(&self, id: &str, exec: Option<&str>) -> Result<Exited> {
        let request = DeleteRequest {
            id: id.to_owned(),
            exec_id: exec.unwrap_or_default().to_owned(),
            ..DeleteRequest::default()
        };
        let response = self.tasks().delete(patient(), &request).await;
        self.answered("delete", id, response).map(|response| wire::exited_of_delete(&response))
    }

    /// Waits until a process has ended. Everything that it had printed by then is in the log or the fifo, unless the
    /// fifo was full.
    pub async fn wait(&self, id: &str, exec: Option<&str>) -> Result<Exited> {
        let request = WaitRequest {
            id: id.to_owned(),
            exec_id: exec.unwrap_or_default().to_owned(),
            ..WaitRequest::default()
        };
        let response = self.tasks().wait(Context::default(), &request).await;
        self.answered("wait for", id, response).map(|response| wire::exited_of_wait(&response))
    }

    /// What is true of a process now.
    pub async fn state(&self, id: &str, exec: Option<&str>) -> Result<TaskState> {
        let request = StateRequest {
            id: id.to_owned(),
            exec_id: exec.unwrap_or_default().to_owned(),
            ..StateRequest::default()
        };
        let response = self.tasks().state(patient(), &request).await;
        let response = self.answered("ask for the state of", id, response)?;
        wire::task_state(response).map_err(malformed("ask for the state of", id))
    }

    /// The processes of a container.
    pub async fn pids(&self, id: &str) -> Result<Vec<ProcessEntry>> {
        let request = PidsRequest { id: id.to_owned(), ..PidsRequest::default() };
        let response = self.tasks().pids(patient(), &request).await;
        let response = self.answered("list the processes of", id, response)?;
        wire::process_entries(response).map_err(malformed("list the processes of", id))
    }

    /// Freezes a container.
    pub async fn pause(&self, id: &str) -> Result<()> {
        let request = PauseRequest { id: id.to_owned(), ..PauseRequest::default() };
        let response = self.tasks().pause(patient(), &request).await;
        self.answered("pause", id, response).map(drop)
    }

    /// Thaws it.
    pub async fn resume(&self, id: &str) -> Result<()> {
        let request = ResumeRequest { id: id.to_owned(), ..ResumeRequest::default() };
        let response = self.tasks().resume(patient(), &request).await;
        self.answered("resume", id, response).map(drop)
    }

    /// Writes a container to disk. As long as it takes.
    pub async fn checkpoint(&self, id: &str, checkpoint: &Checkpoint) -> Result<()> {
        let request = wire::checkpoint_request(id, checkpoint).map_err(malformed("checkpoint", id))?;
        let response = self.tasks().checkpoint(Context::default(), &request).await;
        self.answered("checkpoint", id, response).map(drop)
    }

    /// Changes the limits that are given: of a container, or by the id of a sandbox of the control group that it has to
    /// itself. Of sandboxes only Cofferdam's shim has this.
    pub async fn update(&self, id: &str, resources: &LinuxResources) -> Result<()> {
        let request = wire::update_request(id, resources).map_err(malformed("update", id))?;
        let response = self.tasks().update(patient(), &request).await;
        self.answered("update", id, response).map(drop)
    }

    /// What a container uses.
    pub async fn stats(&self, id: &str) -> Result<Metrics> {
        let request = StatsRequest { id: id.to_owned(), ..StatsRequest::default() };
        let response = self.tasks().stats(patient(), &request).await;
        let response = self.answered("measure", id, response)?;
        wire::metrics_of_stats(&response).map_err(malformed("measure", id))
    }

    /// Gives a terminal another size.
    pub async fn resize(&self, id: &str, exec: Option<&str>, width: u16, height: u16) -> Result<()> {
        let request = ResizePtyRequest {
            id: id.to_owned(),
            exec_id: exec.unwrap_or_default().to_owned(),
            width: width.into(),
            height: height.into(),
            ..ResizePtyRequest::default()
        };
        let response = self.tasks().resize_pty(patient(), &request).await;
        self.answered("resize the terminal of", id, response).map(drop)
    }

    /// Ends the standard input of a process, when all that was written to it is read.
    pub async fn close_stdin(&self, id: &str, exec: Option<&str>) -> Result<()> {
        let request = CloseIORequest {
            id: id.to_owned(),
            exec_id: exec.unwrap_or_default().to_owned(),
            stdin: true,
            ..CloseIORequest::default()
        };
        let response = self.tasks().close_io(patient(), &request).await;
        self.answered("close the standard input of", id, response).map(drop)
    }

    /// Who is on the other end.
    pub async fn hello(&self, id: &str) -> Result<Connected> {
        let request = ConnectRequest { id: id.to_owned(), ..ConnectRequest::default() };
        let response = self.tasks().connect(patient(), &request).await;
        self.answered("connect to", id, response).map(wire::connected)
    }

    /// Ends the shim if it has no containers left.
    pub async fn shutdown(&self, id: &str, now: bool) -> Result<()> {
        let request = ShutdownRequest { id: id.to_owned(), now, ..ShutdownRequest::default() };
        let response = self.tasks().shutdown(patient(), &request).await;
        self.answered("shut down the shim of", id, response).map(drop)
    }

    /// Makes a pod: checks its configuration, makes nothing yet.
    pub async fn create_sandbox(&self, new: &NewSandbox) -> Result<()> {
        let request = wire::create_sandbox_request(new).map_err(malformed("create sandbox", &new.id))?;
        let response = self.sandboxes().create_sandbox(patient(), &request).await;
        self.answered("create sandbox", &new.id, response).map(drop)
    }

    /// Makes its namespaces and control group; afterwards containers can be made in it.
    pub async fn start_sandbox(&self, id: &str) -> Result<SandboxStarted> {
        let request = sandbox::StartSandboxRequest { sandbox_id: id.to_owned(), ..Default::default() };
        let response = self.sandboxes().start_sandbox(patient(), &request).await;
        self.answered("start sandbox", id, response).map(|response| wire::sandbox_started(&response))
    }

    /// What its containers run on.
    pub async fn platform(&self, id: &str) -> Result<Platform> {
        let request = sandbox::PlatformRequest { sandbox_id: id.to_owned(), ..Default::default() };
        let response = self.sandboxes().platform(patient(), &request).await;
        self.answered("ask for the platform of", id, response).map(wire::platform)
    }

    /// Ends its containers, and removes its namespaces and control group. May be repeated. Containers get `timeout` to
    /// end by themselves.
    pub async fn stop_sandbox(&self, id: &str, timeout: Duration) -> Result<()> {
        let request = sandbox::StopSandboxRequest {
            sandbox_id: id.to_owned(),
            timeout_secs: u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX),
            ..Default::default()
        };
        let context = context::with_duration(PATIENCE.saturating_add(timeout));
        let response = self.sandboxes().stop_sandbox(context, &request).await;
        self.answered("stop sandbox", id, response).map(drop)
    }

    /// Waits until it is stopped; answers its exit code and when.
    pub async fn wait_sandbox(&self, id: &str) -> Result<(i32, SystemTime)> {
        let request = sandbox::WaitSandboxRequest { sandbox_id: id.to_owned(), ..Default::default() };
        let response = self.sandboxes().wait_sandbox(Context::default(), &request).await;
        self.answered("wait for sandbox", id, response).map(|response| wire::sandbox_exit(&response))
    }

    /// What is true of it now.
    pub async fn sandbox_status(&self, id: &str, verbose: bool) -> Result<SandboxStatus> {
        let request =
            sandbox::SandboxStatusRequest { sandbox_id: id.to_owned(), verbose, ..Default::default() };
        let response = self.sandboxes().sandbox_status(patient(), &request).await;
        self.answered("ask for the status of sandbox", id, response).map(wire::sandbox_status)
    }

    /// Whether it is there.
    pub async fn ping_sandbox(&self, id: &str) -> Result<()> {
        let request = sandbox::PingRequest { sandbox_id: id.to_owned(), ..Default::default() };
        let response = self.sandboxes().ping_sandbox(patient(), &request).await;
        self.answered("ping sandbox", id, response).map(drop)
    }

    /// Stops it, and ends the shim.
    pub async fn shutdown_sandbox(&self, id: &str) -> Result<()> {
        let request = sandbox::ShutdownSandboxRequest { sandbox_id: id.to_owned(), ..Default::default() };
        let response = self.sandboxes().shutdown_sandbox(patient(), &request).await;
        self.answered("shut down sandbox", id, response).map(drop)
    }

    /// What its control group uses.
    pub async fn sandbox_metrics(&self, id: &str) -> Result<Metrics> {
        let request = sandbox::SandboxMetricsRequest { sandbox_id: id.to_owned(), ..Default::default() };
        let response = self.sandboxes().sandbox_metrics(patient(), &request).await;
        let response = self.answered("measure sandbox", id, response)?;
        wire::metrics_of_sandbox(&response).map_err(malformed("measure sandbox", id))
    }

    /// Ties more readers, and one more writer, to the streams of a container: paths of fifos whose other ends the
    /// caller holds open, or empty. What the container prints from now on also goes there; a reader that does not keep
    /// up is dropped. Only Cofferdam's shim has this.
    pub async fn attach(&self, id: &str, streams: &Streams) -> Result<()> {
        let request = wire::attach_request(id, streams);
        let response = self.extension().attach(patient(), &request).await;
        self.answered("attach to", id, response).map(drop)
    }

    /// Opens the log of a container anew, after its file was renamed. On failure the old file stays in use, and no
    /// other is made. Only Cofferdam's shim has this.
    pub async fn reopen_log(&self, id: &str) -> Result<()> {
        let request = wire::reopen_log_request(id);
        let response = self.extension().reopen_log(patient(), &request).await;
        self.answered("reopen the log of", id, response).map(drop)
    }

    fn tasks(&self) -> TaskClient {
        TaskClient::new(self.client.clone())
    }

    fn sandboxes(&self) -> SandboxClient {
        SandboxClient::new(self.client.clone())
    }

    fn extension(&self) -> ExtensionClient {
        ExtensionClient::new(self.client.clone())
    }

    fn answered<T>(&self, call: &'static str, id: &str, response: ttrpc::Result<T>) -> Result<T> {
        response.map_err(|cause| match cause {
            // The client's own timeout has the form of an answer.
            ttrpc::Error::RpcStatus(status) if status.code() != ttrpc::Code::DEADLINE_EXCEEDED => {
                let refusal = Refusal::new(wire::kind(status.code()), status.message());
                Error::Refused { call, id: id.to_owned(), refusal }
            }
            cause => Error::NoAnswer {
                call,
                id: id.to_owned(),
                address: self.address.clone(),
                cause: cause.into(),
            },
        })
    }
}

fn patient() -> Context {
    context::with_duration(PATIENCE)
}

fn malformed(call: &'static str, id: &str) -> impl FnOnce(String) -> Error {
    let id = id.to_owned();
    move |why| Error::Malformed { call, id, why }
}
