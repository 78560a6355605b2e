//! From the printer's bytes to what they mean, as the profile says.

use spoolway_firmware_profiles::Replies;

use crate::temperature::{Temperatures, parse_temperatures};

/// Longest reply line that is kept; the rest of a longer one is dropped (a capability list of M115 has about 100).
const LINE_BYTES_MAX: usize = 512;

/// What a printer said in one line.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A line was acknowledged.
    Ok(Acknowledged),
    /// A line is asked for again.
    Resend(u32),
    /// A line was dropped because of its number, which the firmware names; its `ok` follows.
    Skip(Option<u32>),
    /// The firmware works and cannot answer yet.
    Busy,
    /// The command queue is empty.
    Wait,
    /// The firmware has just started.
    Start,
    /// The firmware has stopped for good.
    Fatal(String),
    /// Bytes found no room in the firmware's receive ring.
    Overrun,
    /// An error; harmless ones leave a job alone.
    Error {
        /// The line.
        text: String,
        /// Whether the profile says that a job goes on.
        harmless: bool,
        /// Whether it is itself the answer to a line, as grbl's `error:20` is.
        acknowledges: bool,
    },
    /// A host action, without its `//action:`.
    Action(String),
    /// Temperatures, reported by themselves or while heating.
    Temperatures(Temperatures),
    /// Anything else: a sign of life.
    Other(String),
}

/// What an acknowledgement carried.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Acknowledged {
    /// Number of the acknowledged line (Marlin `ADVANCED_OK`, Repetier `ok 12`).
    pub line: Option<u32>,
    /// Free planner blocks.
    pub planner_free: Option<u32>,
    /// Free queue slots.
    pub queue_free: Option<u32>,
    /// The answer to M105 stands on the `ok` line itself.
    pub temperatures: Option<Temperatures>,
}

/// Collects bytes into lines and lines into replies.
#[derive(Debug)]
pub struct ReplyParser {
    rules: Replies,
    line: Vec<u8>,
}

impl ReplyParser {
    /// A parser for one dialect.
    #[must_use]
    pub fn new(rules: Replies) -> Self {
        Self { rules, line: Vec::with_capacity(128) }
    }

    /// Bytes of a line whose end has not come yet, as far as they are kept.
    #[must_use]
    pub fn unfinished_bytes(&self) -> usize {
        self.line.len()
    }

    /// Takes bytes until a line is whole; gives `None` when the input is used up.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Reply> {
        loop {
            let end = input.iter().position(|&b| b == b'\n' || b == b'\r');
            let piece = &input[..end.unwrap_or(input.len())];
            let room = LINE_BYTES_MAX - self.line.len();
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            let Some(end) = end else {
                *input = &[];
                return None;
            };
            *input = &input[end + 1..];
            if self.line.iter().all(u8::is_ascii_whitespace) {
                self.line.clear();
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let reply = read_line(&self.rules, &line);
            self.line = line;
            self.line.clear();
            return Some(reply);
        }
    }
}

fn read_line(rules: &Replies, line: &[u8]) -> Reply {
    let text = line.trim_ascii();
    if rules.start.iter().any(|start| cuts_short(text, start.as_bytes(), rules)) {
        return Reply::Start;
    }
    if let Some(rest) = after_any(text, &rules.ok) {
        return Reply::Ok(acknowledged(rest));
    }
    if let Some(rest) = after_any(text, &rules.resend) {
        // A request whose number was lost on the way still tells that a line was refused.
        return first_number(rest).map_or_else(|| Reply::Other(lossy(text)), Reply::Resend);
    }
    let printable = text.iter().position(u8::is_ascii_graphic).map_or(text, |at| &text[at..]);
    if rules.start.iter().any(|start| is_start(printable, start.as_bytes())) {
        return Reply::Start;
    }
    if rules.fatal.iter().any(|part| contains(text, part.as_bytes())) {
        return Reply::Fatal(lossy(text));
    }
    if after_any(text, &rules.busy).is_some() {
        return Reply::Busy;
    }
    if let Some(rest) = after_any(text, &rules.skip) {
        return Reply::Skip(first_number(rest));
    }
    if rules.overrun.iter().any(|part| contains(text, part.as_bytes())) {
        return Reply::Overrun;
    }
    if rules.wait.iter().any(|wait| text.eq_ignore_ascii_case(wait.as_bytes())) {
        return Reply::Wait;
    }
    if let Some(rest) = after_any(text, &rules.action) {
        return Reply::Action(lossy(rest.trim_ascii()));
    }
    if after_any(text, &rules.error).is_some() {
        let harmless = rules.harmless_errors.iter().any(|part| contains(text, part.as_bytes()));
        return Reply::Error { text: lossy(text), harmless, acknowledges: rules.error_acknowledges };
    }
    parse_temperatures(text).map_or_else(|| Reply::Other(lossy(text)), Reply::Temperatures)
}

/// A banner is the whole line, or is followed by a version (`Grbl 1.1h ['$' for help]`).
fn is_start(text: &[u8], start: &[u8]) -> bool {
    let fits = text.len() >= start.len() && text[..start.len()].eq_ignore_ascii_case(start);
    let version = |rest: &[u8]| matches!(rest, [b' ', digit, ..] if digit.is_ascii_digit());
    fits && (text.len() == start.len() || version(&text[start.len()..]))
}

/// A reset can come in the middle of a reply, and a line end can be lost ahead of it: then the banner closes a line that began
/// as an acknowledgement or a report, or has a character or two before it.
fn cuts_short(text: &[u8], start: &[u8], rules: &Replies) -> bool {
    let Some(at) = text.len().checked_sub(start.len()).filter(|&at| at > 0) else { return false };
    let (head, tail) = text.split_at(at);
    tail.eq_ignore_ascii_case(start)
        && (head.len() <= 2 || head.starts_with(b"T:") || after_any(head, &rules.ok).is_some())
}

fn acknowledged(rest: &[u8]) -> Acknowledged {
    let mut found = Acknowledged::default();
    if rest.is_empty() {
        return found;
    }
    for (index, word) in rest.split(|&b| b == b' ').filter(|w| !w.is_empty()).enumerate() {
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok().and_then(|t| t.parse().ok());
        match word {
            [b'N', digits @ ..] => found.line = number(digits),
            [b'P', digits @ ..] => found.planner_free = number(digits),
            [b'B', digits @ ..] if digits.first() != Some(&b':') => found.queue_free = number(digits),
            _ if index == 0 && word.iter().all(u8::is_ascii_digit) => found.line = number(word),
            _ => {}
        }
    }
    found.temperatures = parse_temperatures(rest);
    found
}

/// What follows the first of these beginnings that fits.
fn after_any<'a>(text: &'a [u8], beginnings: &[String]) -> Option<&'a [u8]> {
    beginnings.iter().find_map(|beginning| {
        let beginning = beginning.as_bytes();
        let fits = text.len() >= beginning.len() && text[..beginning.len()].eq_ignore_ascii_case(beginning);
        fits.then(|| &text[beginning.len()..])
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|w| w.eq_ignore_ascii_case(part))
}

/// `4`, ` 4`, `N4`, ` N:4`: the first run of digits.
fn first_number(text: &[u8]) -> Option<u32> {
    let start = text.iter().position(u8::is_ascii_digit)?;
    let digits = &text[start..];
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    // A digit that was hit on the way ends the number early: 1374 would be read as 1.
    if digits.get(end).is_some_and(|byte| !byte.is_ascii_whitespace()) {
        return None;
    }
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marlin() -> ReplyParser {
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        ReplyParser::new(Replies {
            ok: words(&["ok"]),
            resend: words(&["Resend:", "rs "]),
            ok_after_resend: true,
            skip: words(&["skip "]),
            busy: words(&["echo:busy:", "busy:"]),
            wait: words(&["wait"]),
            start: words(&["start"]),
            fatal: words(&["printer halted"]),
            error: words(&["Error:"]),
            harmless_errors: words(&["checksum mismatch"]),
            error_acknowledges: false,
            action: words(&["//action:", "// action:"]),
            overrun: words(&["Full RX Buffer"]),
        })
    }

    fn all(text: &[u8], piece: usize) -> Vec<Reply> {
        let mut parser = marlin();
        let mut found = Vec::new();
        for mut part in text.chunks(piece) {
            while let Some(reply) = parser.next(&mut part) {
                found.push(reply);
            }
        }
        found
    }

    #[test]
    fn reads_a_conversation_in_pieces_of_any_size() {
        let text = b"\x00\xfestart\necho:busy: processing\nok\n\r\nError:checksum mismatch, Last Line: 1\nResend: 2\nok\n\
            ok N12 P15 B3\nwait\n//action:paused\nError:Printer halted. kill() called!\nrs N4 Expected\nok 9\n\
            skip 12\necho:Full RX Buffer\nstart 2\nstart of a text\n";
        let ok = |line| Reply::Ok(Acknowledged { line, ..Default::default() });
        let expected = vec![
            Reply::Start,
            Reply::Busy,
            ok(None),
            Reply::Error {
                text: "Error:checksum mismatch, Last Line: 1".into(),
                harmless: true,
                acknowledges: false,
            },
            Reply::Resend(2),
            ok(None),
            Reply::Ok(Acknowledged {
                line: Some(12),
                planner_free: Some(15),
                queue_free: Some(3),
                temperatures: None,
            }),
            Reply::Wait,
            Reply::Action("paused".into()),
            Reply::Fatal("Error:Printer halted. kill() called!".into()),
            Reply::Resend(4),
            ok(Some(9)),
            Reply::Skip(Some(12)),
            Reply::Overrun,
            Reply::Start,
            Reply::Other("start of a text".into()),
        ];
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(all(text, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_number_with_a_digit_that_is_none_is_no_number() {
        for garbled in ["Resend:1t74", "Resend: 13\u{1}4", "rs N1=74 Expected", "Resend:"] {
            assert_eq!(all(format!("{garbled}\n").as_bytes(), 7), [Reply::Other(garbled.into())]);
        }
        assert_eq!(all(b"Resend: 12 \nskip 1:2\n", 7), [Reply::Resend(12), Reply::Skip(None)]);
    }

    #[test]
    fn a_banner_is_heard_behind_the_reply_that_the_reset_cut_short() {
        for cut in ["okstart", "ok$start", "ok 12start", "T:21.0 /0.start", "ostart", "ok T:2start"] {
            assert_eq!(all(format!("{cut}\n").as_bytes(), 7), [Reply::Start], "{cut}");
        }
        for other in ["//action:start", "echo:print start", "press to start"] {
            assert_ne!(all(format!("{other}\n").as_bytes(), 7), [Reply::Start], "{other}");
        }
    }

    #[test]
    fn temperatures_stand_on_an_ok_or_alone() {
        let replies = all(b"ok T:19.4 /0.0 B:21.5 /60.0 @:0 B@:0\n T:205.1 /210.0 B:60 /60 @:64 W:?\n", 9);
        let Reply::Ok(Acknowledged { temperatures: Some(on_ok), queue_free: None, .. }) = &replies[0] else {
            panic!("{replies:?}");
        };
        assert_eq!(on_ok.bed.map(|r| (r.actual, r.target)), Some((21.5, Some(60.0))));
        assert!(matches!(&replies[1], Reply::Temperatures(t) if t.tools[0].unwrap().actual == 205.1));
    }

    #[test]
    fn a_line_without_end_stays_bounded() {
        let mut parser = marlin();
        for _ in 0..1000 {
            assert_eq!(parser.next(&mut &[b'x'; 100][..]), None);
        }
        assert!(parser.line.capacity() <= 2 * LINE_BYTES_MAX);
        assert!(matches!(parser.next(&mut &b"\n"[..]), Some(Reply::Other(_))));
    }
}
