//! Objects of a file that carry labels, so that a firmware can leave one out: `M486` (Marlin `cancel_object.cpp`, RepRapFirmware) and Klipper's
//! `EXCLUDE_OBJECT_DEFINE` (`exclude_object.py`).

/// Objects that are remembered, and the longest name of one.
const OBJECTS: usize = 64;
const NAME_BYTES: usize = 64;
const DEFINE: &[u8] = b"EXCLUDE_OBJECT_DEFINE";

/// The labels in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Objects(Vec<String>);

impl Objects {
    /// Looks at a cleaned command.
    pub(super) fn take(&mut self, command: &[u8]) {
        let found = match command {
            [b'M' | b'm', b'4', b'8', b'6', b' ', rest @ ..] => number(rest),
            _ if command.len() > DEFINE.len() && command[..DEFINE.len()].eq_ignore_ascii_case(DEFINE) => {
                name(&command[DEFINE.len()..])
            }
            _ => None,
        };
        if let Some(found) = found.filter(|found| self.0.len() < OBJECTS && !self.0.contains(found)) {
            self.0.push(found);
        }
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.0
    }
}

/// `S3` begins object 3; `S-1` is none.
fn number(words: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(words).ok()?;
    let number = text.split(' ').find_map(|word| word.strip_prefix(['S', 's']))?;
    number.parse::<u32>().ok().map(|number| number.to_string())
}

/// `NAME=part_1`; a name that could be more than a name is not one.
fn name(parameters: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(parameters).ok()?;
    let named = text.split(' ').filter_map(|word| word.split_once('='));
    let (_, name) = named.into_iter().find(|(key, _)| key.eq_ignore_ascii_case("NAME"))?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let fits = (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain);
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_both_kinds_are_found_once_each() {
        let mut objects = Objects::default();
        for command in [
            "M486 T3",
            "M486 S0",
            "M486 A\"cube\" S2",
            "M486 S0",
            "M486 S-1",
            "M4860 S9",
            "EXCLUDE_OBJECT_DEFINE NAME=part_1.stl CENTER=1,2",
            "EXCLUDE_OBJECT_DEFINE CENTER=1,2",
            "EXCLUDE_OBJECT_DEFINE NAME=a\"b",
            "EXCLUDE_OBJECT_START NAME=other",
            "G1 X486 S7",
        ] {
            objects.take(command.as_bytes());
        }
        assert_eq!(objects.into_names(), ["0", "2", "part_1.stl"]);
    }

    #[test]
    fn a_file_of_a_thousand_objects_stays_bounded() {
        let mut objects = Objects::default();
        (0..1_000).for_each(|n| objects.take(format!("M486 S{n}").as_bytes()));
        objects.take(format!("EXCLUDE_OBJECT_DEFINE NAME={}", "x".repeat(999)).as_bytes());
        assert_eq!(objects.into_names().len(), OBJECTS);
    }
}
