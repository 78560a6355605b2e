//! Heat and wire in words, for the screen of `status`.

use crate::view::{PrinterView, WireView};

/// What is hot, and what it is to become.
pub(super) fn temperatures(printer: &PrinterView) -> String {
    let one = |name: String, (actual, target): (f32, Option<f32>)| match target {
        Some(target) if target > 0.0 => format!("{name} {actual:.1} -> {target:.0} °C"),
        _ => format!("{name} {actual:.1} °C"),
    };
    let tools = printer.tools.iter().enumerate().map(|(at, &heat)| {
        one(if printer.tools.len() == 1 { "nozzle".to_owned() } else { format!("nozzle {at}") }, heat)
    });
    tools.chain(printer.bed.map(|heat| one("bed".to_owned(), heat))).collect::<Vec<_>>().join(", ")
}

/// The window's rule, and how the wire does in this job.
pub(super) fn wire_words(wire: &WireView) -> [String; 2] {
    let narrowed = if wire.narrowed > 0 { format!(", narrowed {}x", wire.narrowed) } else { String::new() };
    [
        format!("rule {}{narrowed}, {:.2} % sent again", wire.rule, wire.resend_ratio * 100.0),
        format!(
            "round trip {:.1} ms, p99 {:.1} ms; gap p99.9 {:.0} ms; starved {:.0} ms",
            wire.rtt_ms_p50, wire.rtt_ms_p99, wire.gap_ms_p999, wire.starved_ms
        ),
    ]
}
