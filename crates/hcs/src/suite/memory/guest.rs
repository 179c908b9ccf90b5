//! A compute system of the map: its state, who holds it, who waits for its end.

use super::documented;
use super::host::{Host, new_guid};
use super::task::Task;
use super::work::{deliver, settle};
use crate::document::{Document, Guid};
use crate::documents::{
    ComputeSystemProperties, CrashReport, GuestConnectionInfo, MemoryInformationForVm, MemoryStats,
    NotificationType, OsType, ProcessDetails, Properties, PropertyResponse, ResultError, SaveOptions,
    SaveType, Statistics, SystemExitStatus, SystemPropertyQuery, SystemPropertyType, SystemType, Version,
    VmMemory,
};
use crate::error::{Error, Result};
use crate::event::{Callbacks, Event};
use crate::hresult::HResult;
use crate::operation::Promise;
use crate::service::Configuration;
use crate::state::{State, Verb, admit};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

pub(super) struct Guest {
    id: String,
    runtime_id: Guid,
    configuration: Configuration,
    host: Weak<Host>,
    life: Mutex<Life>,
}

pub(super) struct Life {
    state: State,
    exit: Option<SystemExitStatus>,
    /// One for each open handle.
    handles: Vec<Arc<Callbacks>>,
    waiting: Vec<Promise<SystemExitStatus>>,
    tasks: BTreeMap<u32, Arc<Task>>,
    began: Instant,
}

impl Guest {
    pub(super) fn new(id: &str, configuration: Configuration, host: Weak<Host>) -> Self {
        let life = Life {
            state: State::Created,
            exit: None,
            handles: Vec::new(),
            waiting: Vec::new(),
            tasks: BTreeMap::new(),
            began: Instant::now(),
        };
        Self { id: id.to_owned(), runtime_id: new_guid(), configuration, host, life: Mutex::new(life) }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The id of the virtual machine that it is in, if it is in one.
    pub(super) fn hosting_system(&self) -> Option<&str> {
        match &self.configuration {
            Configuration::V2(document) => document.hosting_system_id.as_deref(),
            Configuration::V1(_) => None,
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the table, and takes the state that it gives.
    pub(super) fn step(&self, verb: Verb) -> Result<()> {
        let mut life = self.life();
        let next = admit(life.state, verb).map_err(|denied| {
            documented(Error::denied(format!("{verb} compute system {}", self.id), denied))
        })?;
        // What ends a system does more than change its state.
        if next != State::Stopped {
            life.state = next;
        }
        Ok(())
    }

    pub(super) fn open(&self, callbacks: &Arc<Callbacks>) {
        let mut life = self.life();
        if let Some(status) = &life.exit {
            callbacks.send_and_keep(Event::SystemExited(status.clone()));
        }
        life.handles.push(Arc::clone(callbacks));
    }

    /// A handle is closed; the last one may be the end of the system.
    pub(super) fn close(&self, callbacks: &Arc<Callbacks>) {
        let mut life = self.life();
        life.handles.retain(|known| !Arc::ptr_eq(known, callbacks));
        let last = life.handles.is_empty();
        drop(life);
        if last && self.ends_with_last_handle() {
            self.end(NotificationType::ForcedExit, HResult::S_OK);
        }
    }

    fn ends_with_last_handle(&self) -> bool {
        match &self.configuration {
            Configuration::V2(document) => document.should_terminate_on_last_handle_closed == Some(true),
            Configuration::V1(document) => document.terminate_on_last_handle_closed == Some(true),
        }
    }

    /// Gives the exit to `promise` when there is one.
    pub(super) fn wait(&self, promise: Promise<SystemExitStatus>) {
        let mut life = self.life();
        match life.exit.clone() {
            Some(status) => {
                drop(life);
                settle(promise, Ok(status));
            }
            None => {
                life.waiting.retain(|known| !known.is_abandoned());
                life.waiting.push(promise);
            }
        }
    }

    /// The end, however it comes: tasks, waiters and callbacks learn of it, and the id is free again.
    pub(super) fn end(&self, kind: NotificationType, code: HResult) {
        let mut life = self.life();
        if admit(life.state, Verb::Exit).is_err() {
            return;
        }
        let status = SystemExitStatus::new().status(code.to_i32()).exit_type(kind);
        life.state = State::Stopped;
        life.exit = Some(status.clone());
        let tasks = std::mem::take(&mut life.tasks);
        let waiting = std::mem::take(&mut life.waiting);
        let handles = life.handles.clone();
        drop(life);
        let hosted = self.host.upgrade().map(|host| {
            host.remove(self);
            host.hosted_in(&self.id)
        });
        for guest in hosted.unwrap_or_default() {
            guest.end(NotificationType::UnexpectedExit, HResult::HCS_E_CONNECTION_CLOSED);
        }
        for task in tasks.values() {
            task.end(HResult::E_ABORT.code());
        }
        for promise in waiting {
            settle(promise, Ok(status.clone()));
        }
        for callbacks in handles {
            callbacks.send_and_keep(Event::SystemExited(status.clone()));
            deliver(callbacks);
        }
    }

    /// A crash of the guest: reports, then the end.
    pub(super) fn crash(&self) {
        let report = CrashReport::new().system_id(&self.id).status(HResult::HCS_E_UNEXPECTED_EXIT.to_i32());
        for callbacks in &self.life().handles {
            callbacks.send(Event::SystemCrashInitiated(report.clone()));
            callbacks.send(Event::SystemCrashReport(report.clone()));
        }
        self.end(NotificationType::UnexpectedExit, HResult::HCS_E_UNEXPECTED_EXIT);
    }

    /// Writes what a save has to write.
    pub(super) fn save(&self, options: &SaveOptions) -> Result<()> {
        let attempted = format!("save compute system {}", self.id);
        if options.save_type == Some(SaveType::AsTemplate) {
            return self.step(Verb::SaveAsTemplate);
        }
        self.step(Verb::Save)?;
        let Some(file) = &options.save_state_file_path else {
            return Err(documented(Error::new(attempted, HResult::E_INVALIDARG)));
        };
        fs::write(file, self.runtime_id.to_string())
            .map_err(|cause| Error::io(format!("{attempted} to {file}"), cause))
    }

    pub(super) fn add(&self, task: &Arc<Task>) {
        self.life().tasks.insert(task.id(), Arc::clone(task));
    }

    pub(super) fn task(&self, id: u32) -> Option<Arc<Task>> {
        self.life().tasks.get(&id).cloned()
    }

    pub(super) fn forget(&self, task: u32) {
        self.life().tasks.remove(&task);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.life().state == State::Stopped
    }

    fn system_type(&self) -> SystemType {
        match &self.configuration {
            Configuration::V2(document) if document.virtual_machine.is_some() => SystemType::VirtualMachine,
            Configuration::V2(_) | Configuration::V1(_) => SystemType::Container,
        }
    }

    /// What a query without wishes is answered with.
    pub(super) fn basics(&self) -> Properties {
        let life = self.life();
        let mut properties = Properties::new()
            .id(&self.id)
            .name(&self.id)
            .system_type(self.system_type())
            .runtime_os_type(OsType::Windows)
            .runtime_id(self.runtime_id.clone())
            .state(life.state);
        if let Some(exit) = &life.exit {
            properties = properties.stopped(true);
            properties.exit_type = exit.exit_type.clone();
        }
        match &self.configuration {
            Configuration::V2(document) => {
                properties.owner.clone_from(&document.owner);
                properties.hosting_system_id.clone_from(&document.hosting_system_id);
            }
            Configuration::V1(document) => properties.owner.clone_from(&document.owner),
        }
        properties
    }

    /// The properties that are asked for, and the basic ones.
    pub(super) fn properties(&self, query: &SystemPropertyQuery) -> Result<Properties> {
        let mut properties = self.basics();
        for kind in query.property_types.as_deref().unwrap_or_default() {
            self.add_property(&mut properties, kind)?;
        }
        if let Some(queries) = &query.queries {
            let responses = queries.keys().map(|name| (name.clone(), self.response(name))).collect();
            properties.property_responses = Some(responses);
        }
        Ok(properties)
    }

    fn add_property(&self, properties: &mut Properties, kind: &SystemPropertyType) -> Result<()> {
        match kind {
            SystemPropertyType::Memory => properties.memory = Some(self.memory()),
            SystemPropertyType::Statistics => properties.statistics = Some(self.statistics()),
            SystemPropertyType::ProcessList => {
                let life = self.life();
                let tasks = life.tasks.values();
                let list =
                    tasks.map(|task| ProcessDetails::new().process_id(task.id()).image_name(task.image()));
                properties.process_list = Some(list.collect());
            }
            SystemPropertyType::TerminateOnLastHandleClosed => {
                properties.terminate_on_last_handle_closed = Some(self.ends_with_last_handle());
            }
            SystemPropertyType::SharedMemoryRegion => properties.shared_memory_region_info = Some(Vec::new()),
            SystemPropertyType::GuestConnection => {
                let versions = [Version::new().major(2_u32).minor(1_u32)];
                let connection = GuestConnectionInfo::new().supported_schema_versions(versions);
                properties.guest_connection_info = Some(connection.protocol_version(4_u32));
            }
            SystemPropertyType::Other(_) => {
                let attempted = format!("query compute system {}", self.id);
                return Err(documented(Error::new(attempted, HResult::HCS_E_INVALID_JSON)));
            }
        }
        Ok(())
    }

    fn memory(&self) -> MemoryInformationForVm {
        MemoryInformationForVm::new()
            .virtual_node_count(1_u8)
            .virtual_machine_memory(VmMemory::new().assigned_memory(1024_u64))
    }

    fn statistics(&self) -> Statistics {
        let uptime = u64::try_from(self.life().began.elapsed().as_nanos() / 100).unwrap_or(u64::MAX);
        Statistics::new().uptime_100ns(uptime).memory(MemoryStats::new().memory_usage_commit_bytes(4096_u64))
    }

    /// Each of the queries that schema 2.5 brought is answered or refused for itself.
    fn response(&self, name: &str) -> PropertyResponse {
        let response = match name {
            "Basic" => Some(self.compute_system_properties().to_value()),
            "Memory" => Some(self.memory().to_value()),
            "Statistics" => Some(self.statistics().to_value()),
            _ => None::<Value>,
        };
        match response {
            Some(response) => PropertyResponse::new().response(response),
            None => {
                let error = ResultError::new().error(HResult::ERROR_NOT_SUPPORTED.to_i32());
                PropertyResponse::new().error(error)
            }
        }
    }

    fn compute_system_properties(&self) -> ComputeSystemProperties {
        let basics = self.basics();
        let mut properties = ComputeSystemProperties::new();
        properties.id = basics.id;
        properties.name = basics.name;
        properties.system_type = basics.system_type;
        properties.state = basics.state;
        properties.owner = basics.owner;
        properties.runtime_id = basics.runtime_id;
        properties.runtime_os_type = basics.runtime_os_type;
        properties
    }
}
