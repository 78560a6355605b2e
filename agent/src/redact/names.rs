//! Names of files and people: which of them say something, and where they stand by themselves.
//!
//! A part is called `print.gcode` or `100.gcode` as often as it is called after somebody. Taken out wherever such a word stands, it would
//! take numbers, lines of the wire and the agent's own words along, which is what a text is read for.

use spoolway_protocol::Fault;
use spoolway_protocol::job::JobState;
use spoolway_protocol::printer::PrinterState;

use crate::config::keys;

/// What stands before an ending is a word like any other, and found in everything while it is shorter.
const STEM_CHARS: usize = 4;
/// Endings of files that are a part, or on their way to be one: what stands before them is its name.
const ENDINGS: [&str; 13] =
    ["gcode", "gco", "gc", "g", "nc", "bgcode", "stl", "3mf", "obj", "step", "stp", "tmp", "zst"];
/// Words of the log, of the wire and of a bundle, beside those of settings, states and faults: nobody is told by them.
const OURS: [&str; 74] = [
    "action",
    "actor",
    "advanced",
    "agent",
    "alarm",
    "answer",
    "attempt",
    "await",
    "backend",
    "bundle",
    "busy",
    "cable",
    "code",
    "command",
    "commands",
    "console",
    "data",
    "debug",
    "done",
    "echo",
    "error",
    "event",
    "false",
    "fields",
    "firmware",
    "gcode",
    "heater",
    "help",
    "info",
    "klipper",
    "layer",
    "line",
    "lines",
    "link",
    "mail",
    "marlin",
    "message",
    "name",
    "none",
    "nozzle",
    "null",
    "offer",
    "owner",
    "part",
    "port",
    "post-mortem",
    "print",
    "printer",
    "processing",
    "profile",
    "record",
    "redacted",
    "resend",
    "reset",
    "root",
    "serial",
    "session",
    "snapshot",
    "spoolway",
    "spoolway-agent",
    "start",
    "started",
    "status",
    "target",
    "temperature",
    "text",
    "time",
    "trace",
    "true",
    "unknown",
    "user",
    "wait",
    "warn",
    "wire",
];

/// Whether a name says anything of anybody: it is no number, no word of a line on the wire, and none of the agent's own.
pub(crate) fn is_telling(name: &str) -> bool {
    let has_letters = name.chars().any(|c| c.is_alphabetic() || !c.is_ascii());
    has_letters && name.parse::<f64>().is_err() && !is_of_the_wire(name) && !is_ours(name)
}

/// What stands before a name's ending, where it is long enough to be looked for.
pub(super) fn stem(name: &str) -> Option<&str> {
    let name = name.trim();
    let file = name.rsplit('/').next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem).trim();
    (stem.chars().count() >= STEM_CHARS).then_some(stem)
}

/// A letter and a number, as in `X100` or `M104`.
fn is_of_the_wire(name: &str) -> bool {
    let number = name.strip_prefix(|c: char| c.is_ascii_alphabetic());
    number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
}

fn is_ours(name: &str) -> bool {
    let name = name.to_lowercase();
    let codes = Fault::ALL.iter().map(|fault| fault.code());
    let dotted = keys().chain(codes);
    let states = PrinterState::WORDS.iter().copied().chain(JobState::ALL.map(JobState::as_str));
    let mut words = dotted.flat_map(|words| words.split('.').chain([words])).chain(states).chain(OURS);
    words.any(|word| word == name)
}

/// The text with something else wherever the name stands by itself.
pub(crate) fn without(text: &str, name: &str, instead: &str) -> String {
    let (mut out, mut taken, mut from) = (String::with_capacity(text.len()), 0, 0);
    while let Some(at) = text[from..].find(name).map(|at| from + at) {
        let end = at + name.len();
        if stands_alone(&text[..at], &text[end..]) {
            out.extend([&text[taken..at], instead]);
            (taken, from) = (end, end);
        } else {
            from = at + text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    out.push_str(&text[taken..]);
    out
}

/// Whether what stands before and behind is no part of the same word, name or number.
fn stands_alone(before: &str, behind: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    // A dot or dash joins what stands on both of its sides, and ends a sentence otherwise.
    let joins = |near: Option<char>, far: Option<char>| match near {
        Some('.' | '-') => far.is_some_and(is_of_word),
        near => near.is_some_and(is_of_word),
    };
    let mut back = before.chars().rev();
    let (near, far) = (back.next(), back.next());
    // The letter of `\n` is of no word.
    let is_escape = far == Some('\\') && matches!(near, Some('n' | 'r' | 't'));
    let mut on = behind.chars();
    (is_escape || !joins(near, far)) && (has_ending(behind) || !joins(on.next(), on.next()))
}

/// `.stl`, and then nothing more of the word.
fn has_ending(behind: &str) -> bool {
    let Some(word) = behind.strip_prefix('.') else { return false };
    let end = word.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(word.len());
    ENDINGS.iter().any(|ending| word[..end].eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_words_of_the_wire_and_the_agents_own_tell_nothing() {
        for name in [
            "100",
            "3.14",
            "1e5",
            "2026-11-29",
            "inf",
            "X100",
            "M104",
            "e0.5",
            "print",
            "Line",
            "spoolway-agent",
            "printing",
            "port.lost",
            "stays_cold",
            "baud",
            "queued",
            "NaN",
        ] {
            assert!(!is_telling(name), "{name}");
        }
        for name in ["100.gcode", "print.gcode", "Anna", "vase", "A320 wing", "花瓶", "X100.gcode", "anna_2"]
        {
            assert!(is_telling(name), "{name}");
        }
    }

    #[test]
    fn a_stem_is_what_stands_before_the_last_dot() {
        for (name, before) in [
            ("vase.gcode", Some("vase")),
            ("v1.2.gcode", Some("v1.2")),
            ("parts/vase.gcode", Some("vase")),
            ("vase", Some("vase")),
            ("lid.gcode", None),
            (".gcode", None),
            ("", None),
        ] {
            assert_eq!(stem(name), before, "{name}");
        }
    }

    #[test]
    fn a_name_goes_only_where_it_stands_by_itself() {
        for (text, left) in [
            ("vase", "[n]"),
            (
                "a vase. The vase, (vase) \"vase\" 'vase' of=vase;",
                "a [n]. The [n], ([n]) \"[n]\" '[n]' of=[n];",
            ),
            ("/srv/vase/vase.stl vase.GCODE vase.gco.", "/srv/[n]/[n].stl [n].GCODE [n].gco."),
            ("first\\nvase\\tvase", "first\\n[n]\\t[n]"),
            ("- vase -vase vase-", "- [n] -[n] [n]-"),
            ("vase\nvase", "[n]\n[n]"),
            (
                "vases xvase vase_2 my-vase vase-2 9vase a.vase vase.x vase.stlx évase",
                "vases xvase vase_2 my-vase vase-2 9vase a.vase vase.x vase.stlx évase",
            ),
        ] {
            assert_eq!(without(text, "vase", "[n]"), left);
        }
        assert_eq!(without("xa b a b a b", "a b a b", "[n]"), "xa b [n]", "one that is none hides no other");
        assert_eq!(without("G1 X1.100.gcode", "100.gcode", "[n]"), "G1 X1.100.gcode");
    }
}
