//! `explain`: what a code means, what the agent has done about it, and what to try.

use std::io::{self, Write};

use super::paint::{Paint, fit, plain, wrap};
use super::{Exit, Failure};
use crate::explain::{Explanation, Group, all, explain as explanations, near, of_group};

/// Columns that every terminal has.
const COLUMNS: usize = 80;
/// Where the words of an explanation begin.
const INDENT: usize = 8;
/// Columns of a code in the list.
const CODE: usize = 27;

/// Explains codes, or lists them all.
pub(super) fn explain(codes: &[String], json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let paint = Paint::of(&io::stdout());
    let found: Vec<_> = codes.iter().map(|code| explanations(code)).collect();
    let known = if codes.is_empty() { all() } else { found.iter().flatten().cloned().collect() };
    if json {
        for explanation in &known {
            serde_json::to_writer(&mut *out, explanation).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    } else if codes.is_empty() {
        out.write_all(list(paint).as_bytes())?;
    } else {
        let told: Vec<_> = known.iter().map(|explanation| screen(explanation, paint)).collect();
        out.write_all(told.join("\n").as_bytes())?;
    }
    out.flush()?;
    let unknown: Vec<&str> = codes
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_empty())
        .map(|(code, _)| code.as_str())
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(no_such(&unknown)) }
}

/// The failure for codes that nobody gives.
fn no_such(unknown: &[&str]) -> Failure {
    let named = unknown.iter().map(|code| format!("`{}`", fit(code, 40))).collect::<Vec<_>>().join(", ");
    let near: Vec<String> =
        unknown.iter().flat_map(|code| near(code)).map(|code| format!("`{code}`")).collect();
    let help = if near.is_empty() {
        "List all codes: `spoolway-agent explain`.".to_owned()
    } else {
        format!("Near ones are {}; all are listed by `spoolway-agent explain`.", near.join(", "))
    };
    Failure::new(Exit::Usage, format!("no code {named} is known here"), None, help)
}

/// One code on its own.
fn screen(explanation: &Explanation, paint: Paint) -> String {
    let gap = format!("\n{:INDENT$}", "");
    let words = |text: &str| wrap(&plain(text), COLUMNS - INDENT).join(&gap);
    let row = |name: &str, text: &str| format!("{} {}\n", paint.bold(&format!("{name:>7}")), words(text));
    let kind = format!(" ({})", explanation.kind());
    let mut text = format!("{}{}\n", paint.bold(&explanation.code), paint.dim(&kind));
    text.push_str(&row("means", &explanation.means));
    text.push_str(&row("done", explanation.done));
    let inner = format!("{gap}   ");
    for (at, step) in explanation.steps.iter().enumerate() {
        let name = if at == 0 { "try" } else { "" };
        let step = wrap(&plain(step), COLUMNS - INDENT - 3).join(&inner);
        text.push_str(&format!("{} {}. {step}\n", paint.bold(&format!("{name:>7}")), at + 1));
    }
    if !explanation.see.is_empty() {
        // A reference stays in one piece, so that it can be followed.
        text.push_str(&format!("{} {}\n", paint.bold(&format!("{:>7}", "see")), explanation.see));
    }
    text
}

/// Every code with a line, group by group.
fn list(paint: Paint) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        text.push_str(&format!("{}\n", paint.bold(group.title())));
        for line in wrap(group.about(), COLUMNS) {
            text.push_str(&format!("{}\n", paint.dim(&line)));
        }
        for explanation in of_group(group) {
            let code = format!("{:<CODE$}", explanation.code);
            text.push_str(&format!("  {code} {}\n", fit(explanation.gist(), COLUMNS - CODE - 3)));
        }
        text.push('\n');
    }
    text.push_str("`spoolway-agent explain CODE` says more of one.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(codes: &[&str], json: bool) -> (String, Result<(), Failure>) {
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        let mut out = Vec::new();
        let ended = explain(&codes, json, &mut out);
        (String::from_utf8(out).unwrap(), ended)
    }

    #[test]
    fn every_code_fits_a_terminal_but_for_references() {
        for explanation in all() {
            let text = screen(&explanation, Paint::none());
            let wide =
                text.lines().find(|line| line.chars().count() > COLUMNS && !line.contains("    see docs/"));
            assert_eq!(wide, None, "{text}");
            assert!(!text.contains('\x1b'), "{text}");
        }
        let list = list(Paint::none());
        assert!(list.lines().all(|line| line.chars().count() <= COLUMNS), "{list}");
        for explanation in all() {
            assert!(list.contains(&format!("\n  {} ", explanation.code)), "{}", explanation.code);
        }
        let longest = all().iter().map(|explanation| explanation.code.len()).max();
        assert!(longest.is_some_and(|longest| longest <= CODE), "{longest:?}");
    }

    #[test]
    fn a_code_is_told_with_what_was_done_and_what_to_try() {
        let (text, ended) = told(&["bed.stale"], false);
        assert!(ended.is_ok());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "bed.stale (fault)");
        assert_eq!(
            lines[1],
            "  means A print has begun since the bed was looked at. The word names an older"
        );
        assert_eq!(
            lines[2],
            "        bed epoch: whoever gave it has seen the bed before the last print began."
        );
        assert_eq!(lines[3], "   done It did not take the word; nothing was started.");
        assert_eq!(lines[4], "    try 1. Look at the bed again.");
        assert!(
            lines[5].starts_with("        2. See the epoch of now, and say it anew: `spoolway-agent bed`"),
            "{text}"
        );
        assert_eq!(lines.last(), Some(&"    see docs/operate.md#the-bed"));
    }

    #[test]
    fn several_codes_are_told_and_an_unknown_one_ends_in_a_failure_that_names_near_ones() {
        let (text, ended) = told(&["busy", "port.mising", "4001"], false);
        for head in ["busy (refused frame)\n", "\nbusy (sender of a file)\n", "\n4001 (close code)\n"] {
            assert!(text.contains(head), "{text}");
        }
        let failure = ended.unwrap_err();
        assert_eq!((failure.exit(), failure.text()), (Exit::Usage, "no code `port.mising` is known here"));
        assert!(failure.help().starts_with("Near ones are `port.missing`;"), "{}", failure.help());
        let (text, ended) = told(&["xyzzyxyzzy\x1b[2J"], false);
        assert_eq!(
            (text.as_str(), ended.unwrap_err().help()),
            ("", "List all codes: `spoolway-agent explain`.")
        );
    }

    #[test]
    fn a_program_gets_one_object_a_line() {
        let (text, ended) = told(&["outside-volume", "port.missing"], true);
        assert!(ended.is_ok());
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["group"], &lines[0]["severity"]), (&"finding".into(), &"error".into()));
        assert_eq!(
            (&lines[1]["code"], &lines[1]["see"]),
            (&"port.missing".into(), &"docs/operate.md#ports".into())
        );
        assert!(lines[1]["try"].as_array().is_some_and(|steps| steps.len() == 4), "{text}");
        let (text, _) = told(&[], true);
        assert_eq!(text.lines().count(), all().len());
    }
}
