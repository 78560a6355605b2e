//! Which commands are known at all, which have no place in a job, and which need a person.

/// `G` commands of the supported firmwares, by number.
const G: &[u32] = &[
    0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 17, 18, 19, 20, 21, 22, 23, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 38,
    40, 42, 43, 49, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 68, 69, 75, 76, 80, 81, 82, 83, 84, 85, 86, 87,
    88, 89, 90, 91, 92, 93, 94, 98, 99, 100, 110, 123, 130, 131, 132, 133, 134, 161, 162, 163, 164, 201, 202,
    203, 204, 205, 206, 425, 427, 800,
];

/// Ranges of `M` commands of the supported firmwares, both ends included. Wide where firmwares have filled a range.
const M: &[(u32, u32)] = &[
    (0, 11),
    (13, 13),
    (15, 36),
    (37, 40),
    (42, 43),
    (48, 48),
    (70, 87),
    (92, 93),
    (98, 101),
    (102, 143),
    (144, 146),
    (149, 151),
    (154, 159),
    (160, 171),
    (190, 193),
    (196, 196),
    (200, 240),
    (250, 262),
    (280, 311),
    (320, 325),
    (330, 331),
    (340, 340),
    (348, 351),
    (355, 356),
    (360, 366),
    (370, 376),
    (380, 382),
    (385, 386),
    (390, 391),
    (400, 427),
    (430, 432),
    (450, 453),
    (460, 462),
    (470, 472),
    (486, 486),
    (493, 493),
    (500, 512),
    (524, 524),
    (530, 532),
    (540, 540),
    (550, 605),
    (650, 655),
    (660, 666),
    (669, 669),
    (671, 675),
    (681, 681),
    (700, 713),
    (750, 756),
    (772, 772),
    (800, 800),
    (808, 815),
    (820, 820),
    (850, 875),
    (876, 876),
    (900, 929),
    (930, 930),
    (940, 999),
    (1000, 1002),
    (1600, 1604),
    (1704, 1704),
];

/// Commands that a job must not hold, and why.
const FORBIDDEN: &[(u32, &str)] = &[
    (28, "it writes what follows to the printer's card instead of printing it"),
    (30, "it deletes a file of the printer's card"),
    (112, "it stops the printer at once"),
    (303, "it heats by itself to find control values"),
    (500, "it writes the printer's stored settings"),
    (502, "it puts the printer's settings back to those it was built with"),
    (997, "it replaces the printer's firmware"),
    (999, "it restarts the printer"),
];

/// Commands that start a print of their own from the printer's card, when a file is named or was chosen.
const FROM_CARD: &[u32] = &[24, 32];

/// Commands that wait for a person, and what for.
const FOR_A_PERSON: &[(u32, &str)] = &[
    (0, "somebody presses the button"),
    (1, "somebody presses the button"),
    (226, "somebody resumes the print"),
    (600, "the filament is changed"),
    (601, "somebody resumes the print"),
];

/// Whether a `G` or `M` command exists in any of the supported firmwares.
pub(super) fn is_known(letter: u8, number: u32) -> bool {
    match letter {
        b'G' => G.binary_search(&number).is_ok(),
        b'M' => M.iter().any(|(first, last)| (*first..=*last).contains(&number)),
        _ => true,
    }
}

/// Why an `M` command has no place in a job; `has_argument` says whether anything stands behind it.
pub(super) fn why_forbidden(number: u32, has_argument: bool) -> Option<&'static str> {
    if FROM_CARD.contains(&number) {
        return Some("it prints from the printer's own card");
    }
    // On its own it ends a program (RS-274), and firmwares with a card delete nothing.
    if number == 30 && !has_argument {
        return None;
    }
    FORBIDDEN.iter().find(|(forbidden, _)| *forbidden == number).map(|(_, why)| *why)
}

/// What an `M` command waits for, when it is a person.
pub(super) fn needs_person(number: u32) -> Option<&'static str> {
    FOR_A_PERSON.iter().find(|(command, _)| *command == number).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order() {
        assert!(G.is_sorted());
        assert!(M.iter().all(|(first, last)| first <= last));
        assert!(M.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn what_is_forbidden_is_known_and_questions_are_free() {
        assert!(FORBIDDEN.iter().all(|(number, _)| is_known(b'M', *number)));
        for number in [104, 105, 115, 117, 155, 73, 84, 106, 201, 220, 501, 503, 862, 900, 906, 914] {
            assert!(is_known(b'M', number) && why_forbidden(number, true).is_none(), "M{number}");
        }
        assert!(!is_known(b'G', 7) && !is_known(b'M', 4_711));
        assert!(why_forbidden(30, false).is_none() && why_forbidden(30, true).is_some());
    }
}
