//! Reads a job ahead of the printer: from the spool, through the reader, in small batches over a bounded channel.
//!
//! It runs on a thread of its own, so that a slow disk or a compressed frame never holds up the line to the printer.

use std::io::Read;

use spoolway_agent_core::gcode::{Batch, Reader};
use tokio::sync::mpsc;

/// Commands in one batch.
const BATCH_COMMANDS: usize = 128;
/// Batches that may wait: about four seconds of the densest print.
const BATCHES: usize = 8;
/// Bytes read from the spool at once.
const PIECE_BYTES: usize = 16 * 1024;

/// What the printer gets of a job.
#[derive(Debug)]
pub enum Feed {
    /// The next commands.
    Commands(Batch),
    /// There are no more.
    End,
    /// The file could not be read on.
    Broken(String),
}

/// Starts to read a job; dropping the receiver ends it.
///
/// # Errors
/// The system has no thread to spare.
pub fn start(body: impl Read + Send + 'static) -> std::io::Result<mpsc::Receiver<Feed>> {
    start_behind(body, Reader::new(), Batch::default())
}

/// Starts to read a job in its middle: `preamble` goes ahead, `reader` knows where `body` stands.
///
/// # Errors
/// The system has no thread to spare.
pub fn start_behind(
    body: impl Read + Send + 'static,
    reader: Reader,
    preamble: Batch,
) -> std::io::Result<mpsc::Receiver<Feed>> {
    let (sender, receiver) = mpsc::channel(BATCHES);
    std::thread::Builder::new().name("feeder".to_owned()).spawn(move || {
        let last = match read_all(body, reader, preamble, &sender) {
            Ok(()) => Feed::End,
            Err(Stop::Broken(text)) => Feed::Broken(text),
            Err(Stop::Unwanted) => return,
        };
        drop(sender.blocking_send(last));
    })?;
    Ok(receiver)
}

enum Stop {
    Broken(String),
    Unwanted,
}

/// `batch` holds what goes ahead.
fn read_all(
    mut body: impl Read,
    mut reader: Reader,
    mut batch: Batch,
    sender: &mpsc::Sender<Feed>,
) -> Result<(), Stop> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = body.read(&mut piece).map_err(|error| Stop::Broken(error.to_string()))?;
        let mut full = Vec::new();
        let mut keep = |command: &[u8], at| {
            batch.push(command, at);
            if batch.len() >= BATCH_COMMANDS {
                full.push(std::mem::take(&mut batch));
            }
        };
        let read =
            if count == 0 { reader.finish(&mut keep) } else { reader.push(&piece[..count], &mut keep) };
        read.map_err(|error| Stop::Broken(error.to_string()))?;
        if count == 0 && !batch.is_empty() {
            full.push(std::mem::take(&mut batch));
        }
        for batch in full {
            sender.blocking_send(Feed::Commands(batch)).map_err(|_| Stop::Unwanted)?;
        }
        if count == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::gcode::Position;

    use super::*;

    #[test]
    fn a_whole_file_comes_in_order_through_a_bounded_channel() {
        let text: String = (0..10_000).map(|n| format!("G1 X{n} ; {n}\n")).collect();
        let mut feed = start(std::io::Cursor::new(text.into_bytes())).unwrap();
        let mut next = 0;
        loop {
            match feed.blocking_recv().unwrap() {
                Feed::Commands(batch) => {
                    for index in 0..batch.len() {
                        assert_eq!(batch.get(index).unwrap().0, format!("G1 X{next}").as_bytes());
                        next += 1;
                    }
                }
                Feed::End => break,
                Feed::Broken(text) => panic!("{text}"),
            }
        }
        assert_eq!(next, 10_000);
    }

    #[test]
    fn a_job_goes_on_in_its_middle_behind_a_preamble() {
        let text = "G28\nG1 X1\n;LAYER:1\nG1 X2 ; two\nG1 X3\n";
        let behind = Position { line: 2, byte: 10, layer: 1 };
        let mut preamble = Batch::default();
        preamble.push(b"M109 S200", behind);
        let body = std::io::Cursor::new(text.as_bytes()[10..].to_vec());
        let mut feed = start_behind(body, Reader::behind(behind), preamble).unwrap();
        let Some(Feed::Commands(batch)) = feed.blocking_recv() else { panic!("commands") };
        let all: Vec<_> = (0..batch.len()).map(|index| batch.get(index).unwrap()).collect();
        let expected = [(&b"M109 S200"[..], 2, 1), (b"G1 X2", 4, 2), (b"G1 X3", 5, 2)];
        let found: Vec<_> = all.iter().map(|(text, at)| (*text, at.line, at.layer)).collect();
        assert_eq!(found, expected);
        assert_eq!(all[2].1.byte, text.len() as u64);
        assert!(matches!(feed.blocking_recv(), Some(Feed::End)));
    }

    #[test]
    fn a_file_that_breaks_off_is_told() {
        struct Breaking;
        impl Read for Breaking {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("frame 3 is damaged"))
            }
        }
        let mut feed = start(Breaking).unwrap();
        assert!(matches!(feed.blocking_recv(), Some(Feed::Broken(text)) if text.contains("frame 3")));
    }
}
