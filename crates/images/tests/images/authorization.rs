//! Registries that want to know who asks.

use crate::content::small;
use crate::server::{Server, Tokens};
use crate::{Host, told};
use images::{Auth, Kind};
use std::os::unix::fs::PermissionsExt as _;

async fn protected(tokens: Tokens) -> Server {
    let server = Server::start().await;
    server.has("a", "1", &small("one"));
    server.wants_tokens(tokens);
    server
}

fn of_user() -> Tokens {
    Tokens { user: "user".into(), password: "pass".into(), good_for: 100, ..Tokens::default() }
}

fn password(password: &str) -> Option<Auth> {
    Some(Auth { username: "user".into(), password: password.into(), ..Auth::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_everybody() {
    let Some(host) = Host::new() else { return };
    let server = protected(Tokens { good_for: 100, ..Tokens::default() }).await;
    host.pull(&server.name("a:1")).await.unwrap();
    // One token for all requests of the pull, with both scopes.
    assert_eq!(server.times_asked("/token"), 1);
    assert_eq!(server.times_asked("service=test&scope=repository%3Ax%3Apull&scope=repository%3Aa%3Apull"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_runs_out_is_renewed() {
    let Some(host) = Host::new() else { return };
    let server = protected(Tokens { good_for: 2, ..Tokens::default() }).await;
    host.pull(&server.name("a:1")).await.unwrap();
    assert!(server.times_asked("/token") >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_gets_a_token_and_others_do_not() {
    let Some(host) = Host::new() else { return };
    let server = protected(of_user()).await;
    for wrong in [None, password("wrong")] {
        let error = host.pull_as(&server.name("a:1"), wrong).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
        let told = told(&error);
        assert!(told.contains("who are you?") && !told.contains("wrong"), "{told}");
    }
    host.pull_as(&server.name("a:1"), password("pass")).await.unwrap();
    // Credentials for another registry stay here.
    let mut other = password("pass").unwrap();
    other.server_address = "https://other.example".into();
    let error = host.pull_as(&server.name("a:1"), Some(other)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_token_is_exchanged() {
    let Some(host) = Host::new() else { return };
    let server = protected(Tokens { identity: "who-i-am".into(), good_for: 100, ..Tokens::default() }).await;
    let auth = Auth { identity_token: "who-i-am".into(), ..Auth::default() };
    host.pull_as(&server.name("a:1"), Some(auth)).await.unwrap();
    assert_eq!(server.times_asked("grant_type=refresh_token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_token_is_sent_as_it_is() {
    let Some(host) = Host::new() else { return };
    let server = protected(Tokens { good_for: 100, ..Tokens::default() }).await;
    let token = |token: &str| Some(Auth { registry_token: token.into(), ..Auth::default() });
    host.pull_as(&server.name("a:1"), token("token-0")).await.unwrap();
    assert_eq!(server.times_asked("/token"), 0);
    let error = host.pull_as(&server.name("a:1"), token("token-9")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn dockers_file_and_its_helpers_have_credentials() {
    let tools = tempfile::tempdir().unwrap();
    let config = tools.path().join("config.json");
    let path = config.clone();
    let Some(host) = Host::with(|config| config.network.docker_config = Some(path)) else { return };
    let server = protected(of_user()).await;
    let auths = |entry: &str| format!(r#"{{"auths": {{"http://{}": {{{entry}}}}}}}"#, server.address);
    std::fs::write(&config, auths(r#""username": "user", "password": "pass""#)).unwrap();
    host.pull(&server.name("a:1")).await.unwrap();
    // What comes with the request goes first.
    assert!(host.pull_as(&server.name("a:1"), password("wrong")).await.is_err());
    // A name that leads elsewhere than to a program on the path.
    let text = format!(r#"{{"credHelpers": {{"{}": "/../../bin/sh"}}}}"#, server.address);
    std::fs::write(&config, text).unwrap();
    let error = host.pull(&server.name("a:1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(told(&error).contains("\"/../../bin/sh\" is no name of a credential helper"), "{}", told(&error));
}

/// A helper is a program on the path, which only a process of its own can have changed.
#[test]
fn a_credential_helper_is_run() {
    let tools = tempfile::tempdir().unwrap();
    let helper = tools.path().join("docker-credential-test");
    let script = "#!/bin/sh\n[ \"$1\" = get ] || exit 1\nread server\ncase $server in 127.0.0.1:*) ;; *) exit 1;; esac\n\
                  echo '{\"ServerURL\":\"\",\"Username\":\"user\",\"Secret\":\"pass\"}'\n";
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["authorization::pulls_with_a_helper", "--exact", "--ignored"])
        .env("PATH", path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by another test, a_credential_helper_is_run, with the helper on its path"]
async fn pulls_with_a_helper() {
    let tools = tempfile::tempdir().unwrap();
    let config = tools.path().join("config.json");
    std::fs::write(&config, r#"{"credsStore": "test"}"#).unwrap();
    let Some(host) = Host::with(|it| it.network.docker_config = Some(config)) else { return };
    let server = protected(of_user()).await;
    host.pull(&server.name("a:1")).await.unwrap();
}
