//! Nothing is left for later in the code: what is not done is written in CONFORMANCE.md, where users look.

use super::{Finding, Project, has_word};

const RULE: &str = "unfinished";

/// Marks of unfinished work in comments, and what takes their place in code. Written in two parts, so that this
/// file does not find itself.
const MARKS: [&str; 5] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK"), concat!("WI", "P")];
const MACROS: [&str; 2] = ["todo!", "unimplemented!"];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &project.sources {
        for ((text, code), number) in source.text.lines().zip(source.code.lines()).zip(1..) {
            if let Some(mark) = MARKS.iter().find(|mark| has_word(text, mark)) {
                let says = format!("finish what {mark} stands for, or name it in CONFORMANCE.md");
                findings.push(source.finding(RULE, number, says));
            }
            if let Some(name) = MACROS.iter().find(|name| has_word(code, name)) {
                let says = format!("`{name}` panics: return an error that says what is not supported");
                findings.push(source.finding(RULE, number, says));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_macros_are_found() {
        let bad = format!("//! x\n// {}: later\nfn f() {{ todo!() }}\nfn g() {{ \"todo!\" }}\n", MARKS[0]);
        let findings = check(&Project::of(&[("crates/a/src/lib.rs", &bad)]));
        let places: Vec<&str> = findings.iter().map(|finding| finding.place.as_str()).collect();
        assert_eq!(places, ["crates/a/src/lib.rs:2", "crates/a/src/lib.rs:3"]);
    }
}
