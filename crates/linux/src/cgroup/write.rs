//! A list of writes to control files: what limits become before anything is touched.

use super::dir::Dir;
use super::error::{Error, Result};
use rustix::io::Errno;
use std::borrow::Cow;

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    file: Cow<'static, str>,
    value: String,
    may_be_absent: bool,
    may_come_later: bool,
}

impl Write {
    pub(crate) fn new(file: impl Into<Cow<'static, str>>, value: impl ToString) -> Self {
        Self { file: file.into(), value: value.to_string(), may_be_absent: false, may_come_later: false }
    }

    /// A kernel without the file does without the limit.
    pub(crate) fn if_present(mut self) -> Self {
        self.may_be_absent = true;
        self
    }

    /// The kernel checks the value against that of another file, which is about to change: refused now, it is
    /// written once more after the others.
    pub(crate) fn or_later(mut self, another_follows: bool) -> Self {
        self.may_come_later = another_follows;
        self
    }

    fn apply(&self, dir: &Dir) -> Result<()> {
        if self.file.contains('/') {
            return Err(Error::Invalid(format!("{:?} is not the name of a control file", self.file)));
        }
        match dir.write(&self.file, &self.value) {
            Err(error) if self.may_be_absent && error.is_errno(Errno::NOENT) => Ok(()),
            other => other,
        }
    }
}

pub(crate) fn apply(dir: &Dir, writes: &[Write]) -> Result<()> {
    let mut later = Vec::new();
    for write in writes {
        match write.apply(dir) {
            Err(error) if write.may_come_later && error.is_errno(Errno::INVAL) => later.push(write),
            other => other?,
        }
    }
    later.into_iter().try_for_each(|write| write.apply(dir))
}

#[cfg(test)]
pub(crate) fn shown(writes: &[Write]) -> Vec<String> {
    writes.iter().map(|write| format!("{}={}", write.file, write.value)).collect()
}

/// Zero is how the callers of runc leave a limit as it is.
pub(crate) fn set<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

/// The same for text.
pub(crate) fn set_text(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}
