//! SPDY/3.1, with a client of our own.

use super::host::{self, Host};
use super::{ask, server};
use crate::streaming::spdy::client::Client;
use crate::streaming::{AttachRequest, Config, ExecRequest, PortForwardRequest, Server};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

async fn upgrade(server: &Server, url: &str, version: &str) -> Client<TcpStream> {
    let headers = [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", version)];
    let (head, connection) = ask(server, "POST", url, &headers).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    Client::new(connection)
}

struct Session {
    client: Client<TcpStream>,
    error: u32,
    stdin: u32,
    stdout: u32,
    stderr: u32,
}

impl Session {
    /// With all streams open.
    async fn exec(server: &Server, words: &[&str], version: &str) -> Self {
        let url = server.exec(host::command(words)).unwrap();
        let mut client = upgrade(server, &url, version).await;
        let error = client.open(&[("streamtype", "error")]).await;
        let stdin = client.open(&[("streamtype", "stdin")]).await;
        let stdout = client.open(&[("streamtype", "stdout")]).await;
        let stderr = client.open(&[("streamtype", "stderr")]).await;
        Self { client, error, stdin, stdout, stderr }
    }

    fn text(&self, stream: u32) -> String {
        String::from_utf8(self.client.streams[&stream].bytes.clone()).unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.text(self.error)).unwrap()
    }
}

#[tokio::test]
async fn input_comes_back_as_output_and_its_end_too() {
    let server = server(&Host::new()).await;
    let mut session = Session::exec(&server, &["cat"], "v4.channel.k8s.io").await;
    session.client.send(session.stdin, b"hello ", false).await;
    session.client.send(session.stdin, b"world", true).await;
    session.client.listen_to_the_end().await;
    assert_eq!(session.text(session.stdout), "hello world");
    assert_eq!(session.status()["status"], "Success");
    assert!(session.client.said_goodbye);
    assert!(session.client.streams.values().all(|heard| heard.finished && !heard.reset));
}

#[tokio::test]
async fn every_byte_arrives_before_the_exit_code() {
    let server = server(&Host::new()).await;
    for bytes in [0, 1, 100_000, 3_000_001] {
        let mut session = Session::exec(&server, &["spew", &bytes.to_string()], "v4.channel.k8s.io").await;
        let (stdout, stderr, error) = (session.stdout, session.stderr, session.error);
        let whole = |client: &Client<TcpStream>| {
            let status = !client.streams[&error].bytes.is_empty();
            assert!(!status || (client.streams[&stdout].finished && client.streams[&stderr].finished));
            false
        };
        assert!(!session.client.listen(whole).await);
        let heard = &session.client.streams[&stdout].bytes;
        assert_eq!(heard.len(), bytes);
        assert!(heard.iter().enumerate().all(|(at, byte)| at % 256 == usize::from(*byte)));
        assert_eq!(session.client.streams[&stderr].bytes.len(), bytes / 2);
        assert_eq!(session.status()["details"]["causes"][0]["message"], "3");
    }
}

#[tokio::test]
async fn before_version_4_failures_are_texts() {
    let server = server(&Host::new()).await;
    for (words, says) in [
        (&["exit", "5"][..], "command terminated with non-zero exit code: exit status 5"),
        (&["true"], ""),
        (
            &["fail"],
            "Internal error occurred: error executing command in container: there is no such program",
        ),
    ] {
        for version in ["v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"] {
            let mut session = Session::exec(&server, words, version).await;
            session.client.listen_to_the_end().await;
            assert_eq!(session.text(session.error), says, "{version}");
        }
    }
    let mut session = Session::exec(&server, &["fail"], "v4.channel.k8s.io").await;
    session.client.listen_to_the_end().await;
    let status = session.status();
    assert_eq!((&status["code"], &status["reason"]), (&500.into(), &"InternalError".into()));
}

#[tokio::test]
async fn sizes_of_the_terminal_are_told_and_the_last_counts() {
    let server = server(&Host::new()).await;
    let request = ExecRequest { tty: true, stderr: false, ..host::command(&["sizes", "3x4"]) };
    let mut client = upgrade(&server, &server.exec(request).unwrap(), "v4.channel.k8s.io").await;
    client.open(&[("streamtype", "error")]).await;
    client.open(&[("streamtype", "stdin")]).await;
    let stdout = client.open(&[("streamtype", "stdout")]).await;
    let resize = client.open(&[("streamtype", "resize")]).await;
    client.send(resize, br#"{"Width":1,"Height":2}{"Wi"#, false).await;
    client.listen(|client| client.streams[&stdout].bytes == b"1x2\n").await;
    client.send(resize, br#"dth":3,"Height":4}"#, false).await;
    client.listen_to_the_end().await;
    assert_eq!(client.streams[&stdout].bytes, b"1x2\n3x4\n");

    // A client without that stream is not waited for.
    let request = ExecRequest { tty: true, stderr: false, ..host::command(&["cat"]) };
    let mut client = upgrade(&server, &server.exec(request).unwrap(), "v4.channel.k8s.io").await;
    client.open(&[("streamtype", "error")]).await;
    let stdin = client.open(&[("streamtype", "stdin")]).await;
    let stdout = client.open(&[("streamtype", "stdout")]).await;
    client.send(stdin, b"x", true).await;
    client.listen_to_the_end().await;
    assert_eq!(client.streams[&stdout].bytes, b"x");
}

#[tokio::test]
async fn a_client_that_opens_no_streams_is_not_waited_for_for_long() {
    let config = Config { creation_timeout: Duration::from_millis(200), ..Config::default() };
    let server = Server::bind(config, Host::new()).await.unwrap();
    let url = server.exec(host::command(&["true"])).unwrap();
    let mut client = upgrade(&server, &url, "v4.channel.k8s.io").await;
    let error = client.open(&[("streamtype", "error")]).await;
    let unknown = client.open(&[("streamtype", "stdlog")]).await;
    let second = client.open(&[("streamtype", "error")]).await;
    client.listen_to_the_end().await;
    let text = String::from_utf8_lossy(&client.streams[&error].bytes).into_owned();
    assert!(text.contains("timed out waiting for client to create streams"), "{text}");
    assert!(client.streams[&unknown].reset && client.streams[&second].reset);
}

#[tokio::test]
async fn an_idle_session_is_closed() {
    let config = Config { idle_timeout: Duration::from_millis(300), ..Config::default() };
    let host = Host::new();
    let server = Server::bind(config, Arc::clone(&host) as Arc<_>).await.unwrap();
    let begun = Instant::now();
    let mut session = Session::exec(&server, &["until", "gone"], "v4.channel.k8s.io").await;
    for number in [1, 3] {
        tokio::time::sleep(Duration::from_millis(200)).await;
        session.client.ping(number).await;
        session.client.listen(|client| client.pings == number.div_ceil(2)).await;
    }
    host.seen_gone.wait().await;
    assert!(begun.elapsed() >= Duration::from_millis(700), "it was not idle before");
    session.client.listen_to_the_end().await;
}

#[tokio::test]
async fn whoever_reads_nothing_holds_up_nobody_else() {
    let server = server(&Host::new()).await;
    let _stuck = Session::exec(&server, &["spew", "100000000"], "v4.channel.k8s.io").await;
    let mut session = Session::exec(&server, &["spew", "100000"], "v4.channel.k8s.io").await;
    session.client.listen_to_the_end().await;
    assert_eq!(session.client.streams[&session.stdout].bytes.len(), 100_000);
}

#[tokio::test]
async fn input_that_nobody_reads_does_not_hold_up_the_rest() {
    let host = Host::new();
    let server = server(&host).await;
    let mut session = Session::exec(&server, &["ignores", "stdin"], "v4.channel.k8s.io").await;
    for _ in 0..15 {
        session.client.send(session.stdin, &[0; 64 << 10], false).await;
    }
    session.client.ping(1).await;
    assert!(session.client.listen(|client| client.pings == 1).await);
    host.go.happen();
    session.client.listen_to_the_end().await;
    assert_eq!(session.status()["status"], "Success");
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() {
    let host = Host::new();
    let server = server(&host).await;
    let session = Session::exec(&server, &["until", "gone"], "v4.channel.k8s.io").await;
    drop(session);
    host.seen_gone.wait().await;

    let request =
        AttachRequest { container: "c".into(), tty: true, stdin: true, stdout: true, stderr: false };
    let mut client = upgrade(&server, &server.attach(request.clone()).unwrap(), "v2.channel.k8s.io").await;
    for kind in ["error", "stdin", "stdout"] {
        client.open(&[("streamtype", kind)]).await;
    }
    client.listen(|client| client.streams.values().all(|heard| heard.open)).await;
    drop(client);
    host.dropped.wait().await;

    // Whoever ends its input still gets its output, and the end.
    let mut client = upgrade(&server, &server.attach(request).unwrap(), "v2.channel.k8s.io").await;
    client.open(&[("streamtype", "error")]).await;
    let stdin = client.open(&[("streamtype", "stdin")]).await;
    let stdout = client.open(&[("streamtype", "stdout")]).await;
    client.send(stdin, b"to the end", true).await;
    client.listen(|client| client.streams[&stdout].bytes == b"to the end").await;
    host.go.happen();
    client.listen_to_the_end().await;
}

#[tokio::test]
async fn output_that_is_not_wanted_any_more_is_an_error_to_the_command() {
    let server = server(&Host::new()).await;
    let mut session = Session::exec(&server, &["spew", "100000000"], "v4.channel.k8s.io").await;
    session.client.reset(session.stdout).await;
    session.client.listen_to_the_end().await;
    let message = session.status()["message"].to_string();
    assert!(message.contains("error executing command in container: broken pipe"), "{message}");
}

#[tokio::test]
async fn what_is_not_spdy_ends_the_connection() {
    let host = Host::new();
    let server = server(&host).await;
    let mut session = Session::exec(&server, &["until", "gone"], "v4.channel.k8s.io").await;
    session.client.write(b"\x80\x02\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01").await;
    session.client.listen_to_the_end().await;
    host.seen_gone.wait().await;
}

#[tokio::test]
async fn connections_to_ports_are_pairs_of_streams() {
    let host = Host::new();
    let server = server(&host).await;
    let request = PortForwardRequest { pod: "p".into(), ports: vec![] };
    let mut client = upgrade(&server, &server.port_forward(request).unwrap(), "portforward.k8s.io").await;
    let pair = async |client: &mut Client<TcpStream>, port: &str, id: Option<&str>| {
        let named: Vec<(&str, &str)> = id.map(|id| ("requestid", id)).into_iter().collect();
        let headers = |kind| [&[("streamtype", kind), ("port", port)], &named[..]].concat();
        let error = client.open(&headers("error")).await;
        client.send(error, b"", true).await;
        (error, client.open(&headers("data")).await)
    };
    // One that reads nothing does not hold up the others.
    let (_, stuck) = pair(&mut client, "82", Some("0")).await;
    client.send(stuck, &[0; 900_000], false).await;
    let (error, data) = pair(&mut client, "80", Some("1")).await;
    let (unnamed_error, unnamed) = pair(&mut client, "80", None).await;
    client.send(data, b"one", true).await;
    client.send(unnamed, b"two", true).await;
    let (refused, _) = pair(&mut client, "9", Some("3")).await;
    let (long_error, long) = pair(&mut client, "81", Some("4")).await;
    let ends = [error, data, unnamed_error, unnamed, refused, long_error, long];
    let finished = |client: &Client<TcpStream>| ends.iter().all(|stream| client.streams[stream].finished);
    assert!(client.listen(finished).await);
    assert_eq!(client.streams[&data].bytes, b"heard one");
    assert_eq!(client.streams[&unnamed].bytes, b"heard two");
    assert_eq!(client.streams[&long].bytes.len(), 1 << 20);
    assert!(client.streams[&error].bytes.is_empty() && client.streams[&long_error].bytes.is_empty());
    let text = String::from_utf8_lossy(&client.streams[&refused].bytes).into_owned();
    assert_eq!(text, "error forwarding port 9 to pod p: connection refused");

    for headers in [
        &[("streamtype", "data")][..],
        &[("streamtype", "data"), ("port", "0")],
        &[("streamtype", "data"), ("port", "70000")],
        &[("streamtype", "other"), ("port", "80")],
    ] {
        let stream = client.open(headers).await;
        assert!(client.listen(|client| client.streams[&stream].reset).await, "{headers:?}");
    }
    for _ in 0..4 {
        host.dropped.wait().await;
    }
    drop(client);
    host.dropped.wait().await;
}

/// What a session costs: `cargo test --release -p cri --lib -- --ignored --nocapture figures`
#[tokio::test]
#[ignore = "a measurement"]
async fn figures() {
    let server = server(&Host::new()).await;
    let rounds = 500;
    let begun = Instant::now();
    for _ in 0..rounds {
        let mut session = Session::exec(&server, &["true"], "v4.channel.k8s.io").await;
        session.client.listen(|client| client.streams[&session.error].finished).await;
    }
    println!("a session, from connecting to its status: {:?}", begun.elapsed() / rounds);
    let begun = Instant::now();
    let bytes: usize = 1 << 30;
    let mut session = Session::exec(&server, &["flood", &bytes.to_string()], "v4.channel.k8s.io").await;
    session.client.listen_to_the_end().await;
    assert_eq!(session.client.streams[&session.stdout].bytes.len(), bytes);
    println!("output of 1 GiB: {:?}, client and server in one thread", begun.elapsed());
}
