//! A process in a compute system by way of vmcompute.dll.

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "vmcompute.dll has a C interface")]

use super::answered;
use super::board::{Answer, Board};
use super::functions::Functions;
use super::registration::{Calls, Registered};
use crate::abi::{HCS_PROCESS, HCS_PROCESS_INFORMATION, HRESULT, PCWSTR, PWSTR};
use crate::document::Document as _;
use crate::documents::{ProcessModifyRequest, ProcessStatus, SignalProcessOptions};
use crate::error::Result;
use crate::event::{EventCallback, EventOptions};
use crate::operation::{Operation, OperationKind};
use crate::service::{Process, ProcessInformation};
use crate::windows::answer::{no_handle, process_information};
use crate::windows::library::Unavailable;
use crate::windows::text::{Returned, Task, read, wide};
use std::sync::Arc;

const CALLS: Calls = Calls {
    register: Functions::HcsRegisterProcessCallback,
    unregister: Functions::HcsUnregisterProcessCallback,
    close: Functions::HcsCloseProcess,
};

/// A handle to a process, closed when it is dropped.
pub(super) struct V1Process {
    /// The compute system's id, for errors.
    system: Arc<str>,
    id: u32,
    handle: Arc<Registered<ProcessStatus>>,
}

impl V1Process {
    pub(super) fn own(
        functions: &Arc<Functions>,
        raw: HCS_PROCESS,
        system: &Arc<str>,
        id: u32,
        attempted: &str,
    ) -> Result<Self> {
        if raw.is_null() {
            return Err(no_handle(attempted));
        }
        let board = Arc::new(Board::new());
        let handle = Registered::new(Arc::clone(functions), board, raw, &CALLS, attempted)?;
        Ok(Self { system: Arc::clone(system), id, handle: Arc::new(handle) })
    }

    fn done(
        &self,
        kind: OperationKind,
        verb: &str,
        call: impl FnOnce(&Functions, HCS_PROCESS, *mut PWSTR) -> std::result::Result<HRESULT, Unavailable>,
    ) -> Result<Operation<()>> {
        self.handle.board.call(
            kind,
            self.attempted(verb),
            |_, _| Ok(()),
            |attempted| {
                let mut result = Returned::<Task>::new();
                let answer = call(&self.handle.functions, self.handle.raw, result.out());
                answered(answer, &result, attempted)
            },
        )
    }

    fn with_text(
        &self,
        kind: OperationKind,
        verb: &str,
        text: &str,
        call: unsafe fn(
            &Functions,
            HCS_PROCESS,
            PCWSTR,
            *mut PWSTR,
        ) -> std::result::Result<HRESULT, Unavailable>,
    ) -> Result<Operation<()>> {
        let text = wide(text, &self.attempted(verb))?;
        // SAFETY: the handle is open, the text ends with a zero, the last is a place for the result.
        self.done(kind, verb, |functions, process, result| unsafe {
            call(functions, process, text.as_ptr(), result)
        })
    }

    fn attempted(&self, verb: &str) -> String {
        format!("{verb} process {} in compute system {}", self.id, self.system)
    }
}

impl Drop for V1Process {
    fn drop(&mut self) {
        let listener = &self.handle.board.listener;
        listener.close();
        if listener.is_waited_for() {
            listener.keep(Arc::clone(&self.handle));
        }
    }
}

impl Process for V1Process {
    fn id(&self) -> Option<u32> {
        Some(self.id)
    }

    fn information(&self) -> Result<Operation<ProcessInformation>> {
        let attempted = self.attempted("ask the information of");
        let mut information = HCS_PROCESS_INFORMATION::NONE;
        let mut result = Returned::<Task>::new();
        // SAFETY: the handle is open, the others are places for the results.
        let answer = unsafe {
            self.handle.functions.HcsGetProcessInfo(self.handle.raw, &raw mut information, result.out())
        };
        answered(answer, &result, &attempted)?;
        // SAFETY: the library has just handed the handles out.
        let information = unsafe { process_information(information) };
        Ok(Operation::ready(OperationKind::GetProcessInfo, attempted, Ok(information)))
    }

    fn properties(&self) -> Result<Operation<ProcessStatus>> {
        self.handle.board.call(
            OperationKind::GetProcessProperties,
            self.attempted("query"),
            |document, attempted| read(document.as_deref(), attempted),
            |attempted| {
                let (mut properties, mut result) = (Returned::<Task>::new(), Returned::<Task>::new());
                // SAFETY: the handle is open, the others are places for the results.
                let answer = unsafe {
                    self.handle.functions.HcsGetProcessProperties(
                        self.handle.raw,
                        properties.out(),
                        result.out(),
                    )
                };
                answered(answer, &result, attempted)?;
                Ok(Answer::Done(properties.text(attempted)?))
            },
        )
    }

    fn modify(&self, request: &ProcessModifyRequest) -> Result<Operation<()>> {
        self.with_text(
            OperationKind::ModifyProcess,
            "modify",
            &request.to_json(),
            Functions::HcsModifyProcess,
        )
    }

    fn signal(&self, options: Option<&SignalProcessOptions>) -> Result<Operation<()>> {
        // What Microsoft's own client sends for the signal that ends a process.
        let options = options.map_or_else(|| "null".to_owned(), crate::document::Document::to_json);
        self.with_text(OperationKind::SignalProcess, "signal", &options, Functions::HcsSignalProcess)
    }

    fn terminate(&self) -> Result<Operation<()>> {
        // SAFETY: the handle is open, the last is a place for the result.
        self.done(OperationKind::Terminate, "terminate", |functions, process, result| unsafe {
            functions.HcsTerminateProcess(process, result)
        })
    }

    fn exit(&self) -> Result<Operation<ProcessStatus>> {
        Ok(self.handle.board.listener.exit(self.attempted("wait for the exit of")))
    }

    fn set_callback(&self, options: EventOptions, callback: EventCallback) -> Result<()> {
        self.handle.board.listener.set(options, callback)
    }
}
