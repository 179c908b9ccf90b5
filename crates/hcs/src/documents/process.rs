//! Processes in a compute system.

use super::Signal;
use crate::document::{IntoField, documents, enumerations};
use serde_json::Value;
use std::collections::BTreeMap;

documents! {
    /// A process to start.
    ProcessParameters {
        "ApplicationName" application_name: String;
        /// The command line of a Windows process.
        "CommandLine" command_line: String;
        /// The arguments of a Linux process.
        "CommandArgs" command_args: Vec<String>;
        "User" user: String;
        "WorkingDirectory" working_directory: String;
        "Environment" environment: BTreeMap<String, String>;
        "RestrictedToken" restricted_token: bool;
        /// With a console; there is no pipe for standard error then.
        "EmulateConsole" emulate_console: bool;
        "CreateStdInPipe" create_std_in_pipe: bool;
        "CreateStdOutPipe" create_std_out_pipe: bool;
        "CreateStdErrPipe" create_std_err_pipe: bool;
        /// Height and width, in characters.
        "ConsoleSize" console_size: [u16; 2];
        "UseExistingLogin" use_existing_login: bool;
        "UseLegacyConsole" use_legacy_console: bool;
        /// The OCI process of an exec in a Linux container.
        "OciProcess" oci_process: Value, since unpublished;
        "OciSpecification" oci_specification: Value, since unpublished;
        /// In the Linux guest, beside its containers.
        "CreateInUtilityVm" create_in_utility_vm: bool, since unpublished;
    }

    /// The state of a process: its properties, and the data of the event that it exited.
    ProcessStatus since 2.1 {
        "ProcessId" process_id: u32;
        "Exited" exited: bool;
        /// The exit code, once it exited; 128 + n of a Linux process killed by signal n.
        "ExitCode" exit_code: u32;
        /// HRESULT.
        "LastWaitResult" last_wait_result: i32;
    }

    /// A change to a process that runs.
    ProcessModifyRequest {
        "Operation" operation: ModifyOperation;
        "ConsoleSize" console_size: ConsoleSize;
        "CloseHandle" close_handle: CloseHandle;
    }

    /// The size of a console, in characters.
    ConsoleSize {
        "Height" height: u16;
        "Width" width: u16;
    }

    /// A standard handle of a process to close.
    CloseHandle {
        "Handle" handle: StdHandle;
    }

    /// A signal for a process.
    SignalProcessOptions since 2.1 {
        "Signal" signal: Signal;
    }
}

enumerations! {
    /// What to change about a process.
    ModifyOperation {
        ConsoleSize = "ConsoleSize";
        CloseHandle = "CloseHandle";
    }

    /// A standard handle of a process.
    StdHandle {
        StdIn = "StdIn";
        StdOut = "StdOut";
        StdErr = "StdErr";
        All = "All", since 2.1;
    }

    /// A signal that a Windows process can get.
    ProcessSignal since 2.1 {
        CtrlC = "CtrlC";
        CtrlBreak = "CtrlBreak";
        CtrlClose = "CtrlClose";
        CtrlLogOff = "CtrlLogOff";
        CtrlShutdown = "CtrlShutdown";
    }
}

impl ProcessParameters {
    /// A Windows process.
    #[must_use]
    pub fn windows(command_line: &str) -> Self {
        Self::new().command_line(command_line)
    }

    /// The first process of a Linux container, of whose specification it is part.
    #[must_use]
    pub fn linux_init() -> Self {
        Self::new()
    }

    /// A further process of a Linux container: `process` of the OCI runtime specification.
    #[must_use]
    pub fn linux_exec(process: Value) -> Self {
        Self::new().oci_process(process)
    }

    /// A process in a Linux utility VM, beside its containers.
    #[must_use]
    pub fn linux_in_utility_vm(arguments: impl IntoField<Vec<String>>) -> Self {
        Self::new().command_args(arguments).create_in_utility_vm(true)
    }

    /// With pipes for standard input, output and error.
    #[must_use]
    pub fn with_pipes(self) -> Self {
        self.create_std_in_pipe(true).create_std_out_pipe(true).create_std_err_pipe(true)
    }

    /// With a console of this size, in characters, and pipes for its input and output.
    #[must_use]
    pub fn with_console(self, height: u16, width: u16) -> Self {
        self.emulate_console(true)
            .create_std_in_pipe(true)
            .create_std_out_pipe(true)
            .console_size([height, width])
    }
}

impl ProcessModifyRequest {
    /// Resizes the console.
    #[must_use]
    pub fn resize(height: u16, width: u16) -> Self {
        let size = ConsoleSize::new().height(height).width(width);
        Self::new().operation(ModifyOperation::ConsoleSize).console_size(size)
    }

    /// Closes a standard handle; of standard input the process sees the end.
    #[must_use]
    pub fn close(handle: StdHandle) -> Self {
        Self::new().operation(ModifyOperation::CloseHandle).close_handle(CloseHandle::new().handle(handle))
    }
}
