//! Files against a printer: pieces of any size give the same report, what is counted is what the reader gives, and little is said.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use spoolway_agent_core::gcode::Reader;
use spoolway_agent_core::preflight::{Preflight, Printer, Report, Severity, Tools, Volume};
use spoolway_firmware_profiles::Registry;

/// Everything that can be judged is known of it.
static PRINTER: LazyLock<Printer> = LazyLock::new(|| {
    let registry = Registry::built_in();
    let profile = &registry.get("prusa-mk").expect("a built-in profile").profile;
    Printer {
        volume: Some(Volume::new([250.0, 210.0, 210.0], false)),
        tools: Some(Tools::Configured(2)),
        nozzle_mm: Some(0.4),
        model: Some("MK3S".to_owned()),
        filament: Some("PLA".to_owned()),
        firmware_version: Some("3.13.3".to_owned()),
        ..Printer::of_profile(profile, Some(115_200))
    }
});

fn check(file: &[u8], piece: usize) -> Report {
    let mut preflight = Preflight::new(PRINTER.clone());
    file.chunks(piece).for_each(|piece| preflight.push(piece));
    preflight.finish()
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, file)) = input.split_first() else { return };
    let whole = check(file, file.len().max(1));
    let pieces = check(file, usize::from(*piece) % 40 + 1);
    // Not-a-number is never the same as itself.
    assert_eq!(format!("{pieces:?}"), format!("{whole:?}"));
    assert!(whole.findings.len() < 200 && whole.findings.iter().all(|finding| finding.text.len() < 1_000));
    if whole.worst() != Some(Severity::Fatal) {
        let (mut reader, mut commands) = (Reader::new(), 0);
        let read = reader.push(file, |_, _| commands += 1);
        read.and_then(|()| reader.finish(|_, _| commands += 1)).expect("what passes can be fed");
        assert_eq!(whole.summary.commands, commands);
        assert_eq!(whole.summary.layers, reader.position().layer);
    }
});
