//! Plugins that are installed on the host and started with the runtime.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::net::UnixStream;
use tokio::process::Command;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::plugin::Candidate;

/// Who a plugin is. Its index, two digits, comes first: plugins are called in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) index: String,
    pub(crate) name: String,
}

impl Identity {
    /// As it is written everywhere; what is wrong with it, if something is.
    pub(crate) fn new(index: &str, name: &str) -> Result<Self, String> {
        if index.len() != 2 || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("the index {index:?} is not two digits"));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        if name.is_empty() || !name.bytes().all(allowed) {
            return Err(format!(
                "the name {name:?} is empty or has other characters than A-Z a-z 0-9 - _ . +"
            ));
        }
        Ok(Self { index: index.to_owned(), name: name.to_owned() })
    }

    /// Index and name, as in messages and in the names of files.
    pub(crate) fn full(&self) -> String {
        format!("{}-{}", self.index, self.name)
    }
}

/// A program that is to be started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Installed {
    identity: Identity,
    program: PathBuf,
    settings: String,
}

/// The plugins that are installed, in their order. A file that cannot be one is named and left out.
pub(crate) fn installed(config: &Config) -> Result<Vec<Installed>> {
    let folder = &config.plugin_folder;
    let unreadable = |cause| Error::Read { path: folder.clone(), cause };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let program = entry.map_err(unreadable)?.path();
        match look_at(&program, &config.config_folder) {
            Ok(installed) => found.extend(installed),
            Err(error) => tracing::error!(%error, program = %program.display(), "this is no NRI plugin"),
        }
    }
    found.sort_by(|one, other| one.identity.cmp(&other.identity));
    Ok(found)
}

/// Nothing if the file is no program.
fn look_at(program: &Path, config_folder: &Path) -> Result<Option<Installed>> {
    let data = fs::metadata(program).map_err(|cause| Error::Read { path: program.to_owned(), cause })?;
    if !data.is_file() || data.permissions().mode() & 0o111 == 0 {
        return Ok(None);
    }
    let file = program.file_name().unwrap_or_default().to_string_lossy();
    let (index, name) = file.split_once('-').unwrap_or((&file, ""));
    let identity =
        Identity::new(index, name).map_err(|says| Error::Registration { plugin: file.to_string(), says })?;
    let settings = settings(&identity, config_folder)?;
    Ok(Some(Installed { identity, program: program.to_owned(), settings }))
}

/// A plugin's configuration: by its full name, else by its name alone, else none.
fn settings(identity: &Identity, folder: &Path) -> Result<String> {
    for name in [&identity.full(), &identity.name] {
        let path = folder.join(format!("{name}.conf"));
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            text => return text.map_err(|cause| Error::Read { path, cause }),
        }
    }
    Ok(String::new())
}

/// Starts a plugin's program.
pub(crate) fn launch(installed: Installed) -> Result<Candidate> {
    let Installed { identity, program, settings } = installed;
    let attempt = || -> std::io::Result<_> {
        let (own, other) = std::os::unix::net::UnixStream::pair()?;
        own.set_nonblocking(true)?;
        // Its input is the one descriptor that a program can be given without others getting it too.
        let child = Command::new(&program)
            .env_clear()
            .env("NRI_PLUGIN_NAME", &identity.name)
            .env("NRI_PLUGIN_IDX", &identity.index)
            .env("NRI_PLUGIN_SOCKET", "0")
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok((UnixStream::from_std(own)?, child))
    };
    let (socket, child) = attempt().map_err(|cause| Error::Launch { program: program.clone(), cause })?;
    Ok(Candidate { socket, identity: Some(identity), settings, program: Some(child) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timeouts;

    #[test]
    fn plugins_are_executable_files_with_an_index_and_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write("20-late", "", 0o755);
        write("05-early", "", 0o700);
        write("notes", "", 0o644);
        write("1-wrong", "", 0o755);
        write("10-a b", "", 0o755);
        write("20-late.conf", "mine", 0o600);
        write("late.conf", "any", 0o600);
        write("early.conf", "named", 0o600);
        let config = Config {
            runtime_name: String::new(),
            runtime_version: String::new(),
            socket: None,
            plugin_folder: folder.path().to_owned(),
            config_folder: folder.path().to_owned(),
            timeouts: Timeouts::default(),
            required: Vec::new(),
        };
        let found = installed(&config).unwrap();
        let names: Vec<_> = found.iter().map(|one| (one.identity.full(), one.settings.as_str())).collect();
        assert_eq!(names, [("05-early".to_owned(), "named"), ("20-late".to_owned(), "mine")]);
        let nowhere = Config { plugin_folder: "/nowhere".into(), ..config };
        assert_eq!(installed(&nowhere).unwrap(), []);
    }
}
