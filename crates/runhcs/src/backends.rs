//! The one place that names the backend. Everything else speaks of containers.

use crate::context::Context;
use anyhow::bail;
use compute::Runtime;
use compute::record::Store;
use linux::{Config, Linux, Rootless};

pub(crate) use linux::checkpoint::{CgroupMode, Checkpoint, Image, Restore};
pub(crate) use linux::features;
pub(crate) use linux::process::terminal::{raw_output, receive_descriptor};
pub(crate) use linux::{NOTIFY_DIR, Options, signals};

/// How containers are isolated.
pub(crate) type Isolating = Linux;

/// The containers below the root that the command line names.
pub(crate) type Engine = Runtime<Isolating>;

/// If this process is to become a container's, that is done here and never returns.
pub(crate) fn become_init() {
    if linux::init::is_init() {
        linux::init::main()
    }
}

/// The runtime that the program's options ask for.
pub(crate) fn engine(context: &Context) -> anyhow::Result<Engine> {
    let rootless = match context.globals.rootless.as_deref() {
        None | Some("auto") => Rootless::Auto,
        Some(text) => match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Rootless::True,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Rootless::False,
            other => bail!("invalid value {other:?} for --rootless: 'true', 'false' or 'auto' are possible"),
        },
    };
    let globals = &context.globals;
    let config = Config { systemd_cgroup: globals.systemd_cgroup, rootless, criu: globals.criu.clone() };
    Ok(Runtime::new(Linux::new(config), Store::new(&context.root)))
}
