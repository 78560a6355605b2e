//! What an attempt has used is told once, signed, and exact for the lines that the printer took, also when the agent dies.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use spoolway_agent::local::Client;
use spoolway_protocol::event::EventData;
use spoolway_protocol::hello::split_signature;
use spoolway_protocol::job::Outcome;
use spoolway_protocol::usage::{Certainty, JobUsage};
use spoolway_protocol::{Event, Message};
use spoolway_tests::backend::{Backend, Ending, Print, Progress};
use spoolway_tests::demo::house::{House, Part, PrinterPlan};
use spoolway_tests::permit::Signer;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};
use tokio::sync::mpsc;

use crate::ready::await_printer;

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const BAUD: u32 = 1_000_000;
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(240);
/// Commands ahead of the first that pushes.
const HEAD: u64 = 2;
const PUSHES: u64 = 4_000;
/// Nanometres that each of them pushes.
const PUSH_NM: u64 = 51_230;

type Seen = Arc<Mutex<Vec<Event>>>;

fn file() -> Arc<[u8]> {
    let mut text = "; a head\nM83\nG92 X0 Y0\n".to_owned();
    for n in 0..PUSHES {
        let _ = writeln!(text, "G1 X{} Y{} E0.05123 F9000 ; {n}", n % 200, n % 7);
    }
    text.into_bytes().into()
}

fn used_mm(commands: u64) -> f64 {
    (commands.saturating_sub(HEAD) * PUSH_NM) as f64 / 1e6
}

struct Bench {
    house: House,
    _board: PtyThread,
    seen: Seen,
}

impl Bench {
    fn start(file: &[u8], signer: &Signer, options: PtyOptions) -> Self {
        let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
        let plan = PrinterPlan::Real { port: board.path().to_owned(), baud: BAUD };
        let house = House::start_signed(Path::new(DEMO), file, &plan, signer.public_key()).unwrap();
        await_printer(&house);
        Self { house, _board: board, seen: Seen::default() }
    }

    /// Prints to the end; `line` hears how far it is.
    fn print(
        &self,
        bytes: &Arc<[u8]>,
        signer: Signer,
        line: mpsc::UnboundedSender<u64>,
    ) -> impl Future<Output = Ending> + use<> {
        let seen = Arc::clone(&self.seen);
        let print = Print { agent: self.house.agent_id(), name: "part".to_owned(), bytes: Arc::clone(bytes) };
        let backend = Backend::new(self.house.relay(), print, move |progress| match progress {
            Progress::Event(event) => seen.lock().unwrap().push(event),
            Progress::Heard(Message::Telem(telem)) => drop(line.send(telem.d.line.unwrap_or(0))),
            _ => {}
        });
        let backend = backend.unwrap().signed_by(signer);
        async { tokio::time::timeout(HANG, backend.run()).await.expect("the print ends").unwrap() }
    }

    /// The only usage record, once its signature was found to be the agent's.
    fn usage(&self) -> JobUsage {
        let seen = self.seen.lock().unwrap();
        let found: Vec<_> = seen.iter().filter(|event| event.kind == "job.usage").collect();
        let [event] = found.as_slice() else { panic!("{found:?}\n{}", self.house.logs()) };
        let (unsigned, sig) = split_signature(event.data.get()).unwrap();
        let (_, key) = Client::connect(&self.house.socket()).unwrap().identity().unwrap();
        let key = UnparsedPublicKey::new(&ED25519, STANDARD.decode(key).unwrap());
        key.verify(&JobUsage::signed_bytes(&unsigned), &sig).unwrap();
        let Ok(EventData::JobUsage(usage)) = event.decode() else { panic!("{event:?}") };
        let id = JobUsage::id_of(event.job_id.as_ref().unwrap(), event.attempt.unwrap());
        assert_eq!((&usage.usage_id, usage.agent), (&id, self.house.agent_id()));
        *usage
    }
}

fn assert_whole(usage: &JobUsage) {
    assert_eq!(usage.filament_mm, Some(vec![used_mm(HEAD + PUSHES)]));
    assert_eq!((usage.lines_acked, usage.lines_before, usage.lines_total), (HEAD + PUSHES, 0, HEAD + PUSHES));
    assert_eq!(usage.times, Certainty::Measured, "both ends were seen");
}

#[tokio::test]
async fn a_print_is_measured_to_the_last_nanometre() {
    let (bytes, signer) = (file(), Signer::new());
    let bench = Bench::start(&bytes, &signer, PtyOptions::instant());
    let (line, _unheard) = mpsc::unbounded_channel();
    let ending = bench.print(&bytes, signer, line).await;
    let Ending::Result(result) = ending else { panic!("{ending:?}\n{}", bench.house.logs()) };
    let usage = bench.usage();
    assert_whole(&usage);
    assert_eq!((usage.outcome, usage.org.as_deref()), (result.outcome, Some("demo")));
    assert_eq!((Some(result.filament_mm), usage.permit_id.is_some()), (usage.filament_mm, true));
    assert_eq!(usage.printing_ms + usage.paused_ms, result.elapsed_ms);
}

#[tokio::test]
async fn a_print_of_two_processes_is_accounted_once_with_the_lines_of_both() {
    let (bytes, signer) = (file(), Signer::new());
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 10.0;
    options.reset_on_open = ResetOnOpen::First;
    let mut bench = Bench::start(&bytes, &signer, options);
    let (line, mut lines) = mpsc::unbounded_channel();
    let printing = tokio::spawn(bench.print(&bytes, signer, line));
    while lines.recv().await.expect("the print goes on") < 200 {}
    bench.house.kill_and_restart(Part::Agent).unwrap();
    let ending = printing.await.unwrap();
    let Ending::Result(result) = ending else { panic!("{ending:?}\n{}", bench.house.logs()) };
    assert_eq!(result.outcome, Outcome::Completed, "{}", bench.house.logs());
    let usage = bench.usage();
    assert_whole(&usage);
    assert_eq!(usage.org.as_deref(), Some("demo"), "the permit is known to the next process");
}
