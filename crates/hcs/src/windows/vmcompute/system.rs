//! A compute system by way of vmcompute.dll.

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "vmcompute.dll has a C interface")]

use super::board::{Answer, Board};
use super::functions::Functions;
use super::process::V1Process;
use super::registration::{Calls, Registered};
use super::{answered, lacks};
use crate::abi::{HCS_PROCESS_INFORMATION, HCS_SYSTEM, HRESULT, PCWSTR, PWSTR};
use crate::document::Document as _;
use crate::documents::{
    CrashOptions, ModifySettingRequest, NotificationType, PauseOptions, ProcessParameters, Properties,
    SaveOptions, ShutdownOptions, StartOptions, SystemExitStatus, SystemPropertyQuery,
};
use crate::error::Result;
use crate::event::{EventCallback, EventOptions};
use crate::operation::{Operation, OperationKind};
use crate::service::{Process, ProcessInformation, System};
use crate::windows::answer::{no_handle, process_information};
use crate::windows::library::Unavailable;
use crate::windows::text::{Optional, Returned, Task, read, unless_empty, wide};
use std::ptr;
use std::sync::Arc;

const CALLS: Calls = Calls {
    register: Functions::HcsRegisterComputeSystemCallback,
    unregister: Functions::HcsUnregisterComputeSystemCallback,
    close: Functions::HcsCloseComputeSystem,
};

/// A handle to a compute system, closed when it is dropped and nobody waits for the exit through it.
pub(super) struct V1System {
    id: Arc<str>,
    handle: Arc<Registered<SystemExitStatus>>,
    /// The system may end with this handle, and this library tells by its absence that it did.
    ends_with_it: bool,
}

type Call =
    unsafe fn(&Functions, HCS_SYSTEM, PCWSTR, *mut PWSTR) -> std::result::Result<HRESULT, Unavailable>;

impl V1System {
    /// Creates a compute system. The library answers first and takes a callback then, through which it tells that the
    /// system is created.
    pub(super) fn create(
        functions: &Arc<Functions>,
        id: &str,
        configuration: &str,
        ends_with_it: bool,
    ) -> Result<(Self, Operation<()>)> {
        let attempted = format!("create compute system {id}");
        let (wide_id, configuration) = (wide(id, &attempted)?, wide(configuration, &attempted)?);
        let board = Arc::new(Board::new());
        let mut handle = None;
        let operation = board.call(
            OperationKind::Create,
            attempted,
            |_, _| Ok(()),
            |attempted| {
                let mut system = ptr::null_mut();
                let mut result = Returned::<Task>::new();
                // SAFETY: the texts end with a zero, the identity may be null, the others are places for the results.
                let answer = unsafe {
                    functions.HcsCreateComputeSystem(
                        wide_id.as_ptr(),
                        configuration.as_ptr(),
                        ptr::null_mut(),
                        &raw mut system,
                        result.out(),
                    )
                };
                let answer = answered(answer, &result, attempted)?;
                handle = Some(Self::own(functions, Arc::clone(&board), system, attempted)?);
                Ok(answer)
            },
        )?;
        let handle = handle.ok_or_else(|| no_handle(operation.attempted()))?;
        Ok((Self { id: id.into(), handle: Arc::new(handle), ends_with_it }, operation))
    }

    pub(super) fn open(functions: &Arc<Functions>, id: &str, ends_with_it: bool) -> Result<Self> {
        Self::open_with(functions, id, Arc::new(Board::new()), ends_with_it)
    }

    fn open_with(
        functions: &Arc<Functions>,
        id: &str,
        board: Arc<Board<SystemExitStatus>>,
        ends_with_it: bool,
    ) -> Result<Self> {
        let attempted = format!("open compute system {id}");
        let wide_id = wide(id, &attempted)?;
        let mut system = ptr::null_mut();
        let mut result = Returned::<Task>::new();
        // SAFETY: the text ends with a zero, the others are places for the results.
        let answer =
            unsafe { functions.HcsOpenComputeSystem(wide_id.as_ptr(), &raw mut system, result.out()) };
        answered(answer, &result, &attempted)?;
        let handle = Arc::new(Self::own(functions, board, system, &attempted)?);
        Ok(Self { id: id.into(), handle, ends_with_it })
    }

    fn own(
        functions: &Arc<Functions>,
        board: Arc<Board<SystemExitStatus>>,
        system: HCS_SYSTEM,
        attempted: &str,
    ) -> Result<Registered<SystemExitStatus>> {
        if system.is_null() {
            return Err(no_handle(attempted));
        }
        Registered::new(Arc::clone(functions), board, system, &CALLS, attempted)
    }

    fn done(
        &self,
        kind: OperationKind,
        verb: &str,
        document: Option<&str>,
        call: Call,
    ) -> Result<Operation<()>> {
        let attempted = self.attempted(verb);
        let document = Optional::new(document, &attempted)?;
        self.handle.board.call(
            kind,
            attempted,
            |_, _| Ok(()),
            |attempted| {
                let mut result = Returned::<Task>::new();
                // SAFETY: the handle is open, the text is absent or ends with a zero, the last is a place for the result.
                let answer =
                    unsafe { call(&self.handle.functions, self.handle.raw, document.as_ptr(), result.out()) };
                answered(answer, &result, attempted)
            },
        )
    }

    fn attempted(&self, verb: &str) -> String {
        format!("{verb} compute system {}", self.id)
    }
}

impl Drop for V1System {
    fn drop(&mut self) {
        let board = Arc::clone(&self.handle.board);
        board.listener.close();
        if !board.listener.is_waited_for() {
            return;
        }
        if !self.ends_with_it {
            board.listener.keep(Arc::clone(&self.handle));
            return;
        }
        self.handle.close();
        match Self::open_with(&self.handle.functions, &self.id, Arc::clone(&board), false) {
            // One more handle, since there are others.
            Ok(other) => board.listener.keep(Arc::clone(&other.handle)),
            Err(error) if error.code().is_not_exist() => {
                let forced = SystemExitStatus::new().status(0).exit_type(NotificationType::ForcedExit);
                board.listener.end(Ok(forced));
            }
            Err(error) => board.listener.end(Err(error)),
        }
    }
}

impl System for V1System {
    fn id(&self) -> &str {
        &self.id
    }

    fn start(&self, options: &StartOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(OperationKind::Start, "start", options.as_deref(), Functions::HcsStartComputeSystem)
    }

    fn shut_down(&self, options: &ShutdownOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(
            OperationKind::Shutdown,
            "shut down",
            options.as_deref(),
            Functions::HcsShutdownComputeSystem,
        )
    }

    fn terminate(&self) -> Result<Operation<()>> {
        self.done(OperationKind::Terminate, "terminate", None, Functions::HcsTerminateComputeSystem)
    }

    fn crash(&self, _: &CrashOptions) -> Result<Operation<()>> {
        Err(lacks("HcsCrashComputeSystem").during(self.attempted("crash")))
    }

    fn pause(&self, options: &PauseOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(OperationKind::Pause, "pause", options.as_deref(), Functions::HcsPauseComputeSystem)
    }

    fn resume(&self) -> Result<Operation<()>> {
        self.done(OperationKind::Resume, "resume", None, Functions::HcsResumeComputeSystem)
    }

    fn save(&self, options: &SaveOptions) -> Result<Operation<()>> {
        let options = unless_empty(options);
        self.done(OperationKind::Save, "save", options.as_deref(), Functions::HcsSaveComputeSystem)
    }

    fn properties(&self, query: &SystemPropertyQuery) -> Result<Operation<Properties>> {
        let attempted = self.attempted("query");
        // Without a query the first hosts want an empty one.
        let query = wide(&query.to_json(), &attempted)?;
        self.handle.board.call(
            OperationKind::GetProperties,
            attempted,
            |document, attempted| read(document.as_deref(), attempted),
            |attempted| {
                let (mut properties, mut result) = (Returned::<Task>::new(), Returned::<Task>::new());
                // SAFETY: the handle is open, the text ends with a zero, the others are places for the results.
                let answer = unsafe {
                    self.handle.functions.HcsGetComputeSystemProperties(
                        self.handle.raw,
                        query.as_ptr(),
                        properties.out(),
                        result.out(),
                    )
                };
                Ok(match answered(answer, &result, attempted)? {
                    Answer::Pending => Answer::Pending,
                    Answer::Done(_) => Answer::Done(properties.text(attempted)?),
                })
            },
        )
    }

    fn modify(&self, request: &ModifySettingRequest) -> Result<Operation<()>> {
        self.done(
            OperationKind::Modify,
            "modify",
            Some(&request.to_json()),
            Functions::HcsModifyComputeSystem,
        )
    }

    fn create_process(
        &self,
        parameters: &ProcessParameters,
    ) -> Result<(Box<dyn Process>, Operation<ProcessInformation>)> {
        let attempted = self.attempted("create a process in");
        let parameters = wide(&parameters.to_json(), &attempted)?;
        let mut information = HCS_PROCESS_INFORMATION::NONE;
        let mut process = ptr::null_mut();
        let mut result = Returned::<Task>::new();
        // SAFETY: the handle is open, the text ends with a zero, the others are places for the results.
        let answer = unsafe {
            self.handle.functions.HcsCreateProcess(
                self.handle.raw,
                parameters.as_ptr(),
                &raw mut information,
                &raw mut process,
                result.out(),
            )
        };
        answered(answer, &result, &attempted)?;
        // SAFETY: the library has just handed the handles out.
        let information = unsafe { process_information(information) };
        let id = information.process_id;
        let process = V1Process::own(&self.handle.functions, process, &self.id, id, &attempted)?;
        Ok((Box::new(process), Operation::ready(OperationKind::CreateProcess, attempted, Ok(information))))
    }

    fn open_process(&self, process_id: u32) -> Result<Box<dyn Process>> {
        let attempted = format!("open process {process_id} in compute system {}", self.id);
        let mut process = ptr::null_mut();
        let mut result = Returned::<Task>::new();
        // SAFETY: the handle is open, the others are places for the results.
        let answer = unsafe {
            self.handle.functions.HcsOpenProcess(self.handle.raw, process_id, &raw mut process, result.out())
        };
        answered(answer, &result, &attempted)?;
        Ok(Box::new(V1Process::own(&self.handle.functions, process, &self.id, process_id, &attempted)?))
    }

    fn exit(&self) -> Result<Operation<SystemExitStatus>> {
        Ok(self.handle.board.listener.exit(self.attempted("wait for the exit of")))
    }

    fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()> {
        self.handle.board.listener.set(options, callback)
    }
}
