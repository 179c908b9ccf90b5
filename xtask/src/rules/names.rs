//! No crate or module is named after nothing: a name says what is inside.

use super::{Finding, Project};

const RULE: &str = "names";

const EMPTY_NAMES: [&str; 12] = [
    "common", "util", "utils", "helper", "helpers", "types", "misc", "manager", "inner", "shared", "base",
    "stuff",
];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let crates = project.packages.iter().map(|package| (package.name.as_str(), "crate"));
    let modules = project.sources.iter().flat_map(|source| {
        source.path.split('/').map(|part| (part.trim_end_matches(".rs"), source.path.as_str()))
    });
    let mut findings: Vec<Finding> = crates
        .chain(modules)
        .filter(|(name, _)| EMPTY_NAMES.contains(name))
        .map(|(name, place)| Finding {
            rule: RULE,
            place: place.to_owned(),
            says: format!(
                "`{name}` says nothing: name it after what is in it, or move that to where it is used"
            ),
        })
        .collect();
    findings.dedup();
    for source in &project.sources {
        // A test of one file may tell its story in the test's name.
        if !source.text.starts_with("//!") {
            let says = "start the file with its story: `//! what this is, and why it is so`";
            findings.push(source.finding(RULE, 1, says));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_and_files_without_a_story_are_found() {
        let project = Project::of(&[
            ("crates/a/src/utils.rs", "//! Things\n"),
            ("crates/a/src/mount.rs", "use std::fs;\n"),
        ]);
        let findings = check(&project);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].says.starts_with("`utils` says nothing"));
        assert_eq!(findings[1].place, "crates/a/src/mount.rs:1");
    }
}
