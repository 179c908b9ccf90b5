//! `start`: makes a socket that listens and a shim behind it, or finds the shim of the pod, and says where it is.
//!
//! The socket listens before the shim's own process runs: whoever learns the address can connect at once.

use crate::address;
use crate::flags::Flags;
use anyhow::{Context as _, bail};
use rustix::fs::{FileType, Mode, OFlags};
use serde::Deserialize;
use shim_api::bootstrap::{Answer, MAX_VERSION, Params, TTRPC_ADDRESS};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Containers with the same value share a shim: containerd's own annotation, and that of pods.
const GROUPS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";
/// More than any daemon writes.
const MAX_INPUT: u64 = 10 << 20;

/// See the module's text.
pub(crate) fn start(flags: &Flags) -> anyhow::Result<()> {
    let bundle = flags.bundle()?;
    let params = params();
    let group = group(&bundle, &flags.id)?;
    let socket = address::socket(params.as_ref(), &flags.address, &flags.namespace, &group);
    let url = address::url(&socket);
    let max_version = std::env::var(MAX_VERSION).ok().and_then(|version| version.parse().ok());
    let mut started = None;
    if let Some(listener) = bind(&socket)? {
        started = Some(serve(flags, params.as_ref(), &bundle, listener).inspect_err(|_| {
            // Nobody listens there.
            let _ = std::fs::remove_file(&socket);
        })?);
    }
    if max_version.is_none_or(|version| version < 3) {
        // Where daemons of that age look for it when they are started anew.
        std::fs::write(bundle.join("address"), &url).context("write the file address in the bundle")?;
    }
    let mut stdout = io::stdout();
    let told = stdout.write_all(Answer::print(&url, max_version).as_bytes()).and_then(|()| stdout.flush());
    if told.is_err()
        && let Some(mut shim) = started
    {
        // The daemon was killed meanwhile, perhaps before it had said where the socket is to be: nobody would find it.
        let _ = shim.kill();
        let _ = std::fs::remove_file(&socket);
    }
    told.context("print the address")
}

/// What the daemon wrote to standard input. Older ones write options, which are no concern of ours, or nothing.
pub(crate) fn params() -> Option<Params> {
    let mut input = Vec::new();
    // A terminal is somebody who tries this by hand.
    if rustix::termios::isatty(rustix::stdio::stdin()) {
        return None;
    }
    io::stdin().take(MAX_INPUT).read_to_end(&mut input).ok()?;
    Params::read(&input)
}

/// Whose shim it is to be.
fn group(bundle: &Path, id: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Annotated {
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let path = bundle.join(compute::bundle::CONFIG);
    let annotations = match std::fs::read(&path) {
        // A sandbox may have no configuration yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        Ok(bytes) => {
            serde_json::from_slice::<Annotated>(&bytes)
                .with_context(|| format!("understand {}", path.display()))?
                .annotations
        }
    };
    let group = GROUPS.iter().find_map(|name| annotations.get(*name)).filter(|group| !group.is_empty());
    let sandbox = annotations.get(CONTAINER_TYPE).is_some_and(|kind| kind == "sandbox");
    match group {
        Some(group) if sandbox && group != id && annotations.contains_key(GROUPS[1]) => {
            bail!("'id' and '{}' must match for '{CONTAINER_TYPE}=sandbox'", GROUPS[1])
        }
        Some(group) => Ok(group.clone()),
        None => Ok(id.to_owned()),
    }
}

/// A new socket; `None` when a shim listens there already.
fn bind(socket: &Path) -> anyhow::Result<Option<UnixListener>> {
    let failed = || format!("listen at {}", socket.display());
    loop {
        match UnixListener::bind(socket) {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                address::make_folder(socket).with_context(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => match UnixStream::connect(socket) {
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    // Its shim is dead.
                    std::fs::remove_file(socket).with_context(failed)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(failed),
            },
            Err(error) => return Err(error).with_context(failed),
        }
    }
}

/// Starts the shim. The socket is its standard input.
fn serve(
    flags: &Flags,
    params: Option<&Params>,
    bundle: &Path,
    listener: UnixListener,
) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("find this program's file")?;
    let mut shim = Command::new(&program);
    shim.args(["-namespace", &flags.namespace, "-id", &flags.id, "-address", &flags.address]);
    shim.arg("-publish-binary").arg(&flags.publish_binary).arg("-bundle").arg(bundle);
    if flags.debug || params.is_some_and(Params::is_verbose) {
        shim.arg("-debug");
    }
    shim.arg("serve").current_dir("/").process_group(0);
    shim.env_clear();
    // What the shim starts for others: programs that take logs or publish, and CRIU.
    for name in ["PATH", TTRPC_ADDRESS] {
        if let Some(value) = std::env::var_os(name) {
            shim.env(name, value);
        }
    }
    if let Some(params) = params.filter(|params| !params.containerd_ttrpc_address.is_empty()) {
        shim.env(TTRPC_ADDRESS, &params.containerd_ttrpc_address);
    }
    let log = log(bundle).context("open the shim's log")?;
    shim.stdin(Stdio::from(rustix::fd::OwnedFd::from(listener))).stdout(Stdio::null()).stderr(log);
    shim.spawn().with_context(|| format!("start {}", program.display()))
}

/// containerd reads what is written to the fifo `log` in the bundle; without one it is a file.
fn log(bundle: &Path) -> io::Result<File> {
    let fifo = bundle.join("log");
    let is_fifo =
        rustix::fs::stat(&fifo).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if is_fifo {
        // For both directions: it can be opened and written to also when containerd is away.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        return Ok(rustix::fs::open(&fifo, flags, Mode::empty())?.into());
    }
    File::options().create(true).append(true).open(bundle.join("shim.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(config: &str) -> Result<String, String> {
        let bundle = tempfile::tempdir().unwrap();
        std::fs::write(bundle.path().join("config.json"), config).unwrap();
        group(bundle.path(), "me").map_err(|error| error.to_string())
    }

    #[test]
    fn containers_of_a_pod_share_a_shim() {
        assert_eq!(grouped("{}").unwrap(), "me");
        assert_eq!(group(Path::new("/nowhere"), "me").unwrap(), "me");
        let pod = |kind: &str, pod: &str| {
            grouped(&format!(
                r#"{{"annotations":{{"io.kubernetes.cri.container-type":"{kind}","io.kubernetes.cri.sandbox-id":"{pod}"}}}}"#
            ))
        };
        assert_eq!(pod("container", "pod").unwrap(), "pod");
        assert_eq!(pod("sandbox", "me").unwrap(), "me");
        assert_eq!(
            pod("sandbox", "pod").unwrap_err(),
            "'id' and 'io.kubernetes.cri.sandbox-id' must match for 'io.kubernetes.cri.container-type=sandbox'"
        );
        assert_eq!(grouped(r#"{"annotations":{"io.containerd.runc.v2.group":"g"}}"#).unwrap(), "g");
    }

    #[test]
    fn a_socket_whose_shim_is_dead_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/s");
        let first = bind(&path).unwrap().unwrap();
        assert!(bind(&path).unwrap().is_none());
        drop(first);
        assert!(bind(&path).unwrap().is_some());
    }
}
