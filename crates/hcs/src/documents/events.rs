//! What events carry: exits and crashes.

use super::AttributionRecord;
use crate::document::{Guid, documents, enumerations};

documents! {
    /// The data of the event that a compute system exited.
    SystemExitStatus {
        /// HRESULT.
        "Status" status: i32, since 2.1;
        "ExitType" exit_type: NotificationType, since 2.2;
        "Attribution" attribution: Vec<AttributionRecord>, since 2.4;
    }

    /// The data of the events that a guest crashes.
    CrashReport {
        "SystemId" system_id: String, since 2.1;
        "ActivityId" activity_id: Guid, since 2.1;
        "WindowsCrashInfo" windows_crash_info: WindowsCrashReport, since 2.1;
        "CrashParameters" crash_parameters: Vec<u64>, since 2.3;
        "CrashLog" crash_log: String, since 2.3;
        "Status" status: i32, since 2.4;
        "PreOSId" pre_os_id: u32, since 2.4;
        "CrashStackUnavailable" crash_stack_unavailable: bool, since 2.4;
    }

    /// The crash of a Windows guest.
    WindowsCrashReport since 2.1 {
        "DumpFile" dump_file: String;
        "OsMajorVersion" os_major_version: u32;
        "OsMinorVersion" os_minor_version: u32;
        "OsBuildNumber" os_build_number: u32;
        "OsServicePackMajorVersion" os_service_pack_major_version: u32;
        "OsServicePackMinorVersion" os_service_pack_minor_version: u32;
        "OsSuiteMask" os_suite_mask: u32;
        "OsProductType" os_product_type: u32;
        "Status" status: i32;
        "FinalPhase" final_phase: WindowsCrashPhase;
    }
}

enumerations! {
    /// How a compute system exited.
    NotificationType since 2.1 {
        None = "None";
        GracefulExit = "GracefulExit";
        ForcedExit = "ForcedExit";
        UnexpectedExit = "UnexpectedExit";
        Unknown = "Unknown";
    }

    /// How far a crash dump got.
    WindowsCrashPhase since 2.1 {
        Inactive = "Inactive";
        CrashValues = "CrashValues";
        Starting = "Starting";
        Started = "Started";
        Writing = "Writing";
        Complete = "Complete";
    }
}
