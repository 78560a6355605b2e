//! What has to be written so that the agent uses what was chosen: the difference to what the configuration says, and no more.

use super::facts::{Answering, Standing};
use crate::config::{BaudChoice, Change, PortChoice, RelayUrl, Wanted};

/// What was chosen.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// The printer, unless it stays as it is.
    pub printer: Option<&'a Answering>,
    /// The relay to pair with, if any.
    pub relay: Option<&'a RelayUrl>,
}

/// The keys that have to change.
///
/// The profile is left as it is: "auto" asks the firmware each time, which outlives a new firmware, and one that an administrator has named
/// may be his own. The relay stands in the pairing; only where the configuration names another one does that have to give way, because it
/// would go first.
#[must_use]
pub fn changes(standing: &Standing, chosen: Chosen<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut set = |key, value| changes.push(Change { key, value });
    if let Some(printer) = chosen.printer {
        if standing.port != PortChoice::Path(printer.port.clone()) {
            set("printer.port", Wanted::Text(printer.port.display().to_string()));
        }
        if standing.baud != BaudChoice::Rate(printer.baud) {
            set("printer.baud", Wanted::Number(printer.baud));
        }
    }
    if let (Some(said), Some(relay)) = (&standing.relay, chosen.relay)
        && said != relay
    {
        set("relay.url", Wanted::Text(relay.to_string()));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printer() -> Answering {
        Answering {
            port: "/dev/b".into(),
            baud: 250_000,
            firmware: "Marlin".into(),
            machine: None,
            profile: "marlin".into(),
            is_verified: true,
        }
    }

    fn standing() -> Standing {
        Standing { port: PortChoice::Path("/dev/b".into()), baud: BaudChoice::Rate(250_000), relay: None }
    }

    fn keys(standing: &Standing, chosen: Chosen<'_>) -> Vec<&'static str> {
        changes(standing, chosen).into_iter().map(|change| change.key).collect()
    }

    #[test]
    fn what_is_so_already_is_not_written_and_a_profile_never_is() {
        let printer = printer();
        let chosen = Chosen { printer: Some(&printer), relay: None };
        assert_eq!(keys(&standing(), chosen), [""; 0]);
        let fresh = Standing { port: PortChoice::Auto, baud: BaudChoice::Auto, relay: None };
        assert_eq!(keys(&fresh, chosen), ["printer.port", "printer.baud"]);
        assert_eq!(keys(&fresh, Chosen { printer: None, relay: None }), [""; 0]);
    }

    #[test]
    fn the_relay_is_written_only_where_another_one_stands_in_the_way() {
        let (one, two): (RelayUrl, RelayUrl) = ("wss://one".parse().unwrap(), "wss://two".parse().unwrap());
        let chosen = Chosen { printer: None, relay: Some(&two) };
        assert_eq!(keys(&standing(), chosen), [""; 0]);
        assert_eq!(keys(&Standing { relay: Some(one), ..standing() }, chosen), ["relay.url"]);
        assert_eq!(keys(&Standing { relay: Some(two.clone()), ..standing() }, chosen), [""; 0]);
    }
}
