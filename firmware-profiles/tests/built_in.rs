//! Every profile inside the program is valid, complete and careful.

use spoolway_firmware_profiles::Registry;

/// Everything that the program carries.
const IDS: [&str; 17] = [
    "anycubic",
    "creality",
    "flashforge",
    "generic",
    "grbl",
    "grblhal",
    "klipper",
    "malyan",
    "marlin",
    "marlin-cdc",
    "prusa-buddy",
    "prusa-mk",
    "repetier",
    "reprapfirmware",
    "smoothieware",
    "teacup",
    "ultimaker2",
];

#[test]
fn all_are_valid_and_there_are_no_others() {
    let registry = Registry::built_in();
    let ids: Vec<&str> = registry.iter().map(|known| known.profile.id.as_str()).collect();
    assert_eq!(ids, IDS);
}

#[test]
fn a_cancelled_job_leaves_every_heated_machine_cold_and_nothing_moves() {
    for known in Registry::built_in().iter() {
        let (profile, cancel) = (&known.profile, &known.profile.scripts.cancel);
        let moves = |line: &String| ["G0", "G1", "G2", "G3", "G27", "G28"].contains(&word(line));
        assert!(!cancel.iter().any(moves), "{}", profile.id);
        let heats = profile.temperature.limits.hotend_max > 0.0 || profile.temperature.limits.bed_max > 0.0;
        let cold = ["M104 S0", "M140 S0"].iter().all(|off| cancel.iter().any(|line| line == off));
        let all_off = cancel.iter().any(|line| line == "TURN_OFF_HEATERS");
        assert!(!heats || cold || all_off, "{}: {cancel:?}", profile.id);
    }
}

/// The command alone.
fn word(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}
