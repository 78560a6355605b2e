//! The print as a person sees it: two lines that are drawn anew on a terminal, or a line every few seconds elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use spoolway_protocol::JobState;

use super::picture::{Heat, Picture};

/// Narrowest and widest line that is drawn.
const COLUMNS: (usize, usize) = (60, 100);
/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// Goes up two lines, to the first column.
const UP_TWO: &str = "\x1b[2F";
/// Clears to the end of the line.
const CLEAR: &str = "\x1b[K";

/// Where a picture is shown.
#[derive(Debug)]
pub struct Screen {
    kind: Kind,
    started: Instant,
}

#[derive(Debug)]
enum Kind {
    Silent,
    Lines { next_at: Instant },
    Live { is_drawn: bool, is_utf8: bool },
}

impl Screen {
    /// Standard output, unless nothing is to be shown.
    #[must_use]
    pub fn new(is_silent: bool) -> Self {
        let started = Instant::now();
        let kind = match is_silent {
            true => Kind::Silent,
            false if io::stdout().is_terminal() => Kind::Live { is_drawn: false, is_utf8: is_utf8() },
            false => Kind::Lines { next_at: started },
        };
        Self { kind, started }
    }

    /// Says a line that stays.
    ///
    /// # Errors
    /// Nobody reads any longer.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        if let Kind::Silent = self.kind { Ok(()) } else { writeln!(io::stdout(), "{line}") }
    }

    /// Says what happened meanwhile, above what is drawn.
    ///
    /// # Errors
    /// Nobody reads any longer.
    pub fn note(&mut self, what: &str) -> io::Result<()> {
        let line = format!("{:6.1} s  {what}", self.started.elapsed().as_secs_f64());
        match &mut self.kind {
            Kind::Live { is_drawn: is_drawn @ true, .. } => {
                *is_drawn = false;
                writeln!(io::stdout(), "{UP_TWO}{line}{CLEAR}\n{CLEAR}\x1b[1F")
            }
            _ => self.say(&line),
        }
    }

    /// Shows the picture as it is now.
    ///
    /// # Errors
    /// Nobody reads any longer.
    pub fn draw(&mut self, picture: &Picture, size: u64) -> io::Result<()> {
        let elapsed = self.started.elapsed();
        let mut out = io::stdout().lock();
        match &mut self.kind {
            Kind::Silent => Ok(()),
            Kind::Lines { next_at } => {
                if Instant::now() < *next_at {
                    return Ok(());
                }
                *next_at = Instant::now() + LINE_EVERY;
                writeln!(out, "{}", plain_line(picture, size, elapsed))
            }
            Kind::Live { is_drawn, is_utf8 } => {
                let up = if *is_drawn { UP_TWO } else { "" };
                *is_drawn = true;
                let columns = columns();
                let (first, second) =
                    (bar_line(picture, size, columns, *is_utf8), figures_line(picture, *is_utf8));
                let second: String = second.chars().take(columns).collect();
                write!(out, "{up}{first}{CLEAR}\n{second}{CLEAR}\n")?;
                out.flush()
            }
        }
    }
}

/// What the print is at, in a few words.
#[must_use]
pub fn phase(picture: &Picture, size: u64) -> String {
    let is_cold =
        |heat: Option<Heat>| heat.is_some_and(|[actual, target]| target > 0.0 && actual + 2.0 < target);
    match picture.state {
        _ if !picture.is_up => "connecting".to_owned(),
        None | Some(JobState::Offered) => "offering the job".to_owned(),
        Some(JobState::Fetching) => {
            format!("sending the file, {:.0} %", picture.fetched_bytes as f64 * 100.0 / size.max(1) as f64)
        }
        Some(JobState::Printing) if is_cold(picture.nozzle) || is_cold(picture.bed) => "heating".to_owned(),
        Some(state) => state.as_str().replace('_', " "),
    }
}

fn bar_line(picture: &Picture, size: u64, columns: usize, is_utf8: bool) -> String {
    let (full, empty) = if is_utf8 { ('█', '░') } else { ('#', '.') };
    let layer = match (picture.layer, picture.layers) {
        (0, _) => String::new(),
        (layer, 0) => format!("layer {layer}"),
        (layer, layers) => format!("layer {layer}/{layers}"),
    };
    let tail = format!(" {:5.1} %  {layer:<14} {}", picture.percent, phase(picture, size));
    let tail = format!("{tail:<46}");
    let width = columns.saturating_sub(tail.chars().count() + 1).max(10);
    let done = ((picture.percent / 100.0).clamp(0.0, 1.0) * width as f64).round() as usize;
    let bar: String = (0..width).map(|at| if at < done { full } else { empty }).collect();
    format!(" {bar}{}", tail.trim_end())
}

fn figures_line(picture: &Picture, is_utf8: bool) -> String {
    let degrees = if is_utf8 { "°C" } else { "C" };
    // Who breaks the house wants to see that first.
    let blows = picture.blows.map_or_else(String::new, |blows| format!(" {blows} "));
    format!(
        "{blows} nozzle {} {degrees}  bed {} {degrees}  {:.0} lines/s  wire {:.0} %  {} resends",
        heat(picture.nozzle),
        heat(picture.bed),
        picture.lines_per_s,
        picture.link_use * 100.0,
        picture.resends,
    )
}

fn plain_line(picture: &Picture, size: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    format!(
        "{seconds:6.1} s {:5.1} %  {}; layer {}/{};{}",
        picture.percent,
        phase(picture, size),
        picture.layer,
        picture.layers,
        figures_line(picture, false)
    )
}

fn heat(heat: Option<Heat>) -> String {
    heat.map_or_else(|| "-".to_owned(), |[actual, target]| format!("{actual:.0}/{target:.0}"))
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0);
    // The last column stays free: some terminals go to the next line when it is written to.
    size.map_or(79, |size| usize::from(size.ws_col) - 1).clamp(COLUMNS.0, COLUMNS.1)
}

/// Whether the locale says so, in the order that setlocale(3) looks at the variables.
fn is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    set.is_some_and(|value| value.to_ascii_uppercase().replace('-', "").contains("UTF8"))
}

#[cfg(test)]
mod tests {
    use super::super::chaos::Blows;
    use super::*;

    #[test]
    fn the_bar_fits_its_columns_and_grows() {
        let mut picture =
            Picture { is_up: true, state: Some(JobState::AwaitingBedClear), ..Picture::default() };
        (picture.layer, picture.layers) = (123, 1_234);
        for columns in [60, 79, 100] {
            let mut last = 0;
            for percent in [0.0, 33.3, 66.7, 100.0] {
                picture.percent = percent;
                let line = bar_line(&picture, 1, columns, true);
                assert!(line.chars().count() <= columns, "{line}");
                let full = line.matches('█').count();
                assert!(full >= last, "{line}");
                last = full;
            }
            assert_eq!(bar_line(&picture, 1, columns, true).matches('░').count(), 0);
        }
    }

    #[test]
    fn what_was_done_to_the_house_is_shown() {
        let mut picture = Picture::default();
        assert!(!figures_line(&picture, true).contains("kills"));
        picture.blows = Some(Blows { kills: 12, relay: 3, network: 4 });
        assert!(figures_line(&picture, true).starts_with(" kills: 12, relay: 3, network: 4  nozzle"));
    }

    #[test]
    fn the_phase_follows_the_job() {
        let mut picture = Picture::default();
        assert_eq!(phase(&picture, 10), "connecting");
        picture.is_up = true;
        assert_eq!(phase(&picture, 10), "offering the job");
        (picture.state, picture.fetched_bytes) = (Some(JobState::Fetching), 5);
        assert_eq!(phase(&picture, 10), "sending the file, 50 %");
        (picture.state, picture.nozzle) = (Some(JobState::Printing), Some([100.0, 215.0]));
        assert_eq!(phase(&picture, 10), "heating");
        picture.nozzle = Some([214.0, 215.0]);
        assert_eq!(phase(&picture, 10), "printing");
    }
}
