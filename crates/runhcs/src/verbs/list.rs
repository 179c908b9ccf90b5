//! `list`: all containers below the state root, as a table, as JSON, or only their ids. One that cannot be read is told
//! of and passed over.

use crate::backends;
use crate::context::Context;
use crate::{json, table};
use anyhow::{Context as _, bail};
use clap::Args;
use compute::runtime::State;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// List containers.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// 'table' (default) or 'json'.
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
    /// Only the ids.
    #[arg(long, short)]
    quiet: bool,
}

impl List {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        if context.globals.root.is_some() {
            // A root that was named should be there; the usual one may not have been needed yet.
            fs::metadata(&context.root).with_context(|| format!("open {}", context.root.display()))?;
        }
        let mut states = Vec::new();
        for (id, state) in backends::engine(context)?.list()? {
            match state {
                Ok(state) => states.push(state),
                Err(error) => io::stderr().write_all(format!("load container {id}: {error}\n").as_bytes())?,
            }
        }
        if !self.quiet {
            name_owners(&context.root, &mut states);
        }
        let text = match (self.quiet, self.format.as_deref()) {
            (true, _) => states.iter().map(|state| format!("{}\n", state.id)).collect(),
            (false, None | Some("table")) => table(&states),
            // Go writes a list that nothing was added to as null.
            (false, Some("json")) if states.is_empty() => "null\n".to_owned(),
            (false, Some("json")) => json::line(&states)? + "\n",
            (false, Some(_)) => bail!("invalid format option"),
        };
        Ok(io::stdout().write_all(text.as_bytes())?)
    }
}

fn table(states: &[State]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from);
    let rows = states.iter().map(|state| {
        let State { id, pid, status, bundle, created, owner, .. } = state;
        let bundle = bundle.display().to_string();
        [id.clone(), pid.to_string(), status.to_string(), bundle, created.clone(), owner.clone()]
    });
    table::render(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}

/// Who did not name an owner is one: the user whose state folder it is.
fn name_owners(root: &Path, states: &mut [State]) {
    let mut passwd = None;
    for state in states.iter_mut().filter(|state| state.owner.is_empty()) {
        if let Ok(folder) = fs::metadata(root.join(&state.id)) {
            let passwd = passwd.get_or_insert_with(|| fs::read_to_string("/etc/passwd").unwrap_or_default());
            state.owner = user_name(passwd, folder.uid());
        }
    }
}

/// The name of a user in the format of passwd(5), or `#` and the number.
fn user_name(passwd: &str, uid: u32) -> String {
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then_some(name)
    });
    named.map_or_else(|| format!("#{uid}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use compute::Status;

    fn state(id: &str, owner: &str) -> State {
        State {
            oci_version: "1.3.0".into(),
            id: id.into(),
            pid: 4711,
            status: Status::Running,
            bundle: "/bundles/web".into(),
            rootfs: "/bundles/web/rootfs".into(),
            created: "2026-01-02T03:04:05.678Z".into(),
            annotations: Default::default(),
            owner: owner.into(),
        }
    }

    #[test]
    fn the_table_aligns_as_runcs() {
        assert_eq!(table(&[]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
        assert_eq!(
            table(&[state("web", "root"), state("a-longer-name", "#1000")]),
            "ID              PID         STATUS      BUNDLE         CREATED                    OWNER\n\
             web             4711        running     /bundles/web   2026-01-02T03:04:05.678Z   root\n\
             a-longer-name   4711        running     /bundles/web   2026-01-02T03:04:05.678Z   #1000\n"
        );
    }

    #[test]
    fn users_have_names_or_numbers() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\ndaemon:x:1:1::/:/bin/false\n";
        assert_eq!(user_name(passwd, 0), "root");
        assert_eq!(user_name(passwd, 1), "daemon");
        assert_eq!(user_name(passwd, 1000), "#1000");
    }
}
