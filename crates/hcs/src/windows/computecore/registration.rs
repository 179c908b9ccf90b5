//! The callback of a handle: computecore.dll has it from the moment that somebody needs it until the handle is closed.

// UNSAFETY: the callback is a C function with a context.
#![expect(unsafe_code, reason = "computecore.dll has a C interface")]

use crate::abi::{HCS_EVENT, HCS_EVENT_CALLBACK, HCS_EVENT_OPTIONS, HRESULT};
use crate::error::{Error, Result};
use crate::event::EventOptions;
use crate::hresult::HResult;
use crate::windows::answer::check;
use crate::windows::library::Unavailable;
use crate::windows::listener::{Exit, Listener};
use crate::windows::text::shown;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// A handle's listener, and whether the library knows it.
pub(super) struct Registration<T: Exit> {
    listener: Arc<Listener<T>>,
    /// Whether the library has a count of the listener.
    registered: Mutex<bool>,
}

impl<T: Exit> Registration<T> {
    pub(super) fn of(listener: Arc<Listener<T>>) -> Self {
        Self { listener, registered: Mutex::new(false) }
    }

    pub(super) fn listener(&self) -> &Arc<Listener<T>> {
        &self.listener
    }

    /// Gives the library a callback, once for the life of the handle: `set` passes on the options, the context and the
    /// callback. The context is counted until [`Registration::release`].
    pub(super) fn register(
        &self,
        options: EventOptions,
        attempted: String,
        set: impl FnOnce(
            HCS_EVENT_OPTIONS,
            *const c_void,
            HCS_EVENT_CALLBACK,
        ) -> std::result::Result<HRESULT, Unavailable>,
    ) -> Result<()> {
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        if *registered {
            return match options.live_migration {
                true => Err(Error::new(attempted, HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET)),
                false => Ok(()),
            };
        }
        // The ends of operations reach the callback by way of the operations themselves.
        let bits = EventOptions { operation_callbacks: false, ..options }.bits().cast_signed();
        let context = Arc::into_raw(Arc::clone(&self.listener));
        let set = check(set(bits, context.cast(), Some(heard::<T>)), &attempted);
        match &set {
            Ok(()) => *registered = true,
            // SAFETY: the library has not taken the count.
            Err(_) => drop(unsafe { Arc::from_raw(context) }),
        }
        set
    }

    /// Gives back the library's count.
    ///
    /// # Safety
    /// The handle is closed, so that the library calls no more, and this was not called before.
    pub(super) unsafe fn release(&self) {
        if *self.registered.lock().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: the count that the library had.
            drop(unsafe { Arc::from_raw(Arc::as_ptr(&self.listener)) });
        }
    }
}

/// The callback of every handle.
unsafe extern "system" fn heard<T: Exit>(event: *const HCS_EVENT, context: *const c_void) {
    let context = context.cast::<Listener<T>>();
    // SAFETY: the library calls with the context that it was given, of which it has a count; this one is for the
    // time of the call, in which the handle may be closed.
    let listener = unsafe {
        Arc::increment_strong_count(context);
        Arc::from_raw(context)
    };
    // SAFETY: null, or an event that lives until this returns.
    let Some(event) = (unsafe { event.as_ref() }) else { return };
    // SAFETY: the event's text lives until this returns.
    let data = unsafe { shown(event.EventData) };
    // A panic ends here: there is nothing of Rust above.
    let _ = catch_unwind(AssertUnwindSafe(|| listener.hear(event.Type.cast_unsigned(), data)));
}
