//! What `--version` prints, and what `features` says of it.

/// Our version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of runc whose command line this is. Callers that run a program named `runc` compare it.
const RUNC: &str = "1.5.0";

/// The newest OCI runtime specification that is implemented.
pub(crate) const SPEC: &str = "1.3.0";

/// The commit of a release build.
pub(crate) fn commit() -> &'static str {
    option_env!("COFFERDAM_COMMIT").unwrap_or("unknown")
}

/// The version that the program of this name has.
pub(crate) fn of(program: &str) -> String {
    match program {
        "runc" => format!("{RUNC}+cofferdam.{VERSION}"),
        _ => VERSION.to_owned(),
    }
}

/// The lines of `--version`. Callers read the first three.
pub(crate) fn text(program: &str) -> String {
    format!("{program} version {}\ncommit: {}\nspec: {SPEC}\n", of(program), commit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_find_a_version_a_commit_and_a_specification() {
        let text = text("runc");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("runc version 1.5.0"), "{text}");
        assert!(lines[1].starts_with("commit: "), "{text}");
        assert_eq!(lines[2], "spec: 1.3.0");
        assert_eq!(super::text("runhcs").lines().next().unwrap(), format!("runhcs version {VERSION}"));
    }
}
