//! `exec`: runs one more process in a container. Without `--process` it is the bundle's process with another command
//! line, changed as the options say.

use crate::backends;
use crate::context::{Context, container};
use crate::foreground::Foreground;
use crate::terminal::Awaited;
use crate::wiring::{Stay, Wiring};
use anyhow::{Context as _, bail};
use clap::Args;
use compute::backend::Process as _;
use compute::bundle;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process};
use std::path::{Path, PathBuf};

/// Run another process in a container.
#[derive(Debug, Default, Args)]
pub(crate) struct Change {
    /// The working directory in the container.
    #[arg(long, value_name = "DIR", value_parser = crate::cli::path())]
    cwd: Option<PathBuf>,
    /// Add a variable to the environment (may be repeated).
    #[arg(long, short, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Give the process a terminal.
    #[arg(long, short)]
    tty: bool,
    /// Run as this user.
    #[arg(long, short, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Add a group (may be repeated).
    #[arg(long, short = 'g', value_name = "GID", allow_negative_numbers = true)]
    additional_gids: Vec<i64>,
    /// The SELinux label of the process.
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// The AppArmor profile of the process.
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Whether the process may not gain privileges.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_new_privs: Option<bool>,
    /// Add a capability (may be repeated).
    #[arg(long, short, value_name = "CAP")]
    cap: Vec<String>,
}

/// Run another process in a container.
#[derive(Debug, Args)]
pub(crate) struct Exec {
    #[command(flatten)]
    change: Change,
    /// Read the process from this file, in the form that config.json has it; other options do not change it.
    #[arg(long, short, value_name = "FILE", value_parser = crate::cli::path())]
    process: Option<PathBuf>,
    /// Do not wait for the process's end.
    #[arg(long, short)]
    detach: bool,
    /// Run it in this sub-cgroup of the container's, of all controllers or of those named (may be repeated).
    #[arg(long, value_name = "[CONTROLLER,…:]PATH")]
    cgroup: Vec<String>,
    /// Also in a paused container, where it makes no progress before the container is resumed.
    #[arg(long)]
    ignore_paused: bool,
    #[command(flatten)]
    wiring: Wiring,
    /// Log file of the process's shim.
    #[arg(long, value_name = "FILE", hide = true)]
    shim_log: Option<String>,
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// The program and its arguments.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    pub(crate) fn run(mut self, context: &Context) -> anyhow::Result<u8> {
        if self.shim_log.is_some() {
            bail!("--shim-log has no meaning for a container that is isolated by process");
        }
        self.wiring.settle()?;
        let id = container(&self.id)?;
        let engine = backends::engine(context)?;
        let mut process = match &self.process {
            Some(path) => bundle::load_process(path)?,
            None => {
                let bundle = engine.bundle(&id)?;
                if self.command.is_empty() {
                    bail!("exec args cannot be empty");
                }
                self.change.apply(&bundle, std::mem::take(&mut self.command))?
            }
        };
        let stay = if self.detach { Stay::Detached } else { Stay::Attached };
        let foreground = match stay {
            Stay::Attached => Some(Foreground::new(false)?),
            Stay::Detached => None,
        };
        let (mut options, terminal) = self.wiring.open(&mut process, stay)?;
        options.exec_cgroups = std::mem::take(&mut self.cgroup);
        let mut child = engine.exec(&id, &process, self.ignore_paused, options)?;
        let pidfd = child.pidfd().try_clone_to_owned()?;
        let supervised = self.wiring.record(&child).and_then(|()| match foreground {
            None => Ok(0),
            Some(mut foreground) => {
                foreground.terminal = terminal.map(Awaited::attach).transpose()?;
                Ok(foreground.supervise(&mut child, pidfd.try_clone()?)?.status() as u8)
            }
        });
        if supervised.is_err() {
            // Nobody would look after it.
            let killed = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
            if killed.is_ok() {
                let _ = child.wait();
            }
        }
        supervised
    }
}

impl Change {
    /// The bundle's process as the options change it.
    fn apply(&self, bundle: &Path, command: Vec<String>) -> anyhow::Result<Process> {
        bundle::enter(Some(bundle))?;
        let spec = bundle::load(bundle)?;
        let mut process = spec.process().clone().context("process property must not be empty")?;
        process.set_args(Some(command));
        self.to(&mut process)?;
        bundle::validate(&process)?;
        Ok(process)
    }

    fn to(&self, process: &mut Process) -> anyhow::Result<()> {
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.clone());
        }
        if let Some(profile) = &self.apparmor {
            process.set_apparmor_profile(Some(profile.clone()));
        }
        if let Some(label) = &self.process_label {
            process.set_selinux_label(Some(label.clone()));
        }
        if let Some(no_new_privs) = self.no_new_privs {
            process.set_no_new_privileges(Some(no_new_privs));
        }
        process.set_terminal(Some(self.tty));
        process.env_mut().get_or_insert_default().extend(self.env.iter().cloned());
        add_capabilities(process, &self.cap)?;
        self.set_user(process)
    }

    fn set_user(&self, process: &mut Process) -> anyhow::Result<()> {
        if let Some(user) = &self.user {
            let (uid, gid) = match user.split_once(':') {
                Some((uid, gid)) => (uid, Some(gid)),
                None => (user.as_str(), None),
            };
            if let Some(gid) = gid {
                process.user_mut().set_gid(gid.parse().with_context(|| format!("bad gid: {gid:?}"))?);
            }
            process.user_mut().set_uid(uid.parse().with_context(|| format!("bad uid: {uid:?}"))?);
        }
        for gid in &self.additional_gids {
            let Ok(gid) = u32::try_from(*gid) else {
                bail!("additional-gids must be a positive number {gid}");
            };
            process.user_mut().additional_gids_mut().get_or_insert_default().push(gid);
        }
        Ok(())
    }
}

/// Adds to the bounding, effective and permitted sets; to the ambient set only beside inheritable ones, without which
/// the kernel would refuse it.
fn add_capabilities(process: &mut Process, names: &[String]) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut added = Capabilities::new();
    for name in names {
        let parsed: Result<Capability, _> = serde_json::from_value(serde_json::Value::String(name.clone()));
        added.insert(parsed.with_context(|| format!("unknown capability {name:?}"))?);
    }
    let with = |set: &Option<Capabilities>| Some(set.iter().flatten().chain(&added).copied().collect());
    let mut sets = match process.capabilities() {
        Some(sets) => sets.clone(),
        // No capabilities at all: the type's default would be some.
        None => serde_json::from_str::<LinuxCapabilities>("{}")?,
    };
    sets.set_bounding(with(sets.bounding()));
    sets.set_effective(with(sets.effective()));
    sets.set_permitted(with(sets.permitted()));
    if sets.inheritable().as_ref().is_some_and(|set| !set.is_empty()) {
        sets.set_ambient(with(sets.ambient()));
    }
    process.set_capabilities(Some(sets));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(change: &Change, base: serde_json::Value) -> Result<serde_json::Value, String> {
        let mut process: Process = serde_json::from_value(base).unwrap();
        change.to(&mut process).map_err(|error| format!("{error:#}"))?;
        Ok(serde_json::to_value(process).unwrap())
    }

    fn base() -> serde_json::Value {
        json!({"terminal": true, "user": {"uid": 1, "gid": 2}, "args": ["sh"], "env": ["A=1"], "cwd": "/"})
    }

    #[test]
    fn without_options_only_the_terminal_goes() {
        let process = changed(&Change::default(), base()).unwrap();
        let mut expected = base();
        expected["terminal"] = json!(false);
        assert_eq!(process, expected);
    }

    #[test]
    fn options_change_the_bundles_process() {
        let change = Change {
            cwd: Some("/w".into()),
            env: vec!["B=2".into(), "A=3".into()],
            tty: true,
            user: Some("7:8".into()),
            additional_gids: vec![9],
            process_label: Some("l".into()),
            apparmor: Some("p".into()),
            no_new_privs: Some(false),
            cap: vec!["CAP_KILL".into()],
        };
        let process = changed(&change, base()).unwrap();
        let sets = json!({"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]});
        assert_eq!(
            process,
            json!({
                "terminal": true, "user": {"uid": 7, "gid": 8, "additionalGids": [9]}, "args": ["sh"],
                "env": ["A=1", "B=2", "A=3"], "cwd": "/w", "selinuxLabel": "l", "apparmorProfile": "p",
                "noNewPrivileges": false, "capabilities": sets,
            })
        );
    }

    #[test]
    fn ambient_capabilities_need_inheritable_ones() {
        let change = Change { cap: vec!["CAP_KILL".into()], ..Change::default() };
        let mut with = base();
        with["capabilities"] = json!({"inheritable": ["CAP_CHOWN"]});
        let process = changed(&change, with).unwrap();
        assert_eq!(process["capabilities"]["ambient"], json!(["CAP_KILL"]));
    }

    #[test]
    fn wrong_values_are_named() {
        let told = |change: Change| changed(&change, base()).unwrap_err();
        let user = |user: &str| told(Change { user: Some(user.into()), ..Change::default() });
        assert!(user("root").starts_with("bad uid: \"root\""));
        assert!(user("0:wheel").starts_with("bad gid: \"wheel\""));
        assert!(user("-1").starts_with("bad uid"));
        let gid = told(Change { additional_gids: vec![-1], ..Change::default() });
        assert_eq!(gid, "additional-gids must be a positive number -1");
        assert!(told(Change { cap: vec!["CAP_X".into()], ..Change::default() }).contains("CAP_X"));
    }
}
