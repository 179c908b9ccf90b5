//! What the streaming server's clients ask for: exec, attach and port-forward, between their streams and a shim's.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shim_api::{NewProcess, Shim, Signal, Streams as ShimStreams};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::containers::{Fifos, first_process, forget, running};
use crate::daemon::{Daemon, blocking};
use crate::error::{Attempt as _, Result, chain};
use crate::spec::{Namespaces, exec_process};
use crate::state::{Container, Pod};
use crate::streaming::{
    AttachRequest, Connection, ExecRequest, Failure, Handler, Input, Output, Streams, TerminalSize,
};

/// How long a port of a pod may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Serves the sessions.
pub(crate) struct Sessions(pub(crate) Arc<Daemon>);

#[async_trait]
impl Handler for Sessions {
    async fn exec(&self, request: ExecRequest, streams: Streams) -> Result<i32, Failure> {
        Ok(exec(&self.0, request, streams).await?)
    }

    async fn attach(&self, request: AttachRequest, streams: Streams) -> Result<(), Failure> {
        Ok(attach(&self.0, request, streams).await?)
    }

    async fn port_forward(&self, pod: &str, port: u16, mut connection: Connection) -> Result<(), Failure> {
        let pod = self.0.registry.pod(pod)?;
        let mut stream = connect(pod, port).await?;
        // Either side may break off; that is its way to end.
        if let Err(error) = tokio::io::copy_bidirectional(&mut connection, &mut stream).await {
            tracing::debug!(port, error = chain(&error), "a forwarded connection was cut off");
        }
        Ok(())
    }
}

async fn exec(daemon: &Daemon, request: ExecRequest, streams: Streams) -> Result<i32> {
    let container = daemon.registry.container(&request.container)?;
    let shim = running(&container)?;
    let process = exec_process(&first_process(&container)?, &request.command, request.tty)?;
    let fifos = Fifos::make(daemon)?;
    let ends = Ends::make(&fifos, request.stdin, request.stdout, request.stderr && !request.tty)?;
    let exec = fifos.id.clone();
    let attempted = || format!("run {:?} in container {}", request.command.join(" "), container.id);
    let new = NewProcess {
        id: container.id.clone(),
        exec_id: exec.clone(),
        process,
        streams: ends.shim_streams(&fifos, request.tty),
    };
    shim.exec(&new).await.attempt(attempted)?;
    if let Err(error) = shim.start_process(&container.id, &exec).await {
        forget(&shim, &container, &exec).await;
        return Err(error).attempt(attempted);
    }
    let session = Session { shim: &shim, container: &container, exec: Some(&exec) };
    session.run(ends, streams).await
}

async fn attach(daemon: &Daemon, request: AttachRequest, streams: Streams) -> Result<()> {
    let container = daemon.registry.container(&request.container)?;
    let shim = running(&container)?;
    let fifos = Fifos::make(daemon)?;
    let tty = container.with(|record| record.config.tty);
    let ends = Ends::make(&fifos, request.stdin, request.stdout, request.stderr && !tty)?;
    shim.attach(&container.id, &ends.shim_streams(&fifos, tty))
        .await
        .attempt(|| format!("attach to container {}", container.id))?;
    let session = Session { shim: &shim, container: &container, exec: None };
    session.run(ends, streams).await?;
    Ok(())
}

/// Our ends of the fifos.
struct Ends {
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
}

impl Ends {
    fn make(fifos: &Fifos, stdin: bool, stdout: bool, stderr: bool) -> Result<Self> {
        Ok(Self {
            stdin: stdin.then(|| fifos.sender("stdin")).transpose()?,
            stdout: stdout.then(|| fifos.receiver("stdout")).transpose()?,
            stderr: stderr.then(|| fifos.receiver("stderr")).transpose()?,
        })
    }

    fn shim_streams(&self, fifos: &Fifos, terminal: bool) -> ShimStreams {
        let path = |there: bool, name: &str| if there { fifos.path(name) } else { String::new() };
        ShimStreams {
            stdin: path(self.stdin.is_some(), "stdin"),
            stdout: path(self.stdout.is_some(), "stdout"),
            stderr: path(self.stderr.is_some(), "stderr"),
            terminal,
        }
    }
}

/// A process with a client.
struct Session<'a> {
    shim: &'a Shim,
    container: &'a Container,
    /// None for the container's first process.
    exec: Option<&'a str>,
}

impl Session<'_> {
    /// Copies until the process has ended and all that it wrote is with the client; its exit code.
    async fn run(&self, ends: Ends, streams: Streams) -> Result<i32> {
        let Streams { stdin, stdout, stderr, resize, mut hangup } = streams;
        let outputs = async {
            tokio::join!(copy_out(ends.stdout, stdout), copy_out(ends.stderr, stderr));
        };
        let exited = async {
            let exited = self.shim.wait(&self.container.id, self.exec).await;
            if let Some(exec) = self.exec {
                // The fifos end with the process's removal, after all that was printed.
                forget(self.shim, self.container, exec).await;
            }
            exited
        };
        let ending = async { tokio::join!(exited, outputs).0 };
        let serving = async {
            let abandoned = async {
                hangup.wait().await;
                self.end_abandoned().await;
            };
            tokio::join!(self.copy_in(stdin, ends.stdin), self.follow(resize), abandoned);
            // All may end long before the process does.
            std::future::pending::<Infallible>().await
        };
        let exited = tokio::select! {
            exited = ending => exited,
            never = serving => match never {},
        };
        exited
            .map(|exited| exited.code)
            .attempt(|| format!("wait for a process of container {}", self.container.id))
    }

    /// Ends a process whose client has gone away: nobody can reach it any more. The container's own first process is
    /// nobody's client's.
    async fn end_abandoned(&self) {
        let Some(exec) = self.exec else { return };
        let kill = Signal { number: 9, all: false };
        if let Err(error) = self.shim.kill(&self.container.id, Some(exec), kill).await {
            tracing::debug!(
                container = self.container.id,
                exec,
                error = chain(&error),
                "it has ended already"
            );
        }
    }

    async fn copy_in(&self, from: Option<Input>, to: Option<pipe::Sender>) {
        let (Some(mut from), Some(mut to)) = (from, to) else { return };
        // The process may have stopped reading; the client's end is then of no interest.
        let copied = tokio::io::copy(&mut from, &mut to).await;
        let flushed = to.flush().await;
        drop(to);
        if let Err(error) = copied.map(drop).and(flushed) {
            tracing::debug!(container = self.container.id, error = chain(&error), "its input was cut off");
        }
        if self.exec.is_some()
            && let Err(error) = self.shim.close_stdin(&self.container.id, self.exec).await
        {
            tracing::debug!(
                container = self.container.id,
                error = chain(&error),
                "close the input of a process"
            );
        }
    }

    async fn follow(&self, mut resize: mpsc::Receiver<TerminalSize>) {
        while let Some(size) = resize.recv().await {
            if let Err(error) = self.shim.resize(&self.container.id, self.exec, size.width, size.height).await
            {
                tracing::debug!(container = self.container.id, error = chain(&error), "resize a terminal");
            }
        }
    }
}

async fn copy_out(from: Option<pipe::Receiver>, to: Option<Output>) {
    let Some(mut from) = from else { return };
    let Some(mut to) = to else { return };
    if tokio::io::copy(&mut from, &mut to).await.is_err() {
        // The client is gone; the process must not stand still for that.
        if let Err(error) = tokio::io::copy(&mut from, &mut tokio::io::sink()).await {
            tracing::debug!(error = chain(&error), "read what nobody wants");
        }
        return;
    }
    // The last bytes; whether they arrive is the client's affair.
    let _ = to.shutdown().await;
}

/// A connection to a port inside of the pod.
async fn connect(pod: Arc<Pod>, port: u16) -> Result<tokio::net::TcpStream> {
    let host = pod.with(|record| Namespaces::of(&record.config))?.host_network();
    let attempted = move |id: &str| format!("connect to port {port} of pod {id}");
    let stream = blocking(move || {
        let dial = move || {
            let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            let [first, second] =
                loopback.map(|ip| TcpStream::connect_timeout(&SocketAddr::new(ip, port), CONNECT));
            first.or(second)
        };
        let stream = if host {
            dial()
        } else {
            ::network::netns::within(&pod.pins().net(), dial).attempt(|| attempted(&pod.id))?
        };
        let stream = stream.attempt(|| attempted(&pod.id))?;
        stream.set_nonblocking(true).attempt(|| attempted(&pod.id))?;
        Ok(stream)
    })
    .await?;
    tokio::net::TcpStream::from_std(stream).attempt(|| "take over a connection".to_owned())
}
