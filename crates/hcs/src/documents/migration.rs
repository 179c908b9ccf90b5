//! Live migration of virtual machines.

use crate::document::{ByteArray, DateTime, documents, enumerations};
use serde_json::Value;

documents! {
    /// How a machine is to be migrated.
    MigrationInitializeOptions since unpublished {
        "Origin" origin: MigrationOrigin;
        "MemoryTransport" memory_transport: MigrationMemoryTransport;
        "MemoryTransferThrottleParams" memory_transfer_throttle_params: MemoryMigrationTransferThrottleParams;
        "CompressionSettings" compression_settings: MigrationCompressionSettings;
        "ChecksumVerification" checksum_verification: bool;
        "PerfTracingEnabled" perf_tracing_enabled: bool;
        "CancelIfBlackoutThresholdExceeds" cancel_if_blackout_threshold_exceeds: bool;
        "PrepareMemoryTransferMode" prepare_memory_transfer_mode: bool;
        "CompatibilityData" compatibility_data: CompatibilityInfo;
    }

    /// How the guest is slowed down so that its memory can be sent.
    MemoryMigrationTransferThrottleParams since unpublished {
        "SkipThrottling" skip_throttling: bool;
        "ThrottlingScale" throttling_scale: f64;
        "MinimumThrottlePercentage" minimum_throttle_percentage: u8;
        "TargetNumberOfBrownoutTransferPasses" target_number_of_brownout_transfer_passes: u32;
        "StartingBrownoutPassNumberForThrottling" starting_brownout_pass_number_for_throttling: u32;
        "MaximumNumberOfBrownoutTransferPasses" maximum_number_of_brownout_transfer_passes: u32;
        "TargetBlackoutTransferTime" target_blackout_transfer_time: u32;
        "BlackoutTimeThresholdForCancellingMigration" blackout_time_threshold_for_cancelling_migration: u32;
    }

    /// Compression of memory that is sent.
    MigrationCompressionSettings since unpublished {
        "ThrottleWorkerCount" throttle_worker_count: u32;
    }

    /// What a destination must be able to do, opaque.
    CompatibilityInfo since unpublished {
        "Data" data: ByteArray;
    }

    /// Options of starting a migration.
    MigrationStartOptions since unpublished {
        "NetworkSettings" network_settings: MigrationNetworkSettings;
    }

    /// The connection between source and destination.
    MigrationNetworkSettings since unpublished {
        /// The session of the connection.
        "SessionId" session_id: u32;
    }

    /// Options of the transfer.
    MigrationTransferOptions since unpublished {
        "Origin" origin: MigrationOrigin;
    }

    /// How a migration ends.
    MigrationFinalizedOptions since unpublished {
        "Origin" origin: MigrationOrigin;
        "FinalizedOperation" finalized_operation: MigrationFinalOperation;
    }

    /// Options of cancelling a migration.
    MigrationCancelOptions since unpublished {
        "Origin" origin: MigrationOrigin;
    }

    /// The data of the events of a migration.
    OperationSystemMigrationNotificationInfo since unpublished {
        "Origin" origin: MigrationOrigin;
        "Event" event: MigrationEvent;
        "Result" result: MigrationResult;
        "AdditionalDetails" additional_details: Value;
    }

    /// The details of the event that the machine runs again.
    BlackoutExitedEventDetails since unpublished {
        /// In milliseconds.
        "BlackoutDurationMilliseconds" blackout_duration_milliseconds: u64;
        "BlackoutStopTimestamp" blackout_stop_timestamp: DateTime;
    }
}

enumerations! {
    /// A side of a migration.
    MigrationOrigin since unpublished {
        Source = "Source";
        Destination = "Destination";
    }

    /// How memory is sent.
    MigrationMemoryTransport since unpublished {
        Tcp = "TCP";
    }

    /// What happens to the machine when a migration ends.
    MigrationFinalOperation since unpublished {
        Resume = "Resume";
        Stop = "Stop";
    }

    /// How far a migration is.
    MigrationEvent since unpublished {
        Unknown = "Unknown";
        MigrationDone = "MigrationDone";
        BlackoutStarted = "BlackoutStarted";
        OfflineDone = "OfflineDone";
        BlackoutExited = "BlackoutExited";
        SetupDone = "SetupDone";
        TransferInProgress = "TransferInProgress";
        MigrationRecoveryDone = "MigrationRecoveryDone";
        MigrationFailed = "MigrationFailed";
    }

    /// How a migration ended.
    MigrationResult since unpublished {
        Invalid = "Invalid";
        Success = "Success";
        MigrationCancelled = "MigrationCancelled";
        GuestInitiatedCancellation = "GuestInitiatedCancellation";
        SourceMigrationFailed = "SourceMigrationFailed";
        DestinationMigrationFailed = "DestinationMigrationFailed";
        MigrationRecoveryFailed = "MigrationRecoveryFailed";
    }
}
