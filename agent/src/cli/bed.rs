//! `bed`: whether the bed is clear, and the word of a person that it is.

use std::io::{IsTerminal, Write};

use clap::Subcommand;

use super::paint::{plain, wrap};
use super::{Exit, Failure, Whereabouts};
use crate::local::Client;
use crate::view::BedView;

const COLUMNS: usize = 80;

/// What to say about the bed.
#[derive(Debug, Subcommand)]
pub(super) enum BedAction {
    /// You have looked, and nothing is on the bed: the next job may start.
    #[command(after_help = "Example:\n  spoolway-agent bed clear\n  spoolway-agent bed clear --epoch 3")]
    Clear {
        /// The bed epoch that you saw, for programs; else it is shown and asked about.
        #[arg(long, value_name = "N")]
        epoch: Option<u64>,
    },
}

/// Shows how the bed stands.
pub(super) fn show(whereabouts: &Whereabouts, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let bed = bed_of(&mut whereabouts.agent()?)?;
    if json {
        serde_json::to_writer(&mut *out, &bed).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", screen(&bed))?;
    }
    Ok(())
}

/// Says that the bed is clear: in the epoch that was named, or in the one that is shown with the question.
pub(super) fn clear(
    whereabouts: &Whereabouts,
    epoch: Option<u64>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut agent = whereabouts.agent()?;
    let epoch = match epoch {
        Some(epoch) => epoch,
        None => {
            let bed = bed_of(&mut agent)?;
            write!(out, "{}", screen(&bed))?;
            if bed.clear && bed.interrupted.is_empty() {
                return Ok(());
            }
            if !ask(&bed, out)? {
                writeln!(out, "Nothing was changed.")?;
                return Ok(());
            }
            bed.epoch
        }
    };
    // By its epoch, so that it never means a part that was begun while somebody was looking.
    let bed = agent.clear_bed(epoch)?;
    writeln!(out, "The bed is clear (bed epoch {}).", bed.epoch)?;
    Ok(())
}

/// For `print --bed-clear`: the person stands there, and means the bed as it is now.
pub(super) fn clear_now(agent: &mut Client) -> Result<(), Failure> {
    let bed = bed_of(agent)?;
    if !bed.clear || !bed.interrupted.is_empty() {
        agent.clear_bed(bed.epoch)?;
    }
    Ok(())
}

/// What a person has to do before the next print can start; nothing when it can.
pub(super) fn hint(agent: &mut Client) -> Result<Option<String>, Failure> {
    let bed = agent.status()?.bed.filter(|bed| bed.confirm_required && !bed.clear);
    Ok(bed.map(|bed| {
        format!(
            "It waits until the bed is clear{}: `spoolway-agent bed clear` says so (bed epoch {}).",
            after(&bed),
            bed.epoch
        )
    }))
}

fn bed_of(agent: &mut Client) -> Result<BedView, Failure> {
    agent.status()?.bed.ok_or_else(|| {
        let text = "the agent says nothing about its bed";
        Failure::new(Exit::Runtime, text, None, "Use the version of this program that the agent runs.")
    })
}

fn ask(bed: &BedView, out: &mut impl Write) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let text = "nobody can be asked whether the bed is clear";
        let help = format!("Look at the bed, then name what you saw: --epoch {}", bed.epoch);
        return Err(Failure::new(Exit::Usage, text, None, help));
    }
    write!(out, "Is the bed clear? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn after(bed: &BedView) -> String {
    bed.part.as_ref().map_or_else(String::new, |part| format!(" after {}", plain(part)))
}

fn screen(bed: &BedView) -> String {
    let state = match (bed.clear, bed.confirm_required) {
        (true, _) => "The bed is clear".to_owned(),
        (false, true) => format!("Nobody has said that the bed is clear{}", after(bed)),
        (false, false) => "The printer empties its bed itself".to_owned(),
    };
    let interrupted = bed.interrupted.iter().map(|id| {
        format!(
            "Job {id} was interrupted, and its part may be on the bed: to clear the bed gives the job up."
        )
    });
    let told = std::iter::once(format!("{state} (bed epoch {}).", bed.epoch)).chain(interrupted);
    told.flat_map(|text| wrap(&text, COLUMNS)).map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bed(clear: bool, confirm_required: bool) -> BedView {
        let part = Some("a \x1b[2J.gcode (job-1, completed)".to_owned());
        BedView { epoch: 3, clear, confirm_required, part, interrupted: Vec::new() }
    }

    #[test]
    fn the_bed_is_shown_with_its_epoch_and_its_part() {
        let text = screen(&bed(false, true));
        assert!(
            text.replace('\n', " ").contains("after a ?[2J.gcode (job-1, completed) (bed epoch 3)"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert_eq!(screen(&bed(true, true)), "The bed is clear (bed epoch 3).\n");
        assert!(screen(&bed(false, false)).contains("empties its bed itself"));
    }

    #[test]
    fn giving_up_an_interrupted_part_is_said_before_it_is_done() {
        let bed = BedView { interrupted: vec!["job-7".parse().unwrap()], ..bed(false, true) };
        assert!(screen(&bed).contains("Job job-7 was interrupted"));
    }
}
