//! `maintenance`: opens, closes and shows the window in which a person at the machine may tune it.

use std::io::Write;

use clap::Subcommand;

use super::paint::{plain, span};
use super::{Failure, Whereabouts};
use crate::desk::MINUTES_MAX;
use crate::local::words::{MaintenanceAction, Request};
use crate::view::MaintenanceView;

/// What to do with the maintenance window.
#[derive(Debug, Subcommand)]
pub(super) enum WindowAction {
    /// Open it; it closes by itself.
    #[command(after_help = "Example:\n  spoolway-agent maintenance open --minutes 15 --reason 'PID tuning'")]
    Open {
        /// For how many minutes, at most 120.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MINUTES_MAX)))]
        minutes: u32,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Close it.
    #[command(after_help = "Example:\n  spoolway-agent maintenance close")]
    Close,
    /// Show whether it is open.
    #[command(after_help = "Example:\n  spoolway-agent maintenance status")]
    Status,
}

impl From<WindowAction> for MaintenanceAction {
    fn from(action: WindowAction) -> Self {
        match action {
            WindowAction::Open { minutes, reason } => Self::Open { minutes, reason },
            WindowAction::Close => Self::Close,
            WindowAction::Status => Self::Show,
        }
    }
}

/// Has a window opened or closed, or only shows it.
pub(super) fn maintenance(
    whereabouts: &Whereabouts,
    action: MaintenanceAction,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let window = whereabouts.agent()?.maintenance(&Request::Maintenance { action })?;
    if json {
        serde_json::to_writer(&mut *out, &window).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", words(window.as_ref()))?;
    }
    Ok(())
}

/// A window for a person.
pub(super) fn words(window: Option<&MaintenanceView>) -> String {
    let Some(window) = window else { return "The maintenance window is closed.".to_owned() };
    let reason = window.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", plain(reason)));
    let left = span(window.left_s * 1_000);
    format!("The maintenance window is open for {left}, by {}{reason}", plain(&window.by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_says_how_long_and_whose_it_is() {
        let mut window = MaintenanceView {
            left_s: 900,
            by: "uid 1000".to_owned(),
            reason: Some("new\nnozzle".to_owned()),
        };
        let said = words(Some(&window));
        assert!(said.starts_with("The maintenance window is open for 15 min"), "{said}");
        assert!(said.contains("by uid 1000: new") && !said.contains('\n'), "{said}");
        window.reason = None;
        assert!(words(Some(&window)).ends_with("uid 1000"));
        assert_eq!(words(None), "The maintenance window is closed.");
    }
}
