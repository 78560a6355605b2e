//! Where the head goes, how hot things get, and what a job must not do.

use super::*;

#[test]
fn a_good_part_raises_nothing_but_what_is_worth_knowing() {
    let report = check(sized("marlin"), &part("G1 Z0.2 F600\nG1 X10 Y10 F6000\nG1 X200 Y200 E5 F1800"));
    assert_eq!(told(&report), []);
    assert_eq!(report.worst(), None);
    let bounds = report.bounds.expect("the report has it");
    assert_eq!((bounds.least, bounds.most), ([200.0, 200.0, 0.2], [200.0, 200.0, 0.2]));
    assert_eq!((report.summary.commands, report.summary.layers, report.moves), (9, 1, 3));
    assert!((report.filament_mm - 5.0).abs() < 1e-9);
    assert_eq!(report.greatest_c, [Some(200.0), None, None]);
}

#[test]
fn a_part_beyond_the_bed_is_an_error_with_its_line_and_a_travel_is_a_warning() {
    let report =
        check(sized("marlin"), &part("G1 X231 Y10 Z0.2 F6000\nG1 X231 Y20 E1\nG1 X10 Y-40\nG1 Z300 E2"));
    assert_eq!(told(&report), [("outside-volume", 7), ("travel-outside", 6)]);
    let finding = &report.findings[0];
    assert_eq!((finding.count, finding.more_lines.as_slice()), (2, &[9][..]));
    assert_eq!((finding.value.as_deref(), finding.limit.as_deref()), (Some("X231.0 mm"), Some("X220.0 mm")));
    assert_eq!(finding.text, "filament is fed at X231.0, and the greatest X is 220.0");
}

#[test]
fn prime_lines_beside_the_bed_are_lawful() {
    let start =
        "G28 W\nG80\nM109 S215\nG1 Z0.2 F720\nG1 Y-3 F1000\nG92 E0\nG1 X60 E9 F1000\nG1 X100 E12.5 F1000\n";
    assert_eq!(told(&check(sized("prusa-mk"), &format!("{start}{}", part("G1 X9 Y9 E1")))), []);
    // A wiper far beside the bed, ahead of the first layer.
    let wiper = "G28\nM109 S200\nG1 Z1 F600\nG1 X-17 Y10\nG1 X-19 Y40 E9\n";
    let report = check(sized("marlin"), &format!("{wiper}{}", part("G1 X9 Y9 E1")));
    assert_eq!(told(&report), [("outside-in-start", 5), ("travel-outside", 4)]);
    // Without marks of layers nobody can tell the start from the part.
    let report = check(sized("marlin"), wiper);
    assert_eq!(told(&report)[0], ("outside-volume", 5));
}

#[test]
fn what_is_not_known_is_not_judged() {
    // Zero is put elsewhere, or units and modes change: none of these is outside.
    for body in [
        "G92 X100 Y100\nG1 X300 Y300 E1",
        "G91\nG1 X10 Y10 E1\nG1 X-10 Y-10\nG90",
        "G20\nG1 X8 Y8 Z0.1 E0.1\nG21\nG1 X9 Y9 E3",
        "G28\nG91\nG1 Z400\nG90\nM18",
        "G55\nG1 X400 Y400 E1",
    ] {
        let report = check(sized("marlin"), &part(body));
        assert_eq!(
            report.worst().filter(|worst| *worst >= Severity::Warning),
            None,
            "{body}: {:?}",
            told(&report)
        );
    }
    let report = check(printer("marlin"), &part("G1 X900 Y900 Z900 E1"));
    assert_eq!(told(&report), []);
    assert_eq!(report.findings.last().expect("the report has it").code, Code::VolumeUnknown);
    // Inches count as such.
    assert_eq!(told(&check(sized("marlin"), &part("G20\nG1 X9 Y1 Z0.1 E0.1")))[0], ("outside-volume", 7));
}

#[test]
fn an_arc_that_bulges_out_is_seen_although_its_ends_are_inside() {
    let inside = part("G1 X200 Y100 Z0.2 F6000\nG2 X200 Y90 I-5 J-5 E1");
    assert_eq!(told(&check(sized("marlin"), &inside)), []);
    let outside = part("G1 X200 Y100 Z0.2 F6000\nG2 X200 Y40 I0 J-30 E1");
    let report = check(sized("marlin"), &outside);
    assert_eq!(told(&report), [("outside-volume", 7)]);
    assert_eq!(report.findings[0].value.as_deref(), Some("X230.0 mm"));
    let report = check(sized("marlin"), &part("G1 X200 Y100 Z0.2 F6000\nG2 X200 Y40 R30 E1"));
    assert_eq!(told(&report), [("outside-volume", 7)]);
}

#[test]
fn below_the_bed() {
    assert_eq!(told(&check(sized("marlin"), &part("G1 X9 Y9 Z-0.4 F600\nG1 X10 E1"))), []);
    assert_eq!(told(&check(sized("marlin"), &part("G1 X9 Y9 Z-3 F600\nG1 X10 E1")))[0], ("below-bed", 7));
    assert_eq!(told(&check(printer("marlin"), &part("G1 X9 Y9 Z-3 F600\nG1 X10 E1")))[0], ("below-bed", 7));
}

#[test]
fn a_delta_has_its_origin_in_the_centre() {
    let delta = Printer { volume: Some(Volume::new([240.0, 240.0, 300.0], true)), ..printer("marlin") };
    assert_eq!(told(&check(delta.clone(), &part("G1 X-100 Y-100 Z0.2 E1"))), []);
    assert_eq!(told(&check(delta, &part("G1 X150 Y0 Z0.2 E1")))[0], ("outside-volume", 6));
}

#[test]
fn temperatures_against_the_profile() {
    let report = check(
        sized("marlin"),
        "G28\nM140 S60\nM104 T0 S900\nM109 R250\nM190 S999\nM141 S50\nG1 X1\nM104 S0\nM140 S0",
    );
    assert_eq!(told(&report), [("nozzle-too-hot", 3), ("bed-too-hot", 5)]);
    assert!(report.findings[0].text.contains("900 °C"), "{}", report.findings[0].text);
    let with_chamber = check(sized("prusa-buddy"), "M141 S80\nM191 S0\nG28\nG1 X1");
    assert_eq!(told(&with_chamber), [("chamber-too-hot", 1)]);
    // Active and standby temperature of a tool of RepRapFirmware; a retraction elsewhere.
    let report = check(sized("reprapfirmware"), "G10 P0 S210 R700\nG28\nG1 X1\nG10\nG10 S1");
    assert_eq!(told(&report), [("nozzle-too-hot", 1)]);
}

#[test]
fn cold_filament_and_a_heater_that_stays_on() {
    let report = check(sized("marlin"), "G28\nG1 Z1\n;LAYER:0\nG1 X9 Y9 E1\n");
    assert_eq!(told(&report), [("cold-extrusion", 4)]);
    for lawful in [
        "M302 P1\nG28\nG1 X9 E1",
        "G28\nM104 S200\nG1 X9 E1\nM104 S0",
        "G28\nG10 P0 S200\nG1 X9 E1",
        "G28\nM104 T1 S200\nG1 X9 E1",
    ] {
        assert_eq!(told(&check(sized("marlin"), lawful)), [], "{lawful}");
    }
    // A macro may have heated.
    assert_eq!(told(&check(sized("klipper"), "START_PRINT BED=60 EXTRUDER=200\nG1 X9 E1")), []);
    let report = check(sized("marlin"), "G28\nM140 S60\nM104 S200\nG1 X9 E1\nM104 S0");
    let left_on: Vec<_> = report.of(Severity::Info).map(|finding| finding.text.as_str()).collect();
    assert_eq!(left_on, ["the bed is on when the file ends"]);
}

#[test]
fn moves_ahead_of_homing() {
    assert_eq!(told(&check(sized("marlin"), "G1 X9 Y9\nG28\nG1 X9")), [("moves-before-homing", 1)]);
    for lawful in ["G91\nG1 Z5\nG90\nG28\nG1 X9", "START_PRINT\nG1 X9", "G92 X0 Y0 Z0\nG1 X9"] {
        assert_eq!(told(&check(sized("klipper"), lawful)), [], "{lawful}");
    }
}

#[test]
fn tools_that_are_not_there() {
    let with = |tools| Printer { tools: Some(tools), ..sized("marlin") };
    let file = "G28\nM104 T2 S0\nT0\nG1 X1\nT3\nT3\nM104 T4 S200\nM104 S0 T4";
    let report = check(with(Tools::Configured(2)), file);
    assert_eq!(told(&report), [("tool-missing", 5), ("tool-missing", 7)]);
    assert_eq!(report.findings[0].subject, "T3");
    assert_eq!(report.findings[0].count, 2);
    assert_eq!(told(&check(with(Tools::Reported(1)), "G28\nT1\nG1 X1")), [("tool-missing", 2)]);
    // Mixtures are tools; a filament changer has more than the firmware counts; and nothing may be known.
    assert_eq!(told(&check(with(Tools::Reported(1)), "M163 S0 P1\nM164 S3\nG28\nT3\nG1 X1")), []);
    let changer = Printer { tools: Some(Tools::Reported(1)), ..sized("prusa-mk") };
    assert_eq!(told(&check(changer, "G28 W\nT4\nTx\nT?\nG1 X1")), []);
    assert_eq!(told(&check(sized("marlin"), "G28\nT7\nG1 X1")), []);
}

#[test]
fn commands_that_have_no_place_in_a_job() {
    let report =
        check(sized("marlin"), "G28\nM500\nM303 E0 S200\nM997\nM112\nM30 old.gcode\nM30\nM501\nM24\nG1 X1");
    let subjects: Vec<_> = report.of(Severity::Error).map(|finding| finding.subject.as_str()).collect();
    assert_eq!(subjects, ["M500", "M303", "M997", "M112", "M30", "M24"]);
    let report = check(sized("marlin"), "G28\nM600\nM0 Turn it\nG1 X1");
    assert_eq!(report.of(Severity::Info).filter(|finding| finding.code == Code::NeedsPerson).count(), 2);
}

#[test]
fn unknown_commands_are_warnings_once_each() {
    let report =
        check(sized("marlin"), "G28\nM4711\nM4711 S1\nSET_VELOCITY_LIMIT ACCEL=3\nG7\nG1 X1\nX2 Y3\nF600");
    let found: Vec<_> = report.of(Severity::Warning).map(|f| (f.subject.as_str(), f.count)).collect();
    assert_eq!(found, [("M4711", 2), ("SET_VELOCITY_LIMIT", 1), ("G7", 1)]);
    assert_eq!(report.moves, 3, "a line of words alone goes on with the move before");
    assert_eq!(told(&check(sized("klipper"), "G28\nM4711\nSET_VELOCITY_LIMIT ACCEL=3\nG1 X1")), []);
    assert_eq!(told(&check(sized("prusa-buddy"), "G28\nP0 S1 L2 D0\nG1 X1")), []);
}
