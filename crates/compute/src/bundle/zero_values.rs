//! What Go reads and our parser does not: a field that is missing has its zero value there, and a capability is any
//! string, of which runc leaves out those it does not know.
//!
//! Looked at only when a document was refused as it is, so that the usual one is parsed once.

use oci_spec::runtime::Capability;
use serde_json::{Map, Value, json};

/// Amends a configuration or a process document. Whether there was anything to amend.
pub(super) fn fill(document: &mut Value) -> bool {
    let Some(document) = document.as_object_mut() else { return false };
    if document.contains_key("args") {
        return fill_process(document);
    }
    document.get_mut("process").and_then(Value::as_object_mut).is_some_and(fill_process)
}

fn fill_process(process: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    let user = process.entry("user").or_insert_with(|| {
        changed = true;
        json!({})
    });
    if let Some(user) = user.as_object_mut() {
        for id in ["uid", "gid"] {
            user.entry(id).or_insert_with(|| {
                changed = true;
                json!(0)
            });
        }
    }
    if let Some(sets) = process.get_mut("capabilities").and_then(Value::as_object_mut) {
        let mut unknown: Vec<String> = Vec::new();
        for set in sets.values_mut().filter_map(Value::as_array_mut) {
            set.retain(|name| {
                let known = !name.is_string() || serde_json::from_value::<Capability>(name.clone()).is_ok();
                if !known {
                    unknown.extend(name.as_str().map(ToOwned::to_owned));
                }
                known
            });
        }
        if !unknown.is_empty() {
            unknown.sort_unstable();
            unknown.dedup();
            log::warn!("ignoring unknown or unavailable capabilities: [{}]", unknown.join(" "));
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_root_and_a_capability_of_the_future_is_none() {
        let mut config =
            json!({"process": {"args": ["a"], "capabilities": {"bounding": ["CAP_FLY", "CAP_KILL"]}}});
        assert!(fill(&mut config));
        assert_eq!(config["process"]["user"], json!({"uid": 0, "gid": 0}));
        assert_eq!(config["process"]["capabilities"]["bounding"], json!(["CAP_KILL"]));
        assert!(!fill(&mut config));
        let mut process = json!({"args": ["a"], "user": {"uid": 7}});
        assert!(fill(&mut process));
        assert_eq!(process["user"], json!({"uid": 7, "gid": 0}));
        assert!(!fill(&mut json!({"anything": 1})) && !fill(&mut json!(null)));
    }
}
