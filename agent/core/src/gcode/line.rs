//! One line of a file, and the command that is left of it when everything a firmware must not see is gone.

use thiserror::Error;

/// Why a line cannot be printed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct LineError {
    /// Number of the line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A command that the firmware would cut; it would then ask for it again for ever.
    #[error(
        "the command is {length} bytes long on the wire and this firmware takes {limit}: shorten it or split it"
    )]
    TooLong {
        /// Length with number and checksum.
        length: usize,
        /// Longest line that the firmware takes.
        limit: usize,
    },
    /// Bytes that no G-code holds outside of comments.
    #[error("byte 0x{0:02x} is not G-code text: is this a binary, compressed or damaged file?")]
    NotText(u8),
    /// A command that does not begin like one.
    #[error("a command begins with a letter, not with {0:?}: is this a G-code file?")]
    NotACommand(char),
    /// `M110` inside the text of another command: the firmware would stop checking that line's number.
    #[error("the text \"M110\" inside another command switches the firmware's line check off: remove it")]
    HiddenLineReset,
    /// A file without a single command.
    #[error("the file holds no command at all")]
    Empty,
}

/// Commands whose rest is text for a person or the name of a file.
const TEXT_COMMANDS: [&[u8]; 9] = [b"M0", b"M1", b"M16", b"M23", b"M28", b"M30", b"M32", b"M117", b"M118"];

/// What to do with one line once its comment is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cleaned {
    /// Send what is left.
    Command,
    /// Nothing is left.
    Nothing,
}

/// Turns the raw text of a line, whose `;` comment is already cut, into a bare command, in place: comments in
/// parentheses, a line number and a checksum of the file's own, and outer white space go; `M110` goes as a whole, since
/// line numbers belong to the link.
pub(crate) fn clean(text: &mut Vec<u8>) -> Result<Cleaned, Problem> {
    trim(text);
    strip_number(text);
    if text.is_empty() {
        return Ok(Cleaned::Nothing);
    }
    let free_text = is_text_command(text);
    if !free_text && text.contains(&b'(') {
        strip_parentheses(text);
        trim(text);
        if text.is_empty() {
            return Ok(Cleaned::Nothing);
        }
    }
    check_bytes(text, free_text)?;
    if !text[0].is_ascii_alphabetic() && !matches!(text[0], b'$' | b'%') {
        return Err(Problem::NotACommand(char::from(text[0])));
    }
    if text.windows(4).any(|w| w == b"M110") {
        return if is_command(text, b"M110") { Ok(Cleaned::Nothing) } else { Err(Problem::HiddenLineReset) };
    }
    Ok(Cleaned::Command)
}

fn trim(text: &mut Vec<u8>) {
    while text.last().is_some_and(u8::is_ascii_whitespace) {
        text.pop();
    }
    let lead = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
    if lead > 0 {
        text.drain(..lead);
    }
}

/// A file that was captured from a wire carries `N12 ... *34` itself.
fn strip_number(text: &mut Vec<u8>) {
    let digits = match text.as_slice() {
        [b'N', rest @ ..] => rest.iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    if digits == 0 {
        return;
    }
    text.drain(..=digits);
    if let Some(star) = text.iter().rposition(|&b| b == b'*')
        && text[star + 1..].iter().all(u8::is_ascii_digit)
    {
        text.truncate(star);
    }
    trim(text);
}

/// Whether the command word is this one (`M1` is not `M117`).
pub(crate) fn is_command(text: &[u8], word: &[u8]) -> bool {
    text.len() >= word.len()
        && text[..word.len()].eq_ignore_ascii_case(word)
        && !text.get(word.len()).is_some_and(u8::is_ascii_digit)
}

pub(super) fn is_text_command(text: &[u8]) -> bool {
    text[0] == b'M' && TEXT_COMMANDS.iter().any(|word| is_command(text, word))
}

fn strip_parentheses(text: &mut Vec<u8>) {
    let mut depth = 0_u32;
    text.retain(|&b| match b {
        b'(' => {
            depth += 1;
            false
        }
        b')' if depth > 0 => {
            depth -= 1;
            false
        }
        _ => depth == 0,
    });
}

/// Marlin takes a backslash as an escape before it computes the checksum, and reads 7-bit text only; in a text that is
/// shown to a person both become `?`, anywhere else they mean that this is no G-code.
fn check_bytes(text: &mut [u8], free_text: bool) -> Result<(), Problem> {
    for byte in text {
        let plain = matches!(*byte, b' '..=b'~' | b'\t') && *byte != b'\\';
        if plain {
            continue;
        }
        if free_text && (*byte >= 0x80 || *byte == b'\\') {
            *byte = b'?';
        } else {
            return Err(Problem::NotText(*byte));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(raw: &str) -> Result<Option<String>, Problem> {
        let mut text = raw.as_bytes().to_vec();
        clean(&mut text).map(|kind| (kind == Cleaned::Command).then(|| String::from_utf8(text).unwrap()))
    }

    #[test]
    fn keeps_a_command_as_it_stands() {
        assert_eq!(cleaned("  G1 X1.5  Y2 \r"), Ok(Some("G1 X1.5  Y2".into())));
        assert_eq!(cleaned("START_PRINT BED=60"), Ok(Some("START_PRINT BED=60".into())));
        assert_eq!(cleaned("   "), Ok(None));
    }

    #[test]
    fn drops_parentheses_but_not_from_texts_for_people() {
        assert_eq!(cleaned("G1 (fast) X1"), Ok(Some("G1  X1".into())));
        assert_eq!(cleaned("(only a comment)"), Ok(None));
        assert_eq!(cleaned("M117 Layer (3)"), Ok(Some("M117 Layer (3)".into())));
    }

    #[test]
    fn drops_numbers_and_checksums_of_the_file_itself() {
        assert_eq!(cleaned("N12 G1 X1*77"), Ok(Some("G1 X1".into())));
        assert_eq!(cleaned("N0 M110 N0*125"), Ok(None));
        assert_eq!(cleaned("M110"), Ok(None));
    }

    #[test]
    fn names_what_is_no_gcode() {
        assert_eq!(cleaned("G1 X\u{0}"), Err(Problem::NotText(0)));
        assert_eq!(cleaned("<html>"), Err(Problem::NotACommand('<')));
        assert_eq!(cleaned("G1 X\\"), Err(Problem::NotText(b'\\')));
        assert_eq!(cleaned("M117 see M110"), Err(Problem::HiddenLineReset));
        assert_eq!(cleaned("M117 50°"), Ok(Some("M117 50??".into())));
    }
}
