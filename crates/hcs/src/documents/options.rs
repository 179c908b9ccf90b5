//! Options of starting, pausing, saving, shutting down and crashing.

use super::MigrationStartOptions;
use crate::document::{DateTime, documents, enumerations};

documents! {
    /// Options of a start.
    StartOptions since unpublished {
        "DestinationMigrationOptions" destination_migration_options: MigrationStartOptions;
    }

    /// Options of a pause.
    PauseOptions {
        "SuspensionLevel" suspension_level: PauseSuspensionLevel;
        "HostedNotification" hosted_notification: PauseNotification, since 2.1;
    }

    /// What the guest is told of a pause.
    PauseNotification since 2.1 {
        "Reason" reason: PauseReason;
    }

    /// Options of saving.
    SaveOptions since 2.1 {
        "SaveType" save_type: SaveType;
        "SaveStateFilePath" save_state_file_path: String;
    }

    /// Options of a shutdown.
    ShutdownOptions since 2.5 {
        "Mechanism" mechanism: ShutdownMechanism;
        "Type" kind: ShutdownType;
        "Force" force: bool;
        "Reason" reason: String;
    }

    /// Options of crashing a guest.
    CrashOptions since 2.3 {
        "Type" kind: CrashType;
    }

    /// An operation and its times.
    OperationInfo since 2.6 {
        "Operation" operation: OperationType;
        "StartTimestamp" start_timestamp: DateTime;
        "EndTimestamp" end_timestamp: DateTime;
        "FailureInfo" failure_info: OperationFailureInfo;
    }

    /// The result of an operation that failed.
    OperationFailureInfo since 2.6 {
        "Result" result: i32;
    }
}

enumerations! {
    /// How deep a pause is.
    PauseSuspensionLevel {
        Suspend = "Suspend";
        MemoryLow = "MemoryLow";
        MemoryMedium = "MemoryMedium";
        MemoryHigh = "MemoryHigh";
    }

    /// Why a machine is paused.
    PauseReason since 2.1 {
        None = "None";
        Save = "Save";
        Template = "Template";
    }

    /// What is saved.
    SaveType since 2.1 {
        ToFile = "ToFile";
        AsTemplate = "AsTemplate";
    }

    /// Who tells the guest to shut down.
    ShutdownMechanism since 2.5 {
        GuestConnection = "GuestConnection";
        IntegrationService = "IntegrationService";
    }

    /// What a shutdown is.
    ShutdownType since 2.5 {
        Shutdown = "Shutdown";
        Hibernate = "Hibernate";
        Reboot = "Reboot";
    }

    /// Who is to crash.
    CrashType since 2.3 {
        CrashGuest = "CrashGuest";
    }

    /// What an operation does.
    OperationType since 2.6 {
        None = "None";
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
        ExecuteProcess = "ExecuteProcess";
        GetProcessInfo = "GetProcessInfo";
        SignalProcess = "SignalProcess";
        ModifyProcess = "ModifyProcess";
        CancelOperation = "CancelOperation";
    }
}
