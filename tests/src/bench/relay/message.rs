//! The messages of the load: the same JSON text for every server, with a mark that says who sent it, which it is, and when.

use std::io::Write;

use memchr::memmem;

/// What stands in front of a mark.
const FIELD: &str = r#""mark":""#;
/// Digits of its three numbers.
const AGENT: usize = 6;
const NUMBER: usize = 9;
const TIME: usize = 16;
const MARK: usize = AGENT + NUMBER + TIME;
/// Telemetry as an agent sends it.
const DATA: &str = r#""d":{"state":"printing","pct":42.5,"line":20117,"layer":33,"z":6.6,"t":{"tool0":[214.9,215.0],"bed":[60.0,60.0]}}"#;

/// Who sent a message, or shall get it; which of theirs it is; when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) agent: u32,
    pub(super) number: u32,
    /// Since the load began.
    pub(super) sent_ns: u64,
}

impl Mark {
    /// The mark of a message; what a server says itself has none.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let at = memmem::find(text, FIELD.as_bytes())? + FIELD.len();
        let digits = std::str::from_utf8(text.get(at..at + MARK)?).ok()?;
        let (agent, rest) = digits.split_at(AGENT);
        let (number, time) = rest.split_at(NUMBER);
        Some(Self { agent: agent.parse().ok()?, number: number.parse().ok()?, sent_ns: time.parse().ok()? })
    }
}

/// A message that lacks only its mark.
#[derive(Debug, Clone)]
pub(super) struct Template {
    text: Vec<u8>,
    mark_at: usize,
}

impl Template {
    /// Telemetry in one of a sender's slots.
    pub(super) fn telemetry(to: &str, slot: usize, bytes: usize) -> Self {
        Self::new(&format!(r#"{{"v":1,"t":"telem","to":"{to}","key":"p{slot}""#), bytes)
    }

    /// Events, which must not be lost.
    pub(super) fn events(to: &str, bytes: usize) -> Self {
        Self::new(&format!(r#"{{"v":1,"t":"events","to":"{to}""#), bytes)
    }

    /// A command, which must not be lost unless the server says that it was not taken.
    pub(super) fn command(to: &str, number: u32, bytes: usize) -> Self {
        Self::new(&format!(r#"{{"v":1,"t":"cmd","to":"{to}","id":"{}""#, command_id(number)), bytes)
    }

    /// The body is filled up until the whole has so many bytes.
    fn new(head: &str, bytes: usize) -> Self {
        let front = format!(r#"{head},"body":{{{FIELD}"#);
        let behind = format!(r#"",{DATA},"fill":""#);
        let fill = bytes.saturating_sub(front.len() + MARK + behind.len() + 3);
        let text = format!("{front}{:0MARK$}{behind}{}\"}}}}", 0, "x".repeat(fill));
        Self { mark_at: front.len(), text: text.into_bytes() }
    }

    /// The message with this mark.
    pub(super) fn stamp(&mut self, mark: Mark) -> &[u8] {
        let Mark { agent, number, sent_ns } = mark;
        let mut place = &mut self.text[self.mark_at..self.mark_at + MARK];
        // A number that is too large would be cut, and then the mark is not found again.
        let _ = write!(place, "{agent:0AGENT$}{number:0NUMBER$}{sent_ns:0TIME$}");
        &self.text
    }
}

/// The id of a command.
fn command_id(number: u32) -> String {
    format!("c{number:0NUMBER$}")
}

/// The command of an id.
pub(super) fn command_of(id: &str) -> Option<u32> {
    id.strip_prefix('c')?.parse().ok()
}

/// The value that so many of a thousand are not above; the values are put in order.
pub(super) fn quantile(values: &mut [u64], of_a_thousand: usize) -> u64 {
    values.sort_unstable();
    let at = (values.len() * of_a_thousand).div_ceil(1_000);
    values.get(at.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spoolway_protocol::Route;

    #[test]
    fn each_message_has_its_size_is_an_envelope_and_gives_its_mark_back() {
        let mark = Mark { agent: 18_999, number: 123_456_789, sent_ns: 98_765_432_101 };
        let agent = "a:7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
        let made = [
            Template::telemetry("b:bench", 15, 300),
            Template::events("b:bench", 300),
            Template::command(agent, 7, 300),
            Template::events("b:bench", 36_000),
        ];
        for (mut template, bytes) in made.into_iter().zip([300, 300, 300, 36_000]) {
            let text = template.stamp(mark);
            assert_eq!((text.len(), Mark::of(text)), (bytes, Some(mark)));
            Route::parse(std::str::from_utf8(text).unwrap()).unwrap();
            serde_json::from_slice::<serde_json::Value>(text).unwrap();
        }
        assert_eq!(Mark::of(br#"{"v":1,"t":"presence"}"#), None);
        assert_eq!(command_of(&command_id(42)), Some(42));
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let mut values: Vec<u64> = (1..=1_000).rev().collect();
        assert_eq!([500, 990, 1_000].map(|part| quantile(&mut values, part)), [500, 990, 1_000]);
        assert_eq!((quantile(&mut [7], 500), quantile(&mut [], 500)), (7, 0));
    }
}
