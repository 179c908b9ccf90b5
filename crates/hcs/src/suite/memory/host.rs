//! What is of the host: the map of systems, the processor groups, and what the service says of itself.

use super::guest::Guest;
use super::work::Work;
use super::{SCHEMAS, refusal};
use crate::document::{Document, Guid};
use crate::documents::{
    BasicInformation, ContainerCredentialGuardSystemInfo, CpuGroupAffinity, CpuGroupConfig,
    CpuGroupConfigurations, CpuGroupProperty, CreateGroupOperation, DeleteGroupOperation, GetPropertyType,
    HostProcessorModificationRequest, LogicalProcessor, ModificationRequest, ModifyPropertyType,
    ModifyServiceOperation, ProcessorTopology, QoSCapabilities, ServiceProperties, ServicePropertyQuery,
    SetPropertyOperation, Version,
};
use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::service::Configuration;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state that all clones of the service share.
pub(super) struct Host {
    systems: Mutex<BTreeMap<String, Arc<Guest>>>,
    groups: Mutex<BTreeMap<[u8; 16], CpuGroupConfig>>,
    last_process: AtomicU32,
    pub(super) work: Work,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            systems: Mutex::default(),
            groups: Mutex::default(),
            last_process: AtomicU32::new(0),
            work: Work::new(),
        }
    }
}

impl Host {
    pub(super) fn systems(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Guest>>> {
        self.systems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<[u8; 16], CpuGroupConfig>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new system into the map.
    pub(super) fn add(
        self: &Arc<Self>,
        id: &str,
        configuration: &Configuration,
    ) -> std::result::Result<Arc<Guest>, HResult> {
        let mut systems = self.systems();
        if systems.contains_key(id) {
            return Err(HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
        }
        if let Configuration::V2(document) = configuration
            && let Some(hosting) = &document.hosting_system_id
            && !systems.contains_key(hosting)
        {
            return Err(HResult::HCS_E_SYSTEM_NOT_FOUND);
        }
        let guest = Arc::new(Guest::new(id, configuration.clone(), Arc::downgrade(self)));
        systems.insert(id.to_owned(), Arc::clone(&guest));
        Ok(guest)
    }

    /// Takes a system that ended out of the map.
    pub(super) fn remove(&self, guest: &Guest) {
        let mut systems = self.systems();
        if systems.get(guest.id()).is_some_and(|known| std::ptr::eq(Arc::as_ptr(known), guest)) {
            systems.remove(guest.id());
        }
    }

    /// The systems in a virtual machine.
    pub(super) fn hosted_in(&self, id: &str) -> Vec<Arc<Guest>> {
        let systems = self.systems();
        systems.values().filter(|guest| guest.hosting_system() == Some(id)).cloned().collect()
    }

    /// Windows numbers processes in fours.
    pub(super) fn next_process(&self) -> u32 {
        (self.last_process.fetch_add(1, Ordering::Relaxed) + 1) * 4
    }

    /// The answers, in the order of the questions.
    pub(super) fn properties(&self, query: &ServicePropertyQuery) -> Result<ServiceProperties> {
        let asked = query.property_types.as_deref().unwrap_or_default();
        let answers: Result<Vec<Value>> = asked.iter().map(|kind| self.property(kind)).collect();
        Ok(ServiceProperties::new().properties(answers?))
    }

    fn property(&self, kind: &GetPropertyType) -> Result<Value> {
        Ok(match kind {
            GetPropertyType::Basic => {
                let versions = SCHEMAS.map(|schema| Version::new().major(schema.major).minor(schema.minor));
                BasicInformation::new().supported_schema_versions(versions).to_value()
            }
            GetPropertyType::CpuGroup => {
                let groups: Vec<CpuGroupConfig> = self.groups().values().cloned().collect();
                CpuGroupConfigurations::new().cpu_groups(groups).to_value()
            }
            GetPropertyType::ProcessorTopology => {
                let processors = [0, 1].map(|index| LogicalProcessor::new().lp_index(index).core_id(index));
                let topology = ProcessorTopology::new().logical_processor_count(2_u32);
                topology.logical_processors(processors).to_value()
            }
            GetPropertyType::ContainerCredentialGuard => {
                ContainerCredentialGuardSystemInfo::new().instances(Vec::new()).to_value()
            }
            GetPropertyType::QoSCapabilities => {
                QoSCapabilities::new().processor_qos_supported(true).to_value()
            }
            GetPropertyType::Other(_) => {
                return Err(refusal("query the service", HResult::HCS_E_INVALID_JSON));
            }
        })
    }

    /// Processor groups can be made, changed and deleted; nothing else can be changed here.
    pub(super) fn modify(&self, request: &ModificationRequest) -> Result<()> {
        const ATTEMPTED: &str = "modify the service";
        if request.property_type != Some(ModifyPropertyType::CpuGroup) {
            return Err(refusal(ATTEMPTED, HResult::ERROR_NOT_SUPPORTED));
        }
        let settings: HostProcessorModificationRequest = settings(request.settings.as_ref())?;
        let details = settings.operation_details.as_ref();
        let code = match settings.operation {
            Some(ModifyServiceOperation::CreateGroup) => self.create_group(self::settings(details)?),
            Some(ModifyServiceOperation::DeleteGroup) => self.delete_group(self::settings(details)?),
            Some(ModifyServiceOperation::SetProperty) => self.set_property(self::settings(details)?),
            Some(ModifyServiceOperation::Other(_)) | None => Err(HResult::HCS_E_INVALID_JSON),
        };
        code.map_err(|code| refusal(ATTEMPTED, code))
    }

    fn create_group(&self, operation: CreateGroupOperation) -> std::result::Result<(), HResult> {
        let id = operation.group_id.ok_or(HResult::HCS_E_INVALID_JSON)?;
        let mut groups = self.groups();
        if groups.contains_key(&id.bytes()) {
            return Err(HResult::ERROR_ALREADY_EXISTS);
        }
        let processors = operation.logical_processors.unwrap_or_default();
        let count = u32::try_from(processors.len()).map_err(|_| HResult::E_INVALIDARG)?;
        let affinity = CpuGroupAffinity::new().logical_processor_count(count).logical_processors(processors);
        groups.insert(id.bytes(), CpuGroupConfig::new().group_id(id).affinity(affinity));
        Ok(())
    }

    fn delete_group(&self, operation: DeleteGroupOperation) -> std::result::Result<(), HResult> {
        let id = operation.group_id.ok_or(HResult::HCS_E_INVALID_JSON)?;
        self.groups().remove(&id.bytes()).map(drop).ok_or(HResult::ERROR_NOT_FOUND)
    }

    fn set_property(&self, operation: SetPropertyOperation) -> std::result::Result<(), HResult> {
        let id = operation.group_id.ok_or(HResult::HCS_E_INVALID_JSON)?;
        let mut groups = self.groups();
        let group = groups.get_mut(&id.bytes()).ok_or(HResult::ERROR_NOT_FOUND)?;
        let mut property = CpuGroupProperty::new();
        property.property_code = operation.property_code;
        property.property_value = operation.property_value;
        let known = group.group_properties.get_or_insert_default();
        known.retain(|known| known.property_code != property.property_code);
        known.push(property);
        Ok(())
    }
}

/// What a field that may hold anything must hold here.
fn settings<D: Document>(value: Option<&Value>) -> Result<D> {
    let value = value.cloned().unwrap_or_default();
    D::from_value(value)
        .map_err(|cause| Error::new("read settings", HResult::HCS_E_INVALID_JSON).caused_by(cause))
}

/// A GUID that nothing else has.
pub(super) fn new_guid() -> Guid {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    let random = half() << 64 | half();
    // Version 4, variant 1.
    Guid::from_u128(random & !0xF000_C000_0000_0000_0000 | 0x4000_8000_0000_0000_0000)
}
