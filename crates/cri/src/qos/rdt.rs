//! Classes of RDT. A class is a group of the kernel's resctrl file system, of the same name.
//!
//! The file is read for the names and for who may use them. The groups themselves, with the shares of cache and memory
//! bandwidth that the file gives them, are the administrator's to make, as this daemon does not own resctrl.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxIntelRdt, LinuxIntelRdtBuilder};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Origin;
use crate::error::{Attempt as _, Error, Result};

/// What stands for resctrl's root, in which every process is that nobody put elsewhere.
const ROOT: &str = "DEFAULT";

#[derive(Debug)]
pub(super) struct Classes(BTreeMap<String, Use>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    #[expect(dead_code, reason = "of those who make the groups")]
    options: Option<IgnoredAny>,
    partitions: BTreeMap<String, Partition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "shares are of those who make the groups")]
struct Partition {
    #[serde(default)]
    l2_allocation: Option<IgnoredAny>,
    #[serde(default)]
    l3_allocation: Option<IgnoredAny>,
    #[serde(default)]
    mb_allocation: Option<IgnoredAny>,
    classes: BTreeMap<String, Option<Class>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "shares are of those who make the groups")]
struct Class {
    #[serde(default)]
    l2_allocation: Option<IgnoredAny>,
    #[serde(default)]
    l3_allocation: Option<IgnoredAny>,
    #[serde(default)]
    mb_allocation: Option<IgnoredAny>,
    #[serde(default)]
    kubernetes: Use,
}

/// Who may not give the class to a container.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Use {
    deny_container_annotation: bool,
    deny_pod_annotation: bool,
}

impl Classes {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut classes = BTreeMap::new();
        for (partition, of) in file.partitions {
            for (name, class) in of.classes {
                let name = if name.is_empty() { ROOT.to_owned() } else { name };
                if name == "." || name == ".." || name.contains(['/', '\n']) {
                    return Err(format!("partition {partition:?}: {name:?} names no class"));
                }
                let allowed = class.map(|class| class.kubernetes).unwrap_or_default();
                if classes.insert(name.clone(), allowed).is_some() {
                    return Err(format!("class {name:?} is in two partitions"));
                }
            }
        }
        Ok(Self(classes))
    }

    /// What puts a container into this class; nothing for the root, in which it is by itself.
    pub(super) fn class(&self, name: &str, origin: Origin) -> Result<Option<LinuxIntelRdt>> {
        let known =
            self.0.get(name).ok_or_else(|| Error::invalid(format!("there is no class {name:?} of RDT")))?;
        let denied = match origin {
            Origin::Container => false,
            Origin::PodForContainer => known.deny_container_annotation,
            Origin::Pod => known.deny_pod_annotation,
        };
        if denied {
            return Err(Error::invalid(format!(
                "the class {name:?} of RDT may not be given by this annotation"
            )));
        }
        if name == ROOT {
            return Ok(None);
        }
        LinuxIntelRdtBuilder::default()
            .clos_id(name)
            .build()
            .map(Some)
            .attempt(|| format!("use the class {name:?} of RDT"))
    }
}

/// Whether the kernel's file system for classes is there.
pub(super) fn is_mounted() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split_once(" - ")).any(|(_, kind)| kind.starts_with("resctrl "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
options: {l3: {optional: true}}
partitions:
  exclusive:
    l3Allocation: 60%
    mbAllocation: ['100%']
    classes:
      gold: {l3Allocation: 100%, kubernetes: {denyPodAnnotation: true}}
      silver:
  shared:
    l3Allocation: {all: 40%, 2-3: 20%}
    classes:
      DEFAULT: {l3Allocation: {all: {unified: 50%, code: 40%, data: 60%}}}
";

    #[test]
    fn a_class_is_a_group_of_its_name() {
        let classes = Classes::parse(FILE).unwrap();
        let group = |name: &str, origin| classes.class(name, origin).map(|rdt| rdt?.clos_id().clone());
        assert_eq!(group("silver", Origin::Pod).unwrap().as_deref(), Some("silver"));
        assert_eq!(group("DEFAULT", Origin::Pod).unwrap(), None);
        assert_eq!(group("gold", Origin::PodForContainer).unwrap().as_deref(), Some("gold"));
        let error = group("gold", Origin::Pod).unwrap_err().to_string();
        assert_eq!(error, "the class \"gold\" of RDT may not be given by this annotation");
        assert_eq!(group("lead", Origin::Pod).unwrap_err().to_string(), "there is no class \"lead\" of RDT");
    }

    #[test]
    fn a_class_has_one_partition_and_a_name_that_can_be_a_folder() {
        for text in [
            "partitions: {a: {classes: {x: }}, b: {classes: {x: }}}",
            "partitions: {a: {classes: {a/b: }}}",
            "partitions: {a: {classes: {x: {l4Allocation: 5}}}}",
        ] {
            assert!(Classes::parse(text).is_err(), "{text}");
        }
    }
}
