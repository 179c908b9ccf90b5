//! Tables with the column widths that Go's `tabwriter` gives runc's: at least 12 characters, three of them space.

const LEAST: usize = 12;
const SPACE: usize = 3;

/// Rows of equal length, one line each. The last column is not padded.
pub(crate) fn render<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        LEAST.max(longest + SPACE)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            text.push_str(cell);
            if column + 1 < N {
                text.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_gos() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        assert_eq!(render(&[row(["ID", "PID", "OWNER"])]), "ID          PID         OWNER\n");
        assert_eq!(
            render(&[
                row(["ID", "PID", "OWNER"]),
                row(["123456789", "7", "root"]),
                row(["äääääääääää", "", ""])
            ]),
            "ID            PID         OWNER\n\
             123456789     7           root\n\
             äääääääääää               \n"
        );
    }
}
