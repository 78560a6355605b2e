//! The listed rewrites: a command that waits for a temperature becomes the one that only sets it, and the host waits.

use std::fmt;

use crate::printer::Executed;

/// How far below its target a heater counts as warm: Marlin's own hysteresis is 3.
const NEAR_C: f64 = 3.0;

/// What has to be reached before the job may go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    target_c: f64,
    is_bed: bool,
    cools: bool,
}

/// `M109 R60` as a host that waits itself writes it, and what it has to wait for.
#[must_use]
pub fn rewritten(command: &str) -> Option<(String, Wait)> {
    let (word, rest) = command.split_once(' ')?;
    let (word, is_bed) = match word {
        "M109" => ("M104", false),
        "M190" => ("M140", true),
        _ => return None,
    };
    let parameter = rest.split(' ').find(|word| word.starts_with(['S', 'R']))?;
    let wait = Wait { target_c: parameter[1..].parse().ok()?, is_bed, cools: parameter.starts_with('R') };
    Some((format!("{word} {}", rest.replace('R', "S")), wait))
}

impl Wait {
    /// Whether the heater had reached it when this line was carried out.
    #[must_use]
    pub fn is_over(&self, line: &Executed) -> bool {
        let now_c = f64::from(if self.is_bed { line.bed_centi_c } else { line.hotend_centi_c }) / 100.0;
        let (warm, cool) = (now_c >= self.target_c - NEAR_C, now_c <= self.target_c + NEAR_C);
        warm && (cool || !self.cools)
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} degrees at the {}", self.target_c, if self.is_bed { "bed" } else { "nozzle" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hotend_c: i32, bed_c: i32) -> Executed {
        Executed::bare(b"G1 X1", hotend_c * 100, bed_c * 100)
    }

    #[test]
    fn the_command_changes_and_the_wait_says_when_it_is_over() {
        let (text, wait) = rewritten("M109 S200").unwrap();
        assert_eq!(text, "M104 S200");
        assert!(!wait.is_over(&at(150, 200)) && wait.is_over(&at(198, 20)) && wait.is_over(&at(260, 20)));
        let (text, wait) = rewritten("M190 R60").unwrap();
        assert_eq!(text, "M140 S60");
        assert!(!wait.is_over(&at(60, 90)) && wait.is_over(&at(200, 61)));
        assert_eq!(rewritten("M104 S200"), None);
        assert_eq!(rewritten("M109"), None);
    }
}
