//! What a print writes to the disk does not grow with its length: rows and transactions are counted, and the pages of both.

use std::fmt::Write as _;
use std::path::Path;

use spoolway_agent::store::{EventClass, Position, Store, StoreOptions, StoredEvent};
use spoolway_protocol::JobState;
use spoolway_tests::at_port::{AgentAtPort, BAUD};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// A little over a second of moves, and four times as many.
const SHORT: u32 = 300;
const LONG: u32 = 1_200;
/// Critical rows of a job, from `queued` to its result; a day of short prints must not wear a card.
const CRITICAL_ROWS: usize = 15;
/// A row at each tenth but the last.
const PROGRESS_ROWS: usize = 9;
/// Transactions of a print: rows that come together are one.
const TRANSACTIONS: usize = 30;
/// Pages of 4 KiB that they put into the log.
const PAGES: usize = 75;
/// The log's own head, and that of each page in it (sqlite.org/fileformat2.html, section 4.1).
const LOG_HEAD: usize = 32;
const PAGE_HEAD: usize = 24;
const PAGE: usize = 4096;

fn board() -> PtyThread {
    let mut options = PtyOptions::uart(BAUD);
    options.reset_on_open = ResetOnOpen::Never;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

/// Moves of 4 ms each.
fn part(moves: u32) -> String {
    (0..moves).fold("G90\nM83\n".to_owned(), |mut text, n| {
        writeln!(text, "G1 X{}.{} Y20 E0.01 F6000", 20 + n / 10 % 2, n % 10).unwrap();
        text
    })
}

/// Transactions in the database's log, and pages of all of them. The agent has been killed, so nothing was folded in.
fn logged(folder: &Path) -> (usize, usize) {
    let log = std::fs::read(folder.join("spoolway.db-wal")).unwrap();
    let (salt, frames) = (&log[16..24], log[LOG_HEAD..].chunks_exact(PAGE_HEAD + PAGE));
    let frames: Vec<_> = frames.take_while(|frame| &frame[8..16] == salt).collect();
    // Only the last page of a transaction says how large the database is then.
    let commits = frames.iter().filter(|frame| frame[4..8] != [0; 4]).count();
    (commits, frames.len())
}

fn events(folder: &Path) -> Vec<StoredEvent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, _) = Store::open(folder, &StoreOptions::default()).unwrap();
        store.events_after(Position::default(), 10_000, u64::MAX).await.unwrap()
    })
}

/// Prints once, kills the agent, and gives what its log holds.
fn print(moves: u32) -> (usize, usize) {
    let board = board();
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    agent.until_idle();
    let id = agent.print_text("part.gcode", &part(moves));
    agent.until_job(&id, JobState::Completed);
    agent.kill();
    let logged = logged(agent.folder());
    let of_job: Vec<_> =
        events(agent.folder()).into_iter().filter(|row| row.event.job_id.as_deref() == Some(&*id)).collect();
    let critical = of_job.iter().filter(|row| row.event.cls == EventClass::Critical).count();
    let progress = of_job.iter().filter(|row| row.event.kind == "job.progress").count();
    assert!(critical > 0 && critical <= CRITICAL_ROWS, "{critical} critical rows");
    assert!(progress <= PROGRESS_ROWS, "{progress} rows of progress");
    assert_eq!(critical + progress, of_job.len(), "nothing else is told of a job that nothing happens to");
    logged
}

#[test]
fn a_print_four_times_as_long_writes_no_more() {
    for (transactions, pages) in [print(SHORT), print(LONG)] {
        assert!(transactions <= TRANSACTIONS, "{transactions} transactions");
        assert!(pages <= PAGES, "{pages} pages");
    }
}
