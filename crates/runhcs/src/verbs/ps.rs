//! `ps`: the processes of a container, as ps(1) of the host shows them or as JSON.

use crate::backends;
use crate::context::{Context, container};
use crate::json;
use anyhow::{Context as _, bail};
use clap::Args;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::Command;

/// List the processes of a container.
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// 'table' (default) or 'json', an array of process ids on the host.
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
    /// The container.
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// Options for ps(1); '-ef' if none are given.
    #[arg(value_name = "PS-OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

impl Ps {
    pub(crate) fn run(mut self, context: &Context) -> anyhow::Result<()> {
        let id = container(&self.id)?;
        let pids = backends::engine(context)?.processes(&id)?;
        let text = match self.format.as_deref() {
            None | Some("table") => {
                if self.options.is_empty() {
                    self.options.push("-ef".into());
                }
                only(&pids, &ps(&self.options)?)?
            }
            Some("json") => json::line(&pids)? + "\n",
            Some(_) => bail!("invalid format option"),
        };
        Ok(io::stdout().write_all(text.as_bytes())?)
    }
}

fn ps(options: &[OsString]) -> anyhow::Result<String> {
    let output = Command::new("ps").args(options).output().context("run ps (is procps installed?)")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

/// The title and the lines whose PID column holds one of the processes.
fn only(pids: &[i32], table: &str) -> anyhow::Result<String> {
    let mut lines = table.lines();
    let title = lines.next().unwrap_or_default();
    let column = title.split_whitespace().position(|name| name == "PID");
    let column = column.context("couldn't find PID field in ps output")?;
    let mut text = format!("{title}\n");
    for line in lines.filter(|line| !line.is_empty()) {
        let pid = line.split_whitespace().nth(column).unwrap_or_default();
        let pid: i32 = pid.parse().with_context(|| format!("unable to parse pid: {pid:?}"))?;
        if pids.contains(&pid) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "UID   PID  PPID CMD\nroot    1     0 init\nroot   12     1 sh -c 7\nroot    7     1 top\n";

    #[test]
    fn only_the_containers_lines_are_shown() {
        assert_eq!(only(&[12, 99], TABLE).unwrap(), "UID   PID  PPID CMD\nroot   12     1 sh -c 7\n");
        assert_eq!(only(&[], TABLE).unwrap(), "UID   PID  PPID CMD\n");
    }

    #[test]
    fn a_table_without_pids_is_an_error() {
        let told = |table| only(&[1], table).unwrap_err().to_string();
        assert_eq!(told("CMD\nsh\n"), "couldn't find PID field in ps output");
        assert_eq!(told(""), "couldn't find PID field in ps output");
        assert_eq!(told("PID\nx\n"), "unable to parse pid: \"x\"");
    }
}
