//! What is written to disk or wire never changes under its version.
//!
//! Every format has fixture files (`…/fixtures/NAME`), which the tests of its crate read and write. `fixtures.lock`
//! holds a checksum of each: a changed or removed fixture is a finding, a new one (the next version) is added to
//! the lock by `cargo xtask rules --lock`.

use super::{Finding, Project};

const RULE: &str = "formats";

/// The file that holds the checksums, in the root of the clone.
pub(crate) const LOCK: &str = "fixtures.lock";

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |place: &str, says: &str| {
        findings.push(Finding { rule: RULE, place: place.to_owned(), says: says.to_owned() });
    };
    for (path, content) in &project.fixtures {
        match locked(&project.fixtures_lock, path) {
            Some(sum) if sum == checksum(content) => {}
            Some(_) => find(
                path,
                "a format never changes under its version: restore it, raise the version, add a fixture for that",
            ),
            None => find(path, "a new fixture: `cargo xtask rules --lock` and commit fixtures.lock"),
        }
    }
    for path in project.fixtures_lock.lines().filter_map(|line| line.split_once("  ")).map(|(_, path)| path) {
        if !project.fixtures.iter().any(|(found, _)| found == path) {
            find(path, "this fixture is gone, but users have files of its version: restore it");
        }
    }
    findings
}

/// The lock with the new fixtures added; what is in it stays.
pub(crate) fn lock(project: &Project) -> String {
    let mut lines: Vec<String> = project.fixtures_lock.lines().map(str::to_owned).collect();
    for (path, content) in &project.fixtures {
        if locked(&project.fixtures_lock, path).is_none() {
            lines.push(format!("{}  {path}", checksum(content)));
        }
    }
    lines.sort_by(|a, b| a.split("  ").nth(1).cmp(&b.split("  ").nth(1)));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn locked<'a>(lock: &'a str, path: &str) -> Option<&'a str> {
    lock.lines()
        .filter_map(|line| line.split_once("  "))
        .find(|(_, locked)| *locked == path)
        .map(|(sum, _)| sum)
}

/// FNV-1a, 64 bits: it guards against a mistake, not against an adversary.
fn checksum(content: &[u8]) -> String {
    let sum = content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{sum:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_lost_and_a_new_fixture_are_found() {
        let mut project = Project::of(&[]);
        project.fixtures = vec![("a/fixtures/1".to_owned(), b"one".to_vec())];
        assert!(check(&project)[0].says.starts_with("a new fixture"));
        project.fixtures_lock = lock(&project);
        assert_eq!(check(&project), []);

        project.fixtures = vec![("a/fixtures/1".to_owned(), b"two".to_vec())];
        assert!(check(&project)[0].says.starts_with("a format never changes"));
        assert_eq!(lock(&project), project.fixtures_lock, "a changed fixture cannot be locked again");
        project.fixtures.clear();
        assert!(check(&project)[0].says.starts_with("this fixture is gone"));
    }
}
