//! Findings as they pile up: one for each thing found, with a count, in bounded memory whatever the file holds.

use super::code::{Code, Severity};

/// Different things of one code that are told apart (the commands that are unknown, say).
const SUBJECTS_PER_CODE: usize = 6;
/// Further lines that a finding names besides its first.
pub const MORE_LINES: usize = 4;
/// Longest word of a file that a finding repeats, in characters.
pub(super) const WORD_CHARS: usize = 40;

/// Something that was found, once or many times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// What it is about, where one kind may be about several things (`M500`, `T3`); empty otherwise.
    pub subject: String,
    /// Where it was found first, from 1; 0 when it is about the file as a whole.
    pub line: u64,
    /// The next few lines at which it was found again.
    pub more_lines: Vec<u64>,
    /// How often it was found.
    pub count: u64,
    /// What was found first, in words.
    pub text: String,
    /// What the file has, with its unit.
    pub value: Option<String>,
    /// What this printer takes, with its unit.
    pub limit: Option<String>,
}

/// What is said about the first of a kind.
#[derive(Debug, Default)]
pub(super) struct Detail {
    pub(super) text: String,
    pub(super) value: Option<String>,
    pub(super) limit: Option<String>,
}

impl Detail {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn value(mut self, value: impl ToString) -> Self {
        self.value = Some(value.to_string());
        self
    }

    pub(super) fn limit(mut self, limit: impl ToString) -> Self {
        self.limit = Some(limit.to_string());
        self
    }
}

/// Findings, by code and subject.
#[derive(Debug, Default)]
pub(super) struct Tally {
    findings: Vec<Finding>,
}

impl Tally {
    /// Counts something; `detail` is asked for only when it is the first of its kind.
    pub(super) fn add(&mut self, code: Code, subject: &str, line: u64, detail: impl FnOnce() -> Detail) {
        let mut of_code = 0;
        for finding in &mut self.findings {
            if finding.code == code {
                of_code += 1;
                // What is beyond the bound is counted with the last that was kept.
                if finding.subject == subject || of_code == SUBJECTS_PER_CODE {
                    finding.count += 1;
                    if finding.more_lines.len() < MORE_LINES {
                        finding.more_lines.push(line);
                    }
                    return;
                }
            }
        }
        let Detail { text, value, limit } = detail();
        let (subject, more_lines) = (subject.to_owned(), Vec::new());
        self.findings.push(Finding { code, subject, line, more_lines, count: 1, text, value, limit });
    }

    /// Something about the file as a whole.
    pub(super) fn whole(&mut self, code: Code, detail: Detail) {
        self.add(code, "", 0, || detail);
    }

    /// Makes every finding of one code a finding of another.
    pub(super) fn rename(&mut self, from: Code, to: Code) {
        for finding in self.findings.iter_mut().filter(|finding| finding.code == from) {
            finding.code = to;
        }
    }

    /// Takes back every finding of a code.
    pub(super) fn remove(&mut self, code: Code) {
        self.findings.retain(|finding| finding.code != code);
    }

    /// Everything, the worst first, then by line.
    pub(super) fn into_sorted(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| (finding.code, finding.line));
        self.findings
    }
}

impl Finding {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// The beginning of a text of the file, harmless for a terminal.
pub(super) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let plain = |c: char| if c.is_control() { '?' } else { c };
    let mut short: String = text.chars().take(WORD_CHARS).map(plain).collect();
    if text.chars().nth(WORD_CHARS).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_little_is_kept() {
        let mut tally = Tally::default();
        for line in 1..=10_000 {
            tally.add(Code::UnknownCommand, &format!("M{}", line % 900), line, || Detail::text("x"));
            tally.add(Code::TravelOutside, "", line, || Detail::text("far").value("9 mm").limit("5 mm"));
        }
        tally.whole(Code::NoCommands, Detail::text("nothing"));
        let found = tally.into_sorted();
        assert_eq!(found[0].code, Code::NoCommands);
        assert_eq!(found.len(), 2 + SUBJECTS_PER_CODE);
        let of = |code| found.iter().filter(|f| f.code == code).map(|f| f.count).sum::<u64>();
        assert_eq!((of(Code::UnknownCommand), of(Code::TravelOutside)), (10_000, 10_000));
        assert!(found.iter().all(|finding| finding.more_lines.len() <= MORE_LINES));
        let travel = found.iter().find(|finding| finding.code == Code::TravelOutside).unwrap();
        assert_eq!((travel.line, travel.more_lines.as_slice()), (1, &[2, 3, 4, 5][..]));
        assert_eq!(travel.value.as_deref(), Some("9 mm"));
    }

    #[test]
    fn text_of_a_stranger_is_short_and_plain() {
        assert_eq!(shown(b"M117 \x1b[2Jhello"), "M117 ?[2Jhello");
        assert_eq!(shown(&[b'x'; 90]), "x".repeat(40) + "...");
    }
}
