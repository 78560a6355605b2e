//! How the computer itself does: its supply, and how warm it is.

use std::path::Path;

use super::report::Step;
use super::sources::{names_in, number, text};
use crate::board;

/// A Raspberry Pi slows down from here on.
const HOT_C: f64 = 80.0;
/// Bits of `get_throttled`: now, and 16 places further since the start.
const UNDER_VOLTAGE: u32 = 1;
const SLOWED: u32 = 0b1110;
const SINCE_START: u32 = 16;
const SUPPLY: &str = "Use the supply that is made for this computer, with a short cable, and let the board draw nothing from it: switch the printer's own supply on, or use a hub with one.";
const COOL: &str = "Give it air or a heat sink, away from the bed; a case that is closed needs a fan.";

/// What the computer says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Power {
    /// `get_throttled` of a Raspberry Pi.
    throttled: Option<u32>,
    /// Whether its supply is too weak now (`rpi_volt`).
    is_low: Option<bool>,
    /// The processor, in degrees Celsius.
    cpu_c: Option<f64>,
}

/// Reads what there is.
pub(super) fn look(root: &Path) -> Power {
    Power { throttled: board::throttled(root), is_low: low_voltage(root), cpu_c: board::temperature(root) }
}

/// The alarm of the driver `rpi_volt`, which every kernel for a Raspberry Pi has.
fn low_voltage(root: &Path) -> Option<bool> {
    let folder = root.join("sys/class/hwmon");
    let sensors = names_in(&folder).into_iter().map(|name| folder.join(name));
    let volt =
        sensors.into_iter().find(|sensor| text(&sensor.join("name")).as_deref() == Some("rpi_volt"))?;
    number(&volt.join("in0_lcrit_alarm")).map(|alarm| alarm != 0)
}

/// Whether the supply is strong enough.
pub(super) fn supply(power: Power) -> Step {
    let bits = power.throttled.unwrap_or(0);
    if bits & UNDER_VOLTAGE != 0 || power.is_low == Some(true) {
        let text = "under-voltage now: the supply is too weak, and USB may drop out in a print";
        return Step::warning("power", text, SUPPLY);
    }
    if bits >> SINCE_START & UNDER_VOLTAGE != 0 {
        return Step::warning("power", "there was under-voltage since the start", SUPPLY);
    }
    match (power.throttled, power.is_low) {
        (Some(_), _) => Step::ok("power", "no under-voltage since the start"),
        (None, Some(_)) => Step::ok("power", "no under-voltage now"),
        (None, None) => Step::skipped("power", "this computer does not watch its supply"),
    }
}

/// Whether it is too warm.
pub(super) fn heat(power: Power) -> Step {
    let bits = power.throttled.unwrap_or(0);
    let cpu = power.cpu_c.map(|cpu_c| format!("the processor has {cpu_c:.0} °C"));
    let told = |more: &str| cpu.clone().map_or_else(|| more.to_owned(), |cpu| format!("{cpu}; {more}"));
    if bits & SLOWED != 0 {
        return Step::warning("heat", told("it is slowed down now"), COOL);
    }
    if power.cpu_c.is_some_and(|cpu_c| cpu_c >= HOT_C) {
        return Step::warning("heat", told("it slows down when it gets warmer"), COOL);
    }
    if bits >> SINCE_START & SLOWED != 0 {
        return Step::warning("heat", told("it was slowed down since the start"), COOL);
    }
    cpu.map_or_else(|| Step::skipped("heat", "this computer does not say"), |cpu| Step::ok("heat", cpu))
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::super::sources::tests::Tree;
    use super::*;

    const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

    /// Verdicts of supply and heat, and their words.
    fn said(power: Power) -> ((Verdict, Verdict), String) {
        let (supply, heat) = (supply(power), heat(power));
        ((supply.verdict, heat.verdict), format!("{} / {}", supply.text, heat.text))
    }

    #[test]
    fn each_bit_of_the_firmware_is_told_in_words() {
        use Verdict::{Ok, Warning};
        for (bits, verdicts, part) in [
            ("0", (Ok, Ok), "no under-voltage since the start"),
            ("1", (Warning, Ok), "under-voltage now"),
            ("10000", (Warning, Ok), "was under-voltage since"),
            ("50005", (Warning, Warning), "is slowed down now"),
            ("2", (Ok, Warning), "is slowed down now"),
            ("8", (Ok, Warning), "is slowed down now"),
            ("e0000", (Ok, Warning), "was slowed down since"),
        ] {
            let tree = Tree::new();
            tree.file(THROTTLED, bits);
            tree.file("sys/class/thermal/thermal_zone0/temp", "48312\n");
            let (found, text) = said(look(tree.root()));
            assert_eq!(found, verdicts, "{bits}: {text}");
            assert!(text.contains(part) && text.contains("48 °C"), "{bits}: {text}");
        }
    }

    #[test]
    fn the_alarm_of_the_supply_and_a_hot_processor_are_told_without_the_firmware() {
        for (alarm, milli_c, verdicts) in [
            ("0", "79900", (Verdict::Ok, Verdict::Ok)),
            ("1", "79900", (Verdict::Warning, Verdict::Ok)),
            ("0", "80000", (Verdict::Ok, Verdict::Warning)),
        ] {
            let tree = Tree::new();
            tree.file("sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
            tree.file("sys/class/hwmon/hwmon1/name", "rpi_volt\n");
            tree.file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", alarm);
            tree.file("sys/class/thermal/thermal_zone0/temp", milli_c);
            let (found, text) = said(look(tree.root()));
            assert_eq!(found, verdicts, "{text}");
        }
    }

    #[test]
    fn a_computer_that_says_nothing_is_not_judged() {
        let (found, _) = said(look(Tree::new().root()));
        assert_eq!(found, (Verdict::Skipped, Verdict::Skipped));
    }
}
