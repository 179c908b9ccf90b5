//! What a container *is*, and the documents and calls of the Host Compute Service, know no operating system, no executor
//! and no unsafe code.

use super::{Finding, Project, lines_with};

const RULE: &str = "purity";

/// The folders in which this holds.
const PURE: [&str; 2] = ["crates/compute/src/", "crates/hcs/src/"];

/// The folders within in which it does not.
const IMPURE: [&str; 1] = ["crates/hcs/src/windows/"];

/// What a file may hold all the same, and why.
const EXCEPTIONS: [(&str, &str, &str); 3] = [
    ("crates/compute/src/record.rs", "cfg(unix", "records are private files, and only Unix has modes"),
    ("crates/hcs/src/lib.rs", "cfg(windows", "where Windows' own implementation begins"),
    ("crates/hcs/src/abi/mod.rs", "unsafe", "the types of C's callbacks say so; none is called there"),
];

const FORBIDDEN: [(&str, &str); 11] = [
    ("unsafe", "move it behind a safe function of a backend crate"),
    ("cfg(target_os", "let the backend decide, it is chosen once per platform"),
    ("cfg(unix", "let the backend decide, it is chosen once per platform"),
    ("cfg(windows", "let the backend decide, it is chosen once per platform"),
    ("cfg(target_family", "let the backend decide, it is chosen once per platform"),
    ("async fn", "callers bring their own executor; make it a plain function"),
    ("async move", "callers bring their own executor; make it a plain function"),
    (".await", "callers bring their own executor; make it a plain function"),
    ("tokio", "callers bring their own executor"),
    ("rustix", "system calls are a backend's"),
    ("libc", "system calls are a backend's"),
];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    let within = |folders: &[&str], path: &str| folders.iter().any(|folder| path.starts_with(folder));
    let pure = |path: &str| within(&PURE, path) && !within(&IMPURE, path);
    for source in project.sources.iter().filter(|source| pure(&source.path)) {
        for (word, instead) in FORBIDDEN {
            if EXCEPTIONS.iter().any(|(path, excepted, _)| *path == source.path && *excepted == word) {
                continue;
            }
            for line in lines_with(&source.code, word) {
                findings.push(source.finding(RULE, line, format!("`{word}` has no place here: {instead}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forbidden_word_is_found_in_pure_crates_only() {
        for (word, _) in FORBIDDEN {
            let bad = format!("// {word} in a comment is none\nx {word} y\n");
            let findings = check(&Project::of(&[("crates/compute/src/a.rs", &bad)]));
            assert_eq!(findings.len(), 1, "{word}");
            assert_eq!(findings[0].place, "crates/compute/src/a.rs:2");
            for impure in ["crates/linux/src/a.rs", "crates/hcs/src/windows/a.rs"] {
                assert_eq!(check(&Project::of(&[(impure, &bad)])), []);
            }
        }
    }
}
