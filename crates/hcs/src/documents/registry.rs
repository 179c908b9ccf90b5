//! Changes to the registry of a container or a virtual machine.

use crate::document::{ByteArray, documents, enumerations};

documents! {
    /// Values to add and keys to delete before the start.
    RegistryChanges {
        "AddValues" add_values: Vec<RegistryValue>;
        "DeleteKeys" delete_keys: Vec<RegistryKey>;
    }

    /// A registry key.
    RegistryKey {
        "Hive" hive: RegistryHive;
        "Name" name: String;
        "Volatile" volatile: bool;
    }

    /// A registry value.
    RegistryValue {
        "Key" key: RegistryKey;
        "Name" name: String;
        "Type" kind: RegistryValueType;
        "StringValue" string_value: String;
        "BinaryValue" binary_value: ByteArray;
        "DWordValue" dword_value: u32;
        "QWordValue" qword_value: u64;
        "CustomType" custom_type: u32;
    }

    /// Whether the registry of a container is flushed to disk.
    RegistryFlushState since 2.1 {
        "Enabled" enabled: bool;
    }
}

enumerations! {
    /// A registry hive.
    RegistryHive {
        System = "System";
        Software = "Software";
        Security = "Security";
        Sam = "Sam";
    }

    /// The type of a registry value.
    RegistryValueType {
        None = "None";
        String = "String";
        ExpandedString = "ExpandedString";
        MultiString = "MultiString";
        Binary = "Binary";
        DWord = "DWord";
        QWord = "QWord";
        CustomType = "CustomType";
    }
}

impl RegistryKey {
    /// A key of a hive.
    #[must_use]
    pub fn of(hive: RegistryHive, name: &str) -> Self {
        Self::new().hive(hive).name(name)
    }
}

impl RegistryValue {
    /// A text.
    #[must_use]
    pub fn string(key: RegistryKey, name: &str, text: &str) -> Self {
        Self::new().key(key).name(name).kind(RegistryValueType::String).string_value(text)
    }

    /// A number of 32 bits.
    #[must_use]
    pub fn dword(key: RegistryKey, name: &str, number: u32) -> Self {
        Self::new().key(key).name(name).kind(RegistryValueType::DWord).dword_value(number)
    }

    /// A number of 64 bits.
    #[must_use]
    pub fn qword(key: RegistryKey, name: &str, number: u64) -> Self {
        Self::new().key(key).name(name).kind(RegistryValueType::QWord).qword_value(number)
    }

    /// Bytes.
    #[must_use]
    pub fn binary(key: RegistryKey, name: &str, bytes: &[u8]) -> Self {
        Self::new().key(key).name(name).kind(RegistryValueType::Binary).binary_value(bytes)
    }
}
