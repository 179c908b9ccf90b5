//! Any bytes as a document of HCS or HCN: refused, or written as it was read; never a crash.
#![no_main]

use hcs::document::{Document, SchemaVersion, Table};
use hcs::documents::{self, ModifySettingRequest};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::sync::LazyLock;

static TABLES: LazyLock<Vec<&'static Table>> = LazyLock::new(|| {
    documents::tables().chain(documents::v1::tables()).chain(documents::network::tables()).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    for table in TABLES.iter() {
        let Ok(document) = (table.read)(value.clone()) else { continue };
        assert_eq!(document.to_value(), value, "{}", table.name);
        if let Err(error) = document.check(SchemaVersion::V2_1) {
            assert!(error.needs > SchemaVersion::V2_1 && error.needs <= document.needs(), "{error}");
        }
        document.leftovers();
    }
    if let Ok(request) = ModifySettingRequest::from_value(value) {
        if let Ok(Some(path)) = request.resource() {
            assert_eq!(Some(path.to_string()), request.resource_path);
        }
        let _ = request.check_settings(SchemaVersion::V2_6);
    }
});
