//! A thread's parts without a thread, for the tests of this room.

use spoolway_firmware_profiles::Registry;

use crate::config::Safety;

use super::super::Before;
use super::super::discover::tests::Machine;
use super::*;

/// Options of a printer at a port of which nothing else is known.
pub(in crate::printer) fn at_port(port: PathBuf) -> PrinterOptions {
    PrinterOptions {
        port: port.into(),
        baud: 115_200.into(),
        parity_workaround: false,
        before: Before::default(),
        root: "/".into(),
        profile: None,
        registry: Arc::new(Registry::built_in()),
        safety: Safety::default(),
        dump_folder: None,
    }
}

/// A thread's parts without a thread; it leaves when the sender of its orders is dropped.
pub(in crate::printer) fn bench(options: PrinterOptions) -> (Bench, mpsc::Sender<Order>) {
    let (orders, inbox) = mpsc::channel(1);
    let (publish, _) = watch::channel(Snapshot::default());
    let seams = Seams::of(inbox, publish);
    let memory = Memory::of_this_process();
    (Bench::new(options, Clock::start().unwrap(), seams, Dump::default(), memory), orders)
}

#[tokio::test]
async fn a_printer_that_answers_is_known_with_its_usb_ids_and_its_socket() {
    let machine = Machine::new();
    machine.plug("ttyUSB0", "1.2", None);
    let path = PathBuf::from("/dev/ttyUSB0");
    let root = machine.root().to_owned();
    let (mut bench, _orders) = bench(PrinterOptions { root, ..at_port(path.clone()) });
    bench.opened = path;
    let known = bench.know(Greeted::default()).unwrap();
    assert_eq!(known.report.usb.as_deref(), Some("1a86:7523"));
    assert_eq!(bench.stable, known.found.as_ref().unwrap().by_path);
}
