//! What is printed: a dense part made up in memory, or a file that is cut to the time there is.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use spoolway_agent_core::stream::FIRST_NUMBER;

use crate::expected::Commands;
use crate::rng::Rng;

/// Size of the part that is made up: a vase in small segments, half a million commands.
const DENSE_BYTES: usize = 14_700_000;
/// Segments of one turn.
const TURN: u32 = 474;
/// Cosine and sine of the angle of one segment (1/474 of a turn) and of the ripple on it (7 times that). Turning by
/// multiplication gives the same digits on every machine, which a library's sine does not promise.
const STEP: (f64, f64) = (0.999_912_144_956_434_4, 0.013_255_277_010_398_508);
const RIPPLE: (f64, f64) = (0.995_698_127_723_332_4, 0.092_656_561_819_697_61);

/// G-code to print.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) commands: u64,
}

/// What a part is like.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PartFigures {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) commands: u64,
    /// Length of a command without number and checksum: a tenth, half and nine tenths are not longer.
    pub(crate) command_bytes: [usize; 3],
}

impl Part {
    /// The file, or the dense part when none is named.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = file else { return Ok(Self::new("dense vase", dense(DENSE_BYTES).into())) };
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self::new(&name, bytes.into()))
    }

    /// So many moves that each take `1 / moves_per_s` seconds, in lines as long as those of the dense part.
    pub(crate) fn paced(moves_per_s: u32, moves: usize) -> Self {
        Self::new("moves of equal length", paced(moves_per_s, moves).into())
    }

    /// The part again and again, up to so many bytes in whole lines.
    pub(crate) fn repeated(&self, bytes: usize) -> Arc<[u8]> {
        let mut whole = self.bytes.repeat(bytes.div_ceil(self.bytes.len().max(1)));
        let end = whole[..bytes.min(whole.len())].iter().rposition(|&byte| byte == b'\n');
        whole.truncate(end.map_or(0, |end| end + 1));
        whole.into()
    }

    fn new(name: &str, bytes: Arc<[u8]>) -> Self {
        let commands = Commands::of(Arc::clone(&bytes)).count() as u64;
        Self { name: name.to_owned(), bytes, commands }
    }

    /// The beginning of the part: whole lines up to the first of these bounds.
    pub(crate) fn cut(&self, wire_bytes: usize, file_bytes: usize, commands: usize) -> Self {
        let (mut sent, mut line) = (0, 0);
        for (at, command) in self.commands().enumerate().take(commands) {
            sent += framed_len(FIRST_NUMBER as usize + 1 + at, &command);
            line = at;
            if sent >= wire_bytes {
                break;
            }
        }
        let last = Commands::of(Arc::clone(&self.bytes)).nth(line).map_or(0, |command| command.line);
        let mut end = 0;
        for text in self.bytes.split_inclusive(|&byte| byte == b'\n').take(last as usize) {
            if end + text.len() > file_bytes {
                break;
            }
            end += text.len();
        }
        Self::new(&self.name, self.bytes[..end].into())
    }

    /// Each command as a printer has to carry it out.
    pub(crate) fn commands(&self) -> impl Iterator<Item = Vec<u8>> {
        Commands::of(Arc::clone(&self.bytes)).map(|command| command.text)
    }

    pub(crate) fn figures(&self) -> PartFigures {
        let mut lengths: Vec<_> = self.commands().map(|command| command.len()).collect();
        lengths.sort_unstable();
        let at = |tenths: usize| lengths.get(lengths.len() * tenths / 10).copied().unwrap_or(0);
        PartFigures {
            name: self.name.clone(),
            bytes: self.bytes.len() as u64,
            commands: self.commands,
            command_bytes: [at(1), at(5), at(9)],
        }
    }
}

/// Bytes of `N<n> <command>*<sum>` with its line feed; a sum has two or three digits, mostly two.
fn framed_len(number: usize, command: &[u8]) -> usize {
    number.ilog10() as usize + 1 + command.len() + "N *00\n".len()
}

/// A rippled vase of one wall in absolute distances, as slicers write it, of about so many bytes.
fn dense(bytes: usize) -> Vec<u8> {
    let mut text = String::with_capacity(bytes + 64);
    text.push_str("; a dense vase\nG21 ; millimetres\nG90\nM82\nM107\nG92 E0\n");
    let mut rng = Rng::new(1);
    let (mut layer, mut extruded) = (1_u32, 0.0);
    while text.len() < bytes {
        let z = f64::from(layer) * 0.2;
        let number = |value: f64, digits: usize| shortened(format!("{value:.digits$}"));
        let _ = write!(text, ";LAYER_CHANGE\n;Z:{0}\nG1 Z{0} F7800\nG1 F1800\n", number(z, 2));
        let (mut at, mut ripple) = ((1.0, 0.0), (1.0, 0.0));
        for _ in 0..TURN {
            (at, ripple) = (turned(at, STEP), turned(ripple, RIPPLE));
            let radius = 40.0 + 1.5 * ripple.0 + (rng.unit() - 0.5) * 0.1;
            extruded += 0.02 + 0.002 * rng.unit();
            let (x, y) = (number(100.0 + radius * at.0, 3), number(90.0 + radius * at.1, 3));
            let _ = writeln!(text, "G1 X{x} Y{y} E{}", number(extruded, 5));
            if text.len() >= bytes {
                break;
            }
        }
        if layer.is_multiple_of(10) {
            text.push_str("G92 E0\n");
            extruded = 0.0;
        }
        layer += 1;
    }
    text.push_str("M107\n");
    text.into_bytes()
}

/// Steps of half a millimetre along a circle.
fn paced(moves_per_s: u32, moves: usize) -> Vec<u8> {
    const STEP_MM: f64 = 0.5;
    let feed = STEP_MM * f64::from(moves_per_s) * 60.0;
    // The way there takes no time worth speaking of.
    let mut text =
        format!("G21\nG90\nM82\nG92 E0\nG1 X{:.3} Y90 F600000\nG1 F{feed:.0}\n", 100.0 + STEP_MM / STEP.1);
    // The sine of so small an angle is the angle.
    let radius = STEP_MM / STEP.1;
    let mut at = (1.0, 0.0);
    for n in 1..=moves {
        at = turned(at, STEP);
        let (x, y) = (100.0 + radius * at.0, 90.0 + radius * at.1);
        let _ = writeln!(text, "G1 X{x:.3} Y{y:.3} E{:.5}", n as f64 * 0.021);
    }
    text.into_bytes()
}

fn turned((x, y): (f64, f64), (cos, sin): (f64, f64)) -> (f64, f64) {
    (x * cos - y * sin, x * sin + y * cos)
}

/// Slicers leave trailing zeros out.
fn shortened(number: String) -> String {
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dense_part_is_like_a_real_one_and_always_the_same() {
        let bytes = dense(200_000);
        assert_eq!(bytes, dense(200_000));
        assert!((200_000..200_100).contains(&bytes.len()));
        let figures = Part::new("", bytes.into()).figures();
        let [p10, p50, p90] = figures.command_bytes;
        assert!(24 <= p10 && p10 < p50 && p50 < p90 && p90 <= 32, "{figures:?}");
        assert!(figures.commands > 6_500, "{figures:?}");
    }

    #[test]
    fn paced_moves_take_their_time_and_are_as_long_as_dense_ones() {
        let part = Part::paced(222, 1_000);
        assert_eq!(part.commands, 1_006);
        let [p10, _, p90] = part.figures().command_bytes;
        assert!(24 <= p10 && p90 <= 32, "{p10} {p90}");
        let at = |line: usize| {
            let text = String::from_utf8(part.commands().nth(line).unwrap()).unwrap();
            let number =
                |word: &str| text.split(word).nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            let (x, y): (f64, f64) = (number("X"), number("Y"));
            (x, y)
        };
        let ((x, y), (next_x, next_y)) = (at(500), at(501));
        let seconds = (next_x - x).hypot(next_y - y) / (0.5 * 222.0);
        assert!((seconds * 222.0 - 1.0).abs() < 0.01, "{seconds}");
        let repeated = part.repeated(100_000);
        assert!((99_900..=100_000).contains(&repeated.len()) && repeated.ends_with(b"\n"));
    }

    #[test]
    fn a_part_is_cut_at_the_first_bound() {
        let part = Part::new("", (*b"; head\nG28\nG1 X1 ; go\nG1 X2\n").into());
        let cut = |wire, file, commands| {
            let cut = part.cut(wire, file, commands);
            (cut.commands, String::from_utf8(cut.bytes.to_vec()).unwrap())
        };
        assert_eq!(cut(1_000, 1_000, 10).0, 3);
        assert_eq!(cut(1_000, 1_000, 2), (2, "; head\nG28\nG1 X1 ; go\n".to_owned()));
        assert_eq!(cut(5, 1_000, 10), (1, "; head\nG28\n".to_owned()));
        assert_eq!(cut(1_000, 20, 10), (1, "; head\nG28\n".to_owned()));
        assert_eq!(framed_len(12, b"G1 X1"), "N12 G1 X1*99\n".len());
    }
}
