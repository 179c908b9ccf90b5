//! Exec, attach and port-forward, as a client that speaks WebSocket sees them.

use std::collections::HashMap;
use std::time::Duration;

use cri::wire::v1::{AttachRequest, ExecRequest, PortForwardRequest};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tonic::{Code, Status};

use crate::client::wait;
use crate::leftovers::eventually;
use crate::node::Kind;
use crate::pod::{Container, Pod, World};
use crate::story::{Need, Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(a_command_has_streams_and_a_code),
    story!(a_command_s_input_has_an_end),
    story!(a_command_on_a_terminal_knows_its_size),
    story!(a_command_s_last_bytes_arrive),
    story!(a_command_that_is_not_there_is_told),
    story!(an_address_is_good_once),
    story!(streams_that_make_no_sense_are_refused),
    story!(a_container_is_attached_to),
    story!(a_terminal_is_attached_to),
    story!(attaching_ends_with_the_container),
    story!(a_port_of_a_pod_is_reached, Need::Plugins),
    story!(a_port_of_a_pod_on_the_host_s_network_is_reached),
    story!(a_port_where_nobody_listens_is_told, Need::Plugins),
    story!(the_client_may_go_away),
    story!(a_command_goes_with_its_client),
];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Sub-protocols.
const V4: &str = "v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";
/// In version 5 the client says with it that a channel has ended.
const CLOSE: u8 = 255;

/// A session, and what each channel has said.
struct Session {
    socket: WebSocketStream<TcpStream>,
    heard: HashMap<u8, Vec<u8>>,
}

async fn connect(url: &str, protocol: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let url = url.replacen("http://", "ws://", 1);
    let mut request = url.as_str().into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    // Some servers want to know whose page asks.
    request.headers_mut().insert("origin", "http://localhost".parse().unwrap());
    let host = request.uri().authority().unwrap().to_string();
    let stream = TcpStream::connect(host).await.map_err(Error::Io)?;
    Ok(client_async(request, stream).await?.0)
}

impl Session {
    #[track_caller]
    fn open(url: &str, protocol: &str) -> Self {
        Self { socket: wait(connect(url, protocol)).unwrap(), heard: HashMap::new() }
    }

    /// Of exec and attach, in the newest version that the runtime speaks.
    #[track_caller]
    fn new(world: &World<'_>, url: &str) -> Self {
        Self::open(url, if world.node.kind == Kind::Containerd { V4 } else { V5 })
    }

    fn send(&mut self, channel: u8, bytes: &[u8]) {
        let message = [&[channel], bytes].concat();
        wait(self.socket.send(Message::binary(message))).unwrap();
    }

    fn close(&mut self, channel: u8) {
        self.send(CLOSE, &[channel]);
    }

    /// Takes in the next message; whether there was one.
    #[track_caller]
    fn listen(&mut self) -> bool {
        let next = wait(async { tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await });
        match next.expect("a message in time") {
            Some(Ok(Message::Binary(bytes))) => {
                self.heard.entry(bytes[0]).or_default().extend_from_slice(&bytes[1..]);
                true
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => false,
            Some(Ok(_)) => true,
        }
    }

    /// What a channel has said up to these words.
    #[track_caller]
    fn until(&mut self, channel: u8, words: &str) {
        while !self.text(channel).contains(words) {
            assert!(self.listen(), "it ended without {words:?}: {:?}", self.text(channel));
        }
    }

    #[track_caller]
    fn hear_out(&mut self) -> &mut Self {
        while self.listen() {}
        self
    }

    fn text(&self, channel: u8) -> String {
        String::from_utf8_lossy(self.heard.get(&channel).map_or(&[], Vec::as_slice)).into_owned()
    }

    /// The exit code that is told at the end.
    #[track_caller]
    fn code(&self) -> i32 {
        let status: serde_json::Value = serde_json::from_str(&self.text(ERROR)).expect("a status");
        if status["status"] == "Success" {
            return 0;
        }
        let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
        let code = causes.iter().find(|cause| cause["reason"] == "ExitCode");
        code.and_then(|code| code["message"].as_str()?.parse().ok()).unwrap_or_else(|| panic!("{status}"))
    }
}

fn exec(container: &Container<'_>, script: &str) -> ExecRequest {
    ExecRequest {
        container_id: container.id.clone(),
        cmd: crate::pod::shell(script),
        tty: false,
        stdin: false,
        stdout: true,
        stderr: true,
    }
}

#[track_caller]
fn execute(world: &World<'_>, request: ExecRequest) -> Session {
    Session::new(world, &world.client.exec(request).unwrap().url)
}

fn a_command_has_streams_and_a_code(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let mut session = execute(world, exec(&container, "echo out; echo err >&2; exit 3"));
    session.hear_out();
    assert_eq!((session.text(STDOUT).as_str(), session.text(STDERR).as_str()), ("out\n", "err\n"));
    assert_eq!(session.code(), 3);
    let mut session = execute(world, exec(&container, "true"));
    assert_eq!(session.hear_out().code(), 0);
}

fn a_command_s_input_has_an_end(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let mut session = execute(world, ExecRequest { stdin: true, ..exec(&container, "cat; echo over") });
    session.send(STDIN, b"one\n");
    session.until(STDOUT, "one\n");
    session.send(STDIN, b"two\n");
    session.close(STDIN);
    session.hear_out();
    assert_eq!((session.text(STDOUT).as_str(), session.code()), ("one\ntwo\nover\n", 0));
}

fn a_command_on_a_terminal_knows_its_size(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let request = ExecRequest { stdin: true, tty: true, stderr: false, ..exec(&container, "exec sh") };
    let mut session = execute(world, request);
    session.send(RESIZE, br#"{"Width":123,"Height":45}"#);
    // It is on its way at the same time as the input.
    session.send(STDIN, b"until stty size | grep '45 123'; do sleep 0.1; done; tty; exit 4\n");
    session.hear_out();
    let text = session.text(STDOUT);
    assert!(text.contains("45 123") && text.contains("/dev/"), "{text}");
    assert_eq!(session.code(), 4);
}

fn a_command_s_last_bytes_arrive(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    for _ in 0..5 {
        let mut session = execute(world, exec(&container, "head -c 1000000 /dev/zero; echo -n end >&2"));
        session.hear_out();
        assert_eq!(session.heard[&STDOUT].len(), 1_000_000);
        assert_eq!((session.text(STDERR).as_str(), session.code()), ("end", 0));
    }
}

fn a_command_that_is_not_there_is_told(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let request = ExecRequest { cmd: vec!["/no/such/program".to_owned()], ..exec(&container, "") };
    let mut session = execute(world, request);
    session.hear_out();
    assert!(session.text(ERROR).contains("/no/such/program"), "{}", session.text(ERROR));
}

fn an_address_is_good_once(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let url = world.client.exec(exec(&container, "true")).unwrap().url;
    assert_eq!(Session::new(world, &url).hear_out().code(), 0);
    assert!(wait(connect(&url, V4)).is_err());
    let guessed = format!("{}x", url);
    assert!(wait(connect(&guessed, V4)).is_err());
}

fn streams_that_make_no_sense_are_refused(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let usual = || exec(&container, "true");
    for wrong in [
        ExecRequest { stdout: false, stderr: false, ..usual() },
        // A terminal has one stream.
        ExecRequest { tty: true, ..usual() },
        ExecRequest { container_id: "none".to_owned(), ..usual() },
    ] {
        assert!(world.client.exec(wrong.clone()).is_err(), "{wrong:?}");
    }
    let attach = AttachRequest { container_id: container.id.clone(), ..Default::default() };
    world.client.attach(attach).unwrap_err();
    let created = pod.create("true", |_| {});
    let refused: Result<_, Status> = world.client.exec(exec(&created, "true"));
    assert_ne!(refused.unwrap_err().code(), Code::Ok);
}

#[track_caller]
fn attach(container: &Container<'_>, stdin: bool, tty: bool) -> Session {
    let request =
        AttachRequest { container_id: container.id.clone(), stdin, tty, stdout: true, stderr: !tty };
    Session::new(container.world, &container.world.client.attach(request).unwrap().url)
}

fn a_container_is_attached_to(world: &World<'_>) {
    let pod = world.pod();
    let script = "while read line; do echo got $line; echo err $line >&2; done; echo over";
    let container = pod.start_with(script, |config| (config.stdin, config.stdin_once) = (true, true));
    let mut session = attach(&container, true, false);
    session.send(STDIN, b"one\n");
    session.until(STDOUT, "got one\n");
    session.until(STDERR, "err one\n");
    session.close(STDIN);
    session.hear_out();
    assert_eq!(session.text(STDOUT), "got one\nover\n");
    assert_eq!(container.exited().exit_code, 0);
    // It is in the log as well.
    assert_eq!(container.printed(), "got one\nerr one\nover");
}

fn a_terminal_is_attached_to(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start_with("exec sh", |config| (config.stdin, config.tty) = (true, true));
    let mut session = attach(&container, true, true);
    session.send(RESIZE, br#"{"Width":77,"Height":33}"#);
    session.send(STDIN, b"until stty size | grep '33 77'; do sleep 0.1; done\n");
    session.until(STDOUT, "\n33 77");
    drop(session);
    // A client that goes does not take the container with it.
    let mut again = attach(&container, true, true);
    again.send(STDIN, b"echo a''gain; exit 5\n");
    again.until(STDOUT, "again");
    assert_eq!(container.exited().exit_code, 5);
}

fn attaching_ends_with_the_container(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let mut session = attach(&container, false, false);
    container.stop(0).unwrap();
    session.hear_out();
    let late = AttachRequest { container_id: container.id.clone(), stdout: true, ..Default::default() };
    world.client.attach(late).unwrap_err();
}

/// Says what it is told, with a word before it.
const SERVER: &str = "while :; do nc -l -p 8090 -e sh -c 'read line; echo heard $line'; done";

/// Sends a line to a port of a pod; what comes back, and what is told of errors.
#[track_caller]
fn forward(pod: &Pod<'_>, port: i32) -> (String, String) {
    let request = PortForwardRequest { pod_sandbox_id: pod.id.clone(), port: vec![port] };
    let url = pod.world.client.port_forward(request).unwrap().url;
    let url = format!("{url}?port={port}");
    let mut session = Session::open(&url, V4);
    session.send(0, b"hello\n");
    // Both channels begin with the port.
    let of = |session: &Session, channel: u8| {
        let said = session.heard.get(&channel).and_then(|all| all.get(2..)).unwrap_or_default();
        String::from_utf8_lossy(said).into_owned()
    };
    while !of(&session, 0).ends_with('\n') && of(&session, 1).is_empty() && session.listen() {}
    (of(&session, 0), of(&session, 1))
}

fn a_port_of_a_pod_is_reached(world: &World<'_>) {
    let pod = world.networked();
    let _server = pod.start(SERVER);
    eventually("an answer", || forward(&pod, 8090).0 == "heard hello\n");
}

fn a_port_of_a_pod_on_the_host_s_network_is_reached(world: &World<'_>) {
    let pod = world.pod();
    let port = 30_000 + i32::from(world.node.kind as u8);
    let _server = pod.start(&SERVER.replace("8090", &port.to_string()));
    eventually("an answer", || forward(&pod, port).0 == "heard hello\n");
}

fn a_port_where_nobody_listens_is_told(world: &World<'_>) {
    let pod = world.networked();
    let (data, error) = forward(&pod, 9);
    assert!(data.is_empty() && error.contains('9'), "{data:?} {error:?}");
    let stopped = world.pod();
    world.stop_pod(&stopped.id).unwrap();
    let request = PortForwardRequest { pod_sandbox_id: stopped.id.clone(), port: vec![9] };
    world.client.port_forward(request).unwrap_err();
}

fn a_command_goes_with_its_client(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    // It reads nothing, and hears nothing of its client.
    let mut session = execute(world, exec(&container, "echo begun; exec sleep 4321"));
    session.until(STDOUT, "begun");
    assert!(container.sh("ps").contains("sleep 4321"));
    drop(session);
    eventually("the end of the command", || !container.sh("ps").contains("sleep 4321"));
}

fn the_client_may_go_away(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.idle();
    let session =
        execute(world, ExecRequest { stdin: true, ..exec(&container, "echo begun; cat; echo over >&2") });
    drop(session);
    // What reads gets its end.
    eventually("the end of the command", || {
        !container.sh("ps").contains("{cat}") && !container.sh("ps").contains(" cat")
    });
}
