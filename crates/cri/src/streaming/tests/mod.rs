//! Sessions end to end, over real connections: with a client of our own that can do what no good client does, and with
//! the client that kubectl and the kubelet have.

mod foreign;
mod host;
mod over_spdy;
mod over_tls;
mod over_websocket;

use host::Host;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Config, Server};

async fn server(host: &Arc<Host>) -> Server {
    let handler: Arc<Host> = Arc::clone(host);
    Server::bind(Config::default(), handler).await.unwrap()
}

/// The path of a URL.
fn path(url: &str) -> &str {
    url.splitn(4, '/').nth(3).unwrap()
}

/// Asks for an upgrade; the head of the answer, and the connection.
async fn ask(server: &Server, method: &str, url: &str, headers: &[(&str, &str)]) -> (String, TcpStream) {
    let mut connection = TcpStream::connect(server.address()).await.unwrap();
    let head = request(method, url, headers);
    connection.write_all(head.as_bytes()).await.unwrap();
    (read_head(&mut connection).await, connection)
}

fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} /{} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n", path(url));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

async fn read_head(connection: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_url_is_good_once_and_for_what_it_was_given() {
    let host = Host::new();
    let server = server(&host).await;
    let spdy = [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")];
    let url = server.exec(host::command(&["true"])).unwrap();
    assert!(url.starts_with(&format!("http://{}/exec/", server.address())), "{url}");
    let (head, _first) = ask(&server, "POST", &url, &spdy).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("x-stream-protocol-version: v4.channel.k8s.io\r\n"), "{head}");
    let (head, _) = ask(&server, "POST", &url, &spdy).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");

    let url = server.exec(host::command(&["true"])).unwrap();
    let (head, _) = ask(&server, "POST", &url.replace("exec", "attach"), &spdy).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let url = server.exec(host::command(&["true"])).unwrap();
    let (head, _) = ask(&server, "DELETE", &url, &spdy).await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    let (head, _) = ask(&server, "POST", &url, &[]).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let url = server.exec(host::command(&["true"])).unwrap();
    let (head, _) = ask(&server, "POST", &url, &[spdy[0], ("X-Stream-Protocol-Version", "v9")]).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(head.matches("x-accepted-stream-protocol-versions: ").count(), 4, "{head}");
}
