//! `update`: shows what update is wished and what became of the last one, takes it back; and the updater's own part.

use std::fmt::Write as _;
use std::io::Write;

use clap::Subcommand;
use spoolway_agent_core::update::Stage;
use spoolway_protocol::event::UpdateState;

use super::paint::{plain, wrap};
use super::{Exit, Failure, Whereabouts};
use crate::clock::utc;
use crate::local::words::{Request, UpdateAction};
use crate::view::UpdateView;

/// Columns that every terminal has.
const COLUMNS: usize = 80;

/// What to do with an update.
#[derive(Debug, Subcommand)]
pub(super) enum UpdateCommand {
    /// Show what is wished, what it waits for, and what became of the last one.
    #[command(after_help = "Example:\n  spoolway-agent update status\n  spoolway-agent update status --json")]
    Status,
    /// Take a wished update back, unless it is being installed.
    #[command(after_help = "Example:\n  spoolway-agent update cancel")]
    Cancel,
    /// Install what the agents of this machine have asked for; spoolway-update@main.service runs it, as root.
    #[command(
        after_help = "It does nothing where nobody has asked, and goes on where a power cut has left it.\n\nExample:\n  sudo spoolway-agent update apply"
    )]
    Apply,
}

/// Shows it, takes it back, or installs it.
pub(super) fn update(
    whereabouts: &Whereabouts,
    command: &UpdateCommand,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let action = match command {
        UpdateCommand::Status => UpdateAction::Show,
        UpdateCommand::Cancel => UpdateAction::Cancel,
        UpdateCommand::Apply => {
            let help = "Run it as root; spoolway-update@main.service does.";
            return crate::update::run()
                .map_err(|error| Failure::new(Exit::Runtime, error.to_string(), None, help));
        }
    };
    let view = whereabouts.agent()?.update(&Request::Update { action })?;
    if json {
        serde_json::to_writer(&mut *out, &view).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        out.write_all(words(view.as_ref()).as_bytes())?;
    }
    Ok(())
}

/// The whole of it for a person.
fn words(view: Option<&UpdateView>) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        for line in wrap(&plain(&line), COLUMNS) {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{line}");
        }
    };
    match view.and_then(in_a_line) {
        Some(line) => say(format!("Update to {line}.")),
        None => say("No update is wished.".to_owned()),
    }
    if let Some(end) = view.and_then(|view| view.not_after) {
        say(format!("Not begun after {}.", utc(end)));
    }
    if let Some(last) = view.and_then(|view| view.last.as_ref()) {
        say(format!("Last: {}.", last_words(last)));
        if let Some(code) = &last.code {
            say(format!("`spoolway-agent explain {}` says more.", code.0));
        }
    }
    text
}

/// What is wished, in a line.
pub(super) fn in_a_line(view: &UpdateView) -> Option<String> {
    let version = view.version.as_deref().unwrap_or("the newest version");
    Some(match view.stage? {
        Stage::Waiting => match &view.why {
            Some(why) => format!("{version} waits: {why}"),
            None => format!("{version} is about to begin"),
        },
        Stage::Asked => format!("{version} is being fetched"),
        Stage::Installing => format!("{version} is being installed; no job starts meanwhile"),
    })
}

fn last_words(last: &UpdateState) -> String {
    let version = last.to.as_deref().or(last.version.as_deref()).unwrap_or("the newest version");
    let from = last.from.as_deref().map_or_else(String::new, |from| format!(", from {from}"));
    let text = last.text.as_deref().map_or_else(String::new, |text| format!(": {text}"));
    let state = last.state.as_str().replace('_', " ");
    format!("{version} {state}{from}{text}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_says_what_it_waits_for_and_how_the_last_one_ended() {
        assert_eq!(words(None), "No update is wished.\n");
        let view: UpdateView = serde_json::from_value(json!({
            "id": "0199c7a2-3b1e-7c44-8a11-5e0d9b7c2f61", "version": "0.2.0-1", "stage": "waiting",
            "not_after": 1_760_068_800_000_u64, "why": "job j-1 (part.gcode) is printing",
            "last": {"cmd_id": "0199c7a2-3b1e-7c44-8a11-5e0d9b7c2f60", "state": "rolled_back", "from": "0.1.0-1",
                "to": "0.1.9-1", "code": "update.unhealthy", "text": "it does not stay up"},
        }))
        .unwrap();
        let said = words(Some(&view));
        assert!(said.starts_with("Update to 0.2.0-1 waits: job j-1 (part.gcode) is printing.\n"), "{said}");
        assert!(said.contains("Not begun after 2025-10-10T04:00:00.000Z.\n"), "{said}");
        assert!(said.contains("Last: 0.1.9-1 rolled back, from 0.1.0-1: it does not stay up.\n"), "{said}");
        assert!(said.ends_with("`spoolway-agent explain update.unhealthy` says more.\n"), "{said}");
        let over = UpdateView { stage: None, ..view };
        assert!(words(Some(&over)).starts_with("No update is wished.\n"));
    }
}
