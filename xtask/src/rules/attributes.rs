//! Every `#[allow]` and `#[expect]` says why. For unsafe code the comment above it does (`unsafety.rs`).

use super::{Finding, Project, Source};

const RULE: &str = "reasons";

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    project.sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for opening in ["#[allow(", "#[expect(", "#![allow(", "#![expect("] {
        for (at, _) in source.code.match_indices(opening) {
            let Some(attribute) = source.code.get(at..) else { continue };
            let attribute = attribute.split("]\n").next().unwrap_or(attribute);
            if !attribute.contains("reason") && !attribute.contains("unsafe_code") {
                let line = source.code.get(..at).map_or(0, |before| before.matches('\n').count()) + 1;
                let lint = attribute.trim_start_matches(opening).trim_end_matches(')');
                let says = format!("say why {lint} does not apply here: `reason = \"…\"`");
                findings.push(source.finding(RULE, line, says));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_without_reason_is_found() {
        let bad = "#![allow(dead_code)]\nlet x = [allow(1)];\n#[expect(\n    clippy::x,\n    reason = \"y\"\n)]\nfn f() {}\n";
        let findings = check(&Project::of(&[("crates/a/src/lib.rs", bad)]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "crates/a/src/lib.rs:1");
        assert!(findings[0].says.starts_with("say why dead_code does not"), "{}", findings[0]);
    }
}
