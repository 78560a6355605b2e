//! Where in its file an interrupted print is whole: the last command that is certainly in the part, or where a person says.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::gcode::{Modal, Position};

/// Most moves that any planner is taken to hold.
const PLANNER_MAX: usize = 1024;
const Z: usize = 2;

/// Where to go on, as a person says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeFrom {
    /// Behind the last command that is certainly in the part.
    #[default]
    Auto,
    /// At this line of the file, from 1; it is the first that may be sent.
    Line(u64),
    /// At the beginning of this layer, as the slicer's marks count, from 1.
    Layer(u32),
}

/// Where the print goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The last command that is not sent again.
    pub behind: Position,
    /// How many commands of the file that is.
    pub commands: u64,
    /// The last command that the printer acknowledged.
    pub acknowledged: Position,
    /// Commands that were acknowledged and are sent again; the last of them may be in the part already.
    pub again: u64,
    /// Commands that were never acknowledged and are left out.
    pub left_out: u64,
    /// Where the nozzle stands in Z, by the file; `None` when the height changed in the moves that may have been lost.
    pub stands_at_z: Option<f64>,
}

/// There is no such place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPoint {
    /// Nothing of the part is certain.
    #[error("nothing is certainly in the part: start the job anew")]
    NothingPrinted,
    /// The file has no such line.
    #[error("the file ends before line {0}")]
    NoLine(u64),
    /// The file has no such layer.
    #[error("the file has no layer {0} that its slicer has marked")]
    NoLayer(u32),
}

#[derive(Debug, Clone, Copy)]
struct Passed {
    position: Position,
    commands: u64,
    is_move: bool,
    z: Option<f64>,
}

/// Reads a file from its beginning and finds the place.
#[derive(Debug)]
pub struct Seeker {
    from: ResumeFrom,
    acknowledged: Position,
    /// The last line in front of where the attempt that was interrupted had begun, and the last command up to there.
    begun_behind: u64,
    begun: Option<Passed>,
    /// Moves that the printer may have acknowledged and not made.
    unsure_moves: usize,
    modal: Modal,
    commands: u64,
    /// The last commands that were acknowledged, as many as hold the unsure moves, and one more.
    tail: VecDeque<Passed>,
    tail_moves: usize,
    acknowledged_commands: u64,
    chosen: Option<Passed>,
    /// The place that was asked for is behind what was read.
    reached: bool,
}

impl Seeker {
    /// For a print of which commands up to and with `acknowledged` were acknowledged, and of these so many moves may be lost,
    /// but none up to and with line `begun_behind`: a recovery that is interrupted again has lost nothing that was certain
    /// before it.
    #[must_use]
    pub fn new(from: ResumeFrom, acknowledged: Position, begun_behind: u64, unsure_moves: u32) -> Self {
        Self {
            from,
            acknowledged,
            begun_behind,
            begun: None,
            unsure_moves: usize::try_from(unsure_moves).unwrap_or(PLANNER_MAX).min(PLANNER_MAX),
            modal: Modal::default(),
            commands: 0,
            tail: VecDeque::new(),
            tail_moves: 0,
            acknowledged_commands: 0,
            chosen: None,
            reached: false,
        }
    }

    /// Whether more of the file has to be read.
    #[must_use]
    pub fn wants_more(&self, at: Position) -> bool {
        at.line <= self.acknowledged.line || self.from != ResumeFrom::Auto && !self.reached
    }

    /// Takes the next command of the file.
    pub fn follow(&mut self, command: &[u8], position: Position) {
        self.commands += 1;
        self.modal.follow(command);
        let is_move = is_move(command);
        let passed = Passed { position, commands: self.commands, is_move, z: self.modal.axes()[Z] };
        let is_before = match self.from {
            ResumeFrom::Auto => false,
            ResumeFrom::Line(line) => position.line < line,
            ResumeFrom::Layer(layer) => position.layer < layer,
        };
        if is_before {
            self.chosen = Some(passed);
        } else {
            self.reached = true;
        }
        if position.line <= self.begun_behind {
            self.begun = Some(passed);
        }
        if position.line <= self.acknowledged.line {
            self.acknowledged_commands = self.commands;
            self.keep(passed);
        }
    }

    /// Keeps the last certain command in front of the unsure moves.
    fn keep(&mut self, passed: Passed) {
        // Of several commands between two moves the last stands for all, so that there is a bound.
        if !passed.is_move && self.tail.back().is_some_and(|last| !last.is_move) {
            self.tail.pop_back();
        }
        self.tail.push_back(passed);
        self.tail_moves += usize::from(passed.is_move);
        while let [Some(front), Some(next)] = [self.tail.front(), self.tail.get(1)] {
            let (front, next) = (usize::from(front.is_move), usize::from(next.is_move));
            if self.tail_moves - front - next < self.unsure_moves {
                return;
            }
            self.tail.pop_front();
            self.tail_moves -= front;
        }
    }

    /// The place, once the file was read as far as [`Seeker::wants_more`] asks.
    ///
    /// # Errors
    /// There is none.
    pub fn finish(self) -> Result<Point, NoPoint> {
        let behind = match self.from {
            ResumeFrom::Auto => self.certain(),
            ResumeFrom::Line(line) if !self.reached => return Err(NoPoint::NoLine(line)),
            ResumeFrom::Layer(layer) if !self.reached => return Err(NoPoint::NoLayer(layer)),
            ResumeFrom::Line(_) | ResumeFrom::Layer(_) => self.chosen,
        };
        let behind = behind.ok_or(NoPoint::NothingPrinted)?;
        let heights = || self.tail.iter().map(|passed| passed.z);
        let stands_at_z = heights().next_back().flatten();
        let is_steady = heights().all(|z| z == stands_at_z);
        Ok(Point {
            behind: behind.position,
            commands: behind.commands,
            acknowledged: self.tail.back().map_or(self.acknowledged, |last| last.position),
            again: self.acknowledged_commands.saturating_sub(behind.commands),
            left_out: behind.commands.saturating_sub(self.acknowledged_commands),
            stands_at_z: stands_at_z.filter(|_| is_steady),
        })
    }

    /// The last command behind which there are as many moves as may be lost, or where the attempt had begun.
    fn certain(&self) -> Option<Passed> {
        let front = self.tail.front().filter(|front| {
            let behind = self.tail_moves - usize::from(front.is_move);
            behind >= self.unsure_moves
        });
        front.into_iter().chain(&self.begun).max_by_key(|passed| passed.commands).copied()
    }
}

/// What goes through a planner: moves and arcs (`G0` to `G3`).
fn is_move(command: &[u8]) -> bool {
    let word = crate::gcode::modal::word(command);
    matches!(word, Some((b'G', number, _)) if (0.0..4.0).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: [(&str, u32); 12] = [
        ("G28", 0),
        ("G90", 0),
        ("G1 Z0.2 F600", 1),
        ("G1 X10 Y10 E1", 1),
        ("G1 X20 Y10 E2", 1),
        ("M106 S255", 1),
        ("G1 X20 Y20 E3", 1),
        ("G1 Z0.4", 2),
        ("G1 X10 Y20 E4", 2),
        ("M105", 2),
        ("G1 X10 Y10 E5", 2),
        ("G1 X20 Y10 E6", 2),
    ];

    /// Command `n` of the file stands in line `2 n`, from 1.
    fn seek(from: ResumeFrom, acknowledged: u64, unsure: u32) -> Result<Point, NoPoint> {
        seek_again(from, acknowledged, 0, unsure)
    }

    fn seek_again(from: ResumeFrom, acknowledged: u64, begun: u64, unsure: u32) -> Result<Point, NoPoint> {
        let at = |n: usize, layer| Position { line: 2 * n as u64, byte: 30 * n as u64, layer };
        let acknowledged = Position { line: 2 * acknowledged, ..Position::default() };
        let mut seeker = Seeker::new(from, acknowledged, 2 * begun, unsure);
        for (n, (command, layer)) in FILE.iter().enumerate() {
            let position = at(n + 1, *layer);
            if !seeker.wants_more(position) {
                break;
            }
            seeker.follow(command.as_bytes(), position);
        }
        seeker.finish()
    }

    #[test]
    fn what_the_planner_may_have_lost_is_not_certain() {
        let point = seek(ResumeFrom::Auto, 7, 2).unwrap();
        assert_eq!(
            (point.commands, point.behind.line, point.again),
            (4, 8, 3),
            "G1 X10 Y10 is the last that is certain"
        );
        assert_eq!(point.stands_at_z, Some(0.2));
        let point = seek(ResumeFrom::Auto, 6, 1).unwrap();
        assert_eq!((point.commands, point.again), (4, 2), "a command between moves is not one of them");
        let point = seek(ResumeFrom::Auto, 7, 0).unwrap();
        assert_eq!((point.commands, point.again, point.left_out), (7, 0, 0));
        assert_eq!(point.acknowledged.line, 14);
    }

    #[test]
    fn an_attempt_that_is_interrupted_again_loses_nothing_that_was_certain_before() {
        let first = seek(ResumeFrom::Auto, 11, 2).unwrap();
        let begun = first.commands;
        let point = seek_again(ResumeFrom::Auto, begun, begun, 2).unwrap();
        assert_eq!((point.behind, point.again), (first.behind, 0), "not one line of the file was sent again");
        let point = seek_again(ResumeFrom::Auto, begun + 1, begun, 2).unwrap();
        assert_eq!((point.behind, point.again), (first.behind, 1));
        let point = seek_again(ResumeFrom::Auto, 11, 4, 2).unwrap();
        assert_eq!(point, first, "it had got on far enough");
        let point = seek_again(ResumeFrom::Auto, 2, 2, 2).unwrap();
        assert_eq!(point.commands, 2, "as a person had said");
    }

    #[test]
    fn a_height_that_may_have_changed_is_not_said() {
        assert_eq!(seek(ResumeFrom::Auto, 8, 2).unwrap().stands_at_z, None);
        assert_eq!(seek(ResumeFrom::Auto, 11, 2).unwrap().stands_at_z, Some(0.4));
    }

    #[test]
    fn a_person_may_say_where() {
        let point = seek(ResumeFrom::Line(12), 8, 2).unwrap();
        assert_eq!((point.commands, point.again, point.left_out), (5, 3, 0));
        let point = seek(ResumeFrom::Line(17), 8, 2).unwrap();
        assert_eq!((point.commands, point.again, point.left_out), (8, 0, 0));
        let point = seek(ResumeFrom::Line(20), 8, 2).unwrap();
        assert_eq!((point.commands, point.left_out), (9, 1));
        let point = seek(ResumeFrom::Layer(2), 10, 1).unwrap();
        assert_eq!((point.commands, point.behind.line, point.again), (7, 14, 3));
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert_eq!(seek(ResumeFrom::Line(99), 8, 2), Err(NoPoint::NoLine(99)));
        assert_eq!(seek(ResumeFrom::Layer(3), 8, 2), Err(NoPoint::NoLayer(3)));
        let unwritten = seek(ResumeFrom::Layer(2), 0, 2).unwrap();
        assert_eq!(
            (unwritten.commands, unwritten.stands_at_z),
            (7, None),
            "a person may know what was not written"
        );
        assert_eq!(seek(ResumeFrom::Line(1), 8, 2), Err(NoPoint::NothingPrinted));
        assert_eq!(seek(ResumeFrom::Auto, 0, 2), Err(NoPoint::NothingPrinted));
        assert_eq!(seek(ResumeFrom::Auto, 4, 2), Ok(seek(ResumeFrom::Line(5), 4, 2).unwrap()));
        assert_eq!(seek(ResumeFrom::Auto, 3, 2), Err(NoPoint::NothingPrinted));
    }
}
