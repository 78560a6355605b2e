//! A mark of where a print stands, and the bytes of a slot that holds one.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spoolway_agent_core::gcode::Position;

/// Bytes of a slot: one block of the usual file systems, so that a flush writes one.
pub(super) const SLOT_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"spoolwlj";
const VERSION: u32 = 1;
/// Magic, version, sequence number, length of the text.
const HEAD_BYTES: usize = 8 + 4 + 8 + 4;
const DIGEST_BYTES: usize = 32;

/// Whether lines went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkState {
    /// They did, or were about to.
    Printing,
    /// The print was held.
    Paused,
    /// The run was over; how is in the database.
    Ended,
}

/// Where a print stood when this was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The job.
    pub job_id: String,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// Its file, lower-case hex.
    pub sha256: String,
    /// Whether lines went out.
    pub state: MarkState,
    /// Commands of the file that were acknowledged.
    pub commands: u64,
    /// Line of the file that was acknowledged last, from 1.
    pub line: u64,
    /// Offset of the byte behind it.
    pub byte: u64,
    /// Layer there, by the slicer's marks.
    pub layer: u32,
    /// The boot in which this was written.
    pub boot: String,
    /// When, in ms on that boot's clock.
    pub at_ms: u64,
    /// The same as unix ms, as good as it was known.
    pub wall_ms: u64,
    /// How long the attempt had been held before, in ms.
    #[serde(default)]
    pub paused_ms: u64,
    /// Hot ends, in order: actual and target in degrees Celsius.
    #[serde(default)]
    pub tools: Vec<(f32, Option<f32>)>,
    /// The bed: actual and target.
    #[serde(default)]
    pub bed: Option<(f32, Option<f32>)>,
}

impl Mark {
    /// The place in the file.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { line: self.line, byte: self.byte, layer: self.layer }
    }
}

/// What the file held when it was opened.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Nothing was ever written.
    Nothing,
    /// The newest whole mark.
    Mark(Box<Mark>),
    /// No slot is whole.
    Damaged,
    /// It was written by a program that does it another way.
    OtherVersion(u32),
}

impl Found {
    /// The mark, if it is of this attempt at this job.
    #[must_use]
    pub fn of(&self, job_id: &str, attempt: u32) -> Option<&Mark> {
        match self {
            Self::Mark(mark) if mark.job_id == job_id && mark.attempt == attempt => Some(mark),
            _ => None,
        }
    }
}

/// What one slot holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Slot {
    Empty,
    Whole { seq: u64, mark: Box<Mark> },
    Torn,
    OtherVersion(u32),
}

/// The bytes of a slot; `None` for a mark that does not fit, which only a name of absurd length brings about.
pub(super) fn encode(seq: u64, mark: &Mark) -> Option<Vec<u8>> {
    let text = serde_json::to_vec(mark).ok()?;
    if HEAD_BYTES + text.len() + DIGEST_BYTES > SLOT_BYTES {
        return None;
    }
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(&text);
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes.resize(SLOT_BYTES, 0);
    Some(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Slot {
    if bytes.iter().all(|byte| *byte == 0) {
        return Slot::Empty;
    }
    decode_head(bytes).unwrap_or(Slot::Torn)
}

/// `None` for anything that is cut short or does not agree with its digest.
fn decode_head(bytes: &[u8]) -> Option<Slot> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    if *magic != MAGIC {
        return None;
    }
    // Magic and version stay where they are for ever; what follows may be anything in another version.
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Some(Slot::OtherVersion(version));
    }
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    let digest = rest.first_chunk::<DIGEST_BYTES>()?;
    if Sha256::digest(&bytes[..HEAD_BYTES + length])[..] != digest[..] {
        return None;
    }
    let mark = serde_json::from_slice(text).ok()?;
    Some(Slot::Whole { seq: u64::from_le_bytes(*seq), mark })
}

/// The newest whole mark, its number, and the slot that it is in.
pub(super) fn newest(slots: &[Slot]) -> Option<(usize, u64, &Mark)> {
    let whole = slots.iter().enumerate().filter_map(|(at, slot)| match slot {
        Slot::Whole { seq, mark } => Some((at, *seq, &**mark)),
        _ => None,
    });
    whole.max_by_key(|(_, seq, _)| *seq)
}

/// What the slots come to together.
pub(super) fn judge(slots: &[Slot]) -> Found {
    if let Some((_, _, mark)) = newest(slots) {
        return Found::Mark(Box::new(mark.clone()));
    }
    let other = slots.iter().find_map(|slot| match slot {
        Slot::OtherVersion(version) => Some(*version),
        _ => None,
    });
    match other {
        Some(version) => Found::OtherVersion(version),
        None if slots.iter().all(|slot| *slot == Slot::Empty) => Found::Nothing,
        None => Found::Damaged,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::line_journal) fn mark(line: u64) -> Mark {
        Mark {
            job_id: "job-7731".to_owned(),
            attempt: 1,
            sha256: "ab".repeat(32),
            state: MarkState::Printing,
            commands: line / 2,
            line,
            byte: line * 30,
            layer: 3,
            boot: "b1".to_owned(),
            at_ms: line * 10,
            paused_ms: 0,
            wall_ms: 1_800_000_000_000,
            tools: vec![(209.8, Some(210.0))],
            bed: Some((60.1, Some(60.0))),
        }
    }

    #[test]
    fn a_mark_comes_back_as_it_was() {
        let bytes = encode(9, &mark(1_234)).unwrap();
        assert_eq!(bytes.len(), SLOT_BYTES);
        assert_eq!(decode(&bytes), Slot::Whole { seq: 9, mark: Box::new(mark(1_234)) });
    }

    #[test]
    fn no_damage_to_any_byte_passes_for_a_mark() {
        let whole = encode(9, &mark(77)).unwrap();
        let text = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in 0..text {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            assert!(!matches!(decode(&bytes), Slot::Whole { .. }), "byte {at}");
        }
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let slot = |seq, line| decode(&encode(seq, &mark(line)).unwrap());
        let found = |slots: &[Slot]| judge(slots).of("job-7731", 1).map(|mark| mark.line);
        assert_eq!(found(&[slot(4, 40), slot(5, 50)]), Some(50));
        assert_eq!(found(&[slot(6, 60), slot(5, 50)]), Some(60));
        assert_eq!(found(&[slot(6, 60), Slot::Torn]), Some(60));
        assert_eq!(found(&[Slot::Empty, slot(1, 10)]), Some(10));
        assert_eq!(judge(&[slot(4, 40), Slot::Torn]).of("job-7731", 2), None);
        assert_eq!(judge(&[Slot::Empty, Slot::Empty]), Found::Nothing);
        assert_eq!(judge(&[Slot::Empty, Slot::Torn]), Found::Damaged);
    }

    #[test]
    fn another_version_is_named_and_not_guessed_at() {
        let mut bytes = encode(9, &mark(77)).unwrap();
        bytes[8] = 2;
        assert_eq!(judge(&[Slot::Empty, decode(&bytes)]), Found::OtherVersion(2));
    }
}
