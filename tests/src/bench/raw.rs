//! The raw sender: writes lines and counts replies, with no recovery and no knowledge. What it reaches is what the wire,
//! the board and the machine allow at that moment. It writes each line by itself, or all that the window allows at once.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};
use spoolway_agent_core::stream::FIRST_NUMBER;

/// A board that is well says something within this time.
const SILENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
/// Longest reply that is looked at.
const REPLY_BYTES: usize = 256;

/// Bytes in flight where lines are counted: more than so few lines ever have.
pub(super) const WIDE_BYTES: usize = 1_000;
/// Bytes in flight on a wire: what the ring of the board holds.
const RING_BYTES: usize = 127;

/// How much may be without its reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    bytes: usize,
    lines: usize,
    /// The oldest lines are in the command queue of the board and take no room in its ring.
    queue_lines: usize,
    /// Whether lines that may go together are written together.
    at_once: bool,
}

impl Window {
    /// What the ring holds.
    pub(super) fn ring() -> Self {
        Self { bytes: RING_BYTES, lines: usize::MAX, queue_lines: 0, at_once: false }
    }

    /// What the ring holds, behind a command queue of so many lines.
    pub(super) fn ring_and_queue(queue_lines: usize) -> Self {
        Self { queue_lines, ..Self::ring() }
    }

    /// So many lines.
    pub(super) fn lines(lines: usize) -> Self {
        Self { bytes: WIDE_BYTES, lines, queue_lines: 0, at_once: false }
    }

    /// The same, and lines that may go together are written together.
    pub(super) fn at_once(self) -> Self {
        Self { at_once: true, ..self }
    }
}

/// Why a job could not be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendRawError {
    /// The port.
    #[error("the raw sender's port: {0}")]
    Port(#[from] io::Error),
    /// No reply.
    #[error("the board says nothing")]
    Silent,
    /// A line was lost or damaged, which this sender cannot mend.
    #[error("the board complains: {0}")]
    Complaint(String),
}

/// A whole job as it goes over the wire.
#[derive(Debug)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Where each line ends; the first is the beginning.
    ends: Vec<usize>,
}

impl Frames {
    /// Numbers lines as the agent does, so that both send the same bytes, and sums them.
    pub(super) fn of(commands: impl Iterator<Item = Vec<u8>>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for (number, command) in (FIRST_NUMBER + 1..).zip(commands) {
            bytes.extend_from_slice(&frame(number, &command));
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn lines(&self) -> usize {
        self.ends.len() - 1
    }

    /// The last line that may follow `sent` ones while only `acked` ones have their reply.
    fn reach(&self, acked: usize, sent: usize, window: Window) -> usize {
        let mut reach = sent;
        while reach < self.lines() && reach - acked < window.lines {
            let in_ring = self.ends[(acked + window.queue_lines).min(reach + 1)];
            if reach > acked && self.ends[reach + 1] - in_ring > window.bytes {
                break;
            }
            reach += 1;
        }
        reach
    }
}

fn frame(number: u32, command: &[u8]) -> Vec<u8> {
    let mut frame = format!("N{number} ").into_bytes();
    frame.extend_from_slice(command);
    let sum = frame.iter().fold(0, |sum, byte| sum ^ byte);
    frame.extend_from_slice(format!("*{sum}\n").as_bytes());
    frame
}

/// Sends a job to a board that resets when its port is opened; gives the processor time that this took the thread.
///
/// # Errors
/// [`SendRawError`].
pub(super) fn send(device: &Path, frames: &Frames, window: Window) -> Result<Duration, SendRawError> {
    let mut port = Port::open(device)?;
    while port.listen()?.starts == 0 {}
    // It acts once more when it is executed, so nothing may follow it until then.
    port.file.write_all(&frame(FIRST_NUMBER, format!("M110 N{FIRST_NUMBER}").as_bytes()))?;
    while port.listen()?.oks == 0 {}
    let begin = thread_time();
    let (mut acked, mut sent) = (0, 0);
    while acked < frames.lines() {
        let reach = frames.reach(acked, sent, window);
        while sent < reach {
            let upto = if window.at_once { reach } else { sent + 1 };
            port.file.write_all(&frames.bytes[frames.ends[sent]..frames.ends[upto]])?;
            sent = upto;
        }
        acked += port.listen()?.oks;
    }
    Ok(thread_time() - begin)
}

/// Replies of one read.
#[derive(Debug, Default)]
struct Heard {
    starts: usize,
    oks: usize,
}

struct Port {
    file: File,
    line: Vec<u8>,
}

impl Port {
    fn open(device: &Path) -> io::Result<Self> {
        let flags = OFlags::NOCTTY.bits().cast_signed();
        let file = File::options().read(true).write(true).custom_flags(flags).open(device)?;
        Ok(Self { file, line: Vec::with_capacity(REPLY_BYTES) })
    }

    fn listen(&mut self) -> Result<Heard, SendRawError> {
        let mut watched = [PollFd::new(&self.file, PollFlags::IN)];
        if poll(&mut watched, Some(&SILENCE)).map_err(io::Error::from)? == 0 {
            return Err(SendRawError::Silent);
        }
        let mut buffer = [0; 4_096];
        let got = self.file.read(&mut buffer)?;
        if got == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut heard = Heard::default();
        for &byte in &buffer[..got] {
            if byte != b'\n' {
                if self.line.len() < REPLY_BYTES {
                    self.line.push(byte);
                }
                continue;
            }
            match self.line.as_slice() {
                line if line.starts_with(b"ok") => heard.oks += 1,
                line if line.starts_with(b"start") => heard.starts += 1,
                line if line.starts_with(b"Error") || line.starts_with(b"Resend") => {
                    return Err(SendRawError::Complaint(String::from_utf8_lossy(line).into_owned()));
                }
                _ => {}
            }
            self.line.clear();
        }
        Ok(heard)
    }
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::LineDigest;
    use crate::pty::{PtyOptions, PtyPrinter};

    fn frames(commands: &[&str]) -> Frames {
        Frames::of(commands.iter().map(|command| command.as_bytes().to_vec()))
    }

    #[test]
    fn lines_are_numbered_summed_and_counted_against_the_window() {
        let frames = frames(&["G28", "G1 X1", "G1 X2"]);
        assert_eq!(String::from_utf8_lossy(&frames.bytes), "N1001 G28*35\nN1002 G1 X1*82\nN1003 G1 X2*80\n");
        let window = |bytes, lines, queue_lines| Window { bytes, lines, queue_lines, at_once: false };
        let reach = |acked, sent, bytes, lines| frames.reach(acked, sent, window(bytes, lines, 0));
        assert_eq!(reach(0, 0, 127, 8), 3);
        assert_eq!(reach(0, 0, 127, 2), 2);
        assert_eq!(reach(0, 0, 28, 8), 2);
        assert_eq!(reach(0, 0, 27, 8), 1);
        assert_eq!(reach(0, 0, 1, 8), 1, "a line alone always goes");
        assert_eq!(reach(1, 2, 30, 8), 3);
        assert_eq!(frames.reach(0, 0, window(15, 8, 1)), 2, "the first line is in the queue");
        assert_eq!(frames.reach(0, 0, window(1, 8, 4)), 3);
    }

    #[test]
    fn a_board_gets_every_line_once() {
        let commands: Vec<_> = (0..500).map(|n| format!("G1 X{n}")).collect();
        let commands: Vec<_> = commands.iter().map(String::as_str).collect();
        let mut digest = LineDigest::new();
        commands.iter().for_each(|command| digest.add(command.as_bytes()));
        for window in [Window::lines(8), Window::lines(8).at_once()] {
            let board = PtyPrinter::open(PtyOptions::instant()).unwrap().spawn().unwrap();
            send(board.path(), &frames(&commands), window).unwrap();
            assert_eq!(board.finish().unwrap().report.job_digest, digest);
        }
    }
}
