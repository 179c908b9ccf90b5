//! computestorage.dll, libcomputestorage.so: the exports alone; what is behind them is in `hcs_exports::computestorage`.

use hcs::abi::{HANDLE, HRESULT, PCWSTR, PWSTR};
use hcs_exports::computestorage as functions;
use hcs_exports::{export, export_for_tests};

hcs::computestorage_functions!(export);
export_for_tests!();
