//! The house rules, as programs: one in each file, with a name and a message that says how to put it right.
//!
//! Rules read text, not syntax trees: comments and literals are blanked out first (`code.rs`), what remains is
//! searched for words. That is quick, needs no parser, and is exact enough for code that is formatted.

mod attributes;
mod code;
mod crates;
mod directions;
mod doubles;
mod formats;
mod names;
mod purity;
mod size;
mod unfinished;
mod unsafety;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

pub(crate) use formats::{LOCK, lock};

use crate::project::{self, Package};

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    /// The file, and the line where that is known.
    pub(crate) place: String,
    /// What is wrong and what to do about it.
    pub(crate) says: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.says, self.rule)
    }
}

/// What the rules look at.
pub(crate) struct Project {
    pub(crate) sources: Vec<Source>,
    pub(crate) packages: Vec<Package>,
    /// The text of every `Cargo.toml`, by path.
    pub(crate) manifests: Vec<(String, String)>,
    /// The text of ARCHITECTURE.md.
    pub(crate) architecture: String,
    /// Every file below a folder `fixtures`: path and content.
    pub(crate) fixtures: Vec<(String, Vec<u8>)>,
    /// The text of `fixtures.lock`.
    pub(crate) fixtures_lock: String,
}

/// A Rust file.
pub(crate) struct Source {
    /// Relative to the root of the clone.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text without comments and literals, line for line.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Source {
        let text = text.into();
        Source { path: path.into(), code: code::blank(&text), text }
    }

    /// Whether this is compiled into what users run.
    pub(crate) fn is_product(&self) -> bool {
        self.path.starts_with("crates/")
            && self.path.contains("/src/")
            && !self.path.ends_with("/tests.rs")
            && !self.path.contains("/tests/")
    }

    /// The code up to the unit tests, which stand at the end of a file.
    pub(crate) fn product_code(&self) -> &str {
        let tests = self.code.find("#[cfg(test)]\nmod ");
        tests.and_then(|at| self.code.get(..at)).unwrap_or(&self.code)
    }

    fn finding(&self, rule: &'static str, line: usize, says: impl Into<String>) -> Finding {
        Finding { rule, place: format!("{}:{line}", self.path), says: says.into() }
    }
}

type Rule = fn(&Project) -> Vec<Finding>;

const RULES: [Rule; 10] = [
    attributes::check,
    crates::check,
    directions::check,
    doubles::check,
    formats::check,
    names::check,
    purity::check,
    size::check,
    unfinished::check,
    unsafety::check,
];

/// Everything that breaks a rule, in the order of files.
pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(project)).collect();
    findings.sort_by(|a, b| a.place.cmp(&b.place));
    findings
}

impl Project {
    /// Reads the clone that this program was built in.
    pub(crate) fn read() -> Result<Project> {
        let root = project::root();
        let mut project = Project {
            sources: Vec::new(),
            packages: project::metadata()?.packages,
            manifests: Vec::new(),
            architecture: fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default(),
            fixtures: Vec::new(),
            fixtures_lock: fs::read_to_string(root.join(LOCK)).unwrap_or_default(),
        };
        for folder in ["crates", "xtask"] {
            project.read_folder(root, &root.join(folder))?;
        }
        Ok(project)
    }

    fn read_folder(&mut self, root: &Path, folder: &Path) -> Result<()> {
        let mut entries = fs::read_dir(folder)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .with_context(|| format!("list {}", folder.display()))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if entry.file_type().with_context(|| format!("look at {}", path.display()))?.is_dir() {
                if entry.file_name() != "target" {
                    self.read_folder(root, &path)?;
                }
                continue;
            }
            self.read_file(root, &path)?;
        }
        Ok(())
    }

    fn read_file(&mut self, root: &Path, path: &Path) -> Result<()> {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        let text = || fs::read_to_string(path).with_context(|| format!("read {name}"));
        if name.ends_with(".rs") {
            self.sources.push(Source::new(&name, text()?));
        } else if name.ends_with("/Cargo.toml") {
            self.manifests.push((name.clone(), text()?));
        } else if name.contains("/fixtures/") {
            self.fixtures.push((name.clone(), fs::read(path).with_context(|| format!("read {name}"))?));
        }
        Ok(())
    }

    /// A project of these files alone, for the rules' own tests.
    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Project {
        Project {
            sources: files.iter().map(|(path, text)| Source::new(*path, *text)).collect(),
            packages: Vec::new(),
            manifests: Vec::new(),
            architecture: String::new(),
            fixtures: Vec::new(),
            fixtures_lock: String::new(),
        }
    }
}

/// Every place in `code` where `word` stands by itself, as line numbers from 1.
fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let numbered = code.lines().zip(1..);
    numbered.filter(|(line, _)| has_word(line, word)).map(|(_, number)| number).collect()
}

/// Whether `word` occurs in `line` and is not a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let starts_as_name = word.starts_with(part_of_name);
    let ends_as_name = word.ends_with(part_of_name);
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let joined_before = starts_as_name && before.is_some_and(part_of_name);
        let joined_after = ends_as_name && after.is_some_and(part_of_name);
        !joined_before && !joined_after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_words() {
        assert!(has_word("let x = unsafe { f() };", "unsafe"));
        assert!(!has_word("#![expect(unsafe_code)]", "unsafe"));
        assert!(has_word("#[cfg(target_os = \"linux\")]", "cfg(target_os"));
        assert_eq!(lines_with("a\nasync fn f() {}\nb", "async fn"), [2]);
    }

    #[test]
    fn unit_tests_are_not_product_code() {
        let source =
            Source::new("crates/linux/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n");
        assert_eq!(source.product_code(), "fn a() {}\n");
        assert!(source.is_product());
        assert!(!Source::new("crates/linux/tests/a.rs", "").is_product());
        assert!(!Source::new("xtask/src/main.rs", "").is_product());
    }
}
