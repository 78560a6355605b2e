//! Every code with which something is refused or ends is what some test expects, so that none can be taken out unseen.

use spoolway_protocol::Fault;
use spoolway_protocol::hello::{NackCode, RejectCode};

use crate::sources::code;
use crate::tree::{files, read};

/// Words that no part says by itself, and why.
const UNSAID: [(&str, &str); 1] = [(
    "RejectCode::UpdateRequired",
    "a relay of a later version says it; what an agent makes of it has a test of its own",
)];
/// Where tests stand.
const FOLDERS: [&str; 6] = ["protocol", "agent", "relay", "tests/src", "tests/tests", "firmware-profiles"];
/// What stands ahead of an expected value in a row of a table.
const WRAPPERS: [&str; 5] = ["Some(", "Err(", "Ok(", "End::Failed(", "json!("];

/// Lines that only tests see, one file after another; without comments.
fn test_code() -> Vec<(String, String)> {
    let sources = FOLDERS.iter().flat_map(|folder| files(folder, ".rs"));
    let others =
        sources.filter(|path| !path.starts_with("tests/tests/house/") && path != "protocol/src/fault.rs");
    others.map(|path| (path.clone(), tests_of(&path, &read(&path)))).collect()
}

fn tests_of(path: &str, source: &str) -> String {
    let whole = path.contains("/tests/") || path.ends_with("/tests.rs");
    let ships: Vec<usize> = if whole { Vec::new() } else { code(source).iter().map(|(at, _)| *at).collect() };
    let lines = source
        .lines()
        .enumerate()
        .filter(|(at, line)| ships.binary_search(&(at + 1)).is_err() && !line.trim_start().starts_with("//"));
    lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

/// Where the arguments of assertions stand.
fn assertions(text: &str) -> Vec<std::ops::Range<usize>> {
    let heads = ["assert", "matches!("];
    let starts = heads.iter().flat_map(|head| text.match_indices(head).map(|(at, _)| at));
    starts.filter_map(|at| Some(at..at + end_of_call(&text[at..])?)).collect()
}

/// The length of a call with all its arguments; nothing where it is no call. Text in quotes has no brackets.
fn end_of_call(text: &str) -> Option<usize> {
    let open = text.find('(')?;
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c == '!';
    if !text[..open].chars().all(is_name) {
        return None;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted && depth == 1 => return Some(at + 1),
            b')' if !quoted => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Where the text in quotes begins that stands open at the end of a line's beginning.
fn open_quote(line: &str) -> Option<usize> {
    let quotes: Vec<_> = line.match_indices('"').filter(|(at, _)| !line[..*at].ends_with('\\')).collect();
    quotes.last().filter(|_| quotes.len() % 2 == 1).map(|(at, _)| *at)
}

/// Whether a test expects this word: in an assertion, on the right of a comparison, or as the later member of a row. What a test
/// hands in stands in none of these places. A word of the wire counts in quotes only.
fn is_expected(text: &str, word: &str) -> bool {
    if !text.contains(word) {
        return false;
    }
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    let in_quotes = word.contains('.');
    let assertions = assertions(text);
    text.match_indices(word).any(|(at, _)| {
        if text[..at].ends_with(goes_on) || text[at + word.len()..].starts_with(goes_on) {
            return false;
        }
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let begins = if in_quotes { open_quote(&text[line..at]).map(|quote| line + quote) } else { Some(at) };
        let Some(begins) = begins else { return false };
        let mut before = text[..begins].trim_end();
        while let Some(shorter) = WRAPPERS.iter().find_map(|wrapper| before.strip_suffix(wrapper)) {
            before = shorter.trim_end();
        }
        assertions.iter().any(|range| range.contains(&at)) || before.ends_with("==") || before.ends_with(',')
    })
}

#[test]
fn every_fault_is_expected_by_a_test() {
    let tests = test_code();
    for fault in Fault::ALL {
        let name = format!("Fault::{fault:?}");
        // This code is the name of a command as well.
        let by_code = *fault != Fault::Estop;
        let shown = tests
            .iter()
            .any(|(_, text)| is_expected(text, &name) || by_code && is_expected(text, fault.code()));
        assert!(shown, "no test expects {name} ({fault}): show when it is given");
    }
}

/// A word in the spelling of its variant.
fn variant(of: &str, word: &str) -> String {
    let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
    format!("{of}::{}", word.split('_').map(capital).collect::<String>())
}

#[test]
fn every_word_that_refuses_a_peer_or_a_frame_is_expected_by_a_test() {
    let relay: Vec<_> = test_code().into_iter().filter(|(path, _)| path.starts_with("relay/")).collect();
    let all = [("NackCode", NackCode::WORDS), ("RejectCode", RejectCode::WORDS)];
    for (of, word) in all.iter().flat_map(|(of, words)| words.iter().map(move |word| (of, word))) {
        let name = variant(of, word);
        let shown = relay
            .iter()
            .any(|(_, text)| is_expected(text, &name) || is_expected(text, &format!("\"{word}\"")));
        let unsaid = UNSAID.iter().any(|(unsaid, _)| *unsaid == name);
        assert_ne!(shown, unsaid, "{name}: shown by a test of the relay, or named as never said");
    }
}

/// Names and numbers of the close codes, from where they are declared.
pub(crate) fn close_codes() -> Vec<(String, String)> {
    let source = read("protocol/src/session.rs");
    let lines = source.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.strip_suffix(';'));
    let codes = lines.filter_map(|line| line.split_once(": u16 = "));
    codes.map(|(name, number)| (name.to_owned(), number.to_owned())).collect()
}

#[test]
fn every_close_code_is_expected_by_a_test_of_the_relay() {
    let relay: Vec<_> = test_code().into_iter().filter(|(path, _)| path.starts_with("relay/")).collect();
    let codes = close_codes();
    assert!(codes.len() >= 8, "{codes:?}");
    for (name, number) in codes {
        let name = format!("close::{name}");
        let shown = relay.iter().any(|(_, text)| is_expected(text, &name) || is_expected(text, &number));
        assert!(shown, "no test of the relay expects {name} ({number})");
    }
}

#[test]
fn every_limit_of_the_relay_is_set_by_a_test() {
    let source = read("relay/src/config/mod.rs");
    let fields = source.split("pub struct Limits {").nth(1).and_then(|rest| rest.split("\n}").next());
    let fields = fields.expect("the limits are declared there").lines();
    let names: Vec<_> =
        fields.filter_map(|line| Some(line.trim().strip_prefix("pub ")?.split_once(':')?.0)).collect();
    assert!(names.len() > 15, "{names:?}");
    // What the configuration's own tests set shows that it is read, and not that it holds; what everything sets out of the way neither.
    let out_of_the_way = ["relay/src/hub/tests.rs", "relay/tools/tests/house/world.rs"];
    let is_settings = |path: &str| path.ends_with("/settings.rs") || out_of_the_way.contains(&path);
    let relay = test_code().into_iter().filter(|(path, _)| path.starts_with("relay/") && !is_settings(path));
    let relay: Vec<_> = relay.collect();
    for name in names {
        let ways = [format!("limits.{name}"), format!("{name}: ")];
        let shown = relay.iter().any(|(_, text)| ways.iter().any(|way| text.contains(way)));
        assert!(shown, "no test of the relay sets limits.{name}: show what happens at it");
    }
}

#[test]
fn what_a_test_hands_in_is_told_from_what_it_expects() {
    for expected in [
        "assert_eq!(found.fault, Fault::Busy)",
        "assert!(text.contains(\"(\") && code == \"printer.busy\")",
        "(1, Fault::Busy),",
        "for row in [(reset, Some(Fault::Busy))] {}",
        "(fault.code == \"printer.busy\").then_some(())",
        "assert!(matches!(refused, Err(TalkError::Refused(fault)) if fault.code == \"printer.busy\"))",
    ] {
        assert!(is_expected(expected, "Fault::Busy") || is_expected(expected, "printer.busy"), "{expected}");
    }
    for handed_in in [
        "let end = RunEnd::Interrupted(Fault::Busy, text);",
        "return Err(Refusal::new(Fault::Busy, text));",
        "assert_eq!(Fault::BusyLine, found)",
        "let fault = \"printer.busy\";",
        "assert!(printer.busy)",
        "assert!(found); Refusal::new(Fault::Busy)",
    ] {
        assert!(
            !is_expected(handed_in, "Fault::Busy") && !is_expected(handed_in, "printer.busy"),
            "{handed_in}"
        );
    }
    assert_eq!(variant("RejectCode", "bad_sig"), "RejectCode::BadSig");
    let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    // not this\n    b();\n}\n";
    assert_eq!(tests_of("agent/src/a.rs", source), "#[cfg(test)]\nmod tests {\n    b();\n}");
}
