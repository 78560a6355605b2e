//! The agent is killed between a command's receipt and the job that it brings, with a backend and a relay in place: nothing
//! is forgotten and nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spoolway_protocol::job::Outcome;
use spoolway_protocol::{Event, EventData, Message};
use spoolway_tests::backend::{Backend, Ending, Print, Progress};
use spoolway_tests::demo::house::{House, Part, PrinterPlan};
use spoolway_tests::expected::Commands;
use spoolway_tests::pty::{PtyOptions, PtyPrinter};
use tokio::sync::mpsc;

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const BAUD: u32 = 1_000_000;
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(240);
const HOST_COMMANDS: [&str; 4] = ["M105", "M110", "M115", "M155"];
const CANCEL_SCRIPT: [&str; 4] = ["M104 S0", "M140 S0", "M107", "M84"];

type Seen = Arc<Mutex<Vec<Event>>>;

fn file(name: &str) -> Arc<[u8]> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode").join(name)).unwrap().into()
}

fn commands(bytes: &Arc<[u8]>) -> Vec<String> {
    Commands::of(Arc::clone(bytes)).map(|c| String::from_utf8(c.text).unwrap()).collect()
}

/// Prints a file; `received` hears when the agent has confirmed the offer.
fn print(
    house: &House,
    bytes: &Arc<[u8]>,
    seen: &Seen,
    received: mpsc::UnboundedSender<()>,
) -> impl Future<Output = Ending> + use<> {
    let seen = Arc::clone(seen);
    let job = Print { agent: house.agent_id(), name: "job.gcode".into(), bytes: Arc::clone(bytes) };
    let backend = Backend::new(house.relay(), job, move |progress| match progress {
        Progress::Event(event) => seen.lock().unwrap().push(event),
        Progress::Heard(Message::CmdRecv(_)) => drop(received.send(())),
        _ => {}
    });
    async { tokio::time::timeout(HANG, backend.unwrap().run()).await.expect("the print ends").unwrap() }
}

#[tokio::test]
async fn an_agent_that_is_killed_between_two_jobs_forgets_and_repeats_nothing() {
    let (first, second) = (file("box-reprapfirmware.gcode"), file("box-smoothie.gcode"));
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 2_000.0;
    options.printer.keep_executed = 1_000_000;
    let printer = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let plan = PrinterPlan::Real { port: printer.path().to_owned(), baud: BAUD };
    let mut house = House::start(Path::new(DEMO), &first, &plan).unwrap();
    let seen = Seen::default();
    let (ignored, _unheard) = mpsc::unbounded_channel();
    let ending = print(&house, &first, &seen, ignored).await;
    assert!(matches!(&ending, Ending::Result(result) if result.outcome == Outcome::Completed), "{ending:?}");
    house.kill_and_restart(Part::Agent).unwrap();

    let (received, mut receipts) = mpsc::unbounded_channel();
    let running = tokio::spawn(print(&house, &second, &seen, received));
    // The offer is confirmed, so it must be kept, however soon the agent dies.
    receipts.recv().await.unwrap();
    house.kill_and_restart(Part::Agent).unwrap();
    let ending = running.await.unwrap();
    let Ending::Result(result) = ending else { panic!("{ending:?}") };
    house.close().unwrap();
    let run = printer.finish().unwrap();
    let numbered = run.printer.executed().iter().filter(|line| line.number.is_some());
    let executed = numbered.map(|line| String::from_utf8_lossy(line.text()).into_owned());
    let executed: Vec<String> =
        executed.filter(|text| !HOST_COMMANDS.iter().any(|host| text.starts_with(host))).collect();
    let (one, rest) = executed.split_at(commands(&first).len());
    assert_eq!(one, commands(&first));
    match result.outcome {
        Outcome::Completed => assert_eq!(rest, commands(&second)),
        // It had begun to print: then it is never begun again.
        Outcome::Interrupted => {
            let (begun, script) = rest.split_at(rest.len() - CANCEL_SCRIPT.len());
            assert_eq!(script, CANCEL_SCRIPT);
            assert_eq!(begun, &commands(&second)[..begun.len()]);
        }
        other => panic!("{other:?}"),
    }
    assert_told_once(&seen.lock().unwrap());
}

/// What both connections of the backend got together: no event missing or told with two contents, each job's story
/// without a hole, each command's result once.
fn assert_told_once(seen: &[Event]) {
    let mut by_place = BTreeMap::new();
    for event in seen {
        let told = by_place.entry((event.epoch.0, event.seq.0)).or_insert(event);
        assert_eq!(*told, event, "one number, one event");
    }
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    for (epoch, seq) in by_place.keys() {
        let expected = next.entry(*epoch).or_insert(1);
        assert_eq!(seq, expected, "epoch {epoch} has no hole");
        *expected += 1;
    }
    let mut revisions: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut results = Vec::new();
    for event in by_place.values() {
        match event.decode().unwrap() {
            EventData::JobState(state) => {
                revisions.entry(event.job_id.as_ref().unwrap().as_str()).or_default().push(state.rev);
            }
            EventData::CmdResult(result) => results.push(result.cmd_id.to_string()),
            _ => {}
        }
    }
    assert_eq!(revisions.len(), 2);
    for (job, revisions) in revisions {
        assert_eq!(revisions, (1..=revisions.len() as u64).collect::<Vec<_>>(), "job {job}");
    }
    assert_eq!(results.len(), results.iter().collect::<BTreeSet<_>>().len(), "each command ends once");
    assert_eq!(results.len(), 2);
}
