//! What every `Cargo.toml` has: the workspace's lints, and no dependency that the code does not name.

use super::{Finding, Project, has_word};
use crate::project::Package;

const RULE: &str = "manifests";

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &project.manifests {
        if !text.contains("[lints]\nworkspace = true") {
            let says = "add `[lints]` with `workspace = true`".to_owned();
            findings.push(Finding { rule: RULE, place: path.clone(), says });
        }
    }
    for package in &project.packages {
        findings.extend(unused(project, package));
    }
    findings
}

/// Dependencies of `package` that none of its files names.
fn unused(project: &Project, package: &Package) -> Vec<Finding> {
    let folder = package.manifest_path.parent().unwrap_or(&package.manifest_path);
    let folder = folder.strip_prefix(crate::project::root()).unwrap_or(folder);
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
        let sources =
            project.sources.iter().filter(|source| std::path::Path::new(&source.path).starts_with(folder));
        if !sources.into_iter().any(|source| source.code.lines().any(|line| has_word(line, &name))) {
            let says = format!("no file names {}: remove the dependency", dependency.name);
            let place = folder.join("Cargo.toml").display().to_string();
            findings.push(Finding { rule: RULE, place, says });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Dependency;

    #[test]
    fn missing_lints_are_found() {
        let mut project = Project::of(&[]);
        project.manifests = vec![
            ("crates/a/Cargo.toml".to_owned(), "[package]\n".to_owned()),
            ("crates/b/Cargo.toml".to_owned(), "[lints]\nworkspace = true\n".to_owned()),
        ];
        let findings = check(&project);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "crates/a/Cargo.toml");
    }

    #[test]
    fn a_dependency_that_no_code_names_is_found() {
        let mut project = Project::of(&[("crates/a/src/lib.rs", "// oci_spec\nuse serde_json::Value;\n")]);
        let dependency =
            |name: &str| Dependency { name: name.to_owned(), rename: None, kind: None, path: None };
        project.packages = vec![Package {
            name: "a".to_owned(),
            version: String::new(),
            manifest_path: crate::project::root().join("crates/a/Cargo.toml"),
            dependencies: vec![dependency("serde_json"), dependency("oci-spec")],
        }];
        let findings = check(&project);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].to_string(),
            "crates/a/Cargo.toml: no file names oci-spec: remove the dependency [manifests]"
        );
    }
}
