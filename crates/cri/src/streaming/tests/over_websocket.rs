//! WebSockets, with the client's side of the library.

use super::host::{self, Host};
use super::{ask, server};
use crate::streaming::spdy::client::Client;
use crate::streaming::tunnel::Tunnel;
use crate::streaming::{ExecRequest, PortForwardRequest, Server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::HashMap;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

async fn upgrade(server: &Server, url: &str, protocol: &str) -> WebSocketStream<TcpStream> {
    let mut headers = vec![
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    if !protocol.is_empty() {
        headers.push(("Sec-WebSocket-Protocol", protocol));
    }
    let (head, connection) = ask(server, "GET", url, &headers).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let agreed = format!("sec-websocket-protocol: {protocol}\r\n");
    assert!(protocol.is_empty() || head.contains(&agreed), "{head}");
    WebSocketStream::from_raw_socket(connection, Role::Client, None).await
}

/// What every channel has said, until a good end.
async fn listen_to_the_end(socket: &mut WebSocketStream<TcpStream>, base64: bool) -> HashMap<u8, Vec<u8>> {
    let mut heard: HashMap<u8, Vec<u8>> = HashMap::new();
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(bytes) if !base64 => {
                heard.entry(bytes[0]).or_default().extend_from_slice(&bytes[1..]);
            }
            Message::Text(text) if base64 => {
                let bytes = STANDARD.decode(&text.as_bytes()[1..]).unwrap();
                heard.entry(text.as_bytes()[0] - b'0').or_default().extend(bytes);
            }
            Message::Pong(_) => {}
            Message::Close(frame) => {
                assert_eq!(frame.unwrap().code, CloseCode::Normal);
                return heard;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn input_ends_by_a_signal_in_version_5() {
    let server = server(&Host::new()).await;
    let url = server.exec(host::command(&["cat"])).unwrap();
    let mut socket = upgrade(&server, &url, "v5.channel.k8s.io").await;
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary(vec![1]), "it can begin");
    for message in [&b"\x00hello"[..], b"\x00", b"", b"\x09nobody", b"\xff\x04", b"\xff\x09", b"\xff\x00"] {
        socket.send(Message::binary(message.to_vec())).await.unwrap();
    }
    let heard = listen_to_the_end(&mut socket, false).await;
    assert_eq!(heard[&1], b"hello");
    let status: serde_json::Value = serde_json::from_slice(&heard[&3]).unwrap();
    assert_eq!(status["status"], "Success");
}

#[tokio::test]
async fn every_version_is_spoken() {
    let server = server(&Host::new()).await;
    for (protocol, base64, json) in [
        ("v5.channel.k8s.io", false, true),
        ("v4.channel.k8s.io", false, true),
        ("v4.base64.channel.k8s.io", true, true),
        ("channel.k8s.io", false, false),
        ("base64.channel.k8s.io", true, false),
        ("", false, false),
    ] {
        let url = server.exec(host::command(&["spew", "1000001"])).unwrap();
        let mut socket = upgrade(&server, &url, protocol).await;
        socket.send(Message::Ping("x".into())).await.unwrap();
        let heard = listen_to_the_end(&mut socket, base64).await;
        assert_eq!((heard[&1].len(), heard[&2].len()), (1_000_001, 500_000), "{protocol}");
        assert!(heard[&1].iter().enumerate().all(|(at, byte)| at % 256 == usize::from(*byte)));
        let error = String::from_utf8(heard[&3].clone()).unwrap();
        assert_eq!(error.starts_with('{'), json, "{protocol}: {error}");
        assert!(error.contains("exit status 3"), "{error}");
    }
}

#[tokio::test]
async fn sizes_come_on_their_channel() {
    let server = server(&Host::new()).await;
    for (protocol, base64) in [("v5.channel.k8s.io", false), ("v4.base64.channel.k8s.io", true)] {
        let request = ExecRequest { tty: true, stderr: false, ..host::command(&["sizes", "3x4"]) };
        let mut socket = upgrade(&server, &server.exec(request).unwrap(), protocol).await;
        let size = br#"{"Width":3,"Height":4}"#;
        let message = if base64 {
            Message::text(format!("4{}", STANDARD.encode(size)))
        } else {
            Message::binary([&[4], &size[..]].concat())
        };
        socket.send(message).await.unwrap();
        assert_eq!(listen_to_the_end(&mut socket, base64).await[&1], b"3x4\n");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() {
    let host = Host::new();
    let server = server(&host).await;
    let url = server.exec(host::command(&["until", "gone"])).unwrap();
    drop(upgrade(&server, &url, "v5.channel.k8s.io").await);
    host.seen_gone.wait().await;
    let url = server.exec(host::command(&["until", "gone"])).unwrap();
    upgrade(&server, &url, "v5.channel.k8s.io").await.close(None).await.unwrap();
    host.seen_gone.wait().await;
}

#[tokio::test]
async fn ports_are_channels_that_begin_with_their_number() {
    let host = Host::new();
    let server = server(&host).await;
    for protocol in ["v4.channel.k8s.io", "portforward.k8s.io", ""] {
        let request = PortForwardRequest { pod: "p".into(), ports: vec![81, 300] };
        let mut socket = upgrade(&server, &server.port_forward(request).unwrap(), protocol).await;
        let heard = listen_to_the_end(&mut socket, false).await;
        assert_eq!(heard[&0].len(), 2 + (1 << 20));
        assert_eq!(heard[&0][..2], [81, 0]);
        assert_eq!((&heard[&1][..], &heard[&2][..]), (&[81, 0][..], &[44, 1][..]));
        assert_eq!(&heard[&3][..2], [44, 1]);
        assert_eq!(&heard[&3][2..], b"error forwarding port 300 to pod p: connection refused");
    }
    let request = PortForwardRequest { pod: "p".into(), ports: vec![] };
    let url = server.port_forward(request).unwrap();
    let headers = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "x"),
        ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
    ];
    let (head, _) = ask(&server, "GET", &url, &headers).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[tokio::test]
async fn spdy_goes_through_a_tunnel_of_messages() {
    let host = Host::new();
    let server = server(&host).await;
    for protocol in ["v2.portforward.k8s.io", "SPDY/3.1+portforward.k8s.io"] {
        let request = PortForwardRequest { pod: "p".into(), ports: vec![] };
        let socket = upgrade(&server, &server.port_forward(request).unwrap(), protocol).await;
        let mut client = Client::new(Tunnel::new(socket));
        let error = client.open(&[("streamtype", "error"), ("port", "80"), ("requestid", "1")]).await;
        let data = client.open(&[("streamtype", "data"), ("port", "80"), ("requestid", "1")]).await;
        let long = vec![b'y'; 1 << 20];
        client.send(data, &long, true).await;
        client.listen(|client| client.streams[&data].finished && client.streams[&error].finished).await;
        assert_eq!(client.streams[&data].bytes, [b"heard ", &long[..]].concat());
        assert!(client.streams[&error].bytes.is_empty());
        drop(client);
        host.dropped.wait().await;
    }
}
