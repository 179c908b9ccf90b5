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
