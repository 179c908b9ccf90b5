//! computestorage.dll, libcomputestorage.so: the exports alone; what is behind them is in `hcs_exports::computestorage`.

// UNSAFETY: exports have names that the linker must not change, and take pointers.
#![expect(unsafe_code, reason = "the interface is C's")]
#![expect(non_snake_case, reason = "the names are Microsoft's")]

use hcs::abi::{HANDLE, HRESULT, PCWSTR, PWSTR};
use hcs_exports::computestorage as functions;
use hcs_exports::{export, export_for_tests};


hcs::computestorage_functions!(export);
export_for_tests!();
