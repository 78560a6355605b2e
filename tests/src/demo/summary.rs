//! The end of a print: what the printer carried out held against what the file says, and how it went.

use std::fmt;

use serde::{Deserialize, Serialize};
use spoolway_protocol::Sha256Hex;
use spoolway_protocol::event::{Event, EventData, JobResult};
use spoolway_protocol::job::Outcome;

use super::bill;
use super::chaos::Blows;
use super::house::PrinterPlan;
use super::picture::Picture;
use super::roles::PrinterReport;
use crate::backend::Ending;

/// A print that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Whether what was executed is what the file says, and is accounted once and so. Of a real printer only its acknowledgements are known.
    pub ok: bool,
    /// The file.
    pub file: FileFigures,
    /// The agent's result, if the print was begun.
    pub result: Option<JobResult>,
    /// Why there is no result.
    pub refusal: Option<String>,
    /// The simulated printer's own account.
    pub printer: Option<PrinterReport>,
    /// How many times faster than life its mechanics were.
    pub speed: Option<f64>,
    /// What is wrong with what the agent has accounted; nothing when there is one record, of the whole file.
    #[serde(default)]
    pub usage_fault: Option<String>,
    /// What was done to the house meanwhile.
    #[serde(default)]
    pub chaos: Option<Blows>,
    /// From the first process to the last event, in seconds.
    pub seconds: f64,
    /// Events that reached the backend, each counted once.
    pub events: u64,
    /// Readings that reached the backend.
    pub readings: u64,
    /// Connections of the backend that were lost or could not be had.
    pub disconnects: u64,
    /// What did not fit, as the backend saw it.
    pub complaints: Vec<String>,
}

/// What the file says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileFigures {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha256Hex,
    /// The commands in it.
    pub commands: u64,
    /// Filament that it pushes, by tool, in mm.
    pub filament_mm: Vec<f64>,
}

impl Summary {
    /// Puts everything together and judges.
    #[must_use]
    pub fn new(
        file: FileFigures,
        ending: Ending,
        printer: Option<PrinterReport>,
        plan: &PrinterPlan,
        picture: &Picture,
        seconds: f64,
    ) -> Self {
        let (result, refusal) = match ending {
            Ending::Result(result) => (Some(*result), None),
            Ending::NotPrinted(event) => (None, Some(refusal_of(&event))),
        };
        let speed = match plan {
            PrinterPlan::Simulated { speed, .. } => Some(*speed),
            PrinterPlan::Real { .. } => None,
        };
        let takes = (file.commands, file.filament_mm.as_slice());
        let usage_fault =
            result.as_ref().and_then(|result| bill::fault(&picture.usage, result.elapsed_ms, takes));
        let ok = is_as_the_file_says(file.commands, result.as_ref(), printer.as_ref(), plan)
            && usage_fault.is_none()
            && picture.blows.is_none_or(|blows| blows.has_all());
        Self {
            ok,
            file,
            result,
            refusal,
            printer,
            speed,
            usage_fault,
            chaos: picture.blows,
            seconds,
            events: picture.events,
            readings: picture.readings,
            disconnects: picture.disconnects,
            complaints: picture.complaints.clone(),
        }
    }
}

/// Why nothing was printed.
fn refusal_of(event: &Event) -> String {
    match event.decode() {
        Ok(EventData::CmdResult(result)) => {
            let code = result.code.map(|code| code.0);
            [code, result.detail].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        Ok(EventData::JobState(now)) => {
            format!("{} before a line was printed: {}", now.to, now.reason.unwrap_or_default())
        }
        _ => event.kind.clone(),
    }
}

/// The agent must say that it printed everything, and a simulated printer must have done exactly that.
fn is_as_the_file_says(
    commands: u64,
    result: Option<&JobResult>,
    printer: Option<&PrinterReport>,
    plan: &PrinterPlan,
) -> bool {
    let claimed = result.is_some_and(|result| {
        result.outcome == Outcome::Completed
            && (result.line_acked, result.lines_total) == (commands, commands)
    });
    let done = match (plan, printer) {
        (PrinterPlan::Real { .. }, _) => true,
        (PrinterPlan::Simulated { .. }, None) => false,
        (PrinterPlan::Simulated { .. }, Some(printer)) => {
            let found = &printer.comparison;
            found.difference.is_none()
                && found.matched == commands
                && found.file_sha256 == found.printer_sha256
        }
    };
    claimed && done
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.ok, self.printer.is_some()) {
            (true, true) => "The printer carried out exactly what the file says.",
            (true, false) => "The printer acknowledged every command of the file, once and in order.",
            (false, _) if self.is_printed() && self.usage_fault.is_some() => {
                "The printer carried out what the file says, but it is NOT accounted so."
            }
            // The print was over before each of them had its turn.
            (false, _) if self.is_printed() && self.chaos.is_some_and(|blows| !blows.has_all()) => {
                "The printer carried out what the file says, but NOT enough was broken."
            }
            (false, _) => "NOT what the file says.",
        };
        writeln!(f, "\n {verdict}\n")?;
        let file = &self.file;
        writeln!(f, "   file      {}, {} bytes, {} commands", file.name, file.bytes, file.commands)?;
        if let Some(printer) = &self.printer {
            self.write_printer(f, printer)?;
        }
        if let Some(blows) = &self.chaos {
            writeln!(f, "   chaos     {blows}")?;
        }
        if let Some(refusal) = &self.refusal {
            writeln!(f, "   refused   {refusal}")?;
        }
        if let Some(result) = &self.result {
            let outcome = result.outcome.state();
            write!(
                f,
                "   agent     {outcome}, {}/{} commands acknowledged",
                result.line_acked, result.lines_total
            )?;
            if let Some(code) = &result.code {
                write!(f, ", {}", code.0)?;
            }
            writeln!(f, ", {:.1} s", result.elapsed_ms as f64 / 1e3)?;
            let used = self.file.filament_mm.iter().sum::<f64>() / 1e3;
            match &self.usage_fault {
                None => writeln!(f, "   usage     told once: {used:.2} m of filament, as in the file")?,
                Some(fault) => writeln!(f, "   usage     {fault}")?,
            }
        }
        write!(f, "   backend   {} events, each once; {} readings", self.events, self.readings)?;
        match self.disconnects {
            0 => writeln!(f)?,
            lost => writeln!(f, "; {lost} connections lost")?,
        }
        for complaint in &self.complaints {
            writeln!(f, "             {complaint}")?;
        }
        Ok(())
    }
}

impl Summary {
    fn is_printed(&self) -> bool {
        self.printer.as_ref().is_some_and(|printer| printer.comparison.difference.is_none())
    }

    fn write_printer(&self, f: &mut fmt::Formatter<'_>, printer: &PrinterReport) -> fmt::Result {
        let PrinterReport { comparison, figures } = printer;
        let host: Vec<_> =
            comparison.host_commands.iter().map(|(word, count)| format!("{count} {word}")).collect();
        writeln!(f, "   executed  {} of them, once and in order", comparison.matched)?;
        if let Some(difference) = &comparison.difference {
            let place =
                difference.line.map_or_else(|| "behind its end".to_owned(), |line| format!("line {line}"));
            let nothing = || "nothing".to_owned();
            writeln!(
                f,
                "             then, {place}: expected {}, executed {}",
                difference.expected.clone().unwrap_or_else(nothing),
                difference.executed.clone().unwrap_or_else(nothing),
            )?;
        }
        writeln!(f, "             file    sha256 {}", brief(comparison.file_sha256))?;
        writeln!(f, "             printer sha256 {}", brief(comparison.printer_sha256))?;
        writeln!(
            f,
            "   host      {} besides",
            if host.is_empty() { "nothing".to_owned() } else { host.join(", ") }
        )?;
        let rate = comparison.matched as f64 / figures.printing_s.max(0.001);
        let wire = figures.link_use.map_or(0.0, |share| share * 100.0);
        writeln!(
            f,
            "   pace      {rate:.0} commands/s for {:.1} s, wire {wire:.0} % busy, moves {} x",
            figures.printing_s,
            self.speed.unwrap_or(1.0),
        )?;
        let ms = |us: u64| us as f64 / 1e3;
        writeln!(
            f,
            "   gaps      between lines: p50 {:.2} ms, p99.9 {:.1} ms, longest {:.1} ms",
            ms(figures.gap_p50_us),
            ms(figures.gap_p999_us),
            ms(figures.gap_max_us),
        )?;
        let refused = self.result.as_ref().map_or(0, |result| result.comm.resends);
        writeln!(
            f,
            "   trouble   {} underruns ({:.0} ms), {refused} lines refused, {} bytes dropped, {} unread",
            figures.underruns, figures.starved_ms, figures.bytes_dropped, figures.bytes_unread,
        )?;
        if figures.underruns > 0 && self.speed.is_some_and(|speed| speed > 1.0) {
            writeln!(f, "             (moves are faster than life, the wire is not: see --speed)")?;
        }
        Ok(())
    }
}

fn brief(digest: Sha256Hex) -> String {
    digest.to_string().chars().take(32).collect::<String>() + "..."
}
