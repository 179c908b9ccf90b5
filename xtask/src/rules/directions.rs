//! Which crate may depend on which. An edge that is missing here is missing on purpose: `compute` cannot know a
//! backend, `linux` cannot know who calls it, nothing depends on a program.

use super::{Finding, Project};

const RULE: &str = "directions";

/// Each crate and the crates of this workspace that its product code may depend on.
const MAY: [(&str, &[&str]); 19] = [
    ("compute", &[]),
    // It stands alone, on Windows and on Linux.
    ("hcs", &[]),
    ("hcs-faulty", &["hcs"]),
    ("hcs-exports", &["hcs"]),
    ("computecore", &["hcs", "hcs-exports"]),
    ("vmcompute", &["hcs", "hcs-exports"]),
    ("computestorage", &["hcs", "hcs-exports"]),
    ("computenetwork", &["hcs", "hcs-exports"]),
    ("linux", &["compute"]),
    ("runhcs", &["compute", "linux"]),
    ("snapshots", &["compute"]),
    ("images", &["compute", "snapshots"]),
    ("network", &[]),
    ("nri", &[]),
    ("shim-api", &["compute"]),
    ("shim", &["compute", "linux", "shim-api"]),
    // It cannot name a backend.
    ("cri", &["compute", "images", "snapshots", "network", "nri", "shim-api"]),
    // It prints the command line's manual, so it has to know the command line; nothing knows it.
    ("manual", &["runhcs"]),
    ("xtask", &[]),
];

pub(crate) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &project.packages {
        let manifest = format!("Cargo.toml of {}", package.name);
        let Some((_, may)) = MAY.iter().find(|(name, _)| *name == package.name) else {
            let says = "say in MAY (xtask/src/rules/directions.rs) what this crate may depend on".to_owned();
            findings.push(Finding { rule: RULE, place: manifest, says });
            continue;
        };
        let product = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
        for dependency in product.filter(|dependency| dependency.path.is_some()) {
            if !may.contains(&dependency.name.as_str()) {
                let says = format!(
                    "{} may not depend on {}: move what it needs down, or have it passed in",
                    package.name, dependency.name
                );
                findings.push(Finding { rule: RULE, place: manifest.clone(), says });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Dependency, Package};

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            rename: None,
            kind: kind.map(str::to_owned),
            path: Some("/".into()),
        };
        Package {
            name: name.to_owned(),
            version: String::new(),
            manifest_path: "/".into(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    #[test]
    fn an_edge_upwards_and_an_unknown_crate_are_found() {
        let mut project = Project::of(&[]);
        project.packages = vec![
            package("compute", &[("linux", None)]),
            package("linux", &[("compute", None), ("runhcs", Some("dev"))]),
            package("helpers", &[]),
        ];
        let findings = check(&project);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].says.starts_with("compute may not depend on linux"));
        assert!(findings[1].place.ends_with("helpers"));
    }
}
