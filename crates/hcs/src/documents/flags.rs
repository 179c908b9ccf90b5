//! Flags that are numbers.

use crate::document::numbers;

numbers! {
    /// Options of a 9P share, as a number.
    bits Plan9ShareFlags since unpublished {
        /// The guest cannot write.
        READ_ONLY = "ReadOnly" 0x1;
        /// Owner, mode and device numbers of Linux are kept beside each file.
        LINUX_METADATA = "LinuxMetadata" 0x4;
        /// Names that differ only in case are different.
        CASE_SENSITIVE = "CaseSensitive" 0x8;
        /// Files are opened as who shared the directory.
        USE_SHARE_ROOT_IDENTITY = "UseShareRootIdentity" 0x10;
        /// Only the files in `AllowedFiles` exist.
        RESTRICT_FILE_ACCESS = "RestrictFileAccess" 0x80;
        /// The guest may connect more than once.
        UNLIMITED_CONNECTIONS = "UnlimitedConnections" 0x100;
    }
}
