//! Colours for terminals that want them, and text that fits and cannot steer a terminal.

use std::io::IsTerminal;

/// Whether a stream wants colours: it is a terminal, and `NO_COLOR` (no-color.org) is not set.
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    let is_asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_asked_not_to && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colour: bool,
}

impl Paint {
    pub(super) fn of(stream: &impl IsTerminal) -> Self {
        Self { colour: wants_colour(stream) }
    }

    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self { colour: false }
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The text without control characters: names of files and firmware come from strangers.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

/// At most so many characters, with a mark when something was cut away.
pub(super) fn fit(text: &str, most_chars: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= most_chars {
        return text;
    }
    let kept: String = text.chars().take(most_chars.saturating_sub(1)).collect();
    kept + "…"
}

/// Lines of at most so many characters, broken at spaces; a longer word has a line of its own.
pub(super) fn wrap(text: &str, most_chars: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a last line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= most_chars {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A bar of so many characters; `share` is from 0 to 1.
pub(super) fn bar(share: f64, chars: usize) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=chars on this line"
    )]
    let full = (share.clamp(0.0, 1.0) * chars as f64) as usize;
    format!("[{}{}]", "#".repeat(full), "-".repeat(chars - full))
}

/// A duration in the two units that matter.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

/// A size in the unit that suits it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_and_is_harmless() {
        assert_eq!(fit("benchy.gcode", 12), "benchy.gcode");
        assert_eq!(fit("benchy.gcode", 7), "benchy…");
        assert_eq!(plain("a\x1b[31mb\n"), "a?[31mb?");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
    }

    #[test]
    fn bars_and_measures() {
        assert_eq!(bar(0.5, 4), "[##--]");
        assert_eq!(bar(7.0, 2), "[##]");
        assert_eq!(bar(f64::NAN, 2), "[--]");
        assert_eq!(
            [span(999), span(61_000), span(3_660_000), span(90_000_000)],
            ["0 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]
        );
        assert_eq!([size(5), size(2_048), size(3 << 20)], ["5 B", "2.0 KiB", "3.0 MiB"]);
    }
}
