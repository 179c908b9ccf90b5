//! The client that kubectl and the kubelet have: client-go, in the small program of `tests/go-client`.

use super::host::{self, Host};
use super::over_tls::Certificates;
use super::server;
use crate::streaming::{Config, ExecRequest, PortForwardRequest, Server};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

/// The program, built once; `None` without go, or when its modules cannot be had.
fn program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).clone()
}

fn build() -> Option<PathBuf> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/go-client");
    // Beside the test program, where the next run finds it; go knows whether it is still good.
    let program = std::env::current_exe().unwrap().with_file_name("cofferdam-go-client");
    let built = std::process::Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly")
        .output();
    match built {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            // Whatever is wrong with our own program is no reason to skip.
            assert!(!text.contains("main.go:"), "{text}");
            println!("skipped: the Go client cannot be built: {text}");
            None
        }
        Err(error) => {
            println!("skipped: the Go client cannot be built: {error}");
            None
        }
    }
}

async fn exec(program: &PathBuf, flags: &str, url: &str, input: &[u8]) -> Output {
    let mut command = Command::new(program);
    command.arg("exec").args(flags.split_ascii_whitespace()).arg(url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (sent, output) = tokio::join!(
        async move {
            // A command may end before it has read everything.
            let _ = stdin.write_all(input).await;
        },
        child.wait_with_output()
    );
    let () = sent;
    output.unwrap()
}

const COMMANDS: [&str; 6] = [
    "-transport spdy -protocols v4.channel.k8s.io",
    "-transport spdy -protocols v3.channel.k8s.io",
    "-transport spdy -protocols v2.channel.k8s.io",
    "-transport websocket -protocols v5.channel.k8s.io",
    "-transport websocket -protocols v4.channel.k8s.io",
    "-transport websocket -protocols v5.channel.k8s.io,v4.channel.k8s.io",
];

#[tokio::test]
async fn commands_run_with_their_output_and_exit_code() {
    let Some(program) = program() else { return };
    let server = server(&Host::new()).await;
    for flags in COMMANDS {
        for bytes in [0, 1, 1_000_003] {
            let request = ExecRequest { stdin: false, ..host::command(&["spew", &bytes.to_string()]) };
            let url = server.exec(request).unwrap();
            let output = exec(&program, &format!("{flags} -stderr"), &url, b"").await;
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.stdout.len(), bytes, "{flags}: {stderr}");
            assert!(output.stdout.iter().enumerate().all(|(at, byte)| at % 256 == usize::from(*byte)));
            // Before version 4 there is only a text, which this client reports as an error.
            let old = flags.contains("v3") || flags.contains("v2");
            assert_eq!(output.status.code(), Some(if old { 120 } else { 3 }), "{flags}: {stderr}");
            assert!(stderr.matches('e').count() >= bytes / 2, "{flags}");
        }
        let request = ExecRequest { stdin: false, stderr: false, ..host::command(&["fail"]) };
        let output = exec(&program, flags, &server.exec(request).unwrap(), b"").await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("there is no such program"), "{flags}: {stderr}");
    }
}

#[tokio::test]
async fn input_goes_in_and_its_end_too() {
    let Some(program) = program() else { return };
    let server = server(&Host::new()).await;
    let input: Vec<u8> = (0..2_000_003_u32).map(|at| at.to_le_bytes()[0]).collect();
    // Over the fourth version in a WebSocket the end of input cannot be told.
    for flags in COMMANDS.iter().filter(|flags| !flags.ends_with("websocket -protocols v4.channel.k8s.io")) {
        let request = ExecRequest { stderr: false, ..host::command(&["cat"]) };
        let output = exec(&program, &format!("{flags} -stdin"), &server.exec(request).unwrap(), &input).await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{flags}: {stderr}");
        assert!(output.stdout == input, "{flags}: {} bytes of {}", output.stdout.len(), input.len());
    }
}

#[tokio::test]
async fn the_terminals_size_is_told() {
    let Some(program) = program() else { return };
    let server = server(&Host::new()).await;
    for flags in COMMANDS.iter().filter(|flags| !flags.contains("v2")) {
        let request = ExecRequest { tty: true, stderr: false, ..host::command(&["sizes", "100x30"]) };
        let flags = format!("{flags} -stdin -tty -sizes 80x24,100x30");
        let output = exec(&program, &flags, &server.exec(request).unwrap(), b"").await;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && stdout.ends_with("100x30\n"), "{flags}: {stdout}{stderr}");
    }
}

#[tokio::test]
async fn a_client_that_is_killed_is_noticed() {
    let Some(program) = program() else { return };
    let host = Host::new();
    let server = server(&host).await;
    for flags in [COMMANDS[0], COMMANDS[3]] {
        let url = server.exec(host::command(&["until", "gone"])).unwrap();
        let mut command = Command::new(&program);
        command.arg("exec").args(flags.split(' ')).args(["-stdin", "-stderr"]).arg(url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut begun = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"begun");
        child.kill().await.unwrap();
        host.seen_gone.wait().await;
    }
}

/// A client that forwards, and the local port that leads to `port`.
async fn forward(
    program: &PathBuf,
    transport: &str,
    server: &Server,
    port: u16,
) -> (tokio::process::Child, u16) {
    let url = server.port_forward(PortForwardRequest { pod: "p".into(), ports: vec![] }).unwrap();
    let mut command = Command::new(program);
    command.args(["forward", "-transport", transport, &url, &port.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    (child, line.trim().parse().unwrap())
}

#[tokio::test]
async fn ports_are_forwarded() {
    let Some(program) = program() else { return };
    let server = server(&Host::new()).await;
    for transport in ["spdy", "websocket"] {
        let (mut child, local) = forward(&program, transport, &server, 80).await;
        let conversations = (0..20_usize).map(|number| {
            tokio::spawn(async move {
                let mut connection = TcpStream::connect(("127.0.0.1", local)).await.unwrap();
                let question = vec![b'a' + u8::try_from(number).unwrap(); 50_000 * number + 1];
                connection.write_all(&question).await.unwrap();
                connection.shutdown().await.unwrap();
                let mut answer = Vec::new();
                connection.read_to_end(&mut answer).await.unwrap();
                assert!(
                    answer == [b"heard ", &question[..]].concat(),
                    "{transport} {number}: {}",
                    answer.len()
                );
            })
        });
        for conversation in conversations.collect::<Vec<_>>() {
            conversation.await.unwrap();
        }
        drop(child.stdin.take());
        child.wait().await.unwrap();

        let (_child, local) = forward(&program, transport, &server, 81).await;
        let mut answer = Vec::new();
        TcpStream::connect(("127.0.0.1", local)).await.unwrap().read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.len(), 1 << 20, "{transport}");
    }
}

#[tokio::test]
async fn a_session_over_tls() {
    let Some(program) = program() else { return };
    let Some(made) = Certificates::make() else {
        println!("skipped: openssl is not installed");
        return;
    };
    let config = Config { tls: Some(made.tls(true)), ..Config::default() };
    let server = Server::bind(config, Host::new() as Arc<_>).await.unwrap();
    let file = |name: &str| made.file(name).display().to_string();
    let tls = format!("-ca {} -cert {} -key {}", file("ca.crt"), file("client.crt"), file("client.key"));
    for flags in [COMMANDS[0], COMMANDS[3]] {
        let request = ExecRequest { stderr: false, ..host::command(&["cat"]) };
        let output =
            exec(&program, &format!("{flags} {tls} -stdin"), &server.exec(request).unwrap(), b"secret").await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.stdout, b"secret", "{flags}: {stderr}");
    }
}
