//! Handles to compute systems and to processes in them.

use super::guest::Guest;
use super::host::Host;
use super::refusal;
use super::task::Task;
use crate::document::Document;
use crate::documents::{
    CrashOptions, ModifyRequestType, ModifySettingRequest, NotificationType, PauseOptions,
    ProcessModifyRequest, ProcessParameters, ProcessStatus, Properties, SaveOptions, ShutdownOptions,
    SignalProcessOptions, StartOptions, SystemExitStatus, SystemPropertyQuery,
};
use crate::error::Result;
use crate::event::{Callbacks, EventCallback, EventOptions};
use crate::hresult::HResult;
use crate::operation::{Operation, OperationKind, Promise};
use crate::service::{Process, ProcessInformation, System};
use crate::state::Verb;
use std::sync::{Arc, OnceLock};

pub(super) struct MemorySystem {
    host: Arc<Host>,
    guest: Arc<Guest>,
    callbacks: Arc<Callbacks>,
}

impl MemorySystem {
    pub(super) fn open(host: &Arc<Host>, guest: Arc<Guest>) -> Self {
        let callbacks = Arc::new(Callbacks::new());
        guest.open(&callbacks);
        Self { host: Arc::clone(host), guest, callbacks }
    }

    pub(super) fn callbacks(&self) -> &Arc<Callbacks> {
        &self.callbacks
    }

    fn accept<T: Send + 'static>(
        &self,
        kind: OperationKind,
        verb: Verb,
        job: impl FnOnce(&Guest) -> Result<T> + Send + 'static,
    ) -> Operation<T> {
        let guest = Arc::clone(&self.guest);
        let attempted = format!("{verb} compute system {}", guest.id());
        self.host.work.accept(kind, attempted, Some(&self.callbacks), move || job(&guest))
    }

    /// A verb that does no more than change the state.
    fn step(&self, kind: OperationKind, verb: Verb) -> Operation<()> {
        self.accept(kind, verb, move |guest| guest.step(verb))
    }
}

impl Drop for MemorySystem {
    fn drop(&mut self) {
        self.callbacks.close();
        self.guest.close(&self.callbacks);
    }
}

impl System for MemorySystem {
    fn id(&self) -> &str {
        self.guest.id()
    }

    fn start(&self, _options: &StartOptions) -> Result<Operation<()>> {
        Ok(self.step(OperationKind::Start, Verb::Start))
    }

    fn shut_down(&self, _options: &ShutdownOptions) -> Result<Operation<()>> {
        Ok(self.accept(OperationKind::Shutdown, Verb::ShutDown, |guest| {
            guest.step(Verb::ShutDown)?;
            guest.end(NotificationType::GracefulExit, HResult::S_OK);
            Ok(())
        }))
    }

    fn terminate(&self) -> Result<Operation<()>> {
        Ok(self.accept(OperationKind::Terminate, Verb::Terminate, |guest| {
            guest.step(Verb::Terminate)?;
            guest.end(NotificationType::ForcedExit, HResult::S_OK);
            Ok(())
        }))
    }

    fn crash(&self, _options: &CrashOptions) -> Result<Operation<()>> {
        Ok(self.accept(OperationKind::Crash, Verb::Crash, |guest| {
            guest.step(Verb::Crash)?;
            guest.crash();
            Ok(())
        }))
    }

    fn pause(&self, _options: &PauseOptions) -> Result<Operation<()>> {
        Ok(self.step(OperationKind::Pause, Verb::Pause))
    }

    fn resume(&self) -> Result<Operation<()>> {
        Ok(self.step(OperationKind::Resume, Verb::Resume))
    }

    fn save(&self, options: &SaveOptions) -> Result<Operation<()>> {
        let options = options.clone();
        Ok(self.accept(OperationKind::Save, Verb::Save, move |guest| guest.save(&options)))
    }

    fn properties(&self, query: &SystemPropertyQuery) -> Result<Operation<Properties>> {
        let query = query.clone();
        Ok(self.accept(OperationKind::GetProperties, Verb::Query, move |guest| guest.properties(&query)))
    }

    fn modify(&self, request: &ModifySettingRequest) -> Result<Operation<()>> {
        let request = request.clone();
        Ok(self.accept(OperationKind::Modify, Verb::Modify, move |guest| {
            guest.step(Verb::Modify)?;
            guest.modify(&request)
        }))
    }

    fn create_process(
        &self,
        parameters: &ProcessParameters,
    ) -> Result<(Box<dyn Process>, Operation<ProcessInformation>)> {
        let process = MemoryProcess::new(&self.host, self.guest.id());
        let (parameters, guest) = (parameters.clone(), Arc::clone(&self.guest));
        let (slot, callbacks) = (Arc::clone(&process.task), Arc::clone(&process.callbacks));
        let host = Arc::downgrade(&self.host);
        let created = self.accept(OperationKind::CreateProcess, Verb::CreateProcess, move |_| {
            guest.step(Verb::CreateProcess)?;
            let lost = || refusal("create a process", HResult::HCS_E_SERVICE_DISCONNECT);
            let id = host.upgrade().ok_or_else(lost)?.next_process();
            let task = Task::start(id, &guest, &parameters)?;
            guest.add(&task);
            task.open(&callbacks);
            let information = task.information();
            // The handle is this call's own: nobody else fills it.
            let _ = slot.set(Arc::clone(&task));
            task.run();
            Ok(information)
        });
        Ok((Box::new(process), created))
    }

    fn open_process(&self, process_id: u32) -> Result<Box<dyn Process>> {
        let attempted = format!("open process {process_id} in compute system {}", self.guest.id());
        if self.guest.is_stopped() {
            return Err(refusal(&attempted, HResult::HCS_E_SYSTEM_ALREADY_STOPPED));
        }
        let task = self.guest.task(process_id);
        let task = task.ok_or_else(|| refusal(&attempted, HResult::ERROR_NOT_FOUND))?;
        let process = MemoryProcess::new(&self.host, self.guest.id());
        task.open(&process.callbacks);
        let _ = process.task.set(task);
        Ok(Box::new(process))
    }

    fn exit(&self) -> Result<Operation<SystemExitStatus>> {
        let promise =
            Promise::new(OperationKind::None, format!("wait for compute system {}", self.guest.id()));
        let operation = promise.operation();
        self.guest.wait(promise);
        Ok(operation)
    }

    fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()> {
        self.callbacks.set(options, callback)?;
        super::work::deliver(Arc::clone(&self.callbacks));
        Ok(())
    }
}

struct MemoryProcess {
    host: Arc<Host>,
    system: String,
    /// There when the process is created.
    task: Arc<OnceLock<Arc<Task>>>,
    callbacks: Arc<Callbacks>,
}

impl MemoryProcess {
    fn new(host: &Arc<Host>, system: &str) -> Self {
        Self {
            host: Arc::clone(host),
            system: system.to_owned(),
            task: Arc::default(),
            callbacks: Arc::new(Callbacks::new()),
        }
    }

    /// Does something with the process once it is created.
    fn accept<T: Send + 'static>(
        &self,
        kind: OperationKind,
        what: &str,
        job: impl FnOnce(&Arc<Task>) -> Result<T> + Send + 'static,
    ) -> Operation<T> {
        let attempted = format!("{what} a process of compute system {}", self.system);
        let slot = Arc::clone(&self.task);
        let missing = attempted.clone();
        self.host.work.accept(kind, attempted, Some(&self.callbacks), move || match slot.get() {
            Some(task) => job(task),
            None => Err(refusal(&missing, HResult::ERROR_NOT_FOUND)),
        })
    }
}

impl Drop for MemoryProcess {
    fn drop(&mut self) {
        self.callbacks.close();
        if let Some(task) = self.task.get() {
            task.close(&self.callbacks);
        }
    }
}

impl Process for MemoryProcess {
    fn id(&self) -> Option<u32> {
        self.task.get().map(|task| task.id())
    }

    fn information(&self) -> Result<Operation<ProcessInformation>> {
        Ok(self.accept(OperationKind::GetProcessInfo, "ask for", |task| Ok(task.information())))
    }

    fn properties(&self) -> Result<Operation<ProcessStatus>> {
        Ok(self.accept(OperationKind::GetProcessProperties, "query", |task| Ok(task.status())))
    }

    fn modify(&self, request: &ProcessModifyRequest) -> Result<Operation<()>> {
        let request = request.clone();
        Ok(self.accept(OperationKind::ModifyProcess, "modify", move |task| task.modify(&request)))
    }

    fn signal(&self, options: Option<&SignalProcessOptions>) -> Result<Operation<()>> {
        let options = options.cloned();
        Ok(self.accept(OperationKind::SignalProcess, "signal", move |task| task.signal(options.as_ref())))
    }

    fn terminate(&self) -> Result<Operation<()>> {
        Ok(self.accept(OperationKind::Terminate, "terminate", |task| task.signal(None)))
    }

    fn exit(&self) -> Result<Operation<ProcessStatus>> {
        let promise = Promise::new(
            OperationKind::None,
            format!("wait for a process of compute system {}", self.system),
        );
        let operation = promise.operation();
        match self.task.get() {
            Some(task) => task.wait(promise),
            None => {
                // It waits for its creation first.
                let created = self.accept(OperationKind::None, "wait for", |task| Ok(Arc::clone(task)));
                created.subscribe(move |created| match created {
                    Ok(task) => task.wait(promise),
                    Err(error) => promise.complete(Err(error)),
                });
            }
        }
        Ok(operation)
    }

    fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()> {
        self.callbacks.set(options, callback)?;
        super::work::deliver(Arc::clone(&self.callbacks));
        Ok(())
    }
}

impl Guest {
    /// Looks at what a modification asks for; there is nothing here that it could change.
    fn modify(&self, request: &ModifySettingRequest) -> Result<()> {
        let attempted = format!("modify compute system {}", self.id());
        let has_kind = !matches!(request.request_type, Some(ModifyRequestType::Other(_)));
        let has_subject = request.resource_path.is_some() || request.guest_request.is_some();
        if has_kind && has_subject && request.leftovers().is_empty() {
            return Ok(());
        }
        Err(refusal(&attempted, HResult::HCS_E_INVALID_JSON))
    }
}
