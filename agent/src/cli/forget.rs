//! `forget`: nothing of an owner, of people or of jobs is left on this machine, and its key is worth nothing any more.

use std::io::{self, BufRead, ErrorKind, Write};

use spoolway_protocol::{Fault, JobState};

use super::paint::{plain, wrap};
use super::pair::{ask, block_on, refuse_for_the_systems};
use super::{Exit, Failure, Whereabouts};
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::forget;
use crate::identity::Identity;
use crate::local::{Client, StateLock, TalkError};
use crate::pairing::Kept;
use crate::store::Store;
use crate::view::ForgottenView;

const COLUMNS: usize = 80;

/// Has the running agent forget, which then ends; without one it is done here.
pub(super) fn forget(whereabouts: &Whereabouts, yes: bool, out: &mut impl Write) -> Result<(), Failure> {
    let loaded = whereabouts.load(&[])?;
    let socket = whereabouts.find_socket()?;
    refuse_for_the_systems(&socket, &loaded)?;
    if !yes && !is_meant(&loaded.config, &mut io::stdin().lock(), out)? {
        writeln!(out, "Nothing was changed.")?;
        return Ok(());
    }
    let agent = Client::connect(&socket);
    let was_running = agent.is_ok();
    let forgotten = match agent {
        Ok(mut agent) => agent.forget()?,
        Err(TalkError::Unreachable { source, .. })
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            at_rest(&loaded.config)?
        }
        Err(error) => return Err(error.into()),
    };
    show(&loaded, &forgotten, was_running, out)
}

fn is_meant(config: &Config, input: &mut impl BufRead, out: &mut impl Write) -> Result<bool, Failure> {
    let owner = Kept::read(&config.state_dir).ok().flatten().map(|kept| format!(" (owner: {})", kept.owner));
    let owner = owner.unwrap_or_default();
    say(
        out,
        &format!("Key and pairing{owner} go for good, and so do jobs, their files, events and records."),
    )?;
    write!(out, "Forget all of it? [y/N] ")?;
    out.flush()?;
    ask::is_yes(input).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => {
            // Nobody has ended the line of the question.
            let _ = writeln!(out);
            let help = "Say it where somebody can answer: at a terminal, or by `ssh -t HOST sudo spoolway-agent forget`. Where nobody is to be asked, say --yes.";
            Failure::new(Exit::Usage, "nobody has answered; nothing was changed", None, help)
        }
        _ => error.into(),
    })
}

/// A sentence, in lines that fit.
fn say(out: &mut impl Write, text: &str) -> io::Result<()> {
    wrap(text, COLUMNS).iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Forgets in the place of an agent that does not run.
fn at_rest(config: &Config) -> Result<ForgottenView, Failure> {
    if !config.state_dir.exists() {
        return Ok(ForgottenView::default());
    }
    let _lock = StateLock::take(&config.state_dir).map_err(anyhow::Error::from)?;
    if let Some(job) = Store::job_at_rest(&config.state_dir, holds_printer) {
        let text = format!("job {} was {} when the agent ended", job.job_id, job.state);
        let help = "The printer may still be hot and wait for its next line. Start the agent, see to the print, and then say it again.";
        let code = Some(Fault::ForgetBusy.code().to_owned());
        return Err(Failure::new(Exit::Runtime, text, code, help));
    }
    let clock = Clock::start()
        .map_err(|error| Failure::new(Exit::Runtime, error.to_string(), None, "Mount /proc."))?;
    if let Some(identity) = Identity::find(&config.state_dir) {
        clock.raise_floor(identity.last_hello_ctr());
    }
    let forgotten = block_on(forget::forget(config, &clock))?;
    forgotten.map_err(|error| Failure::of(error.fault(), error.to_string()))
}

fn holds_printer(state: &str) -> bool {
    serde_json::from_value(state.into()).is_ok_and(JobState::holds_printer)
}

fn show(
    loaded: &Loaded,
    forgotten: &ForgottenView,
    was_running: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let ForgottenView { agent_id, relay, untold } = forgotten;
    match agent_id {
        Some(agent_id) => writeln!(out, "Forgotten: {agent_id} is no more.")?,
        None => writeln!(out, "Forgotten: nothing is left.")?,
    }
    match (relay, untold) {
        (Some(relay), None) => {
            say(out, &format!("Its key counts for nothing any more at {}.", plain(relay)))?
        }
        (relay, Some(why)) => {
            let relay = relay.as_deref().unwrap_or("its relay");
            say(out, &format!("{} could not be told: {}.", plain(relay), plain(why)))?;
            let agent_id = agent_id.as_deref().unwrap_or("ID");
            writeln!(out, "To revoke the key by hand, on the relay's machine:")?;
            writeln!(out, "  spoolway-relay agent revoke {agent_id}")?;
        }
        (None, None) => {}
    }
    if let Some(url) = &loaded.config.relay.url {
        say(out, &format!("The settings stay: relay.url is {url} ({}).", loaded.origin("relay.url")))?;
    }
    let now = if was_running { "The agent has ended. Started again" } else { "Started again, the agent" };
    writeln!(out, "{now} it is a new one, and can be paired anew.")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;

    #[test]
    fn only_a_yes_is_one_and_the_owner_is_named_before() {
        let dir = tempfile::tempdir().unwrap();
        let folder = || dir.path().to_owned();
        let config = Config::new(&Paths { config: folder(), state: folder(), runtime: folder() });
        Identity::open(dir.path()).unwrap();
        let kept = Kept {
            relay: "wss://relay.example".parse().unwrap(),
            owner: "farm".parse().unwrap(),
            organisation: "lab".into(),
            keys: Vec::new(),
            ca_file: None,
        };
        kept.keep(dir.path(), None).unwrap();
        for (typed, meant) in [("y\n", true), ("YES\n", true), ("n\n", false), ("\n", false)] {
            let mut out = Vec::new();
            assert_eq!(is_meant(&config, &mut typed.as_bytes(), &mut out).unwrap(), meant, "{typed:?}");
            let said = String::from_utf8(out).unwrap();
            assert!(said.contains("(owner: farm)") && said.contains("[y/N]"), "{said}");
            assert!(said.lines().all(|line| line.len() <= COLUMNS), "{said}");
        }
    }

    #[test]
    fn an_input_that_ends_is_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let folder = || dir.path().to_owned();
        let config = Config::new(&Paths { config: folder(), state: folder(), runtime: folder() });
        let unanswered = is_meant(&config, &mut io::empty(), &mut Vec::new()).unwrap_err();
        assert_eq!(unanswered.exit(), Exit::Usage);
        assert!(unanswered.text().contains("nothing was changed"), "{}", unanswered.text());
        assert!(unanswered.help().contains("--yes"), "{}", unanswered.help());
    }

    #[test]
    fn a_print_that_nobody_has_ended_is_in_hand() {
        assert!(holds_printer("printing") && holds_printer("paused"));
        assert!(!holds_printer("queued") && !holds_printer("interrupted") && !holds_printer("unheard"));
    }
}
