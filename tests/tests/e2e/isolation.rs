//! The printer does not wait for the database: a print goes on to its last line while no commit ever ends, and its end is told
//! once when somebody can write again.

use std::path::Path;

use spoolway_protocol::JobState;
use spoolway_tests::at_port::{AgentAtPort, BAUD, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const MOVES: u64 = 2_000;

/// The commit that tells of the first tenth of a print takes days: its row sets off a search through a million million combinations.
const HANG: &str = "CREATE TABLE hang(n INTEGER);
    WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) INSERT INTO hang SELECT n FROM c;
    CREATE TRIGGER hang_on_progress AFTER INSERT ON event WHEN NEW.kind = 'job.progress' BEGIN
      SELECT count(*) FROM hang a, hang b, hang c, hang d WHERE a.n + b.n + c.n + d.n = -1;
    END;";
const MEND: &str = "DROP TRIGGER hang_on_progress; DROP TABLE hang;";

fn database(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("spoolway.db")).unwrap()
}

fn told(folder: &Path, kind: &str) -> i64 {
    let count = "SELECT count(*) FROM event WHERE kind = ?1";
    database(folder).query_row(count, [kind], |row| row.get(0)).unwrap()
}

#[test]
fn a_print_needs_no_commit_to_go_on_to_its_end() {
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 20.0;
    options.printer.keep_executed = 1_000_000;
    options.reset_on_open = ResetOnOpen::First;
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    agent.until_idle();
    agent.kill();
    database(agent.folder()).execute_batch(HANG).unwrap();
    agent.start_again();
    agent.until_idle();
    let text: String = (0..MOVES).map(|n| format!("G1 X{}.{} Y5 F6000\n", n % 200, n % 10)).collect();
    let job = agent.print_text("part.gcode", &text);
    agent.until("the last line", || (board.control().executed() > MOVES).then_some(()));

    // Somebody ends what hangs. The next process finds a run that is over, and tells it.
    agent.kill();
    let written = ["job.progress", "job.result"].map(|kind| told(agent.folder(), kind));
    assert_eq!(written, [0, 0], "the database stood still all the while");
    database(agent.folder()).execute_batch(MEND).unwrap();
    agent.start_again();
    let done = agent.until_job(&job, JobState::Completed);
    assert_eq!((done.commands_acked, done.attempt), (MOVES, 1));
    let folder = agent.folder().to_owned();
    agent.end();
    assert_eq!((told(&folder, "job.result"), told(&folder, "job.usage")), (1, 1));
    let executed = commands(board.finish().unwrap().printer.executed());
    assert_eq!(executed, text.lines().collect::<Vec<_>>());
}
