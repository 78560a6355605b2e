//! What a file says a printer has to do, read without any help from the agent, and held against what was done.
//!
//! A command is what is left of a line when its `;` comment, comments in parentheses (other than in texts for people and
//! names of files), a line number and checksum of its own and the white space around it are gone. `M110` is left out,
//! because line numbers belong to the link. A text for people is 7 bits wide and has no backslash.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spoolway_protocol::Sha256Hex;

use crate::check::rewritten;
use crate::printer::{Executed, ExecutedSink};

/// Commands that a host may put in between: temperatures, identity, line numbers.
const HOST_COMMANDS: [&str; 10] =
    ["M105", "M110", "M113", "M115", "M118", "M155", "M555", "M601", "M876", "$I"];
/// Commands that are followed by a text or a name, in which parentheses are just characters.
const TEXT_COMMANDS: [&str; 9] = ["M0", "M1", "M16", "M23", "M28", "M30", "M32", "M117", "M118"];
/// How much of a line a difference shows.
const SHOWN_BYTES: usize = 120;

/// A command and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedCommand {
    /// Number of the line in the file, from 1.
    pub line: u64,
    /// The command.
    pub text: Vec<u8>,
}

/// The commands of a file, one after the other.
#[derive(Debug)]
pub struct Commands {
    file: Arc<[u8]>,
    at: usize,
    line: u64,
}

impl Commands {
    /// Reads a file from its beginning.
    #[must_use]
    pub fn of(file: Arc<[u8]>) -> Self {
        Self { file, at: 0, line: 0 }
    }
}

impl Iterator for Commands {
    type Item = ExpectedCommand;

    fn next(&mut self) -> Option<ExpectedCommand> {
        while self.at < self.file.len() {
            let rest = &self.file[self.at..];
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            self.at += length + 1;
            self.line += 1;
            if let Some(text) = command_of(&rest[..length]) {
                return Some(ExpectedCommand { line: self.line, text });
            }
        }
        None
    }
}

fn command_of(line: &[u8]) -> Option<Vec<u8>> {
    let code = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let bare = without_number(code.trim_ascii());
    let text = if TEXT_COMMANDS.iter().any(|word| has_word(bare, word)) {
        bare.iter().map(|&byte| if byte > 127 || byte == b'\\' { b'?' } else { byte }).collect()
    } else {
        without_parentheses(bare).trim_ascii().to_vec()
    };
    let is_left_out = text.is_empty() || has_word(&text.to_ascii_uppercase(), "M110");
    (!is_left_out).then_some(text)
}

/// Whether a command begins with this word and no further digit.
fn has_word(text: &[u8], word: &str) -> bool {
    text.strip_prefix(word.as_bytes()).is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit))
}

/// `N12 G1 X3*45` is `G1 X3`, in a file as on the wire.
fn without_number(line: &[u8]) -> &[u8] {
    // Printrun begins to count at -1.
    let rest = line.strip_prefix(b"N").map(|rest| rest.strip_prefix(b"-").unwrap_or(rest));
    let Some(rest) = rest.filter(|rest| rest.first().is_some_and(u8::is_ascii_digit)) else { return line };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = rest[digits..].trim_ascii();
    let star = rest.iter().rposition(|&byte| byte == b'*');
    match star.filter(|star| rest[star + 1..].iter().all(u8::is_ascii_digit)) {
        Some(star) => rest[..star].trim_ascii(),
        None => rest,
    }
}

fn without_parentheses(text: &[u8]) -> Vec<u8> {
    let mut open = 0_usize;
    let mut kept = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'(' => open += 1,
            b')' if open > 0 => open -= 1,
            _ if open == 0 => kept.push(byte),
            _ => {}
        }
    }
    kept
}

/// The first place where the printer did something else than the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// How many commands were right before it.
    pub after: u64,
    /// Line of the file; absent behind its end.
    pub line: Option<u64>,
    /// What the file says; absent behind its end.
    pub expected: Option<String>,
    /// What the printer did; absent when it did nothing more.
    pub executed: Option<String>,
}

/// A file held against what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Commands that were carried out as the file says, once and in order.
    pub matched: u64,
    /// Digest of those commands as the file has them, each with a line feed; of all of them when there is no difference.
    pub file_sha256: Sha256Hex,
    /// Digest of the same commands as the printer had them.
    pub printer_sha256: Sha256Hex,
    /// The host's own commands in between, by word.
    pub host_commands: BTreeMap<String, u64>,
    /// The first difference; without one, everything the file says was done, and nothing else.
    pub difference: Option<Difference>,
}

/// Holds a file against a printer, command by command as they come.
#[derive(Debug)]
pub struct Comparer {
    commands: Commands,
    next: Option<ExpectedCommand>,
    file: Sha256,
    printer: Sha256,
    matched: u64,
    host_commands: BTreeMap<String, u64>,
    difference: Option<Difference>,
    /// Whether the host waits for temperatures in the firmware's place.
    host_waits: bool,
}

impl Comparer {
    /// Expects a file from its beginning, with the commands that wait for a temperature replaced by those that do not, as a
    /// profile can ask of the host: `M104 S200` for `M109 S200`, `M140 S60` for `M190 S60`.
    #[must_use]
    pub fn with_host_waits(file: Arc<[u8]>) -> Self {
        Self { host_waits: true, ..Self::new(file) }
    }

    /// Expects a file from its beginning.
    #[must_use]
    pub fn new(file: Arc<[u8]>) -> Self {
        let mut commands = Commands::of(file);
        let next = commands.next();
        Self {
            commands,
            next,
            file: Sha256::new(),
            printer: Sha256::new(),
            matched: 0,
            host_commands: BTreeMap::new(),
            difference: None,
            host_waits: false,
        }
    }

    /// The outcome, once the printer does nothing more.
    #[must_use]
    pub fn finish(mut self) -> Comparison {
        if self.difference.is_none() && self.next.is_some() {
            self.differ(None);
        }
        Comparison {
            matched: self.matched,
            file_sha256: Sha256Hex(self.file.finalize().into()),
            printer_sha256: Sha256Hex(self.printer.finalize().into()),
            host_commands: self.host_commands,
            difference: self.difference,
        }
    }

    /// Whether the printer did what the file says next.
    fn fits(&self, expected: &[u8], done: &[u8]) -> bool {
        let rewritten = || std::str::from_utf8(expected).ok().and_then(rewritten);
        expected == done || (self.host_waits && rewritten().is_some_and(|(text, _)| text.as_bytes() == done))
    }

    fn differ(&mut self, executed: Option<&[u8]>) {
        self.difference = Some(Difference {
            after: self.matched,
            line: self.next.as_ref().map(|next| next.line),
            expected: self.next.as_ref().map(|next| shown(&next.text)),
            executed: executed.map(shown),
        });
    }
}

impl ExecutedSink for Comparer {
    fn executed(&mut self, line: &Executed) {
        if self.difference.is_some() {
            return;
        }
        // Flashforge's commands begin with `~`.
        let text = without_number(line.raw.strip_prefix(b"~").unwrap_or(&line.raw));
        // Behind its checksum a line may be damaged without effect: then the firmware's own reading of it counts.
        let text = if self.next.as_ref().is_some_and(|next| self.fits(&next.text, line.text())) {
            line.text()
        } else {
            text
        };
        if self.next.as_ref().is_some_and(|next| self.fits(&next.text, text))
            && let Some(expected) = self.next.take()
        {
            self.file.update(&expected.text);
            self.file.update(b"\n");
            self.printer.update(if self.host_waits { &expected.text } else { text });
            self.printer.update(b"\n");
            self.matched += 1;
            self.next = self.commands.next();
            return;
        }
        match HOST_COMMANDS.iter().find(|word| has_word(text, word)) {
            Some(word) => *self.host_commands.entry((*word).to_owned()).or_default() += 1,
            None => self.differ(Some(text)),
        }
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(SHOWN_BYTES)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(u64, String)> {
        let commands = Commands::of(text.as_bytes().into());
        commands.map(|command| (command.line, String::from_utf8(command.text).unwrap())).collect()
    }

    fn compare(file: &str, executed: &[&str]) -> Comparison {
        let mut comparer = Comparer::new(file.as_bytes().into());
        for raw in executed {
            comparer.executed(&Executed::bare(raw.as_bytes(), 0, 0));
        }
        comparer.finish()
    }

    #[test]
    fn comments_numbers_and_blanks_are_no_commands() {
        let file = "; head\r\n\nG28 ; home\r\n  G1 X1 (fast) Y2 \nN7 G4 P1*22\nM110 N0\n(all)\nM117 a (b) \u{b0};c\nM84";
        let expected = [(3, "G28"), (4, "G1 X1  Y2"), (5, "G4 P1"), (8, "M117 a (b) ??"), (9, "M84")];
        assert_eq!(read(file), expected.map(|(line, text)| (line, text.to_owned())));
        assert_eq!(read("M1170 (x)\n"), [(1, "M1170".to_owned())]);
    }

    #[test]
    fn the_hosts_own_commands_are_counted_apart() {
        let file = "G28\nM105\nG1 X1\nM117 2*3\n";
        let executed =
            ["M115", "N-1 M110 N-1*125", "N2 G28*2", "N3 M105*3", "N4 M105*4", "N5 G1 X1*5", "N6 M117 2*3*6"];
        let found = compare(file, &executed);
        assert_eq!((found.difference, found.matched), (None, 4));
        let digest = Sha256Hex(Sha256::digest("G28\nM105\nG1 X1\nM117 2*3\n").into());
        assert_eq!((found.file_sha256, found.printer_sha256), (digest, digest));
        let host = [("M105", 1), ("M110", 1), ("M115", 1)].map(|(word, count)| (word.to_owned(), count));
        assert_eq!(found.host_commands, BTreeMap::from(host));
    }

    #[test]
    fn a_host_that_waits_itself_writes_other_commands() {
        let file = "M190 S60\nM109 R200\nG1 X1\n";
        let executed = ["M140 S60", "M104 S200", "G1 X1"];
        assert_eq!(compare(file, &executed).difference.map(|difference| difference.line), Some(Some(1)));
        let mut comparer = Comparer::with_host_waits(file.as_bytes().into());
        executed.iter().for_each(|raw| comparer.executed(&Executed::bare(raw.as_bytes(), 0, 0)));
        let found = comparer.finish();
        assert_eq!((found.difference, found.matched), (None, 3));
    }

    #[test]
    fn a_missing_a_doubled_a_swapped_and_an_extra_command_are_named() {
        let file = "G28\nG1 X1\n\nG1 X2\n";
        type Case = (&'static [&'static str], u64, Option<u64>, Option<&'static str>);
        let cases: [Case; 5] = [
            (&["G28", "G1 X2"], 1, Some(2), Some("G1 X2")),
            (&["G28", "G1 X1", "G1 X1", "G1 X2"], 2, Some(4), Some("G1 X1")),
            (&["G28", "G1 X2", "G1 X1"], 1, Some(2), Some("G1 X2")),
            (&["G28", "G1 X1", "G1 X2", "M84"], 3, None, Some("M84")),
            (&["G28", "G1 X1"], 2, Some(4), None),
        ];
        for (executed, after, line, what) in cases {
            let difference = compare(file, executed).difference.unwrap();
            assert_eq!(
                (difference.after, difference.line, difference.executed.as_deref()),
                (after, line, what),
                "{executed:?}"
            );
        }
        assert_eq!(compare(file, &["G28", "G1 X1", "G1 X2"]).difference, None);
    }
}
