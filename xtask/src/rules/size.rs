//! A file does one thing, and a new verb costs few files.

use super::{Finding, Project, has_word};

const RULE: &str = "size";

const LINES: usize = 700;

/// Files that are longer, and why they are one thing all the same.
const LONGER: [(&str, &str); 0] = [];

const VERB_FOLDER: &str = "crates/runhcs/src/verbs/";
const VERB_LINES: usize = 400;
/// In how many files a verb of the command line may be known.
const VERB_FILES: usize = 6;

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &project.sources {
        let lines = source.text.lines().count();
        let verb = source.path.starts_with(VERB_FOLDER);
        let limit = if verb { VERB_LINES } else { LINES };
        if lines > limit && !LONGER.iter().any(|(path, _)| *path == source.path) {
            let says = format!(
                "{lines} lines, more than {limit}: split what changes for different reasons, or give the reason \
                 in LONGER (xtask/src/rules/size.rs)"
            );
            findings.push(Finding { rule: RULE, place: source.path.clone(), says });
        }
        let name = source.path.strip_prefix(VERB_FOLDER).and_then(|file| file.strip_suffix(".rs"));
        if let Some(verb) = name.filter(|name| *name != "mod") {
            findings.extend(check_verb(project, verb));
        }
    }
    for (path, _) in LONGER {
        if !project.sources.iter().any(|source| source.path == path && source.text.lines().count() > LINES) {
            let says = format!("{path} is no longer long: remove it from LONGER");
            findings.push(Finding { rule: RULE, place: "xtask/src/rules/size.rs".to_owned(), says });
        }
    }
    findings
}

/// A verb is known where the command line names its module and where the lifecycle's name for it is used.
fn check_verb(project: &Project, verb: &str) -> Option<Finding> {
    let mut variant = verb.to_owned();
    if let Some(first) = variant.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let signs = [format!("verbs::{verb}"), format!("Verb::{variant}")];
    let knows = |code: &str| code.lines().any(|line| signs.iter().any(|sign| has_word(line, sign)));
    let product = project.sources.iter().filter(|source| source.is_product());
    let files: Vec<&str> =
        product.filter(|source| knows(source.product_code())).map(|source| source.path.as_str()).collect();
    (files.len() > VERB_FILES).then(|| Finding {
        rule: RULE,
        place: format!("{VERB_FOLDER}{verb}.rs"),
        says: format!(
            "{} files know this verb, more than {VERB_FILES}: {}; let a seam carry it",
            files.len(),
            files.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found_and_verbs_are_held_shorter() {
        let long = "//! x\n".repeat(VERB_LINES + 1);
        let project =
            Project::of(&[("crates/linux/src/a.rs", &long), ("crates/runhcs/src/verbs/ps.rs", &long)]);
        let findings = check(&project);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "crates/runhcs/src/verbs/ps.rs");
    }

    #[test]
    fn a_verb_that_is_known_everywhere_is_found() {
        let files: Vec<(String, &str)> =
            (0..7).map(|n| (format!("crates/linux/src/{n}.rs"), "Verb::Pause => pause()\n")).collect();
        let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        files.push(("crates/runhcs/src/verbs/pause.rs", "//! Pause\n"));
        let findings = check(&Project::of(&files));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].says.starts_with("7 files know this verb"), "{}", findings[0]);
    }
}
