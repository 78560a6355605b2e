//! The known word that a mistyped one was probably meant to be.

/// The word of `known` with the fewest edits to `text`, unless even that is far off.
pub(crate) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(text, known, 1).pop()
}

/// At most so many words of `known` with few edits to `text`, the nearest first.
pub(crate) fn near<'a>(text: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    // An absurdly long word is no typing mistake, and the table below grows with its length.
    if text.len() > 64 {
        return Vec::new();
    }
    let scored = known.into_iter().map(|word| (distance(text, word), word));
    let mut scored: Vec<_> =
        scored.filter(|(edits, word)| *edits <= text.len().max(word.len()) / 3).collect();
    scored.sort_by_key(|(edits, _)| *edits);
    scored.into_iter().take(most).map(|(_, word)| word).collect()
}

/// Levenshtein's distance: insertions, deletions and replacements.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, edits) in
            [("", "", 0), ("baud", "baud", 0), ("bauds", "baud", 1), ("kitten", "sitting", 3), ("", "abc", 3)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn only_a_near_word_is_offered() {
        let known = ["printer.port", "printer.baud", "relay.url"];
        assert_eq!(nearest("printer.prot", known), Some("printer.port"));
        assert_eq!(nearest("printr.baud", known), Some("printer.baud"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(1000), known), None);
        assert_eq!(near("printer.pord", known, 2), ["printer.port", "printer.baud"]);
        assert_eq!(near("printer.pord", known, 1), ["printer.port"]);
    }
}
