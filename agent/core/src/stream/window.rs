//! Which lines are on their way: numbers above `acked` and below `cursor`, and what is known of them.
//!
//! Invariants: `first - 1 <= proven`, `acked < cursor <= next`; a number always names the same line; the bytes between
//! `acked` and `cursor` are counted exactly.

use std::time::Duration;

use crate::Moment;
use crate::gcode::Position;
use crate::pack::{Pack, Unpack};

use super::history::{History, Pace, Sent, Source};
use super::options::FIRST_NUMBER;
use super::reach::Reach;

/// How much of the job the firmware has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Commands of the job.
    pub commands: u64,
    /// Where the last of them stands in the file.
    pub position: Position,
}

impl Progress {
    /// Writes it down for another process.
    pub fn pack(self, to: &mut Pack<'_>) {
        to.u64(self.commands);
        to.position(self.position);
    }

    /// Reads what [`Progress::pack`] wrote.
    #[must_use]
    pub fn unpack(from: &mut Unpack<'_>) -> Option<Self> {
        Some(Self { commands: from.u64()?, position: from.position()? })
    }
}

/// The lines on their way and those kept behind them.
#[derive(Debug)]
pub(super) struct Window {
    history: History,
    /// How often numbering has begun anew.
    numbering: u32,
    reach: Reach,
    /// Every line up to this one counts as acknowledged.
    acked: u32,
    /// The next line to send; below `next` while lines are sent again.
    cursor: u32,
    /// Bytes of the lines between the two.
    bytes: usize,
    /// The same without the oldest lines, those that the firmware's queue holds.
    ring_bytes: usize,
    /// The firmware itself has said that it accepted every line up to this one.
    proven: u32,
    progress: Progress,
    /// Lines before this one are no progress of the job: they are of the job before it, or nobody knows what became of them.
    job_from: u32,
}

impl Window {
    pub(super) fn new(reach: Reach, history_lines: usize) -> Self {
        let history = History::new(FIRST_NUMBER + 1, history_lines);
        Self {
            history,
            numbering: 0,
            reach,
            acked: FIRST_NUMBER,
            cursor: FIRST_NUMBER + 1,
            bytes: 0,
            ring_bytes: 0,
            proven: FIRST_NUMBER,
            progress: Progress::default(),
            job_from: FIRST_NUMBER + 1,
        }
    }

    /// Numbering begins anew; the job's progress stays.
    pub(super) fn restart(&mut self) {
        self.history.restart(FIRST_NUMBER + 1);
        self.numbering = self.numbering.wrapping_add(1);
        self.acked = FIRST_NUMBER;
        self.cursor = FIRST_NUMBER + 1;
        (self.bytes, self.ring_bytes) = (0, 0);
        self.proven = FIRST_NUMBER;
        self.job_from = FIRST_NUMBER + 1;
    }

    /// From now on it reaches so far; what is on its way stays.
    pub(super) fn set_reach(&mut self, reach: Reach) {
        self.reach = reach;
        self.count_bytes();
    }

    pub(super) fn begin_job(&mut self) {
        self.progress = Progress::default();
        self.job_from = self.history.next();
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    pub(super) fn acked(&self) -> u32 {
        self.acked
    }

    pub(super) fn numbering(&self) -> u32 {
        self.numbering
    }

    /// A line that was framed, while it is known.
    pub(super) fn line(&self, number: u32) -> Option<&Sent> {
        self.history.get(number)
    }

    pub(super) fn next_number(&self) -> u32 {
        self.history.next()
    }

    pub(super) fn cursor(&self) -> u32 {
        self.cursor
    }

    pub(super) fn proven(&self) -> u32 {
        self.proven
    }

    pub(super) fn lines_in_flight(&self) -> usize {
        (self.cursor - 1 - self.acked) as usize
    }

    pub(super) fn bytes_in_flight(&self) -> usize {
        self.bytes
    }

    /// Nothing on its way and nothing to be sent again.
    pub(super) fn is_idle(&self) -> bool {
        self.acked + 1 == self.cursor && self.cursor == self.history.next()
    }

    /// Whether lines wait to be sent again.
    pub(super) fn has_replay(&self) -> bool {
        self.cursor < self.history.next()
    }

    /// Whether a frame of this length may follow now; a line alone always may, and none behind a command that blocks: it
    /// would gain nothing, since the planner runs empty there anyway, and it would be carried out if the wait is broken off.
    pub(super) fn has_room(&self, frame_len: usize) -> bool {
        let lines = self.lines_in_flight();
        let blocked = || self.history.get(self.cursor - 1).is_some_and(|last| last.pace.blocks());
        let queued = lines < self.reach.queue;
        let fits = lines < self.reach.lines && (queued || self.ring_bytes + frame_len <= self.reach.bytes);
        lines == 0 || (fits && !blocked())
    }

    /// Whether so many bytes find room in the firmware's ring behind all that is on its way.
    pub(super) fn has_ring_room(&self, bytes: usize) -> bool {
        self.ring_bytes + bytes <= self.reach.bytes
    }

    /// The oldest line that is counted against the ring.
    fn ring_first(&self) -> u32 {
        self.acked + 1 + self.reach.queue as u32
    }

    /// Length of the line that is sent again next.
    pub(super) fn replay_len(&self) -> Option<usize> {
        self.history.get(self.cursor).map(|line| line.frame.len())
    }

    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.history.take_buffer()
    }

    /// Takes a new line, which becomes the next to send.
    pub(super) fn push(&mut self, frame: Vec<u8>, source: Source, pace: Pace, lasts: Duration) {
        self.history.push(Sent { frame, source, pace, lasts, sent_at: Moment::ZERO });
    }

    /// Sends the line at the cursor.
    pub(super) fn send(&mut self, now: Moment, out: &mut Vec<u8>) -> u32 {
        let number = self.cursor;
        let ring_first = self.ring_first();
        let line = self.history.get_mut(number).expect("the cursor is below the next number");
        line.sent_at = now;
        out.extend_from_slice(&line.frame);
        let length = line.frame.len();
        self.bytes += length;
        if number >= ring_first {
            self.ring_bytes += length;
        }
        self.cursor += 1;
        number
    }

    /// The oldest line on its way.
    pub(super) fn oldest(&self) -> Option<&Sent> {
        if self.lines_in_flight() == 0 { None } else { self.history.get(self.acked + 1) }
    }

    /// The line that was sent last, while it is on its way, and its number.
    pub(super) fn newest(&self) -> Option<(u32, &Sent)> {
        if self.lines_in_flight() == 0 {
            return None;
        }
        Some((self.cursor - 1, self.history.get(self.cursor - 1)?))
    }

    /// One more line is acknowledged; gives what is known of it, or `None` when nothing was on its way.
    pub(super) fn acknowledge(&mut self) -> Option<&Sent> {
        if self.lines_in_flight() == 0 {
            return None;
        }
        let leaves_ring = self.ring_first();
        if leaves_ring < self.cursor {
            self.ring_bytes -= self.history.get(leaves_ring).map_or(0, |line| line.frame.len());
        }
        self.acked += 1;
        let line = self.history.get(self.acked).expect("a line on its way is in the history");
        self.bytes -= line.frame.len();
        if let Source::Job(position) = line.source
            && self.acked >= self.job_from
        {
            self.progress.commands += 1;
            self.progress.position = position;
        }
        Some(line)
    }

    /// Whether the firmware can honestly ask for this line: it was framed, is still known, was not proven to be accepted,
    /// and lies at most a window behind what counts as acknowledged.
    pub(super) fn can_ask_for(&self, number: u32) -> bool {
        number > self.proven && self.is_near(number)
    }

    /// Whether a line of this number was sent and is still known.
    pub(super) fn has(&self, number: u32) -> bool {
        (self.history.first()..self.history.next()).contains(&number)
    }

    /// What seemed proven was not, if this line is one that the firmware may expect at all.
    pub(super) fn distrust_proof(&mut self, number: u32) -> bool {
        let near = self.is_near(number);
        if near {
            self.proven = self.proven.min(number - 1);
        }
        near
    }

    fn is_near(&self, number: u32) -> bool {
        number >= self.history.first()
            && number <= self.history.next()
            && number + self.reach.lines.max(16) as u32 > self.acked
    }

    /// The firmware has said that this line is the next it expects: all below it were accepted, and it is sent next.
    pub(super) fn rewind(&mut self, number: u32, sure: bool) {
        if sure {
            self.proven = self.proven.max(number - 1);
        }
        self.retreat(number - 1);
        self.set_cursor(number);
    }

    /// Nobody knows what became of the lines on their way, and nobody will: they are neither progress nor sent again.
    pub(super) fn forget_in_flight(&mut self) {
        self.acked = self.cursor - 1;
        self.job_from = self.cursor;
        (self.bytes, self.ring_bytes) = (0, 0);
    }

    /// All lines on their way are to be sent again, as they were.
    pub(super) fn repeat_in_flight(&mut self) {
        self.set_cursor(self.acked + 1);
    }

    /// The lines on their way, oldest first.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Sent> {
        (self.acked + 1..self.cursor).filter_map(|number| self.history.get(number))
    }

    /// From this line on nothing counts as acknowledged any more; what was sent is on its way again.
    pub(super) fn take_back(&mut self, number: u32) {
        self.retreat(number - 1);
        self.count_bytes();
    }

    fn set_cursor(&mut self, number: u32) {
        self.cursor = number;
        self.count_bytes();
    }

    fn count_bytes(&mut self) {
        let from = |first: u32| -> usize {
            (first..self.cursor)
                .filter_map(|number| self.history.get(number))
                .map(|line| line.frame.len())
                .sum()
        };
        (self.bytes, self.ring_bytes) = (from(self.acked + 1), from(self.ring_first()));
    }

    /// An acknowledgement was counted for a line that the firmware never accepted: what it answered was damage.
    fn retreat(&mut self, acked: u32) {
        while self.acked > acked {
            let source = self.history.get(self.acked).map(|line| line.source);
            if matches!(source, Some(Source::Job(_))) && self.acked >= self.job_from {
                self.progress.commands -= 1;
                self.progress.position = self.last_position(self.acked - 1);
            }
            self.acked -= 1;
        }
    }

    fn last_position(&self, number: u32) -> Position {
        (self.history.first().max(self.job_from)..=number)
            .rev()
            .find_map(|n| match self.history.get(n)?.source {
                Source::Job(position) => Some(position),
                _ => None,
            })
            .unwrap_or_default()
    }
}

/// The lines on their way and those behind them, as they were written down.
#[derive(Debug)]
pub(super) struct CarriedWindow {
    numbering: u32,
    acked: u32,
    next: u32,
    proven: u32,
    job_from: u32,
    pub(super) progress: Progress,
    /// The newest that were found, the last of them numbered `next - 1`.
    lines: Vec<Sent>,
}

impl CarriedWindow {
    pub(super) fn unpack<'l>(
        from: &mut Unpack<'_>,
        mut line: impl FnMut(u32, u32) -> Option<&'l [u8]>,
        lines_max: u32,
    ) -> Option<Self> {
        let (numbering, acked, next) = (from.u32()?, from.u32()?, from.u32()?);
        let (proven, job_from) = (from.u32()?, from.u32()?);
        let progress = Progress::unpack(from)?;
        let oldest = next.saturating_sub(lines_max).max(FIRST_NUMBER + 1);
        let mut lines: Vec<Sent> = (oldest..next)
            .rev()
            .map_while(|number| Sent::unpack(&mut Unpack::new(line(numbering, number)?)))
            .collect();
        lines.reverse();
        Some(Self { numbering, acked, next, proven, job_from, progress, lines })
    }

    /// Lines that were framed and not acknowledged.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Sent> {
        let count = self.next.saturating_sub(self.acked.saturating_add(1)) as usize;
        self.lines.iter().skip(self.lines.len().saturating_sub(count))
    }
}

impl Window {
    pub(super) fn pack(&self, to: &mut Pack<'_>) {
        for number in [self.numbering, self.acked, self.history.next(), self.proven, self.job_from] {
            to.u32(number);
        }
        self.progress.pack(to);
    }

    /// The window of another process. All that was framed may have been sent, so all of it counts as on its way. `None` when
    /// a line that was on its way is missing, or the numbers cannot be.
    pub(super) fn take_over(carried: CarriedWindow, reach: Reach, history_lines: usize) -> Option<Self> {
        let CarriedWindow { numbering, acked, next, proven, job_from, progress, lines } = carried;
        let first = next.checked_sub(u32::try_from(lines.len()).ok()?)?;
        if acked >= next || first > acked + 1 || proven < FIRST_NUMBER || proven >= next {
            return None;
        }
        let mut history = History::new(first, history_lines);
        lines.into_iter().for_each(|line| history.push(line));
        // What lies before the lines that are known cannot be sent again, so it must not be asked for.
        let proven = proven.max(first - 1);
        let mut window = Self {
            history,
            numbering,
            reach,
            acked,
            cursor: next,
            bytes: 0,
            ring_bytes: 0,
            proven,
            progress,
            job_from,
        };
        window.count_bytes();
        Some(window)
    }
}
