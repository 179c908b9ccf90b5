//! Product code holds no test doubles: a stand-in lives beside the suite that proves it, or in a test.

use super::{Finding, Project};

const RULE: &str = "doubles";

const KEYWORDS: [&str; 5] = ["struct", "enum", "trait", "mod", "type"];
const DOUBLES: [&str; 5] = ["mock", "fake", "stub", "dummy", "simulated"];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    // The suite of a trait comes with an implementation in memory; it is behind a feature.
    let beside_suite = |path: &str| path.split('/').any(|part| part == "suite" || part == "suite.rs");
    let product = project.sources.iter().filter(|source| source.is_product() && !beside_suite(&source.path));
    for source in product {
        for (line, number) in source.product_code().lines().zip(1..) {
            if let Some(name) = declared(line).filter(|name| is_double(name)) {
                let says =
                    format!("{name} is a test double: move it into a test or beside the trait's suite");
                findings.push(source.finding(RULE, number, says));
            }
        }
    }
    findings
}

/// The name that a line declares.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.find(|word| KEYWORDS.contains(word))?;
    words.next()
}

fn is_double(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    DOUBLES.iter().any(|double| name.starts_with(double))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_found_in_product_code_alone() {
        let bad = "pub(crate) struct FakeBackend;\n#[cfg(test)]\nmod tests { struct MockClock; }\n";
        let project = Project::of(&[
            ("crates/compute/src/backend.rs", bad),
            ("crates/compute/src/suite/memory.rs", bad),
            ("crates/compute/tests/a.rs", bad),
        ]);
        let findings = check(&project);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "crates/compute/src/backend.rs:1");
    }
}
