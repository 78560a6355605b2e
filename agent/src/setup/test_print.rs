//! The small test at the end: three files, of which one moves nothing, one heats nothing, and one prints.

use std::fmt::Write as _;

/// Which test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// None.
    No,
    /// The line only: commands that neither move nor heat.
    Line,
    /// The machine is homed and the cold head drawn through a square in the air.
    Move,
    /// A square of one layer in PLA; bed and nozzle are heated.
    Print,
}

/// What a test has to know of the printer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ground {
    /// Least X and Y of the bed, in mm.
    pub least: (f64, f64),
    /// Greatest X and Y, in mm.
    pub most: (f64, f64),
}

/// Why there is no file for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TestError {
    /// Where the bed is is not known.
    #[error("how large the bed is is not known: set printer.volume_mm")]
    NoSize,
    /// The bed is smaller than what is printed.
    #[error("the bed is smaller than 60 mm: the test does not fit")]
    TooSmall,
}

/// Commands of the line test.
const LINE_COMMANDS: u32 = 400;
/// Least width of a bed, in mm.
const LEAST_MM: f64 = 60.0;
/// Side of the square, in mm.
const SIDE_MM: f64 = 30.0;
/// Filament for a mm of a line of 0.45 by 0.2 mm, in mm of 1.75 mm filament.
const FEED_PER_MM: f64 = 0.0374;

impl Test {
    /// Each with its word.
    pub const WORDS: [(&'static str, Self); 4] =
        [("no", Self::No), ("line", Self::Line), ("move", Self::Move), ("print", Self::Print)];

    /// The test with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let word = if word == "n" { "no" } else { word };
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, test)| *test)
    }

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Line => "line",
            Self::Move => "move",
            Self::Print => "print",
        }
    }

    /// Whether anything moves.
    #[must_use]
    pub const fn moves(self) -> bool {
        matches!(self, Self::Move | Self::Print)
    }

    /// Whether anything is heated.
    #[must_use]
    pub const fn heats(self) -> bool {
        matches!(self, Self::Print)
    }
}

/// The file of a test.
///
/// # Errors
/// The place on the bed is not known, or too small.
pub fn gcode(test: Test, ground: Option<Ground>) -> Result<String, TestError> {
    match test {
        Test::No => Ok(String::new()),
        Test::Line => Ok(line()),
        Test::Move => Ok(square(corner(ground)?, false)),
        Test::Print => Ok(square(corner(ground)?, true)),
    }
}

/// A wait for no time moves nothing and is answered; 400 of them show whether lines get through. What `P` counts differs: seconds in grbl.
fn line() -> String {
    let mut text = "; Spoolway: the line test. Nothing moves, nothing is heated.\n".to_owned();
    for _ in 0..LINE_COMMANDS {
        text.push_str("G4 P0\n");
    }
    text
}

/// Front left of the square, which lies in the middle of the bed.
fn corner(ground: Option<Ground>) -> Result<(f64, f64), TestError> {
    let Ground { least, most } = ground.ok_or(TestError::NoSize)?;
    if (most.0 - least.0).min(most.1 - least.1) < LEAST_MM {
        return Err(TestError::TooSmall);
    }
    let front_left = |least: f64, most: f64| (least + most - SIDE_MM) / 2.0;
    Ok((front_left(least.0, most.0), front_left(least.1, most.1)))
}

fn square((x, y): (f64, f64), is_hot: bool) -> String {
    let what = if is_hot { "a square of one layer in PLA" } else { "a square in the air; nothing is heated" };
    let mut text = format!("; Spoolway: {what}.\nG21\nG90\n");
    if is_hot {
        text.push_str("M82\nM140 S60\nM104 S150\nG28\nM190 S60\nM109 S205\nG92 E0\nG1 E4 F200\n");
    } else {
        text.push_str("G28\n");
    }
    let height = if is_hot { 0.2 } else { 20.0 };
    // Up first: nothing is crossed at the height of a clip.
    let _ = writeln!(text, "G1 Z20 F600\nG1 X{x:.1} Y{y:.1} F3000\nG1 Z{height} F600");
    let corners = [(SIDE_MM, 0.0), (SIDE_MM, SIDE_MM), (0.0, SIDE_MM), (0.0, 0.0)];
    let mut fed = 4.0;
    for (right, back) in corners {
        let (x, y) = (x + right, y + back);
        fed += SIDE_MM * FEED_PER_MM;
        let feed = if is_hot { format!(" E{fed:.4}") } else { String::new() };
        let speed = if is_hot { 1200 } else { 3000 };
        let _ = writeln!(text, "G1 X{x:.1} Y{y:.1}{feed} F{speed}");
    }
    if is_hot {
        let _ = writeln!(text, "G1 E{:.4} F1800\nG1 Z30 F600\nM104 S0\nM140 S0", fed - 2.0);
    }
    text.push_str("M400\nM84\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORNER: Ground = Ground { least: (0.0, 0.0), most: (220.0, 200.0) };
    const DELTA: Ground = Ground { least: (-90.0, -90.0), most: (90.0, 90.0) };
    const HEAT: [&str; 8] = ["M104", "M109", "M140", "M190", "M141", "M191", "M303", "M106"];

    fn words(text: &str) -> Vec<&str> {
        let lines = text.lines().filter(|line| !line.starts_with(';'));
        lines.filter_map(|line| line.split(' ').next()).collect()
    }

    #[test]
    fn nothing_is_heated_or_moved_unless_it_is_asked_for() {
        for (_, test) in Test::WORDS {
            let text = gcode(test, Some(CORNER)).unwrap();
            let has = |list: &[&str]| words(&text).iter().any(|word| list.contains(word));
            assert_eq!(has(&HEAT), test.heats(), "{test:?}");
            assert_eq!(has(&["G0", "G1", "G2", "G28"]), test.moves(), "{test:?}");
            assert!(test.heats() || !text.contains(" E"), "{test:?}: no filament is drawn in the cold");
            assert_eq!(Test::from_word(test.word()), Some(test));
        }
        let hot = gcode(Test::Print, Some(CORNER)).unwrap();
        let off = hot.find("M104 S0\nM140 S0").unwrap();
        assert!(HEAT.iter().all(|word| hot[off + 15..].find(word).is_none()), "heaters are off at the end");
    }

    #[test]
    fn the_square_lies_on_the_bed_and_the_filament_is_that_of_its_line() {
        for ground in [CORNER, DELTA] {
            for test in [Test::Move, Test::Print] {
                let text = gcode(test, Some(ground)).unwrap();
                let values = |letter: char| -> Vec<f64> {
                    let parts =
                        text.lines().filter(|line| line.starts_with("G1 ")).flat_map(|line| line.split(' '));
                    parts.filter_map(|part| part.strip_prefix(letter)?.parse().ok()).collect()
                };
                let bounds = [(ground.least.0, ground.most.0), (ground.least.1, ground.most.1)];
                for (found, (least, most)) in [values('X'), values('Y')].into_iter().zip(bounds) {
                    assert!(
                        found.len() >= 4 && found.iter().all(|at| (least..=most).contains(at)),
                        "{found:?}"
                    );
                }
                assert!(values('Z').iter().all(|&z| z > 0.1));
            }
        }
        let area = 0.2 * (0.45 - 0.2) + std::f64::consts::PI * 0.01;
        let filament = std::f64::consts::PI * (1.75_f64 / 2.0).powi(2);
        assert!((FEED_PER_MM - area / filament).abs() < 0.005, "{}", area / filament);
    }

    #[test]
    fn where_the_bed_is_not_known_only_the_line_is_tested() {
        for (ground, error) in [
            (None, TestError::NoSize),
            (Some(Ground { least: (0.0, 0.0), most: (300.0, 50.0) }), TestError::TooSmall),
        ] {
            assert_eq!(gcode(Test::Move, ground), Err(error));
            assert_eq!(gcode(Test::Print, ground), Err(error));
            assert!(gcode(Test::Line, ground).is_ok_and(|text| text.lines().count() == 401));
        }
    }
}
