//! Takes out of the words on the wire what people have written into a print: texts for the display, names of files.
//!
//! Words of a print are kept after a fault, logged, and given away in a bundle. What a part is called there is nobody's
//! business, and no fault was ever found by it.

use crate::redact::{is_telling, without};

/// Words whose rest is somebody's text.
const TEXTS: [&str; 9] = ["M117", "M118", "M23", "M28", "M30", "M32", "M928", "SET_DISPLAY_TEXT", "RESPOND"];
/// Words that name an object; those of a list are told by their beginning.
const OBJECTS: [&str; 2] = ["M486", "EXCLUDE_OBJECT"];
/// Stands in the place of what was taken out.
const GONE: &str = "[text]";
/// A text that is shorter is not looked for in what the printer says: it would be found in everything.
const HEARD_MIN: usize = 3;
/// Texts that are looked for at a time.
const HEARD_MOST: usize = 32;

/// Remembers what was taken out of the agent's lines, so that it is not kept when the printer repeats it.
#[derive(Debug, Default)]
pub(super) struct Hush {
    heard: Vec<String>,
}

impl Hush {
    /// A line of the agent.
    pub(super) fn sent(&mut self, line: &str) -> String {
        let Some((head, text, tail)) = parts(line) else { return line.to_owned() };
        if text.len() >= HEARD_MIN && is_telling(text) && !self.heard.iter().any(|known| known == text) {
            self.heard.truncate(HEARD_MOST - 1);
            self.heard.insert(0, text.to_owned());
        }
        format!("{head} {GONE}{tail}")
    }

    /// A line of the printer.
    pub(super) fn said(&self, line: &str) -> String {
        self.heard.iter().fold(line.to_owned(), |line, text| without(&line, text, GONE))
    }
}

/// What is in front of a text, the text, and the checksum behind it; `None` for a line without one.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (body, tail) = match line.rsplit_once('*') {
        Some((body, sum)) if !sum.is_empty() && sum.bytes().all(|b| b.is_ascii_digit()) => {
            (body, &line[body.len()..])
        }
        _ => (line, ""),
    };
    let command = match body.split_once(' ') {
        Some((number, rest)) if is_number(number) => rest.trim_start(),
        _ => body.trim_start(),
    };
    let word = command.split(' ').next().unwrap_or_default();
    let text = command[word.len()..].trim();
    let upper = word.to_ascii_uppercase();
    let is_object = OBJECTS.iter().any(|object| upper.starts_with(object)) && text.contains(['A', '=']);
    if text.is_empty() || !(TEXTS.contains(&upper.as_str()) || is_object) {
        return None;
    }
    let head = &body[..body.len() - command.len() + word.len()];
    Some((head, text, tail))
}

fn is_number(word: &str) -> bool {
    word.strip_prefix('N')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_people_go_and_everything_else_stays() {
        for (line, kept) in [
            ("N12 M117 Anna's vase*77", "N12 M117 [text]*77"),
            ("M117 Layer 3", "M117 [text]"),
            ("m117 Anna", "m117 [text]"),
            ("N3 M118 A1 hello*1", "N3 M118 [text]*1"),
            ("N9 M23 ANNA~1.GCO*12", "N9 M23 [text]*12"),
            ("N9 M486 AAnna's lid*12", "N9 M486 [text]*12"),
            ("N9 M486 S1*12", "N9 M486 S1*12"),
            ("EXCLUDE_OBJECT_START NAME=anna", "EXCLUDE_OBJECT_START [text]"),
            ("N7 M117*9", "N7 M117*9"),
            ("N7 G1 X1.5 Y2 E0.3*101", "N7 G1 X1.5 Y2 E0.3*101"),
            ("N7 M1170 a*1", "N7 M1170 a*1"),
            ("N500*999", "N500*999"),
            ("", ""),
        ] {
            assert_eq!(Hush::default().sent(line), kept);
        }
    }

    #[test]
    fn what_the_printer_repeats_goes_as_well() {
        let mut hush = Hush::default();
        hush.sent("N12 M117 Anna's vase*77");
        hush.sent("N13 M117 ok*77");
        assert_eq!(hush.said("//action:notification Anna's vase"), "//action:notification [text]");
        assert_eq!(hush.said("echo:Anna's vase"), "echo:[text]");
        hush.sent("N14 M117 210*77");
        hush.sent("N15 M117 zum Teil*77");
        assert_eq!(hush.said("ok T:210.0 /210"), "ok T:210.0 /210", "a number tells nothing");
        assert_eq!(hush.said("echo:zum Teilchen"), "echo:zum Teilchen");
        for n in 0..200 {
            hush.sent(&format!("M117 part {n:04}"));
        }
        assert_eq!(hush.heard.len(), HEARD_MOST);
        assert_eq!(hush.said("part 0199"), "[text]");
    }
}
