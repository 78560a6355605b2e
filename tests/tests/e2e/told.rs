//! How a run has ended stands in the journal until the next one begins: an agent that is killed again and again right behind
//! the end of a print, on a machine whose disk is slow, still knows that the part is done.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

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

/// The next process at the board in this socket, with the journal beside it.
fn start(folder: &Path) -> PrinterThread {
    let journal = folder.join("print.journal");
    let left = |clock: &spoolway_agent::clock::Clock| {
        Handover::find(&journal, clock.boot_id(), Box::new(|_, _, _| Err("no job goes on".to_owned())))
    };
    PrinterThread::start_behind(
        left,
        folder.join("socket"),
        Safety::default(),
        Registry::built_in(),
        "marlin",
    )
}

fn plug(socket: &Path) -> PtyThread {
    let options = PtyOptions { reset_on_open: ResetOnOpen::Never, ..PtyOptions::uart(BAUD) };
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    symlink(board.path(), socket).unwrap();
    board
}

fn has_completed(run: u64, now: &Snapshot) -> bool {
    matches!(now.run, Some(Run { id, phase: RunPhase::Ended(RunEnd::Completed), .. }) if id == run)
}

/// Prints a single line to its end.
fn print(thread: &PrinterThread, run: u64) {
    let (lines, feed) = mpsc::channel(4);
    thread.print_as(run, feed);
    let mut batch = Batch::default();
    batch.push(b"G1 X5 F6000", Position { line: 1, byte: 12, layer: 0 });
    lines.blocking_send(Feed::Commands(batch)).unwrap();
    lines.blocking_send(Feed::End).unwrap();
    thread.until("the end of the run", |now| has_completed(run, now).then_some(()));
}

/// What the thread was told of the process before: the run, and how far it came.
fn taken(thread: &PrinterThread) -> (u64, u64) {
    let run = thread.printer.snapshot.borrow().run.clone().unwrap();
    assert!(has_completed(run.id, &thread.printer.snapshot.borrow()), "{run:?}");
    assert_eq!(thread.printer.taken.as_ref().map(|ticket| ticket.subject.run), Some(run.id));
    (run.id, run.progress.commands)
}

#[test]
fn an_end_that_nobody_has_written_down_outlives_one_process_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let board = plug(&socket);

    let first = start(folder.path());
    print(&first, 1);
    first.leave();

    // The first of them is gone before the printer has answered, the others have begun a conversation of their own.
    start(folder.path()).leave();
    for _ in 0..3 {
        let next = start(folder.path());
        assert_eq!(taken(&next), (1, 1));
        next.until("the printer", |now| (now.state == PrinterState::Idle).then_some(()));
        next.leave();
    }

    // A board that is unplugged behind the end of a print makes this process begin another conversation by itself.
    let last = start(folder.path());
    print(&last, 2);
    let before = last.printer.snapshot.borrow().known.clone().unwrap();
    std::fs::remove_file(&socket).unwrap();
    board.control().stop();
    let board = plug(&socket);
    last.until("the printer again", |now| {
        let is_anew = now.known.as_ref().is_some_and(|known| !Arc::ptr_eq(known, &before));
        (is_anew && now.state == PrinterState::Idle).then_some(())
    });
    last.leave();
    let after = start(folder.path());
    assert_eq!(taken(&after), (2, 1), "another run takes its place");
    after.leave();
    drop(board);
}
