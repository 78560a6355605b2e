//! Where a key stands in the text of a profile.

use std::fmt::Write as _;

use toml::de::{DeTable, DeValue};

/// Longest line that is shown as a whole, in characters.
const MAX_SHOWN_CHARS: usize = 100;

/// A text with the places of its keys.
pub(crate) struct Lines<'a> {
    text: &'a str,
    table: Option<DeTable<'a>>,
}

impl<'a> Lines<'a> {
    /// Reads the text; one that is not TOML has no keys.
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, table: DeTable::parse(text).ok().map(toml::Spanned::into_inner) }
    }

    /// The line of a key (`flow.rx_bytes`, `scripts.cancel[1]`), from 1; of the innermost section that is there when the
    /// key is not; `None` when there is not even that.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        let mut table = self.table.as_ref()?;
        let mut place = None;
        for part in path.split('.') {
            let (name, index) = part.split_once('[').map_or((part, None), |(name, rest)| {
                (name, rest.trim_end_matches(']').parse::<usize>().ok())
            });
            let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else { break };
            place = Some(key.span().start);
            match (value.get_ref(), index) {
                (DeValue::Table(inner), _) => table = inner,
                (DeValue::Array(items), Some(index)) => {
                    place = items.get(index).map(|item| item.span().start).or(place);
                    break;
                }
                _ => break,
            }
        }
        place.map(|place| line_and_column(self.text, place).0)
    }
}

/// Line and column in characters of a byte of the text, both from 1.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1)
}

/// A line of the text and a mark below one of its columns.
pub(crate) fn excerpt(text: &str, line: usize, column: usize) -> String {
    let whole = text.lines().nth(line - 1).unwrap_or_default();
    let shown: String =
        whole.chars().take(MAX_SHOWN_CHARS).map(|c| if c == '\t' { ' ' } else { c }).collect();
    let number = line.to_string();
    let mut excerpt = format!("  {number} | {shown}");
    if column <= MAX_SHOWN_CHARS {
        // Writing into a string cannot fail.
        let _ = write!(excerpt, "\n  {:width$} | {:>column$}", "", "^", width = number.len());
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::{Lines, excerpt, line_and_column};

    const TEXT: &str =
        "id = 'x'\n\n[flow]\nrx_bytes = 8\n[scripts]\ncancel = [\n  'M5',\n  'M9',\n]\n[a.b]\nc = 1\n";

    #[test]
    fn keys_items_and_missing_keys_have_a_line() {
        let lines = Lines::of(TEXT);
        let found = |path| lines.find(path);
        assert_eq!(found("id"), Some(1));
        assert_eq!(found("flow.rx_bytes"), Some(4));
        assert_eq!(found("scripts.cancel"), Some(6));
        assert_eq!(found("scripts.cancel[1]"), Some(8));
        assert_eq!(found("scripts.cancel[7]"), Some(6));
        assert_eq!(found("a.b.c"), Some(11));
        assert_eq!(found("flow.window"), Some(3), "the section that lacks it");
        assert_eq!(found("temperature.query"), None);
        assert_eq!(Lines::of("x = = 1").find("x"), None);
    }

    #[test]
    fn places_are_counted_in_characters() {
        let text = "a = '\u{fc}'\nb = ?";
        assert_eq!(line_and_column(text, text.len() - 1), (2, 5));
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(excerpt(text, 2, 5), "  2 | b = ?\n    |     ^");
        assert_eq!(excerpt(&"x".repeat(500), 1, 400).len(), 6 + 100);
    }
}
