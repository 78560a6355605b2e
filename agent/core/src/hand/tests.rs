//! What is sent for what is asked, by the profiles that are built in.

use spoolway_firmware_profiles::{Profile, Registry};

use super::*;

fn profile(id: &str) -> Profile {
    Registry::built_in().get(id).unwrap().profile.clone()
}

fn home_of(id: &str, axes: &[Axis]) -> Result<Vec<String>, Unfit> {
    home(&profile(id).hand, &HomeArgs { axes: axes.to_vec(), ..HomeArgs::default() })
}

fn by(x: f64, y: f64, z: f64) -> JogArgs {
    JogArgs { x: Some(x), y: Some(y), z: Some(z), ..JogArgs::default() }
}

#[test]
fn axes_are_homed_as_the_firmware_can() {
    assert_eq!(home_of("marlin", &[]).unwrap(), ["G28"]);
    assert_eq!(home_of("marlin", &[Axis::Y, Axis::X]).unwrap(), ["G28 X Y"]);
    assert_eq!(home_of("marlin", &[Axis::Z, Axis::Y, Axis::X, Axis::X]).unwrap(), ["G28"]);
    assert_eq!(home_of("grbl", &[]).unwrap(), ["$H"]);
    assert_eq!(home_of("grbl", &[Axis::X]).unwrap_err().fault(), Fault::CommandBadArgs);
    let none = home(&Hand::default(), &HomeArgs::default());
    assert_eq!(none.unwrap_err().fault(), Fault::PrinterCannot);
    for (axes, moves_down) in [(vec![], true), (vec![Axis::X, Axis::Y], false), (vec![Axis::Z], true)] {
        assert_eq!(homes_height(&HomeArgs { axes, ..HomeArgs::default() }), moves_down);
    }
}

#[test]
fn a_jog_sets_back_what_it_sets() {
    let lines = |id| jog(&profile(id).hand, &by(10.0, 0.0, -0.5), None, None).unwrap();
    assert_eq!(lines("marlin"), ["G91", "G1 X10 Z-0.5 F1000", "G90"]);
    assert_eq!(lines("grbl"), ["$J=G91 G21 X10 Z-0.5 F1000"]);
    assert_eq!(lines("klipper")[2], "G1 X10 Z-0.5 F1000");
    let none = jog(&profile("flashforge").hand, &by(1.0, 0.0, 0.0), None, None);
    assert_eq!(none.unwrap_err(), Unfit::NoWords("jog"));
}

#[test]
fn no_jog_is_endless_or_without_speed() {
    let hand = profile("marlin").hand;
    let fault = |args: &JogArgs| jog(&hand, args, None, None).unwrap_err().fault();
    for bad in [
        JogArgs::default(),
        by(0.0, 0.0, 0.0),
        by(JOG_MM_MAX + 1.0, 0.0, 0.0),
        by(0.0, f64::NAN, 0.0),
        by(0.0, 0.0, f64::NEG_INFINITY),
        JogArgs { feed_mm_min: Some(0.0), ..by(1.0, 0.0, 0.0) },
        JogArgs { feed_mm_min: Some(JOG_FEED_MM_MIN_MAX + 1.0), ..by(1.0, 0.0, 0.0) },
        JogArgs { feed_mm_min: Some(f64::NAN), ..by(1.0, 0.0, 0.0) },
    ] {
        assert_eq!(fault(&bad), Fault::CommandBadArgs, "{bad:?}");
    }
}

#[test]
fn a_jog_stays_inside_and_may_come_back() {
    let hand = profile("marlin").hand;
    let volume = Some(([0.0; 3], [220.0, 220.0, 250.0]));
    let go = |is: [f64; 3], by: &JogArgs| jog(&hand, by, Some(is), volume);
    assert!(go([210.0, 0.0, 0.0], &by(10.0, 0.0, 0.0)).is_ok());
    let out = go([210.0, 0.0, 0.0], &by(10.1, 0.0, 0.0)).unwrap_err();
    assert_eq!((out.fault(), out.to_string().contains("220.10")), (Fault::MotionOutside, true), "{out}");
    assert_eq!(go([0.0, 0.0, 0.2], &by(0.0, 0.0, -0.5)).unwrap_err().fault(), Fault::MotionOutside);
    assert!(go([-5.0, 0.0, 0.0], &by(2.0, 0.0, 0.0)).is_ok(), "it is outside, and comes back");
    assert!(go([-5.0, 0.0, 0.0], &by(0.0, 1.0, 0.0)).is_ok(), "another axis");
    assert!(jog(&hand, &by(400.0, 0.0, 0.0), None, volume).is_ok(), "nobody knows where it is");
}

#[test]
fn where_the_head_is_is_read_from_what_firmwares_say() {
    for (line, at) in [
        ("X:10.00 Y:-20.50 Z:0.20 E:0.00 Count X:800 Y:1600 Z:80", Some([10.0, -20.5, 0.2])),
        ("ok C: X:1.0000 Y:2.0000 Z:3.0000", Some([1.0, 2.0, 3.0])),
        ("X: 1.50 Y: 2.50 Z: 3.50 E: 0.00", Some([1.5, 2.5, 3.5])),
        ("X:1 Y:2", None),
        ("T:20.0 /0.0", None),
        ("X:a Y:b Z:c", None),
    ] {
        assert_eq!(position(&["echo".to_owned(), line.to_owned()]), at, "{line}");
    }
}

#[test]
fn nothing_is_heated_beyond_the_profile_or_that_is_not_there() {
    let marlin = profile("marlin");
    let of = |profile: &Profile, heater: &str, celsius: f64| {
        let args = SetTempArgs { heater: heater.to_owned(), celsius, extra: Default::default() };
        heat(&profile.hand, &profile.temperature.limits, 2, &args)
    };
    assert_eq!(of(&marlin, "tool1", 215.0).unwrap(), ["M104 T1 S215"]);
    assert_eq!(of(&marlin, "bed", 60.25).unwrap(), ["M140 S60.2"]);
    assert_eq!(of(&marlin, "chamber", 0.0).unwrap(), ["M141 S0"]);
    for (heater, celsius, fault) in [
        ("tool0", 300.5, Fault::HeatAboveLimit),
        ("tool0", -1.0, Fault::HeatAboveLimit),
        ("tool0", f64::NAN, Fault::HeatAboveLimit),
        ("tool2", 20.0, Fault::PrinterCannot),
        ("toolbox", 20.0, Fault::PrinterCannot),
        ("fridge", 20.0, Fault::PrinterCannot),
    ] {
        assert_eq!(of(&marlin, heater, celsius).unwrap_err().fault(), fault, "{heater} {celsius}");
    }
    assert_eq!(of(&profile("grbl"), "tool0", 20.0).unwrap_err().fault(), Fault::PrinterCannot);
}

#[test]
fn every_heater_is_switched_off() {
    let hand = profile("marlin").hand;
    assert_eq!(heaters_off(&hand, 1).unwrap(), ["M104 S0", "M140 S0"]);
    assert_eq!(heaters_off(&hand, 2).unwrap(), ["M104 S0", "M104 T0 S0", "M104 T1 S0", "M140 S0"]);
    assert_eq!(heaters_off(&profile("grbl").hand, 1).unwrap_err().fault(), Fault::PrinterCannot);
}

#[test]
fn a_light_is_switched_where_there_is_one() {
    let hand = profile("marlin").hand;
    assert_eq!(light(&hand, |name| name == "TOGGLE_LIGHTS", true).unwrap(), ["M355 S1"]);
    assert_eq!(light(&hand, |_| true, false).unwrap(), ["M355 S0"]);
    assert_eq!(light(&hand, |_| false, true).unwrap_err().fault(), Fault::PrinterCannot);
    assert_eq!(light(&profile("grbl").hand, |_| true, true).unwrap_err(), Unfit::NoWords("light"));
    assert!(identify(&hand).unwrap()[0].starts_with("M117"));
    assert_eq!(identify(&profile("grbl").hand).unwrap_err(), Unfit::NoWords("identify"));
}

#[test]
fn an_object_is_left_out_in_the_words_of_its_firmware() {
    let line = |id: &str, object: &str| skip_object(&profile(id).hand, object);
    assert_eq!(line("marlin", "3").unwrap(), ["M486 P3"]);
    assert_eq!(line("klipper", "part_1").unwrap(), ["EXCLUDE_OBJECT NAME=part_1"]);
    assert_eq!(line("grbl", "3").unwrap_err(), Unfit::NoWords("skip_object"));
}
