//! Plans for a small file on several dialects, line by line.

use spoolway_firmware_profiles::{Profile, Registry};

use super::super::follow::tests::after;
use super::*;
use crate::gcode::Position;

const FILE: [&str; 14] = [
    "M140 S60",
    "M104 S210",
    "M190 S60",
    "M109 S210",
    "G28",
    "G90",
    "M82",
    "G92 E0",
    "M106 S128",
    "M204 P800 T1000",
    "G1 Z0.3 F600",
    "G1 X10 Y10 E1.5 F1800",
    "G1 X60.5 Y10 E3",
    "G1 E2.4 F2100",
];

fn profile(id: &str) -> Profile {
    Registry::built_in().get(id).unwrap().profile.clone()
}

fn point(z: Option<f64>) -> Point {
    let at = |line| Position { line, byte: line * 20, layer: 1 };
    Point { behind: at(14), commands: 14, acknowledged: at(30), again: 16, left_out: 0, stands_at_z: z }
}

fn planned(id: &str, since: Since, height: Option<Height>, file: &[&str]) -> Result<Plan, Refused> {
    let profile = profile(id);
    let request = Request { profile: &profile, since, height, hot_ends: 1 };
    plan(&request, &point(Some(0.3)), &after(file))
}

fn lines(id: &str, since: Since, height: Height) -> Vec<String> {
    planned(id, since, Some(height), &FILE).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_printer_that_was_reset_is_told_its_height_and_homed_to_the_side() {
    let expected = [
        "G21",
        "G90",
        "M83",
        "M140 S60",
        "M104 S170",
        "M190 S60",
        "M109 S170",
        "G92 Z0.3",
        "G1 Z5.3 F600",
        "G28 X Y",
        "G90",
        "M83",
        "G1 Z5.3 F600",
        "M109 S210",
        "G92 E0",
        "G1 E15 F150",
        "G1 E-1 F2100",
        "M106 S128",
        "M204 P800 T1000",
        "G1 X60.5 Y10 F6000",
        "G1 Z0.3 F600",
        "G1 E0.4 F2100",
        "G92 E2.4",
        "G1 F2100",
        "G90",
        "M82",
    ];
    assert_eq!(lines("marlin", Since::Reset, Height::Held), expected);
    assert_eq!(lines("marlin", Since::WithoutPower, Height::Touching), expected);
}

#[test]
fn a_printer_that_forgot_nothing_is_not_told_its_height_unless_it_was_moved_by_hand() {
    let says = |height| lines("marlin", Since::Stood, height).iter().any(|line| line.starts_with("G92 Z"));
    assert!(!says(Height::Held) && says(Height::Touching));
}

#[test]
fn a_machine_that_homes_away_from_the_part_needs_nobody() {
    let plan = planned("ultimaker2", Since::WithoutPower, None, &FILE).unwrap();
    let lines: Vec<_> = plan.lines().collect();
    let at = |line: &str| lines.iter().position(|other| *other == line).unwrap();
    assert!(at("G28 Z") < at("G1 Z5.3 F600") && at("G28 Z") < at("G28 X Y"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("G92 Z")));
    assert!(
        planned("ultimaker2", Since::Reset, Some(Height::Held), &FILE)
            .unwrap_err()
            .why
            .contains("it homes Z")
    );
}

/// Homing Z would run into the part; nothing that was not asked for says anything about Z.
#[test]
fn no_plan_homes_z_where_the_profile_does_not_say_that_it_is_clear() {
    for known in Registry::built_in().iter() {
        for height in [Height::Held, Height::Touching] {
            let request =
                Request { profile: &known.profile, since: Since::Reset, height: Some(height), hot_ends: 1 };
            let Ok(plan) = plan(&request, &point(Some(0.3)), &after(&FILE)) else { continue };
            let homes_z = |line: &str| line.starts_with("G28") && (line.contains('Z') || !line.contains('X'));
            assert!(!plan.lines().any(homes_z), "{}", known.profile.id);
        }
    }
}

#[test]
fn a_profile_that_knows_no_way_refuses_and_says_what_a_person_can_do() {
    for id in ["klipper", "prusa-buddy", "generic", "grbl", "teacup", "reprapfirmware"] {
        for height in [None, Some(Height::Held), Some(Height::Touching), Some(Height::Homed)] {
            let refused = planned(id, Since::Reset, height, &FILE).unwrap_err();
            assert!(refused.why.contains("not known"), "{id}: {refused}");
        }
    }
    assert!(planned("klipper", Since::Reset, None, &FILE).unwrap_err().by_hand.is_some());
    let unsaid = planned("marlin", Since::Stood, None, &FILE).unwrap_err();
    assert!(unsaid.why.contains("--z held") && unsaid.why.contains("--z touching"), "{unsaid}");
}

#[test]
fn what_is_not_known_of_the_file_is_a_refusal_and_not_a_guess() {
    let refusal = |more: &[&str]| {
        let file = [&FILE[..], more].concat();
        planned("marlin", Since::Reset, Some(Height::Touching), &file).unwrap_err().why
    };
    assert!(refusal(&["G28"]).starts_with("the position is not known behind line 14"));
    assert!(refusal(&["G20"]).contains("inches"));
    assert!(refusal(&["G91"]).contains("by place or by length"));
    assert!(refusal(&["G92 X0"]).contains("line 15"));
    assert!(refusal(&["M104 S0"]).contains("temperature"));
    assert!(refusal(&["T1", "M104 S200"]).contains("tool 1"));
    let profile = profile("marlin");
    let request = Request { profile: &profile, since: Since::Reset, height: Some(Height::Held), hot_ends: 1 };
    let refused = plan(&request, &point(None), &after(&FILE)).unwrap_err();
    assert!(refused.why.contains("changing its height") && refused.why.contains("--z touching"), "{refused}");
}

#[test]
fn the_nozzle_passes_above_the_highest_part() {
    let file = [&FILE[..], &["G1 Z20.1", "G1 X100 E5", "G1 Z0.3", "G1 X10 Y10 E6"]].concat();
    let plan = planned("marlin", Since::Reset, Some(Height::Touching), &file).unwrap();
    let lines: Vec<_> = plan.lines().collect();
    assert!(lines.contains(&"G92 Z0.3") && lines.contains(&"G1 Z25.1 F600"), "{lines:?}");
    assert_eq!(lines.iter().position(|line| *line == "G1 Z0.3 F600"), lines.len().checked_sub(6));
}

#[test]
fn a_measured_bed_is_taken_from_the_store_where_there_is_one_and_said() {
    let file = [&["G29"][..], &FILE[..]].concat();
    let of = |id, since| planned(id, since, Some(Height::Touching), &file).unwrap();
    let plan = of("marlin", Since::Reset);
    let lines: Vec<_> = plan.lines().collect();
    let at = lines.iter().position(|line| *line == "M420 S1").unwrap();
    assert_eq!(lines[at - 1..=at + 1], ["G1 X60.5 Y10 F6000", "M420 S1", "G92 Z5.3"]);
    assert!(plan.risks.iter().any(|risk| risk.contains("measured in line 1")));
    assert!(!of("marlin", Since::Stood).risks.iter().any(|risk| risk.contains("measured")));
    assert!(of("prusa-mk", Since::Reset).risks.iter().any(|risk| risk.contains("no compensation")));
}

#[test]
fn moves_that_were_planned_are_lost_with_a_reset_only() {
    assert_eq!(unsure_moves(&profile("marlin"), Since::Stood), 0);
    assert_eq!(unsure_moves(&profile("marlin"), Since::Unknown), 16);
    assert_eq!(unsure_moves(&profile("repetier"), Since::Reset), 17);
    assert_eq!(unsure_moves(&profile("klipper"), Since::Reset), 64);
}
