//! Who has registered for the notifications of a handle, and what who comes late is told.

use crate::handles::Table;
use crate::outlet::Outlet;
use hcs::abi::{HCS_CALLBACK, HCS_NOTIFICATION_CALLBACK};
use hcs::event::{Event, Notification};
use hcs::{Error, HResult, Result};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

static REGISTRATIONS: Table<Registration> = Table::new();

/// A registered callback.
struct Registration {
    outlet: Arc<Outlet>,
    notices: Weak<Notices>,
}

/// How many are registered.
pub(crate) fn registrations() -> usize {
    REGISTRATIONS.count()
}

/// The notifications of one handle.
#[derive(Default)]
pub(super) struct Notices {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outlets: Vec<Arc<Outlet>>,
    handles: Vec<usize>,
    /// Happened once and for all: the creation, the exit.
    kept: Vec<Notice>,
}

#[derive(Clone)]
struct Notice {
    code: u32,
    status: HResult,
    data: Option<String>,
}

impl Notices {
    /// Tells all who are registered.
    pub(super) fn tell(&self, notification: Notification, status: HResult, data: Option<String>) {
        let notice = Notice { code: notification.code(), status: status.to_v1(), data };
        let once = matches!(
            notification,
            Notification::SystemCreateCompleted | Notification::SystemExited | Notification::ProcessExited
        );
        let outlets = {
            let mut state = self.state();
            if once {
                state.kept.push(notice.clone());
            }
            state.outlets.clone()
        };
        for outlet in outlets {
            outlet.tell(notice.code, notice.status, notice.data.clone());
        }
    }

    /// Tells an event of the trait's.
    pub(super) fn hear(&self, event: &Event) {
        if let Some(notification) = event.notification() {
            self.tell(notification, HResult::S_OK, event.data());
        }
    }

    /// Registers a callback, which is told at once what it has missed.
    pub(super) fn register(
        self: &Arc<Self>,
        callback: HCS_NOTIFICATION_CALLBACK,
        context: *const c_void,
    ) -> Result<HCS_CALLBACK> {
        if callback.is_none() {
            return Err(Error::new("register a callback", HResult::E_INVALIDARG));
        }
        let outlet = Outlet::new(callback, context);
        let entry = Registration { outlet: Arc::clone(&outlet), notices: Arc::downgrade(self) };
        let handle = REGISTRATIONS.open(|_| entry);
        let kept = {
            let mut state = self.state();
            state.outlets.push(Arc::clone(&outlet));
            state.handles.push(handle.addr());
            state.kept.clone()
        };
        // In their order, and by one thread of their own: the caller has not its handle yet.
        std::thread::spawn(move || {
            for notice in kept {
                outlet.tell(notice.code, notice.status, notice.data);
            }
        });
        Ok(handle)
    }

    /// Ends every registration.
    pub(super) fn close(&self) {
        let handles = std::mem::take(&mut self.state().handles);
        for handle in handles {
            let _ = unregister(std::ptr::without_provenance_mut(handle));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a registration: when this returns, no callback runs on another thread, and none will.
pub(super) fn unregister(handle: HCS_CALLBACK) -> Result<()> {
    let registration = REGISTRATIONS.close(handle)?;
    if let Some(notices) = registration.notices.upgrade() {
        let mut state = notices.state();
        state.outlets.retain(|outlet| !Arc::ptr_eq(outlet, &registration.outlet));
        state.handles.retain(|known| *known != handle.addr());
    }
    registration.outlet.close();
    Ok(())
}
