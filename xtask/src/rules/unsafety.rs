//! Unsafe code is opted in by a module, with a reason, and ARCHITECTURE.md lists these modules with their reasons.

use super::{Finding, Project, Source};

const RULE: &str = "unsafe";

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for source in &project.sources {
        let Some((line, before)) = opt_in(source) else { continue };
        if !before.trim_start().starts_with("// UNSAFETY: ") {
            let says = "put `// UNSAFETY: why there is no safe way` above the line that lets unsafe code in";
            findings.push(source.finding(RULE, line, says));
        }
        if !is_listed(&project.architecture, &source.path) {
            let reason = before.trim_start().trim_start_matches("// UNSAFETY: ").trim_end_matches(['.', ':']);
            let reason = if reason.is_empty() { "reason" } else { reason };
            let says =
                format!("list it in ARCHITECTURE.md with its reason: | `{}` | {reason} |", source.path);
            findings.push(source.finding(RULE, line, says));
        }
    }
    for path in listed(&project.architecture) {
        if !project.sources.iter().any(|source| source.path == path && opt_in(source).is_some()) {
            let says = format!("the row of {path} can go: there is no unsafe code in it");
            findings.push(Finding { rule: RULE, place: "ARCHITECTURE.md".to_owned(), says });
        }
    }
    findings
}

/// The line that lets unsafe code in, its number, and the comment's last line before it.
fn opt_in(source: &Source) -> Option<(usize, &str)> {
    let inside = |line: &str| line.contains("unsafe_code") && !line.contains("forbid");
    let at = source.code.lines().position(inside)?;
    // The attribute may be spread over lines; the comment stands above its first.
    let lines: Vec<&str> = source.text.lines().collect();
    let first = (0..=at)
        .rev()
        .find(|&line| lines.get(line).is_some_and(|text| text.contains("#[") || text.contains("#![")))?;
    let comment = (0..first).rev().map_while(|line| lines.get(line).copied());
    let mut comment = comment.take_while(|text| text.trim_start().starts_with("//"));
    let before = comment.find(|text| text.contains("UNSAFETY")).unwrap_or_default();
    Some((first + 1, before))
}

/// The modules of the table: rows that start with a path to a Rust file.
fn listed(architecture: &str) -> Vec<&str> {
    let rows = architecture.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once("` |"))
        .map(|(path, _)| path)
        .filter(|path| path.ends_with(".rs"))
        .collect()
}

fn is_listed(architecture: &str, path: &str) -> bool {
    listed(architecture).contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "//! Story\n// UNSAFETY: no safe wrapper\n// exists for this call.\n#![expect(unsafe_code)]\n";

    #[test]
    fn an_opt_in_needs_its_comment_and_its_row() {
        let project = Project::of(&[("crates/a/src/x.rs", "//! Story\n#![expect(unsafe_code)]\n")]);
        let says: Vec<String> = check(&project).into_iter().map(|finding| finding.says).collect();
        assert_eq!(says.len(), 2);
        assert!(says[0].contains("// UNSAFETY: "), "{says:?}");
        assert!(says[1].ends_with(": | `crates/a/src/x.rs` | reason |"), "{says:?}");
    }

    #[test]
    fn a_module_with_both_is_fine_and_a_stale_row_is_not() {
        let mut project = Project::of(&[("crates/a/src/x.rs", GOOD)]);
        project.architecture =
            "| module | reason |\n|---|---|\n| `crates/a/src/x.rs` | clone3 |\n".to_owned();
        assert_eq!(check(&project), []);
        project.architecture.push_str("| `crates/a/src/y.rs` | gone |\n");
        assert_eq!(check(&project)[0].place, "ARCHITECTURE.md");
    }
}
