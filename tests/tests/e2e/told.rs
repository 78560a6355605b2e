//! How a run has ended stands in the journal until the store has it: an agent that is killed again right behind the end of a
//! print, on a machine whose disk is slow, still knows that the part is done.

use std::path::Path;

use spoolway_agent::config::Safety;
use spoolway_agent::printer::feeder::Feed;
use spoolway_agent::printer::{Handover, Run, RunEnd, RunPhase, Snapshot};
use spoolway_agent_core::gcode::{Batch, Position};
use spoolway_firmware_profiles::Registry;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::at_port::BAUD;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};
use tokio::sync::mpsc;

use crate::thread::PrinterThread;

/// The next process at this board and this journal.
fn start(board: &PtyThread, journal: &Path) -> PrinterThread {
    let left = |clock: &spoolway_agent::clock::Clock| {
        Handover::find(journal, clock.boot_id(), Box::new(|_, _, _| Err("no job goes on".to_owned())))
    };
    PrinterThread::start_behind(
        left,
        board.path().to_owned(),
        Safety::default(),
        Registry::built_in(),
        "marlin",
    )
}

fn has_completed(now: &Snapshot) -> bool {
    matches!(now.run, Some(Run { phase: RunPhase::Ended(RunEnd::Completed), .. }))
}

#[test]
fn an_end_that_nobody_has_written_down_outlives_one_process_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("print.journal");
    let options = PtyOptions { reset_on_open: ResetOnOpen::Never, ..PtyOptions::uart(BAUD) };
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();

    let first = start(&board, &journal);
    let (lines, feed) = mpsc::channel(4);
    first.print(feed);
    let mut batch = Batch::default();
    batch.push(b"G1 X5 F6000", Position { line: 1, byte: 12, layer: 0 });
    lines.blocking_send(Feed::Commands(batch)).unwrap();
    lines.blocking_send(Feed::End).unwrap();
    first.until("the end of the run", |now| has_completed(now).then_some(()));
    first.leave();

    // The printer answers, and nobody has written anything down when this process ends.
    for _ in 0..2 {
        let asked = board.control().executed();
        let next = start(&board, &journal);
        assert!(next.printer.taken.is_some() && has_completed(&next.printer.snapshot.borrow()));
        next.until("an answer", |_| (board.control().executed() > asked).then_some(()));
        next.leave();
    }

    let mut last = start(&board, &journal);
    assert!(last.printer.taken.is_some());
    drop(last.printer.untold.take());
    last.until("the printer", |now| (now.state == PrinterState::Idle).then_some(()));
    last.leave();
    let after = start(&board, &journal);
    assert!(after.printer.taken.is_none(), "what is told is not kept");
    after.leave();
}
