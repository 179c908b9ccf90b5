//! Documents, until the real ones are here.
macro_rules! documents {
    ($($name:ident)+) => { $(
        /// A document.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name(serde_json::Map<String, serde_json::Value>);
        impl crate::document::Document for $name {
            fn from_json(text: &str) -> Result<Self, serde_json::Error> { serde_json::from_str(text).map(Self) }
            fn to_json(&self) -> String { serde_json::Value::from(self.0.clone()).to_string() }
        }
    )+ };
}
documents! { ComputeSystem CrashOptions CrashReport ModificationRequest ModifySettingRequest PauseOptions
ProcessModifyRequest ProcessParameters ProcessStatus Properties SaveOptions ServiceProperties
ServicePropertyQuery ShutdownOptions SignalProcessOptions StartOptions SystemExitStatus
SystemPropertyQuery SystemQuery VmProcessorRequirements ExportLayerOptions LayerData OsLayerOptions ResultError }
/// HCN.
pub mod network {
    documents! { HostComputeEndpoint HostComputeLoadBalancer HostComputeNamespace HostComputeNetwork HostComputeQuery
    ModifyEndpointRequest ModifyNamespaceRequest ModifyNetworkRequest SdnRoute }
}
/// Schema 1.
pub mod v1 {
    documents! { ContainerConfig }
}
