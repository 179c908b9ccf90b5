//! A container's log in the format of CRI: `<RFC 3339 time> stdout|stderr P|F <text>`, a line each.
//!
//! `P` stands before a part of a line: one that is longer than the limit, or the last one if the process ended without
//! ending it. Both streams write whole lines to one file that is open for appending, so that they do not mix, and a file
//! that was renamed or copied away goes on being the right one. Lines that were read at once have one time and are
//! written at once.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// With no limit in the format itself, this is what is held in memory.
const LONGEST: usize = 1 << 20;
/// What is kept of a buffer that was once needed larger.
const USUAL: usize = 4 << 10;

/// Which of the streams a line is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The log of a container.
pub(crate) struct CriLog {
    path: PathBuf,
    limit: usize,
    state: Mutex<State>,
}

struct State {
    file: File,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// It was said that the file cannot be written.
    complained: bool,
}

impl CriLog {
    /// Opens it, or begins it.
    pub(crate) fn open(path: &Path, limit: usize) -> io::Result<Self> {
        let limit = if limit == 0 { LONGEST } else { limit.min(LONGEST) };
        let state = State { file: open(path)?, stdout: Vec::new(), stderr: Vec::new(), complained: false };
        Ok(Self { path: path.to_owned(), limit, state: Mutex::new(state) })
    }

    /// Writes the lines that are complete.
    pub(crate) fn append(&self, which: Which, bytes: &[u8]) {
        self.write(which, |lines, pending, limit| cut(which, bytes, pending, limit, lines));
    }

    /// Writes what is left, when the stream has ended.
    pub(crate) fn finish(&self, which: Which) {
        self.write(which, |lines, pending, _| {
            if !pending.is_empty() {
                line(lines, &compute::record::now(), which, 'P', &[pending.as_slice()]);
            }
            *pending = Vec::new();
        });
    }

    fn write(&self, which: Which, fill: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>, usize)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let pending = match which {
            Which::Stdout => &mut state.stdout,
            Which::Stderr => &mut state.stderr,
        };
        let mut lines = Vec::new();
        fill(&mut lines, pending, self.limit);
        if lines.is_empty() {
            return;
        }
        match state.file.write_all(&lines) {
            Ok(()) => state.complained = false,
            // Lines are lost, but the container runs on.
            Err(error) if !state.complained => {
                state.complained = true;
                log::error!("write {}: {error}", self.path.display());
            }
            Err(_) => {}
        }
    }

    /// Goes on in a new file of the same name. When that cannot be, in the old one, and no file is made.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let file = open(&self.path)?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).file = file;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).mode(0o640).open(path)
}

/// Puts `bytes` behind what is pending of the last line, and every line that is complete or too long into `lines`.
fn cut(which: Which, bytes: &[u8], pending: &mut Vec<u8>, limit: usize, lines: &mut Vec<u8>) {
    let now = compute::record::now();
    lines.reserve(bytes.len().saturating_add(64));
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (mut text, behind) = (&rest[..end], &rest[end + 1..]);
        rest = behind;
        while pending.len() + text.len() > limit {
            let (part, tail) = text.split_at(limit.saturating_sub(pending.len()).min(text.len()));
            text = tail;
            line(lines, &now, which, 'P', &[pending, part]);
            pending.clear();
        }
        line(lines, &now, which, 'F', &[pending, text]);
        pending.clear();
        pending.shrink_to(USUAL);
    }
    pending.extend_from_slice(rest);
    while pending.len() > limit {
        line(lines, &now, which, 'P', &[&pending[..limit]]);
        pending.drain(..limit);
    }
}

fn line(lines: &mut Vec<u8>, now: &str, which: Which, tag: char, parts: &[&[u8]]) {
    let which = match which {
        Which::Stdout => "stdout",
        Which::Stderr => "stderr",
    };
    // A vector takes everything.
    let _ = write!(lines, "{now} {which} {tag} ");
    parts.iter().for_each(|part| lines.extend_from_slice(part));
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines without their times.
    fn written(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.strip_suffix('\n').unwrap_or(&text).split('\n').filter(|line| !line.is_empty());
        lines.map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    fn log(limit: usize) -> (tempfile::TempDir, CriLog, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let log = CriLog::open(&path, limit).unwrap();
        (folder, log, path)
    }

    #[test]
    fn lines_are_whole_whatever_the_pieces_they_come_in() {
        let text = "one\n\ntwo words\nthree";
        for size in 1..=text.len() {
            let (_folder, log, path) = log(100);
            for piece in text.as_bytes().chunks(size) {
                log.append(Which::Stdout, piece);
            }
            assert_eq!(written(&path), ["stdout F one", "stdout F ", "stdout F two words"], "{size}");
            log.finish(Which::Stdout);
            log.finish(Which::Stderr);
            assert_eq!(written(&path)[3..], ["stdout P three"], "{size}");
        }
    }

    /// As containerd cuts them: parts of the limit, and the end of the line is whole even if it is as long.
    #[test]
    fn long_lines_are_cut_at_the_limit() {
        let text = "12345\n123456\n1234567890\n12345678901";
        for size in 1..=text.len() {
            let (_folder, log, path) = log(5);
            for piece in text.as_bytes().chunks(size) {
                log.append(Which::Stderr, piece);
            }
            log.finish(Which::Stderr);
            let expected = [
                "stderr F 12345",
                "stderr P 12345",
                "stderr F 6",
                "stderr P 12345",
                "stderr F 67890",
                "stderr P 12345",
                "stderr P 67890",
                "stderr P 1",
            ];
            assert_eq!(written(&path), expected, "{size}");
        }
    }

    #[test]
    fn both_streams_share_the_file_and_keep_their_lines() {
        let (_folder, log, path) = log(100);
        log.append(Which::Stdout, b"out");
        log.append(Which::Stderr, b"err\n");
        log.append(Which::Stdout, b"put\n");
        assert_eq!(written(&path), ["stderr F err", "stdout F output"]);
    }

    #[test]
    fn a_renamed_log_goes_on_until_it_is_reopened() {
        let (folder, log, path) = log(100);
        let old = folder.path().join("old");
        log.append(Which::Stdout, b"1\n");
        std::fs::rename(&path, &old).unwrap();
        log.append(Which::Stdout, b"2\n");
        assert!(!path.exists());
        log.reopen().unwrap();
        log.append(Which::Stdout, b"3\n");
        assert_eq!(written(&old), ["stdout F 1", "stdout F 2"]);
        assert_eq!(written(&path), ["stdout F 3"]);
    }

    #[test]
    fn a_log_that_cannot_be_reopened_stays() {
        let (folder, log, path) = log(100);
        let moved = folder.path().with_extension("moved");
        std::fs::rename(folder.path(), &moved).unwrap();
        log.reopen().unwrap_err();
        log.append(Which::Stdout, b"1\n");
        assert!(!path.exists());
        assert_eq!(written(&moved.join("0.log")), ["stdout F 1"]);
        std::fs::rename(&moved, folder.path()).unwrap();
    }
}
