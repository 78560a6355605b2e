//! A recorded conversation with a firmware: who wrote which line, and when.
//!
//! One line of the file is one line of the wire: `  12.944 > N5 G1 X20` from the host, `  12.950 < ok` from the printer,
//! seconds first. What the host wrote in one go follows its first line without a head of its own.

use thiserror::Error;

/// Longest conversation that is read, in lines.
const LINES_MAX: usize = 100_000;
/// Latest time that is read, in seconds: a conversation of a month.
const SECONDS_MAX: f64 = 2_678_400.0;

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The host.
    Host,
    /// The printer.
    Printer,
}

/// One line of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// When, in milliseconds from the beginning.
    pub at_ms: u64,
    /// Who.
    pub side: Side,
    /// What, without its line feed.
    pub text: String,
}

/// What the host wrote in one go, and everything that the printer said until the host wrote again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchange<'a> {
    /// The host's lines; none ahead of the first.
    pub asked: Vec<&'a str>,
    /// The printer's lines.
    pub answered: Vec<&'a str>,
}

/// A whole conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// Its lines, in order.
    pub turns: Vec<Turn>,
}

/// A file that is no conversation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TranscriptError {
    /// The first line, or one behind a line of the printer, says neither when nor who.
    #[error("line {0}: a line begins with seconds and `<` or `>`, or goes on with what the host wrote")]
    NoHead(usize),
    /// Time runs backwards.
    #[error("line {0} is earlier than the one before it")]
    Backwards(usize),
    /// More lines than are read.
    #[error("a conversation has at most {LINES_MAX} lines")]
    TooLong,
}

impl Transcript {
    /// Reads a conversation.
    ///
    /// # Errors
    /// The first line that does not belong into one, counted from 1.
    pub fn parse(text: &str) -> Result<Self, TranscriptError> {
        let mut turns: Vec<Turn> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if index >= LINES_MAX {
                return Err(TranscriptError::TooLong);
            }
            let last = turns.last();
            let turn = match (head(line), last) {
                (Some(turn), Some(last)) if turn.at_ms < last.at_ms => {
                    return Err(TranscriptError::Backwards(index + 1));
                }
                (Some(turn), _) => turn,
                (None, Some(last)) if last.side == Side::Host => {
                    Turn { text: line.to_owned(), ..last.clone() }
                }
                (None, _) => return Err(TranscriptError::NoHead(index + 1)),
            };
            turns.push(turn);
        }
        Ok(Self { turns })
    }

    /// What the printer said, in order.
    pub fn printer_lines(&self) -> impl Iterator<Item = &str> {
        self.turns.iter().filter(|turn| turn.side == Side::Printer).map(|turn| turn.text.as_str())
    }

    /// The conversation as questions and answers; what came ahead of the first question stands alone.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange<'_>> {
        let mut exchanges = vec![Exchange::default()];
        let mut asked_at = None;
        for turn in &self.turns {
            let goes_on = asked_at == Some(turn.at_ms);
            let last = exchanges.last_mut().expect("it begins with one and only grows");
            match turn.side {
                Side::Printer => last.answered.push(&turn.text),
                Side::Host if goes_on && last.answered.is_empty() => last.asked.push(&turn.text),
                Side::Host => exchanges.push(Exchange { asked: vec![&turn.text], answered: Vec::new() }),
            }
            if turn.side == Side::Host {
                asked_at = Some(turn.at_ms);
            }
        }
        exchanges
    }
}

/// `  12.944 > text`.
fn head(line: &str) -> Option<Turn> {
    let (seconds, rest) = line.trim_start().split_once(' ')?;
    let (whole, part) = seconds.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || part.len() != 3 || !digits(part) {
        return None;
    }
    let seconds: f64 = seconds.parse().ok().filter(|seconds| *seconds <= SECONDS_MAX)?;
    let (side, text) = match rest.strip_prefix('>') {
        Some(text) => (Side::Host, text),
        None => (Side::Printer, rest.strip_prefix('<')?),
    };
    let text = text.strip_prefix(' ').unwrap_or(text).to_owned();
    Some(Turn { at_ms: (seconds * 1000.0).round() as u64, side, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_time_a_side_and_a_text() {
        let text = "   1.002 > N1 G28*18\nN2 G1 X1*99\n   1.010 < ok\n   1.011 <  T:20.0 /0.0\n   1.012 > \n";
        let found = Transcript::parse(text).unwrap();
        let turn = |at_ms, side, text: &str| Turn { at_ms, side, text: text.to_owned() };
        let expected = [
            turn(1002, Side::Host, "N1 G28*18"),
            turn(1002, Side::Host, "N2 G1 X1*99"),
            turn(1010, Side::Printer, "ok"),
            turn(1011, Side::Printer, " T:20.0 /0.0"),
            turn(1012, Side::Host, ""),
        ];
        assert_eq!(found.turns, expected);
        let exchanges = found.exchanges();
        let asked: Vec<_> = exchanges.iter().map(|exchange| exchange.asked.len()).collect();
        let answered: Vec<_> = exchanges.iter().map(|exchange| exchange.answered.len()).collect();
        assert_eq!((asked, answered), (vec![0, 2, 1], vec![0, 2, 0]));
        assert_eq!(found.printer_lines().count(), 2);
    }

    #[test]
    fn what_is_no_conversation_is_named_by_its_line() {
        use TranscriptError::{Backwards, NoHead};
        for (text, error) in [
            ("ok\n", NoHead(1)),
            ("   1.000 < ok\nmore\n", NoHead(2)),
            ("   1.000 > M105\n   0.900 < ok\n", Backwards(2)),
            ("   inf < ok\n", NoHead(1)),
            ("99999999.000 < ok\n", NoHead(1)),
        ] {
            assert_eq!(Transcript::parse(text), Err(error), "{text:?}");
        }
    }
}
