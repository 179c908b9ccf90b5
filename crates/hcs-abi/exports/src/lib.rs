//! The functions behind the C interface of HCS: what computecore.dll, vmcompute.dll, computestorage.dll and
//! computenetwork.dll export, over any implementation of `hcs`'s traits.
//!
//! The crates beside this one are the libraries: each gives the list of its functions (`hcs::abi`) to [`export!`],
//! which makes an export of each that calls the function of the same name here. What fails here comes out as an
//! HRESULT; a panic ends at the export.
//!
//! The functions are unsafe as C's are: a text ends with a zero or is null, a place for a result is one or null, a
//! callback may be called with its context until it is taken away. Their documentation is Microsoft's.
//!
//! Handles are numbers in a table, never pointers: one that was closed, or never opened, is answered with `E_HANDLE`.

#![expect(missing_docs, clippy::missing_safety_doc, reason = "said once, above")]

mod backend;
pub mod computecore;
pub mod computenetwork;
pub mod computestorage;
pub mod counters;
mod handles;
mod outlet;
mod reply;
mod sys;
mod text;
pub mod vmcompute;

use hcs::HResult;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What an export answers when it panics.
pub trait OnPanic {
    /// The answer.
    fn on_panic() -> Self;
}

impl OnPanic for () {
    fn on_panic() {}
}

impl OnPanic for i32 {
    fn on_panic() -> Self {
        HResult::E_UNEXPECTED.to_i32()
    }
}

impl OnPanic for u64 {
    fn on_panic() -> Self {
        0
    }
}

impl OnPanic for *mut c_void {
    fn on_panic() -> Self {
        std::ptr::null_mut()
    }
}

/// Runs the body of an export: counted, and without letting a panic out.
pub fn guard<R: OnPanic>(body: impl FnOnce() -> R) -> R {
    counters::count_call();
    let _inside = outlet::Inside::enter();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| R::on_panic())
}

/// Makes the exports of a library. The functions of this crate that are behind them are found as `functions`.
#[macro_export]
macro_rules! export {
    (
        $library:literal
        $([$since:literal] fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)*
    ) => {
        $(
            #[doc = concat!("See `", stringify!($name), "` in Microsoft's documentation.\n\n# Safety\nWhat it says of the arguments.")]
            #[unsafe(no_mangle)]
            pub unsafe extern "system" fn $name($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise.
                $crate::guard(|| unsafe { functions::$name($($arg),*) })
            }
        )*
    };
}
