//! GUIDs on their way in and out of the libraries.

use crate::abi::GUID;
use crate::document::Guid;

pub(super) fn to_c(guid: &Guid) -> GUID {
    let (data1, data2, data3, data4) = guid.fields();
    GUID { data1, data2, data3, data4 }
}

pub(super) fn from_c(guid: GUID) -> Guid {
    Guid::from_fields(guid.data1, guid.data2, guid.data3, guid.data4)
}
