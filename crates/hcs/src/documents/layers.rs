//! Layers of container storage.

use super::{FileSystemFilterType, Layer, Version};
use crate::document::{SchemaVersion, documents, enumerations};

documents! {
    /// The layers below a layer.
    LayerData since 2.1 {
        "SchemaVersion" schema_version: Version;
        "Layers" layers: Vec<Layer>;
        "FilterType" filter_type: FileSystemFilterType, since unpublished;
    }

    /// Options of setting up a base layer.
    OsLayerOptions {
        "Type" kind: OsLayerType, since 2.1;
        "DisableCiCacheOptimization" disable_ci_cache_optimization: bool, since 2.1;
        "SkipUpdateBcdForBoot" skip_update_bcd_for_boot: bool, since 2.5;
    }

    /// Options of an export.
    ExportLayerOptions since 2.1 {
        "IsWritableLayer" is_writable_layer: bool;
    }
}

enumerations! {
    /// What a base layer is for.
    OsLayerType since 2.1 {
        Container = "Container";
        Vm = "Vm";
    }
}

impl LayerData {
    /// The layers below a layer, topmost first.
    #[must_use]
    pub fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        Self::new().schema_version(SchemaVersion::V2_1).layers(layers.into_iter().collect::<Vec<_>>())
    }
}
