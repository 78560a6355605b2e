//! What is allowed in a profile and probably not meant.

use crate::error::Origin;
use crate::flow::Window;
use crate::identify::identify;
use crate::profile::{Profile, Status};
use crate::registry::Registry;
use crate::report::FirmwareReport;

/// Commands that move the head.
const MOVES: [&str; 7] = ["G0", "G1", "G2", "G3", "G27", "G28", "G29"];
/// Commands that wait for a temperature.
const HEAT_WAITS: [&str; 2] = ["M109", "M190"];

/// What somebody who wrote `profile` into the file `origin` should know before using it; each is one sentence or two.
/// Empty for a profile that will do what it seems to.
#[must_use]
pub fn advice(profile: &Profile, origin: &Origin) -> Vec<String> {
    let mut advice = Vec::new();
    let built_in = Registry::built_in();
    if built_in.get(&profile.id).is_ok() && matches!(origin, Origin::File(_)) {
        advice.push(format!(
            "it takes the place of the built-in profile `{0}`, as a whole. To keep both, give it another `id` and a \
             greater `identify.priority`",
            profile.id
        ));
    }
    if profile.status == Status::Unverified && profile.flow.window != Window::OneLine {
        advice.push(
            "`status` is \"unverified\", so one line at a time is sent whatever `[flow]` says. Name its sources and \
             say \"verified\" once they are right"
                .to_owned(),
        );
    }
    advice.extend(advice_on_choice(profile, origin, built_in));
    advice.extend(advice_on_commands(profile));
    advice
}

/// Whether any printer would get it.
fn advice_on_choice(profile: &Profile, origin: &Origin, built_in: Registry) -> Option<String> {
    let identify_rule = &profile.identify;
    let nameless = [&identify_rule.banners, &identify_rule.firmware_names, &identify_rule.machine_types]
        .iter()
        .all(|texts| texts.is_empty());
    if nameless {
        let used = "no `[identify]`: only `printer.profile` in the configuration can choose it";
        return (profile.id != crate::registry::GENERIC).then(|| used.to_owned());
    }
    let registry = built_in.with(profile.clone(), origin.clone());
    let typical = FirmwareReport {
        name: identify_rule.firmware_names.first().cloned(),
        machine_type: identify_rule.machine_types.first().cloned(),
        capabilities: identify_rule.capabilities.iter().map(|name| (name.clone(), true)).collect(),
        usb: identify_rule.usb.first().cloned(),
        ..FirmwareReport::default()
    };
    let chosen = &identify(&registry, &identify_rule.banners, &typical).profile;
    (chosen.id != profile.id).then(|| {
        format!(
            "a printer that says just this gets the profile `{}` instead, whose `identify.priority` is {}: raise \
             `identify.priority`, which is {} here",
            chosen.id, chosen.identify.priority, identify_rule.priority
        )
    })
}

/// Whether its scripts and lists leave the machine safe.
fn advice_on_commands(profile: &Profile) -> Vec<String> {
    let mut advice = Vec::new();
    let cancel = &profile.scripts.cancel;
    let limits = &profile.temperature.limits;
    let heats = limits.hotend_max > 0.0 || limits.bed_max > 0.0;
    if let Some(line) = cancel.iter().find(|line| MOVES.contains(&word(line))) {
        advice.push(format!(
            "`scripts.cancel` moves the head (`{line}`). After an interrupted job nobody knows where it is"
        ));
    }
    let turns_off = |command: &str| cancel.iter().any(|line| word(line) == command);
    if heats && !turns_off("TURN_OFF_HEATERS") && !(turns_off("M104") && turns_off("M140")) {
        advice.push(
            "`scripts.cancel` leaves a heater on: \"M104 S0\" and \"M140 S0\" are not in it".to_owned(),
        );
    }
    let unlisted = |command: &&&str| !profile.timeouts.blocking.iter().any(|listed| listed == **command);
    let unlisted: Vec<&str> = HEAT_WAITS.iter().filter(unlisted).copied().collect();
    if heats && !unlisted.is_empty() {
        advice.push(format!(
            "`timeouts.blocking` lacks {}: a heat-up would be taken for a lost reply after `timeouts.silence_ms`",
            unlisted.join(" and ")
        ));
    }
    advice
}

/// The command alone.
fn word(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::advice;
    use crate::error::Origin;
    use crate::registry::Registry;
    use crate::validate::parse;

    const MARLIN: &str = include_str!("../profiles/marlin.toml");

    fn of(id: &str, changes: &[(&str, &str)]) -> Vec<String> {
        let mut text = MARLIN.replace("id = \"marlin\"", &format!("id = \"{id}\""));
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let origin = Origin::File(format!("{id}.toml").into());
        advice(&parse(&origin, &text).unwrap(), &origin)
    }

    fn only(advice: &[String], said: &str) {
        assert!(matches!(advice, [one] if one.contains(said)), "{advice:?}");
    }

    /// What gives the copy a printer of its own.
    const OWN: (&str, &str) = ("priority = 0", "priority = 5");

    #[test]
    fn a_good_profile_needs_none_and_the_built_in_ones_are_good() {
        assert_eq!(of("attic", &[OWN]), Vec::<String>::new());
        for known in Registry::built_in().iter() {
            assert_eq!(advice(&known.profile, &known.origin), Vec::<String>::new(), "{}", known.profile.id);
        }
    }

    #[test]
    fn what_is_probably_not_meant_is_told() {
        only(&of("marlin", &[]), "the place of the built-in profile `marlin`");
        only(
            &of("attic", &[OWN, ("status = \"verified\"", "status = \"unverified\"")]),
            "one line at a time",
        );
        only(&of("z-attic", &[]), "gets the profile `marlin` instead, whose `identify.priority` is 0");
        only(
            &of(
                "attic",
                &[
                    ("banners = [\"Marlin\", \"echo:Marlin\", \"echo: Marlin\"]", ""),
                    ("firmware_names = [\"Marlin\"]", ""),
                ],
            ),
            "only `printer.profile`",
        );
        only(&of("attic", &[OWN, ("cancel = [\"M104 S0\"", "cancel = [\"G28\", \"M104 S0\"")]), "(`G28`)");
        only(&of("attic", &[OWN, ("\"M140 S0\", ", "")]), "leaves a heater on");
        only(&of("attic", &[OWN, ("\"M109\", ", "")]), "lacks M109:");
    }
}
