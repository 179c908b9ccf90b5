//! The Host Compute Service as three traits: the service, a compute system, a process in it.
//!
//! Whoever can run compute systems implements them: Windows (over computecore.dll and vmcompute.dll), a service that
//! drives virtual machines on Linux, a client of such a service in another process, or the one in memory beside the
//! suite that all of them pass. They speak typed documents; a value that implements one of them is a
//! handle, and dropping it closes the handle.
//!
//! A call is refused at once (`Err`), or accepted and tracked by an [`Operation`] that fixes the type of its result.
//! Where exactly a refusal comes, at once or by the operation, is the implementation's choice; callers treat both
//! alike: `system.start(&StartOptions::new())?.wait()?`.
//!
//! What holds for every implementation:
//! - Compute systems are ephemeral: one that has ended cannot be opened, and its handles answer with
//!   `HCS_E_SYSTEM_ALREADY_STOPPED`, except for its exit and its properties.
//! - A system that was created with `ShouldTerminateOnLastHandleClosed` ends with the last handle to it.
//! - Each handle has one callback, by the rules of [`Callbacks`](crate::event::Callbacks).
//! - What is legal when is the table of [`state`](crate::state).
//!
//! ```
//! use hcs::documents::{ComputeSystem, ProcessParameters, StartOptions};
//! use hcs::service::ComputeService;
//! use std::io::Read;
//!
//! /// Runs a program in a new container, and gives what it wrote and its exit code.
//! fn run(service: &dyn ComputeService, container: ComputeSystem, line: &str) -> hcs::Result<(String, Option<u32>)> {
//!     let (system, created) = service.create_system("example", &container.into())?;
//!     created.wait()?;
//!     system.start(&StartOptions::new())?.wait()?;
//!     let parameters = ProcessParameters::new().command_line(line).create_std_out_pipe(true);
//!     let (process, created) = system.create_process(&parameters)?;
//!     let information = created.wait()?;
//!     let mut text = String::new();
//!     if let Some(mut output) = information.stdio.output {
//!         output.read_to_string(&mut text).map_err(|cause| hcs::Error::io("read the output", cause))?;
//!     }
//!     let status = process.exit()?.wait()?;
//!     system.terminate()?.wait()?;
//!     Ok((text, status.exit_code))
//! }
//! # use hcs::suite::memory::{Memory, MemoryFixture};
//! # let ran = run(&Memory::new(), MemoryFixture::container_document(), "say hello")?;
//! # assert_eq!(ran, ("hello".to_owned(), Some(0)));
//! # Ok::<(), hcs::Error>(())
//! ```

use crate::documents::{
    ComputeSystem, CrashOptions, CrashReport, ModificationRequest, ModifySettingRequest, PauseOptions,
    ProcessModifyRequest, ProcessParameters, ProcessStatus, Properties, SaveOptions, ServiceProperties,
    ServicePropertyQuery, ShutdownOptions, SignalProcessOptions, StartOptions, SystemExitStatus,
    SystemPropertyQuery, SystemQuery, VmProcessorRequirements, v1,
};
use crate::error::Result;
use crate::event::{EventCallback, EventOptions};
use crate::operation::Operation;
use std::io::{PipeReader, PipeWriter};
use std::path::Path;

/// The service of one host.
pub trait ComputeService: Send + Sync {
    /// The compute systems that the query asks for; an empty query asks for all.
    fn enumerate_systems(&self, query: &SystemQuery) -> Result<Operation<Vec<Properties>>>;

    /// Creates a compute system. The handle is there at once, the system when the operation is done.
    fn create_system(
        &self,
        id: &str,
        configuration: &Configuration,
    ) -> Result<(Box<dyn System>, Operation<()>)>;

    /// Another handle to a compute system that has not ended.
    fn open_system(&self, id: &str) -> Result<Box<dyn System>>;

    /// Properties of the service and its host, in the order in which the query asks for them.
    fn service_properties(&self, query: &ServicePropertyQuery) -> Result<ServiceProperties>;

    /// Changes settings of the service: CPU groups, credential guard.
    fn modify_service(&self, request: &ModificationRequest) -> Result<()>;

    /// Lets the virtual machine with this id use a file.
    fn grant_vm_access(&self, id: &str, file: &Path) -> Result<()>;

    /// Lets all virtual machines use a file.
    fn grant_vm_group_access(&self, file: &Path) -> Result<()>;

    /// Makes an empty guest state file (`.vmgs`).
    fn create_empty_guest_state_file(&self, file: &Path) -> Result<()>;

    /// Makes an empty runtime state file (`.vmrs`), to be named in [`SaveOptions`].
    fn create_empty_runtime_state_file(&self, file: &Path) -> Result<()>;

    /// The processor that a saved virtual machine needs.
    fn processor_compatibility(&self, saved: &Path) -> Result<VmProcessorRequirements>;

    /// Hands a crash report to Windows Error Reporting.
    fn submit_crash_report(&self, report: &CrashReport) -> Result<()>;
}

/// What a compute system is made of: a document of schema 2, or of schema 1 on hosts before build 17763.
#[derive(Debug, Clone, PartialEq)]
pub enum Configuration {
    /// Schema 2.x.
    V2(Box<ComputeSystem>),
    /// Schema 1.0.
    V1(Box<v1::ContainerConfig>),
}

impl From<ComputeSystem> for Configuration {
    fn from(document: ComputeSystem) -> Self {
        Configuration::V2(Box::new(document))
    }
}

impl From<v1::ContainerConfig> for Configuration {
    fn from(document: v1::ContainerConfig) -> Self {
        Configuration::V1(Box::new(document))
    }
}

/// A handle to a compute system.
pub trait System: Send + Sync {
    /// The id that it was created with.
    fn id(&self) -> &str;

    /// Lets it run.
    fn start(&self, options: &StartOptions) -> Result<Operation<()>>;

    /// Ends it in order: over when the guest, or the container, has ended.
    fn shut_down(&self, options: &ShutdownOptions) -> Result<Operation<()>>;

    /// Ends it at once.
    fn terminate(&self) -> Result<Operation<()>>;

    /// Crashes its guest, as by a non-maskable interrupt.
    fn crash(&self, options: &CrashOptions) -> Result<Operation<()>>;

    /// Halts it.
    fn pause(&self, options: &PauseOptions) -> Result<Operation<()>>;

    /// Lets it go on.
    fn resume(&self) -> Result<Operation<()>>;

    /// Writes its state to a file, or makes it a template. It must be paused.
    fn save(&self, options: &SaveOptions) -> Result<Operation<()>>;

    /// Its properties: id and type always, others as the query asks.
    fn properties(&self, query: &SystemPropertyQuery) -> Result<Operation<Properties>>;

    /// Changes devices, shares or limits, in it and on the host.
    fn modify(&self, request: &ModifySettingRequest) -> Result<Operation<()>>;

    /// Creates a process in it. The handle is there at once, the process and its standard handles when the operation
    /// is done.
    fn create_process(
        &self,
        parameters: &ProcessParameters,
    ) -> Result<(Box<dyn Process>, Operation<ProcessInformation>)>;

    /// A handle to a process that was created in it.
    fn open_process(&self, process_id: u32) -> Result<Box<dyn Process>>;

    /// Done when it has ended, however that comes; at once if it has.
    fn exit(&self) -> Result<Operation<SystemExitStatus>>;

    /// Sets the callback of this handle.
    fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()>;
}

/// A handle to a process in a compute system.
pub trait Process: Send + Sync {
    /// Its id in the compute system; `None` until its creation is done.
    fn id(&self) -> Option<u32>;

    /// Its id, and those of its standard handles that were not handed out yet.
    fn information(&self) -> Result<Operation<ProcessInformation>>;

    /// Whether it runs, and how it ended.
    fn properties(&self) -> Result<Operation<ProcessStatus>>;

    /// Changes the size of its console, or closes standard handles of it.
    fn modify(&self, request: &ProcessModifyRequest) -> Result<Operation<()>>;

    /// Sends it a signal; without options, the one that ends it.
    fn signal(&self, options: Option<&SignalProcessOptions>) -> Result<Operation<()>>;

    /// Ends it at once.
    fn terminate(&self) -> Result<Operation<()>>;

    /// Done when it has ended; at once if it has.
    fn exit(&self) -> Result<Operation<ProcessStatus>>;

    /// Sets the callback of this handle.
    fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()>;
}

/// What is known of a new process.
#[derive(Debug, Default)]
pub struct ProcessInformation {
    /// Its id in the compute system.
    pub process_id: u32,
    /// The caller's ends of its standard handles.
    pub stdio: Stdio,
}

/// The caller's ends of a process's standard handles: those that were asked for, and each handed out exactly once.
///
/// They are pipes of the standard library, which are a `HANDLE` on Windows and a file descriptor elsewhere: `Read` and
/// `Write` as they are, `Into<OwnedHandle>` or `Into<OwnedFd>` for an executor's own pipes or a C interface.
#[derive(Debug, Default)]
pub struct Stdio {
    /// What is written here is the process's input; dropping it ends the input.
    pub input: Option<PipeWriter>,
    /// The process's output.
    pub output: Option<PipeReader>,
    /// The process's error output.
    pub error: Option<PipeReader>,
}
