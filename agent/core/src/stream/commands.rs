//! How long a command may block: looked up for every line, so it has to be quick.

use std::collections::HashSet;

use super::history::Pace;

/// Commands that wait for a person: a change of filament may take the night (Marlin `M0_M1.cpp`, `M600.cpp`; `M226` waits for a
/// pin, `M601` is Prusa's pause).
const FOR_A_PERSON: [(u8, u32); 5] = [(b'M', 0), (b'M', 1), (b'M', 226), (b'M', 600), (b'M', 601)];

/// Commands that wait for a temperature (Marlin `M109.cpp`, `M140_M190.cpp`, `M141_M191.cpp`).
const FOR_HEAT: [(u8, u32); 3] = [(b'M', 109), (b'M', 190), (b'M', 191)];

/// The commands that may block, each a letter and a number, or another word.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    numbered: HashSet<(u8, u32)>,
    words: Vec<Vec<u8>>,
}

impl Commands {
    /// Takes commands as a profile lists them, in capitals.
    #[must_use]
    pub fn new(list: &[String]) -> Self {
        let mut commands = Self::default();
        for command in list {
            match numbered(command.as_bytes()) {
                Some((letter, number, [])) => {
                    commands.numbered.insert((letter, number));
                }
                _ => commands.words.push(command.clone().into_bytes()),
            }
        }
        commands
    }

    pub(super) fn pace(&self, command: &[u8]) -> Pace {
        let Some((letter, number, rest)) = numbered(command) else {
            let listed = self.words.iter().any(|word| command.starts_with(word));
            return if listed { Pace::Blocking } else { Pace::Quick };
        };
        // The most frequent by far, and never listed.
        if letter == b'G' && number <= 1 {
            return Pace::Quick;
        }
        if !self.numbered.contains(&(letter, number)) || rest.first() == Some(&b'.') {
            return Pace::Quick;
        }
        match (letter, number) {
            word if FOR_A_PERSON.contains(&word) => Pace::Person,
            word if FOR_HEAT.contains(&word) => Pace::Heating,
            _ => Pace::Blocking,
        }
    }
}

/// `G28 X` is `G`, 28 and what follows.
fn numbered(command: &[u8]) -> Option<(u8, u32, &[u8])> {
    let letter = command.first()?.to_ascii_uppercase();
    let digits = command[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !letter.is_ascii_alphabetic() || digits == 0 || digits > 6 {
        return None;
    }
    let number = command[1..=digits].iter().fold(0, |number, byte| number * 10 + u32::from(byte - b'0'));
    Some((letter, number, &command[1 + digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_commands_block_and_others_do_not() {
        let list = ["G28", "G4", "M109", "M600", "$H"].map(str::to_owned);
        let commands = Commands::new(&list);
        for (command, pace) in [
            ("G28", Pace::Blocking),
            ("g28 X", Pace::Blocking),
            ("G4P100", Pace::Blocking),
            ("M109 S210", Pace::Heating),
            ("M600 B1", Pace::Person),
            ("$H", Pace::Blocking),
            ("M0", Pace::Quick),
            ("G1 X28", Pace::Quick),
            ("G280", Pace::Quick),
            ("G28.1", Pace::Quick),
            ("M1090", Pace::Quick),
            ("$", Pace::Quick),
            ("", Pace::Quick),
        ] {
            assert_eq!(commands.pace(command.as_bytes()), pace, "{command}");
        }
    }
}
