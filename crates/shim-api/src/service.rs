//! What a shim does, and the server that brings requests to it.

use crate::error::Refusal;
use crate::extension::{self, create_extension};
use crate::sandbox::{NewSandbox, Platform, SandboxStarted, SandboxStatus};
use crate::streams::Streams;
use crate::task::{Checkpoint, Connected, Exited, NewProcess, NewTask, ProcessEntry, Signal, TaskState};
use crate::{Kind, Metrics, wire};
use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest,
    CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest, PauseRequest,
    PidsRequest, PidsResponse, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest, StartResponse,
    StateRequest, StateResponse, StatsRequest, StatsResponse, UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim_protos::sandbox_api as sandbox;
use containerd_shim_protos::{sandbox_async, shim_async};
use oci_spec::runtime::LinuxResources;
use std::future::Future;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::SystemTime;
use ttrpc::r#async::{Server, TtrpcContext, transport};

type Answer<T> = Result<T, Refusal>;

/// A shim. `exec` is a process's id, `None` for the container's first process.
#[expect(missing_docs, reason = "one for each call of crate::Shim, and described there")]
pub trait Service: Send + Sync + 'static {
    fn create(&self, new: NewTask) -> impl Future<Output = Answer<i32>> + Send;
    fn start(&self, id: &str, exec: Option<&str>) -> impl Future<Output = Answer<i32>> + Send;
    fn exec(&self, new: NewProcess) -> impl Future<Output = Answer<()>> + Send;
    fn kill(&self, id: &str, exec: Option<&str>, signal: Signal) -> impl Future<Output = Answer<()>> + Send;
    fn delete(&self, id: &str, exec: Option<&str>) -> impl Future<Output = Answer<Exited>> + Send;
    fn wait(&self, id: &str, exec: Option<&str>) -> impl Future<Output = Answer<Exited>> + Send;
    fn state(&self, id: &str, exec: Option<&str>) -> impl Future<Output = Answer<TaskState>> + Send;
    fn pids(&self, id: &str) -> impl Future<Output = Answer<Vec<ProcessEntry>>> + Send;
    fn pause(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;
    fn resume(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;
    fn checkpoint(&self, id: &str, request: Checkpoint) -> impl Future<Output = Answer<()>> + Send;
    fn update(&self, id: &str, resources: LinuxResources) -> impl Future<Output = Answer<()>> + Send;
    fn stats(&self, id: &str) -> impl Future<Output = Answer<Metrics>> + Send;
    fn resize(
        &self,
        id: &str,
        exec: Option<&str>,
        width: u16,
        height: u16,
    ) -> impl Future<Output = Answer<()>> + Send;
    fn close_stdin(&self, id: &str, exec: Option<&str>) -> impl Future<Output = Answer<()>> + Send;
    fn connect(&self, id: &str) -> impl Future<Output = Answer<Connected>> + Send;
    fn shutdown(&self, id: &str, now: bool) -> impl Future<Output = Answer<()>> + Send;

    fn create_sandbox(&self, new: NewSandbox) -> impl Future<Output = Answer<()>> + Send;
    fn start_sandbox(&self, id: &str) -> impl Future<Output = Answer<SandboxStarted>> + Send;
    fn platform(&self, id: &str) -> impl Future<Output = Answer<Platform>> + Send;
    fn stop_sandbox(&self, id: &str, timeout_secs: u32) -> impl Future<Output = Answer<()>> + Send;
    fn wait_sandbox(&self, id: &str) -> impl Future<Output = Answer<(i32, SystemTime)>> + Send;
    fn sandbox_status(&self, id: &str, verbose: bool) -> impl Future<Output = Answer<SandboxStatus>> + Send;
    fn ping_sandbox(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;
    fn shutdown_sandbox(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;
    fn sandbox_metrics(&self, id: &str) -> impl Future<Output = Answer<Metrics>> + Send;

    fn attach(&self, id: &str, streams: Streams) -> impl Future<Output = Answer<()>> + Send;
    fn reopen_log(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;
}

/// Answers requests that come to `listener` until `end` does. Uses the thread that it is called on and no other.
pub async fn serve<S: Service>(
    service: Arc<S>,
    listener: UnixListener,
    end: impl Future<Output = ()>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let adapter = Arc::new(Adapter(service));
    let task = || shim_async::create_task(adapter.clone());
    // The messages of version 2 are those of version 3; containerd 1 knows only its name.
    let older = task().into_values().map(|service| ("containerd.task.v2.Task".to_owned(), service)).collect();
    let mut server = Server::new()
        .add_listener(transport::Listener::from(listener))
        .register_service(task())
        .register_service(older)
        .register_service(sandbox_async::create_sandbox(adapter.clone()))
        .register_service(create_extension(adapter.clone()));
    server.start().await.map_err(std::io::Error::other)?;
    end.await;
    server.stop_listen().await;
    server.disconnect().await;
    Ok(())
}

/// Between the generated traits and [`Service`]: decode, call, encode.
struct Adapter<S>(Arc<S>);

fn refused(refusal: Refusal) -> ttrpc::Error {
    ttrpc::error::get_rpc_status(wire::code(refusal.kind), refusal.message)
}

fn invalid(why: String) -> ttrpc::Error {
    refused(Refusal::new(Kind::InvalidArgument, why))
}

fn exec(id: &str) -> Option<&str> {
    (!id.is_empty()).then_some(id)
}

type Reply<T> = ttrpc::Result<T>;

#[async_trait::async_trait]
impl<S: Service> shim_async::Task for Adapter<S> {
    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> Reply<StateResponse> {
        let state = self.0.state(&request.id, exec(&request.exec_id)).await.map_err(refused)?;
        Ok(wire::state_response(&state))
    }

    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> Reply<CreateTaskResponse> {
        let new = wire::new_task(request).map_err(invalid)?;
        let pid = self.0.create(new).await.map_err(refused)?;
        Ok(CreateTaskResponse { pid: wire::pid(pid), ..CreateTaskResponse::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> Reply<StartResponse> {
        let pid = self.0.start(&request.id, exec(&request.exec_id)).await.map_err(refused)?;
        Ok(StartResponse { pid: wire::pid(pid), ..StartResponse::default() })
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> Reply<DeleteResponse> {
        let exited = self.0.delete(&request.id, exec(&request.exec_id)).await.map_err(refused)?;
        Ok(wire::delete_response(exited))
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> Reply<PidsResponse> {
        let entries = self.0.pids(&request.id).await.map_err(refused)?;
        wire::pids_response(&entries).map_err(invalid)
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> Reply<Empty> {
        self.0.pause(&request.id).await.map_err(refused)?;
        Ok(Empty::default())
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> Reply<Empty> {
        self.0.resume(&request.id).await.map_err(refused)?;
        Ok(Empty::default())
    }

    async fn checkpoint(&self, _: &TtrpcContext, request: CheckpointTaskRequest) -> Reply<Empty> {
        let (id, checkpoint) = wire::checkpoint(request).map_err(invalid)?;
        self.0.checkpoint(&id, checkpoint).await.map_err(refused)?;
        Ok(Empty::default())
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> Reply<Empty> {
        let signal = wire::signal(&request).map_err(invalid)?;
        self.0.kill(&request.id, exec(&request.exec_id), signal).await.map_err(refused)?;
        Ok(Empty::default())
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> Reply<Empty> {
        let new = wire::new_process(request).map_err(invalid)?;
        self.0.exec(new).await.map_err(refused)?;
        Ok(Empty::default())
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> Reply<Empty> {
        let cells = |name: &str, number: u32| {
            u16::try_from(number).map_err(|_| invalid(format!("{name} {number} is more than a terminal has")))
        };
        let (width, height) = (cells("width", request.width)?, cells("height", request.height)?);
        self.0.resize(&request.id, exec(&request.exec_id), width, height).await.map_err(refused)?;
        Ok(Empty::default())
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> Reply<Empty> {
        if request.stdin {
            self.0.close_stdin(&request.id, exec(&request.exec_id)).await.map_err(refused)?;
        }
        Ok(Empty::default())
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> Reply<Empty> {
        let (id, resources) = wire::update(request).map_err(invalid)?;
        self.0.update(&id, resources).await.map_err(refused)?;
        Ok(Empty::default())
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> Reply<WaitResponse> {
        let exited = self.0.wait(&request.id, exec(&request.exec_id)).await.map_err(refused)?;
        Ok(wire::wait_response(exited))
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> Reply<StatsResponse> {
        let metrics = self.0.stats(&request.id).await.map_err(refused)?;
        wire::stats_response(&metrics).map_err(invalid)
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> Reply<ConnectResponse> {
        let connected = self.0.connect(&request.id).await.map_err(refused)?;
        Ok(wire::connect_response(connected))
    }

    async fn shutdown(&self, _: &TtrpcContext, request: ShutdownRequest) -> Reply<Empty> {
        self.0.shutdown(&request.id, request.now).await.map_err(refused)?;
        Ok(Empty::default())
    }
}

#[async_trait::async_trait]
impl<S: Service> sandbox_async::Sandbox for Adapter<S> {
    async fn create_sandbox(
        &self,
        _: &TtrpcContext,
        request: sandbox::CreateSandboxRequest,
    ) -> Reply<sandbox::CreateSandboxResponse> {
        let new = wire::new_sandbox(request).map_err(invalid)?;
        self.0.create_sandbox(new).await.map_err(refused)?;
        Ok(sandbox::CreateSandboxResponse::default())
    }

    async fn start_sandbox(
        &self,
        _: &TtrpcContext,
        request: sandbox::StartSandboxRequest,
    ) -> Reply<sandbox::StartSandboxResponse> {
        let started = self.0.start_sandbox(&request.sandbox_id).await.map_err(refused)?;
        Ok(wire::start_sandbox_response(started))
    }

    async fn platform(
        &self,
        _: &TtrpcContext,
        request: sandbox::PlatformRequest,
    ) -> Reply<sandbox::PlatformResponse> {
        let platform = self.0.platform(&request.sandbox_id).await.map_err(refused)?;
        Ok(wire::platform_response(platform))
    }

    async fn stop_sandbox(
        &self,
        _: &TtrpcContext,
        request: sandbox::StopSandboxRequest,
    ) -> Reply<sandbox::StopSandboxResponse> {
        self.0.stop_sandbox(&request.sandbox_id, request.timeout_secs).await.map_err(refused)?;
        Ok(sandbox::StopSandboxResponse::default())
    }

    async fn wait_sandbox(
        &self,
        _: &TtrpcContext,
        request: sandbox::WaitSandboxRequest,
    ) -> Reply<sandbox::WaitSandboxResponse> {
        let (code, at) = self.0.wait_sandbox(&request.sandbox_id).await.map_err(refused)?;
        Ok(wire::wait_sandbox_response(code, at))
    }

    async fn sandbox_status(
        &self,
        _: &TtrpcContext,
        request: sandbox::SandboxStatusRequest,
    ) -> Reply<sandbox::SandboxStatusResponse> {
        let status = self.0.sandbox_status(&request.sandbox_id, request.verbose).await.map_err(refused)?;
        Ok(wire::sandbox_status_response(status))
    }

    async fn ping_sandbox(
        &self,
        _: &TtrpcContext,
        request: sandbox::PingRequest,
    ) -> Reply<sandbox::PingResponse> {
        self.0.ping_sandbox(&request.sandbox_id).await.map_err(refused)?;
        Ok(sandbox::PingResponse::default())
    }

    async fn shutdown_sandbox(
        &self,
        _: &TtrpcContext,
        request: sandbox::ShutdownSandboxRequest,
    ) -> Reply<sandbox::ShutdownSandboxResponse> {
        self.0.shutdown_sandbox(&request.sandbox_id).await.map_err(refused)?;
        Ok(sandbox::ShutdownSandboxResponse::default())
    }

    async fn sandbox_metrics(
        &self,
        _: &TtrpcContext,
        request: sandbox::SandboxMetricsRequest,
    ) -> Reply<sandbox::SandboxMetricsResponse> {
        let metrics = self.0.sandbox_metrics(&request.sandbox_id).await.map_err(refused)?;
        wire::sandbox_metrics_response(&request.sandbox_id, &metrics).map_err(invalid)
    }
}

#[async_trait::async_trait]
impl<S: Service> extension::Extension for Adapter<S> {
    async fn attach(&self, _: &TtrpcContext, request: extension::AttachRequest) -> Reply<extension::Nothing> {
        let (id, streams) = wire::attach(request);
        self.0.attach(&id, streams).await.map_err(refused)?;
        Ok(extension::Nothing::default())
    }

    async fn reopen_log(
        &self,
        _: &TtrpcContext,
        request: extension::ReopenLogRequest,
    ) -> Reply<extension::Nothing> {
        self.0.reopen_log(&request.id).await.map_err(refused)?;
        Ok(extension::Nothing::default())
    }
}
