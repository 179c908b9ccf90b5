//! What CRIU wrote to its log about a failure.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What is wrong is said at the end.
const TAIL: i64 = 64 << 10;
/// One failure has several lines on its way up; the first say most, but only these belong to the end.
const LINES: usize = 5;

/// The last lines with errors, each in front of a line end; empty without any.
pub(super) fn last_errors(log: &Path) -> String {
    errors_of(&tail(log).unwrap_or_default())
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn errors_of(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().filter(|line| line.contains("Error")).collect();
    lines.drain(..lines.len().saturating_sub(LINES));
    lines.iter().map(|line| format!("\n{}", line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_errors_are_told() {
        let mut text = "(00.1) fine\n(00.2) Error (a.c:1): early\n".to_owned();
        for number in 1..=LINES {
            text.push_str(&format!("(00.3) Error (b.c:{number}): late\nnoise\n"));
        }
        let told = errors_of(&text);
        assert!(told.starts_with("\n(00.3) Error (b.c:1): late\n") && !told.contains("early"), "{told}");
        assert_eq!(errors_of("all is well"), "");
        assert_eq!(last_errors(Path::new("/nonexistent/log")), "");
    }
}
