//! The database is spoilt in the middle of a print: it is set aside, a new epoch begins and says so, and the print, which does
//! not need it, goes on to its end and is accounted once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use spoolway_agent::store::{Position, Store, StoreOptions, StoredEvent};
use spoolway_protocol::JobState;
use spoolway_tests::at_port::{AgentAtPort, BAUD, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// Moves of the part, and what each pushes, in mm.
const MOVES: u64 = 1_500;
const PUSH_MM: f64 = 0.5;
/// The part is well under way.
const UNDER_WAY: u64 = 300;
/// Bytes of a page.
const PAGE: u64 = 4096;

fn board() -> PtyThread {
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 20.0;
    options.printer.keep_executed = 1_000_000;
    options.reset_on_open = ResetOnOpen::First;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

fn part() -> String {
    let head = "G28\nG90\nM83\n".to_owned();
    (0..MOVES)
        .fold(head, |text, n| text + &format!("G1 X{} Y{} E{PUSH_MM} F3000\n", 20 + n % 2 * 9, 20 + n % 90))
}

/// Every page but the first is rubbish: it opens as a database, and is none.
fn spoil_pages(folder: &Path) {
    let mut file = File::options().read(true).write(true).open(folder.join("spoolway.db")).unwrap();
    let bytes = file.metadata().unwrap().len();
    assert!(bytes >= 8 * PAGE, "there is something to spoil: {bytes} bytes");
    file.seek(SeekFrom::Start(PAGE)).unwrap();
    file.write_all(&vec![0x5a; usize::try_from(bytes - PAGE).unwrap()]).unwrap();
    let mut head = [0; 15];
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"SQLite format 3");
    // What stands in the log would mend it.
    File::options().write(true).open(folder.join("spoolway.db-wal")).unwrap().set_len(0).unwrap();
}

fn set_aside(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_old = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("spoolway.db.corrupt-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    files.filter(is_old).collect()
}

/// What stands in the new database, once its agent has ended.
fn events(folder: &Path) -> Vec<StoredEvent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, _) = Store::open(folder, &StoreOptions::default()).unwrap();
        let events = store.events_after(Position::default(), 100_000, u64::MAX).await.unwrap();
        store.close().await.unwrap();
        events
    })
}

fn told<'a>(events: &'a [StoredEvent], kind: &'a str) -> impl Iterator<Item = Value> + 'a {
    let ours = events.iter().map(|stored| &stored.event).filter(move |event| event.kind == kind);
    ours.map(|event| serde_json::from_str(&event.data_json).unwrap())
}

#[test]
fn a_print_outlives_a_database_whose_pages_are_spoilt() {
    let board = board();
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    agent.until_idle();
    // In order to end it puts what stands in its log into the database.
    agent.end();
    agent.start_again();
    agent.until_idle();
    let text = part();
    let job = agent.print_text("part.gcode", &text);
    agent.until("the part to be under way", || (agent.job(&job).commands_acked > UNDER_WAY).then_some(()));
    agent.kill();
    spoil_pages(agent.folder());
    agent.start_again();

    let found = agent.until_job(&job, JobState::Printing);
    assert_eq!((found.name.as_str(), found.attempt), ("part.gcode", 1), "it is known from its own journal");
    assert!(agent.log().contains("database set aside"), "{}", agent.log());
    let done = agent.until_job(&job, JobState::Completed);
    assert_eq!(done.commands_acked, done.commands_total);
    let folder = agent.folder().to_owned();
    agent.end();

    assert_eq!(set_aside(&folder).len(), 1, "nobody has thrown it away");
    let events = events(&folder);
    let epochs: Vec<u64> = events.iter().map(|event| event.position.epoch).collect();
    assert!(epochs.iter().all(|epoch| *epoch > 1), "no number is given twice: {epochs:?}");
    assert_eq!(told(&events, "gap").count(), 1);
    let states: Vec<_> =
        told(&events, "job.state").map(|data| (data["to"].clone(), data["reason"].clone())).collect();
    assert_eq!(states[0], ("printing".into(), "store.corrupt".into()));
    assert_eq!(states.last().unwrap().0, "completed");
    let used: Vec<_> = told(&events, "job.usage").collect();
    let [usage] = used.as_slice() else { panic!("{used:?}") };
    assert_eq!((&usage["outcome"], usage["lines_acked"].as_u64()), (&"completed".into(), Some(MOVES + 3)));
    assert_eq!(usage["filament_mm"], serde_json::json!([MOVES as f64 * PUSH_MM]));
    let executed = commands(board.finish().unwrap().printer.executed());
    assert_eq!(executed, text.lines().collect::<Vec<_>>(), "the printer has noticed nothing");
}
