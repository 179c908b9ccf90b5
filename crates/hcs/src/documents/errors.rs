//! Errors: what went wrong, and who is to blame.

use crate::document::{Guid, documents, enumerations};

documents! {
    /// The result document of an operation that failed.
    ResultError {
        /// HRESULT.
        "Error" error: i32, since 2.1;
        "ErrorMessage" error_message: String, since 2.1;
        "ErrorEvents" error_events: Vec<ErrorEvent>, since 2.4;
        "Attribution" attribution: Vec<AttributionRecord>, since 2.4;
    }

    /// One of the errors that led to a failure.
    ErrorEvent since 2.1 {
        "Message" message: String;
        "StackTrace" stack_trace: String;
        "Provider" provider: Guid;
        "EventId" event_id: u16;
        "Flags" flags: u32;
        "Source" source: String;
        "Data" data: Vec<EventData>;
    }

    /// A value in an error.
    EventData since 2.1 {
        "Type" kind: EventDataType;
        "Value" value: String;
    }

    /// One reason of a failure or an exit: exactly one of the fields.
    AttributionRecord since 2.4 {
        "WorkerExit" worker_exit: WorkerExit;
        "GuestCrash" guest_crash: GuestCrash;
        "TripleFault" triple_fault: TripleFault;
        "InjectNonMaskableInterrupt" inject_non_maskable_interrupt: InjectNonMaskableInterrupt;
        "OperationFailure" operation_failure: OperationFailure;
        "SystemExit" system_exit: SystemExit;
        "VirtualDeviceFailure" virtual_device_failure: VirtualDeviceFailure;
    }

    /// The worker process of a virtual machine exited.
    WorkerExit since 2.4 {
        "ExitCode" exit_code: u32;
        "Type" kind: WorkerExitType;
        "Detail" detail: WorkerExitDetail;
        "Initiator" initiator: ExitInitiator;
    }

    /// The guest crashed.
    GuestCrash since 2.4 {
        "CrashParameters" crash_parameters: Vec<u64>;
    }

    /// A virtual processor had a triple fault.
    TripleFault since 2.4 {
        "ErrorType" error_type: u64;
    }

    /// A non-maskable interrupt was injected.
    InjectNonMaskableInterrupt since 2.4 {}

    /// An operation failed.
    OperationFailure since 2.4 {
        "Detail" detail: OperationFailureDetail;
    }

    /// The compute system exited.
    SystemExit since 2.4 {
        "Detail" detail: SystemExitDetail;
        "Initiator" initiator: ExitInitiator;
    }

    /// A virtual device failed.
    VirtualDeviceFailure since 2.4 {
        "Detail" detail: VirtualDeviceFailureDetail;
        "Name" name: String;
        "DeviceId" device_id: Guid;
        "InstanceId" instance_id: Guid;
    }
}

enumerations! {
    /// The type of a value in an error.
    EventDataType since 2.1 {
        Empty = "Empty";
        String = "String";
        AnsiString = "AnsiString";
        SByte = "SByte";
        Byte = "Byte";
        Int16 = "Int16";
        UInt16 = "UInt16";
        Int32 = "Int32";
        UInt32 = "UInt32";
        Int64 = "Int64";
        UInt64 = "UInt64";
        Single = "Single";
        Double = "Double";
        Boolean = "Boolean";
        Binary = "Binary";
        Guid = "Guid";
    }

    /// How the worker process exited.
    WorkerExitType since 2.4 {
        None = "None";
        InitializationFailed = "InitializationFailed";
        Stopped = "Stopped";
        Saved = "Saved";
        StoppedOnReset = "StoppedOnReset";
        UnexpectedStop = "UnexpectedStop";
        ResetFailed = "ResetFailed";
        UnrecoverableError = "UnrecoverableError";
    }

    /// Why the worker process exited.
    WorkerExitDetail {
        Invalid = "Invalid", since 2.4;
        PowerOff = "PowerOff", since 2.4;
        PowerOffCritical = "PowerOffCritical", since 2.4;
        Reset = "Reset", since 2.4;
        GuestCrash = "GuestCrash", since 2.4;
        GuestFirmwareCrash = "GuestFirmwareCrash", since 2.4;
        TripleFault = "TripleFault", since 2.4;
        DeviceFatalApicRequest = "DeviceFatalApicRequest", since 2.4;
        DeviceFatalMsrRequest = "DeviceFatalMsrRequest", since 2.4;
        DeviceFatalException = "DeviceFatalException", since 2.4;
        DeviceFatalError = "DeviceFatalError", since 2.4;
        DeviceMachineCheck = "DeviceMachineCheck", since 2.4;
        EmulatorError = "EmulatorError", since 2.4;
        VidTerminate = "VidTerminate", since 2.4;
        ProcessUnexpectedExit = "ProcessUnexpectedExit", since 2.4;
        InitializationFailure = "InitializationFailure", since 2.4;
        InitializationStartTimeout = "InitializationStartTimeout", since 2.4;
        ColdStartFailure = "ColdStartFailure", since 2.4;
        ResetStartFailure = "ResetStartFailure", since 2.4;
        FastRestoreStartFailure = "FastRestoreStartFailure", since 2.4;
        RestoreStartFailure = "RestoreStartFailure", since 2.4;
        FastSavePreservePartition = "FastSavePreservePartition", since 2.4;
        FastSavePreservePartitionHandleTransfer = "FastSavePreservePartitionHandleTransfer", since 2.4;
        FastSave = "FastSave", since 2.4;
        CloneTemplate = "CloneTemplate", since 2.4;
        Save = "Save", since 2.4;
        Migrate = "Migrate", since 2.4;
        MigrateFailure = "MigrateFailure", since 2.4;
        CannotReferenceVm = "CannotReferenceVm", since 2.4;
        MgotUnregister = "MgotUnregister", since 2.4;
        FastSavePreservePartitionHandleTransferStorage =
            "FastSavePreservePartitionHandleTransferStorage", since 2.5;
        FastSavePreservePartitionHandleTransferNetworking =
            "FastSavePreservePartitionHandleTransferNetworking", since 2.5;
        FastSavePreservePartitionHandleTransferStorageAndNetworking =
            "FastSavePreservePartitionHandleTransferStorageAndNetworking", since 2.5;
        FastSavePreservePartitionHsr = "FastSavePreservePartitionHsr", since 2.5;
        FastSavePreservePartitionWithHandleTransfer =
            "FastSavePreservePartitionWithHandleTransfer", since 2.5;
        FastSaveWithHandleTransfer = "FastSaveWithHandleTransfer", since 2.5;
    }

    /// Who made it exit.
    ExitInitiator since 2.4 {
        None = "None";
        GuestOS = "GuestOS";
        Client = "Client";
        Internal = "Internal";
        Unknown = "Unknown";
    }

    /// Which operation failed.
    OperationFailureDetail since 2.4 {
        Invalid = "Invalid";
        CreateInternalError = "CreateInternalError";
        ConstructStateError = "ConstructStateError";
        RuntimeOsTypeMismatch = "RuntimeOsTypeMismatch";
        Construct = "Construct";
        Start = "Start";
        Pause = "Pause";
        Resume = "Resume";
        Shutdown = "Shutdown";
        Terminate = "Terminate";
        Save = "Save";
        GetProperties = "GetProperties";
        Modify = "Modify";
        Crash = "Crash";
        GuestCrash = "GuestCrash";
        LifecycleNotify = "LifecycleNotify";
        ExecuteProcess = "ExecuteProcess";
        GetProcessInfo = "GetProcessInfo";
        WaitForProcess = "WaitForProcess";
        SignalProcess = "SignalProcess";
        ModifyProcess = "ModifyProcess";
        PrepareForHosting = "PrepareForHosting";
        RegisterHostedSystem = "RegisterHostedSystem";
        UnregisterHostedSystem = "UnregisterHostedSystem";
        PrepareForClone = "PrepareForClone";
        GetCloneTemplate = "GetCloneTemplate";
    }

    /// Why the compute system exited.
    SystemExitDetail since 2.4 {
        Invalid = "Invalid";
        HcsApiFatalError = "HcsApiFatalError";
        ServiceStop = "ServiceStop";
        Shutdown = "Shutdown";
        Terminate = "Terminate";
        UnexpectedExit = "UnexpectedExit";
    }

    /// What the virtual device did when it failed.
    VirtualDeviceFailureDetail since 2.4 {
        None = "None";
        Create = "Create";
        Initialize = "Initialize";
        StartReservingResources = "StartReservingResources";
        FinishReservingResources = "FinishReservingResources";
        FreeReservedResources = "FreeReservedResources";
        SaveReservedResources = "SaveReservedResources";
        PowerOnCold = "PowerOnCold";
        PowerOnRestore = "PowerOnRestore";
        PowerOff = "PowerOff";
        Save = "Save";
        Resume = "Resume";
        Pause = "Pause";
        EnableOptimizations = "EnableOptimizations";
        StartDisableOptimizations = "StartDisableOptimizations";
        FinishDisableOptimizations = "FinishDisableOptimizations";
        Reset = "Reset";
        PostReset = "PostReset";
        Teardown = "Teardown";
        SaveCompatibilityInfo = "SaveCompatibilityInfo";
        MetricRestore = "MetricRestore";
        MetricEnumerate = "MetricEnumerate";
        MetricEnumerateForSave = "MetricEnumerateForSave";
        MetricReset = "MetricReset";
        MetricEnable = "MetricEnable";
        MetricDisable = "MetricDisable";
    }
}
