//! The way to the relay, step by step as the agent goes it, and whether the relay knows this agent.

use spoolway_protocol::Fault;
use spoolway_protocol::envelope::ClockSource;

use super::super::paint::span;
use super::super::pair::block_on;
use super::report::{Step, Verdict};
use super::{Exit, Failure, Spoken};
use crate::clock::{Clock, utc, wall_ms};
use crate::config::Loaded;
use crate::identity::Identity;
use crate::pairing::{Kept, KeptError, relay_of};
use crate::uplink::{Own, RelaySettings, Stage, Walk, walk};
use crate::view::LinkView;

/// A clock that is further off than this is no good for permits (`spoolway_agent_core::permit`).
const CLOCK_OFF_MS: u64 = spoolway_agent_core::permit::GRACE_MS;

/// Walks the way; gives the relay's address and what was found.
pub(super) fn steps(
    loaded: &Loaded,
    spoken: Result<&Spoken, &Failure>,
) -> Result<(Option<String>, Vec<Step>), Failure> {
    let clock = clock()?;
    // As the agent does it: this machine's clock is not behind the last login.
    let identity_found = Identity::find(&loaded.config.state_dir);
    if let Some(identity) = &identity_found {
        clock.raise_floor(identity.last_hello_ctr());
    }
    let kept = Kept::read(&loaded.config.state_dir);
    let relay = relay_of(&loaded.config, kept.as_ref().ok().and_then(Option::as_ref));
    let walked = match &relay {
        Some(relay) => block_on(walk(relay, &clock, identity_found.as_ref().map(Own::of)))?,
        None => Walk::default(),
    };
    let mut steps = vec![settings(loaded, &kept, relay.as_ref(), &walked)];
    steps.extend(way(relay.as_ref(), &clock, &walked));
    steps.push(identity(relay.as_ref(), &walked, spoken));
    Ok((relay.map(|relay| relay.url.to_string()), steps))
}

/// The clock alone, where no relay is asked for its time.
pub(super) fn own_clock() -> Result<Step, Failure> {
    Ok(time(&clock()?, &Walk::default()))
}

fn clock() -> Result<Clock, Failure> {
    Clock::start().map_err(|error| Failure::new(Exit::Runtime, error.to_string(), None, "Mount /proc."))
}

/// The step at which a stage of the uplink stands.
fn step_of(stage: Stage, fault: Option<Fault>) -> &'static str {
    match stage {
        Stage::Settings | Stage::Store => "settings",
        Stage::Name => "name",
        Stage::Tcp => "tcp",
        Stage::Proxy => "proxy",
        Stage::Tls if fault == Some(Fault::TlsClock) => "clock",
        Stage::Tls => "tls",
        Stage::Request | Stage::Websocket => "websocket",
        Stage::Login | Stage::Session => "identity",
    }
}

/// What became of a step of the walk.
fn made(step: &'static str, walked: &Walk) -> Step {
    if let Some(ended) = walked.ended.as_ref().filter(|ended| step_of(ended.stage, Some(ended.fault)) == step)
    {
        return Step::failed(step, ended.fault, ended.text.as_str());
    }
    match walked.passed.iter().find(|(stage, _)| step_of(*stage, None) == step) {
        Some((_, found)) => Step::ok(step, found.as_str()),
        None => Step::skipped(step, "not reached"),
    }
}

fn settings(
    loaded: &Loaded,
    kept: &Result<Option<Kept>, KeptError>,
    relay: Option<&RelaySettings>,
    walked: &Walk,
) -> Step {
    let step = made("settings", walked);
    if step.verdict == Verdict::Failed {
        return step;
    }
    match (relay, kept) {
        (None, Err(error)) => {
            Step::failed("settings", Fault::RelayUnpaired, format!("the pairing cannot be read: {error}"))
        }
        (None, Ok(_)) => Step::warning(
            "settings",
            "no relay is named: this agent is used on its own machine only",
            "Pair it: `sudo spoolway-agent pair --relay wss://relay.example.org`.",
        ),
        (Some(relay), _) if loaded.config.relay.url.is_some() => {
            Step::ok("settings", format!("{} (relay.url: {})", relay.url, loaded.origin("relay.url")))
        }
        (Some(relay), Ok(Some(kept))) => {
            Step::ok("settings", format!("{} (paired with {})", relay.url, kept.owner))
        }
        (Some(relay), _) => Step::ok("settings", relay.url.to_string()),
    }
}

/// From the name to the websocket.
fn way(relay: Option<&RelaySettings>, clock: &Clock, walked: &Walk) -> Vec<Step> {
    let look = |step| match (step, relay) {
        ("clock", _) => time(clock, walked),
        (_, None) => Step::skipped(step, "no relay"),
        (_, Some(_)) => made(step, walked),
    };
    ["name", "tcp", "proxy", "clock", "tls", "websocket"].map(look).into()
}

/// The machine's own clock, against the relay's where that is known.
fn time(clock: &Clock, walked: &Walk) -> Step {
    const HELP: &str = "Let the clock synchronise (`timedatectl`); a network may allow only its own time server (NTP=... in /etc/systemd/timesyncd.conf).";
    let made = made("clock", walked);
    if made.verdict == Verdict::Failed {
        return made;
    }
    let shows = wall_ms();
    match walked.relay_time_ms {
        Some(relay_ms) if relay_ms.abs_diff(shows) > CLOCK_OFF_MS => {
            let text = format!("it shows {}, and the relay's shows {}", utc(shows), utc(relay_ms));
            Step::warning("clock", text, HELP)
        }
        Some(_) => Step::ok("clock", format!("it shows {}, as the relay's does", utc(shows))),
        None if clock.stamp().c == ClockSource::Ntp => {
            Step::ok("clock", format!("it shows {}, by the network's time", utc(shows)))
        }
        None => Step::warning(
            "clock",
            format!("it shows {}, and no time server has confirmed it", utc(shows)),
            HELP,
        ),
    }
}

/// Whether the relay knows this agent: only the one that runs can tell, since another login would end its session.
fn identity(relay: Option<&RelaySettings>, walked: &Walk, spoken: Result<&Spoken, &Failure>) -> Step {
    let Some(relay) = relay else { return Step::skipped("identity", "no relay") };
    let made = made("identity", walked);
    if made.verdict == Verdict::Failed {
        return made;
    }
    if walked.ended.is_some() {
        let text = match spoken {
            Err(_) => "not reached, and no agent answers here".to_owned(),
            Ok(Spoken { id, status, .. }) if status.link.up => {
                format!("not reached; {id} is still logged in, for {}", span(status.link.for_ms))
            }
            Ok(_) => made.text,
        };
        return Step::skipped("identity", text);
    }
    match spoken {
        Ok(Spoken { id, status, .. }) => logged_in(relay, id, &status.link),
        Err(silent) => {
            let text = format!("only a running agent can log in: {}", silent.text());
            let code = silent.code().map(str::to_owned);
            Step { code, ..Step::warning("identity", text, silent.help()) }
        }
    }
}

/// Whether the agent that runs is logged in at this relay.
fn logged_in(relay: &RelaySettings, id: &str, link: &LinkView) -> Step {
    if link.relay.as_deref() != Some(relay.url.to_string().as_str()) {
        let theirs = link.relay.as_deref().unwrap_or("no relay");
        let help =
            "Restart it (`sudo systemctl restart spoolway-agent`), so that it reads its settings anew.";
        return Step::warning("identity", format!("the running agent uses {theirs}"), help);
    }
    match (link.up, &link.fault) {
        (true, _) => Step::ok("identity", format!("{id} is logged in, for {}", span(link.for_ms))),
        // The others are of the way, which stands by now.
        (false, Some(fault)) if fault.code.starts_with("relay.") => Step::of_fault("identity", fault),
        (false, fault) => {
            let last = fault
                .as_ref()
                .map_or_else(String::new, |fault| format!(" (last: {} [{}])", fault.text, fault.code));
            let help = "It tries again by itself within minutes; a restart of the agent tries at once.";
            Step::warning("identity", format!("{id} is not logged in yet{last}"), help)
        }
    }
}
