//! Who looks on sees the print's height, its fan and factors, and the room in the firmware's buffers.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use spoolway_protocol::Message;
use spoolway_protocol::job::Outcome;
use spoolway_tests::backend::{Backend, Ending, Print, Progress};
use spoolway_tests::demo::house::{House, PrinterPlan};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, ResetOnOpen};

use crate::ready::await_printer;

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const BAUD: u32 = 1_000_000;
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(240);

#[tokio::test]
async fn a_print_shows_its_height_its_fan_its_factors_and_its_buffers() {
    let mut text = "M106 S51\nM220 S80\nM221 S95\nG92 X0 Y0 Z0\nG1 Z7.4 F6000\n".to_owned();
    for n in 0..2_000 {
        let _ = writeln!(text, "G1 X{} Y{} F9000", n % 200, n % 7);
    }
    let bytes: Arc<[u8]> = text.into_bytes().into();
    let mut options = PtyOptions::uart(BAUD);
    (options.printer.speed, options.printer.advanced_ok) = (10.0, true);
    options.reset_on_open = ResetOnOpen::First;
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let plan = PrinterPlan::Real { port: board.path().to_owned(), baud: BAUD };
    let house = House::start(Path::new(DEMO), &bytes, &plan).unwrap();
    await_printer(&house);
    let print = Print { agent: house.agent_id(), name: "part".to_owned(), bytes };
    let told = Arc::new(Mutex::new(Vec::<Value>::new()));
    let heard = Arc::clone(&told);
    let backend = Backend::new(house.relay(), print, move |progress| {
        if let Progress::Heard(Message::Telem(telem)) = progress {
            heard.lock().unwrap().push(serde_json::to_value(telem.d).unwrap());
        }
    });
    let ending = tokio::time::timeout(HANG, backend.unwrap().run()).await.expect("the print ends").unwrap();
    let Ending::Result(result) = ending else { panic!("{ending:?}\n{}", house.logs()) };
    assert_eq!(result.outcome, Outcome::Completed, "{}", house.logs());
    let told = told.lock().unwrap();
    let ever = |name: &str, is_it: &dyn Fn(&Value) -> bool| told.iter().any(|d| is_it(&d[name]));
    for (name, value) in [("z", 7.4), ("fan", 20.0), ("speed", 80.0), ("flow", 95.0)] {
        assert!(ever(name, &|found| *found == value), "{name} {value}: {told:?}");
    }
    assert!(ever("buf", &|buf| buf["planner"].is_u64() && buf["rx"].is_u64()), "{told:?}");
    assert!(ever("gap_ms_p99", &|ms| ms.as_f64() > Some(0.0)), "{told:?}");
}
