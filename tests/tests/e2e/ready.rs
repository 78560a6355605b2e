//! When a house is ready for a start: the board that was reset when its port was opened has been identified.

use std::time::{Duration, Instant};

use spoolway_agent::local::Client;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::at_port::HANG;
use spoolway_tests::demo::house::House;

/// Waits until the printer is idle: a start that comes too early is refused, whatever else is right or wrong with it.
pub(crate) fn await_printer(house: &House) {
    let hung = Instant::now() + HANG;
    let is_ready = || {
        let status = Client::connect(&house.socket()).ok()?.status().ok()?;
        (status.printer.state == PrinterState::Idle).then_some(())
    };
    while is_ready().is_none() {
        assert!(Instant::now() < hung, "{}", house.logs());
        std::thread::sleep(Duration::from_millis(10));
    }
}
