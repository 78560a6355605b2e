//! `pause`, `resume`, `cancel`, `estop` and `printer accept`: one word to the agent, one line back.

use std::io::Write;

use super::paint::{Paint, plain};
use super::{Failure, Whereabouts};
use crate::local::words::Request;

/// Has something done to a job.
pub(super) fn act(
    whereabouts: &Whereabouts,
    request: &Request,
    verb: &str,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let job = whereabouts.agent()?.job(request)?;
    writeln!(out, "{verb} {} ({}): now {}.", plain(&job.name), job.job_id, job.state)?;
    if job.held && job.state.holds_printer() {
        let told = "What is being printed goes on (`spoolway-agent pause` stops it); a copy behind it does not start.";
        writeln!(out, "{}", whereabouts.typed(told))?;
    }
    Ok(())
}

/// Takes the printer that answers for the right one.
pub(super) fn accept(whereabouts: &Whereabouts, out: &mut impl Write) -> Result<(), Failure> {
    let printer = whereabouts.agent()?.accept_printer()?;
    writeln!(out, "Accepted: {}.", plain(&printer))?;
    Ok(())
}

/// Stops the printer at once.
pub(super) fn emergency_stop(whereabouts: &Whereabouts, out: &mut impl Write) -> Result<(), Failure> {
    whereabouts.agent()?.emergency_stop()?;
    let paint = Paint::of(&std::io::stdout());
    writeln!(
        out,
        "{} Make sure that the machine is safe, then reset the printer.",
        paint.red("Emergency stop sent.")
    )?;
    Ok(())
}
