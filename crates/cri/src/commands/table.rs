//! Columns for people.

/// Rows below a headline, each column as wide as its widest cell.
pub(super) fn table(headline: &[&str], rows: &[Vec<String>]) -> String {
    let headline: Vec<String> = headline.iter().map(|cell| (*cell).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&headline).chain(rows).collect();
    let widths: Vec<usize> = (0..headline.len())
        .map(|column| {
            all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in all {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A number of bytes, to three digits.
pub(super) fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{number}B") } else { format!("{value:.1}{unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1}TB")
}

/// How long ago, given both in nanoseconds.
pub(super) fn ago(then: i64, now: i64) -> String {
    let seconds = (now - then).max(0) / 1_000_000_000;
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [vec!["long name".to_owned(), "1".to_owned()], vec!["x".to_owned(), "2".to_owned()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME       N\nlong name  1\nx          2\n");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([999, 1500, 324_000_000].map(bytes), ["999B", "1.5kB", "324.0MB"]);
        assert_eq!([5, 65, 7200].map(|seconds| ago(0, seconds * 1_000_000_000)), ["5s", "1m", "2h"]);
    }
}
