//! Columns for people: on a terminal no wider than it, and whole for whoever reads on.

use std::cmp::Reverse;
use std::fmt::Display;
use std::io::IsTerminal;

/// Columns of a terminal that does not say how many it has.
const USUAL: usize = 80;
/// Columns that are left of a cell that is cut.
const LEAST: usize = 8;

/// So many of something, in words.
pub(super) fn counted(number: impl Display, one: &str, more: &str) -> String {
    let number = number.to_string();
    let unit = if number == "1" { one } else { more };
    number + " " + unit
}

/// How wide the terminal at standard output is; none where it is no terminal.
pub(super) fn width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(&out).map_or(0, |size| size.ws_col);
    Some(if columns == 0 { USUAL } else { columns.into() })
}

/// Columns as wide as their widest cell. Where that is too wide, the widest of those that may be cut is cut first; each cut has a mark.
pub(super) fn table<const N: usize>(
    rows: &[[String; N]],
    may_be_cut: &[usize],
    width: Option<usize>,
) -> String {
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut widths: [usize; N] = std::array::from_fn(widest);
    let most = width.unwrap_or(usize::MAX);
    while widths.iter().sum::<usize>() + 2 * N.saturating_sub(1) > most {
        let widest = may_be_cut.iter().copied().filter(|&column| widths[column] > LEAST);
        let Some(widest) = widest.max_by_key(|&column| (widths[column], Reverse(column))) else { break };
        widths[widest] -= 1;
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{:<width$}  ", fit(cell, width)));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// At most so many characters, with a mark where something was cut away.
fn fit(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Lines of at most so many characters, broken at spaces; a longer word has a line of its own.
pub(super) fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= most {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[[&str; 3]]) -> Vec<[String; 3]> {
        rows.iter().map(|row| row.map(str::to_owned)).collect()
    }

    #[test]
    fn columns_stand_below_one_another() {
        let rows = rows(&[["WHO", "BYTES", ""], ["b:farm", "1", "x"], ["b:x", "1000", ""]]);
        let text = "WHO     BYTES\nb:farm  1      x\nb:x     1000\n";
        assert_eq!(table(&rows, &[], None), text);
        assert_eq!(table(&rows, &[0], Some(80)), text);
    }

    #[test]
    fn what_is_too_wide_is_cut_where_it_may_be() {
        let rows = rows(&[["an id that is whole", "a name that is long", "192.0.2.7:40000"]]);
        assert_eq!(table(&rows, &[1, 2], Some(52)), "an id that is whole  a name that i…  192.0.2.7:40000\n");
        assert_eq!(table(&rows, &[1, 2], Some(44)), "an id that is whole  a name th…  192.0.2.7:…\n");
        // Nothing is cut to nothing.
        assert_eq!(table(&rows, &[1, 2], Some(9)), "an id that is whole  a name …  192.0.2…\n");
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrap("one two threefour", 7), ["one two", "threefour"]);
        assert_eq!(wrap("", 7), [""]);
    }
}
