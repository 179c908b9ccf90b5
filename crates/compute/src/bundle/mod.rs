//! The bundle: a folder with a `config.json`. What is wrong with it is told by file, field and line, and what is missing
//! with how to make it.

mod json_path;
mod zero_values;

use crate::error::{Classify, Kind, kind_of_io};
use oci_spec::runtime::{Process, Spec};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The name that the OCI runtime specification fixes.
pub const CONFIG: &str = "config.json";

/// No real configuration comes near; a larger file would only be read to exhaust memory.
const MAX_BYTES: u64 = 32 << 20;
/// What container managers write fits, and is read at once.
const USUAL_BYTES: usize = 32 << 10;

/// What is wrong with a bundle or another JSON file given to us.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself")]
pub enum BundleError {
    #[error("JSON specification file {CONFIG} not found (looked in {}; `runhcs spec` writes one, -b names another folder)", bundle.display())]
    NoConfig { bundle: PathBuf },
    #[error("{attempted} {}", path.display())]
    Io {
        attempted: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} is larger than {} MiB", path.display(), MAX_BYTES >> 20)]
    TooLarge { path: PathBuf },
    #[error("config cannot be null")]
    Null,
    #[error("{}: {cause}", path.display())]
    Syntax { path: PathBuf, cause: serde_json::Error },
    #[error("{}: {field}: {cause}", path.display())]
    Field { path: PathBuf, field: String, cause: serde_json::Error },
    #[error("process property must not be empty")]
    NoProcess,
    #[error("Cwd property must not be empty")]
    NoCwd,
    #[error("Cwd must be an absolute path")]
    RelativeCwd,
    #[error("args must not be empty")]
    NoArgs,
    #[error("selinux label is specified in config, but selinux is disabled or not supported")]
    NoSelinux,
}

impl Classify for BundleError {
    fn kind(&self) -> Kind {
        match self {
            BundleError::NoConfig { .. } => Kind::NotFound,
            BundleError::Io { cause, .. } => kind_of_io(cause),
            BundleError::NoSelinux => Kind::Unsupported,
            _ => Kind::InvalidArgument,
        }
    }
}

/// Makes the bundle the current folder, which its relative paths are relative to, and returns its absolute path.
pub fn enter(bundle: Option<&Path>) -> Result<PathBuf, BundleError> {
    let failed = |attempted, path: &Path| {
        let path = path.to_owned();
        move |cause| BundleError::Io { attempted, path, cause }
    };
    if let Some(bundle) = bundle {
        std::env::set_current_dir(bundle).map_err(failed("chdir", bundle))?;
    }
    std::env::current_dir().map_err(failed("resolve", Path::new(".")))
}

/// Reads `config.json` from a bundle.
pub fn load(bundle: &Path) -> Result<Spec, BundleError> {
    let path = bundle.join(CONFIG);
    let file = File::open(&path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => BundleError::NoConfig { bundle: bundle.to_owned() },
        _ => BundleError::Io { attempted: "open", path: path.clone(), cause },
    })?;
    let spec = match parse::<Option<Spec>>(&path, &read(&path, file)?) {
        Ok(spec) => spec.ok_or(BundleError::Null)?,
        // runc sees an empty string where we see no field.
        Err(BundleError::Field { field, cause, .. })
            if field == "process" && cause.to_string().starts_with("missing field `cwd`") =>
        {
            return Err(BundleError::NoCwd);
        }
        Err(error) => return Err(error),
    };
    validate(spec.process().as_ref().ok_or(BundleError::NoProcess)?)?;
    Ok(spec)
}

/// Reads the process of `exec --process`.
pub fn load_process(path: &Path) -> Result<Process, BundleError> {
    let process = load_json(path)?;
    validate(&process)?;
    Ok(process)
}

/// Reads any JSON file, bounded in size.
pub fn load_json<T: DeserializeOwned>(path: &Path) -> Result<T, BundleError> {
    let file = File::open(path).map_err(|cause| BundleError::Io {
        attempted: "open",
        path: path.to_owned(),
        cause,
    })?;
    parse(path, &read(path, file)?)
}

/// Understands a process that came some other way; `name` is what errors call it.
pub fn parse_process(name: &str, bytes: &[u8]) -> Result<Process, BundleError> {
    let process = parse(Path::new(name), bytes)?;
    validate(&process)?;
    Ok(process)
}

/// Reads the `config.json` of what is no container and runs no process of its own.
pub fn load_without_process(bundle: &Path) -> Result<Spec, BundleError> {
    load_json::<Option<Spec>>(&bundle.join(CONFIG))?.ok_or(BundleError::Null)
}

/// Reads JSON from an open file or pipe; `name` is what errors call it.
pub fn read_json<T: DeserializeOwned>(name: &Path, from: impl Read) -> Result<T, BundleError> {
    parse(name, &read(name, from)?)
}

/// What every process needs, whether from `config.json` or from `exec`.
pub fn validate(process: &Process) -> Result<(), BundleError> {
    let cwd = process.cwd();
    if cwd.as_os_str().is_empty() {
        return Err(BundleError::NoCwd);
    }
    if !cwd.is_absolute() {
        return Err(BundleError::RelativeCwd);
    }
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(BundleError::NoArgs);
    }
    let labelled = process.selinux_label().as_ref().is_some_and(|label| !label.is_empty());
    if labelled && !Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(BundleError::NoSelinux);
    }
    Ok(())
}

fn read(path: &Path, from: impl Read) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    let read = from.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|cause| BundleError::Io { attempted: "read", path: path.to_owned(), cause })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(BundleError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, BundleError> {
    let parsed = serde_json::from_slice(bytes).or_else(|cause| amend(bytes).ok_or(cause));
    parsed.map_err(|cause| {
        let path = path.to_owned();
        let field = json_path::at(bytes, cause.line(), cause.column());
        if field.is_empty() {
            BundleError::Syntax { path, cause }
        } else {
            BundleError::Field { path, field, cause }
        }
    })
}

/// Once more with what Go would have read. Through text, because reading from a value would be a second copy of all
/// the code that reads a configuration.
fn amend<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut document = serde_json::from_slice(bytes).ok()?;
    if !zero_values::fill(&mut document) {
        return None;
    }
    serde_json::from_slice(&serde_json::to_vec(&document).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(config: &str) -> Result<Spec, BundleError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(CONFIG), config).unwrap();
        load(dir.path()).map_err(|error| match error {
            BundleError::Field { field, cause, .. } => {
                BundleError::Field { path: CONFIG.into(), field, cause }
            }
            BundleError::Syntax { cause, .. } => BundleError::Syntax { path: CONFIG.into(), cause },
            other => other,
        })
    }

    fn told(config: &str) -> String {
        load_text(config).unwrap_err().to_string()
    }

    fn with_process(process: &str) -> String {
        format!(r#"{{"ociVersion":"1.0.0","process":{process}}}"#)
    }

    #[test]
    fn a_bundle_without_a_configuration_says_how_to_make_one() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        let told = error.to_string();
        assert!(told.starts_with("JSON specification file config.json not found"), "{told}");
        assert!(told.contains("runhcs spec") && told.contains(&dir.path().display().to_string()), "{told}");
    }

    #[test]
    fn a_wrong_field_is_named_with_its_line() {
        assert_eq!(
            told("{\n\"ociVersion\":\"1.0.0\",\n\"mounts\":[{\"destination\":\"/a\"},{\"destination\":7}]}"),
            "config.json: mounts[1].destination: invalid type: integer `7`, expected path string at line 3 column 47"
        );
        assert_eq!(
            told("{\"ociVersion\":"),
            "config.json: ociVersion: EOF while parsing a value at line 1 column 14"
        );
        assert_eq!(told("{"), "config.json: EOF while parsing an object at line 1 column 1");
        assert!(told("nonsense").starts_with("config.json: expected ident at line 1"));
    }

    #[test]
    fn what_runc_refuses_is_refused_in_its_words() {
        let user = r#""user":{"uid":0,"gid":0}"#;
        assert_eq!(told("null"), "config cannot be null");
        assert_eq!(told(r#"{"ociVersion":"1.0.0"}"#), "process property must not be empty");
        let process = |rest: &str| told(&with_process(&format!("{{{user}{rest}}}")));
        assert_eq!(process(""), "Cwd property must not be empty");
        assert_eq!(process(r#","cwd":"""#), "Cwd property must not be empty");
        assert_eq!(process(r#","cwd":"a""#), "Cwd must be an absolute path");
        assert_eq!(process(r#","cwd":"/""#), "args must not be empty");
        assert_eq!(process(r#","cwd":"/","args":[]"#), "args must not be empty");
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let error = read(Path::new("z"), io::repeat(b' ')).unwrap_err();
        assert_eq!(error.to_string(), "z is larger than 32 MiB");
    }
}
