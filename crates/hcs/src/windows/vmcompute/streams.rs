//! Layers file by file, as the first hosts had them: each file's data is a backup stream (`BackupRead`).

// UNSAFETY: the library's functions take pointers.
#![expect(unsafe_code, reason = "vmcompute.dll has a C interface")]

use super::functions::Functions;
use crate::abi::{FILE_BASIC_INFO, HRESULT};
use crate::error::{Error, Result};
use crate::hresult::HResult;
use crate::windows::answer::check;
use crate::windows::library::Unavailable;
use crate::windows::text::{Returned, Task, wide};
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::Arc;

/// A layer that is being written; it is complete when [`LayerWriter::finish`] has returned.
pub struct LayerWriter {
    functions: Arc<Functions>,
    /// Null when it is finished.
    context: *mut c_void,
    attempted: String,
}

/// A layer that is being read.
pub struct LayerReader {
    functions: Arc<Functions>,
    context: *mut c_void,
    attempted: String,
}

/// A file, folder or deletion in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Below the layer's root.
    pub name: String,
    /// Times and attributes.
    pub information: FILE_BASIC_INFO,
    /// Of the file, in bytes.
    pub size: u64,
    /// It stands for the absence of what lower layers have under this name.
    pub deleted: bool,
}

// SAFETY: the library's contexts are used by one thread at a time, whichever that is.
unsafe impl Send for LayerWriter {}
// SAFETY: as above.
unsafe impl Send for LayerReader {}

impl LayerWriter {
    pub(super) fn new(functions: Arc<Functions>, context: *mut c_void, id: &str) -> Self {
        Self { functions, context, attempted: format!("write layer {id}") }
    }

    /// Begins a file: `ImportLayerNext`. Its data is written with [`io::Write`].
    ///
    /// # Errors
    /// What the library answers.
    pub fn begin(&mut self, name: &str, information: &FILE_BASIC_INFO) -> Result<()> {
        let name = wide(name, &self.attempted)?;
        // SAFETY: the context is open, the text ends with a zero, the information lives until the call returns.
        let answer = unsafe {
            self.functions.ImportLayerNext(self.context, name.as_ptr(), ptr::from_ref(information))
        };
        check(answer, &self.attempted)
    }

    /// Completes the layer: `ImportLayerEnd`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn finish(mut self) -> Result<()> {
        let context = std::mem::replace(&mut self.context, ptr::null_mut());
        // SAFETY: the context is open and not used again.
        check(unsafe { self.functions.ImportLayerEnd(context) }, &self.attempted)
    }
}

impl io::Write for LayerWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        // SAFETY: the context is open, the buffer has that many bytes.
        let answer = unsafe { self.functions.ImportLayerWrite(self.context, data.as_ptr(), size) };
        check(answer, &self.attempted).map_err(io::Error::other)?;
        Ok(size as usize)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LayerWriter {
    fn drop(&mut self) {
        if !self.context.is_null() {
            // SAFETY: the context is open and not used again.
            let _ = unsafe { self.functions.ImportLayerEnd(self.context) };
        }
    }
}

impl LayerReader {
    pub(super) fn new(functions: Arc<Functions>, context: *mut c_void, id: &str) -> Self {
        Self { functions, context, attempted: format!("read layer {id}") }
    }

    /// The next file: `ExportLayerNext`; `None` after the last. Its data is read with [`io::Read`].
    ///
    /// # Errors
    /// What the library answers.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut name = Returned::<Task>::new();
        let mut information = FILE_BASIC_INFO::default();
        let (mut size, mut deleted) = (0, 0);
        // SAFETY: the context is open, the others are places for the results.
        let answer = unsafe {
            self.functions.ExportLayerNext(
                self.context,
                name.out(),
                &raw mut information,
                &raw mut size,
                &raw mut deleted,
            )
        };
        if is_end(&answer) {
            return Ok(None);
        }
        check(answer, &self.attempted)?;
        let name =
            name.text(&self.attempted)?.ok_or_else(|| Error::new(&*self.attempted, HResult::E_UNEXPECTED))?;
        Ok(Some(Entry { name, information, size: u64::try_from(size).unwrap_or(0), deleted: deleted != 0 }))
    }
}

/// `ERROR_NO_MORE_FILES`.
fn is_end(answer: &std::result::Result<HRESULT, Unavailable>) -> bool {
    matches!(answer, Ok(code) if code.cast_unsigned() == HResult::from_win32(18).code())
}

impl io::Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let mut read = 0;
        // SAFETY: the context is open, the buffer has that many bytes, the last is a place for the result.
        let answer =
            unsafe { self.functions.ExportLayerRead(self.context, buffer.as_mut_ptr(), size, &raw mut read) };
        check(answer, &self.attempted).map_err(io::Error::other)?;
        // A library that claims more than there is room for is not believed.
        Ok(read.min(size) as usize)
    }
}

impl Drop for LayerReader {
    fn drop(&mut self) {
        // SAFETY: the context is open and not used again.
        let _ = unsafe { self.functions.ExportLayerEnd(self.context) };
    }
}

impl std::fmt::Debug for LayerWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerWriter").field("attempted", &self.attempted).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LayerReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerReader").field("attempted", &self.attempted).finish_non_exhaustive()
    }
}
