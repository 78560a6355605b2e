//! `status --watch`: the screen of `status` once a second, each drawn over the one before.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::Duration;

use super::super::paint::{Paint, plain, wrap};
use super::super::{Exit, Failure, Whereabouts};
use super::{COLUMNS, Screen};
use crate::local::Client;
use crate::view::Status;

/// Time between two screens.
const EVERY: Duration = Duration::from_secs(1);
/// Rows of a terminal that does not say how many it has.
const ROWS: usize = 24;

/// Draws until somebody ends it. An agent that does not answer is asked again: it may be starting.
pub(in crate::cli) fn watch(whereabouts: &Whereabouts, out: &mut impl Write) -> Result<(), Failure> {
    check(io::stdout().is_terminal())?;
    let (mut drawing, mut agent) = (Drawing::default(), None);
    let paint = Paint::of(&io::stdout());
    loop {
        let screen = match ask(whereabouts, &mut agent) {
            Ok(status) => Screen::of(&status, paint),
            Err(failure) => unanswered(&failure, paint),
        };
        let screen = whereabouts.typed(&screen);
        let hint = paint.dim("Every second; Ctrl-C ends it.");
        let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_row);
        out.write_all(drawing.over(&format!("{screen}{hint}\n"), usize::from(rows)).as_bytes())?;
        out.flush()?;
        sleep(EVERY);
    }
}

fn check(is_terminal: bool) -> Result<(), Failure> {
    if is_terminal {
        return Ok(());
    }
    let help =
        "Leave --watch out, or ask again and again for what programs read: `spoolway-agent status --json`.";
    Err(Failure::new(Exit::Usage, "--watch draws on a terminal, and this is none", None, help))
}

/// Asks over the connection that stands, or over a new one.
fn ask(whereabouts: &Whereabouts, agent: &mut Option<Client>) -> Result<Status, Failure> {
    let mut client = match agent.take() {
        Some(client) => client,
        None => whereabouts.agent()?,
    };
    let status = client.status()?;
    *agent = Some(client);
    Ok(status)
}

fn unanswered(failure: &Failure, paint: Paint) -> String {
    let mut screen = String::new();
    let told = [failure.text(), failure.help()].map(plain);
    for line in told.iter().flat_map(|text| wrap(text, COLUMNS)) {
        // Writing into a string cannot fail.
        let _ = writeln!(screen, "{}", paint.yellow(&line));
    }
    screen
}

/// What was drawn last.
#[derive(Debug, Default)]
struct Drawing {
    lines: usize,
}

impl Drawing {
    /// What draws this text over the one before. What a terminal has no rows for is left out, because it could not be drawn over.
    fn over(&mut self, text: &str, rows: usize) -> String {
        let rows = if rows == 0 { ROWS } else { rows };
        let lines: Vec<&str> = text.lines().collect();
        // The cursor has a row of its own, below.
        let room = rows.saturating_sub(1).max(1);
        let shown = if lines.len() > room { room - 1 } else { lines.len() };
        // No line goes on in the next row, however narrow the terminal is.
        let mut drawn = "\x1b[?7l".to_owned();
        if self.lines > 0 {
            let _ = write!(drawn, "\x1b[{}A", self.lines);
        }
        for line in &lines[..shown] {
            let _ = write!(drawn, "\r{line}\x1b[K\r\n");
        }
        if shown < lines.len() {
            let _ = write!(drawn, "\r... {} more lines have no room\x1b[K\r\n", lines.len() - shown);
        }
        drawn.push_str("\x1b[J\x1b[?7h");
        self.lines = shown + usize::from(shown < lines.len());
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::full;
    use super::*;

    /// What a terminal of these rows shows of what is written to it: only what a drawing says is understood.
    fn shown(rows: usize, written: &str) -> Vec<String> {
        let (mut screen, mut at) = (vec![String::new(); rows], 0_usize);
        let mut rest = written;
        while let Some(place) = rest.find(['\x1b', '\r', '\n']) {
            screen[at].push_str(&rest[..place]);
            rest = &rest[place..];
            if let Some(next) = rest.strip_prefix("\r\n") {
                at += 1;
                assert!(at < rows, "it would roll, and what was drawn could not be drawn over");
                rest = next;
            } else if let Some(next) = rest.strip_prefix('\r') {
                screen[at].clear();
                rest = next;
            } else {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let (code, next) = rest.split_at(end + 1);
                match code {
                    "\x1b[J" => screen[at..].iter_mut().for_each(String::clear),
                    "\x1b[K" | "\x1b[?7l" | "\x1b[?7h" => {}
                    up => at -= up[2..up.len() - 1].parse::<usize>().unwrap(),
                }
                rest = next;
            }
        }
        while screen.last().is_some_and(String::is_empty) {
            screen.pop();
        }
        screen
    }

    #[test]
    fn each_screen_stands_in_the_place_of_the_one_before_and_nothing_of_that_is_left() {
        let mut drawing = Drawing::default();
        let mut written = String::new();
        let long = Screen::of(&full(), Paint::none());
        for (text, rows) in
            [(long.as_str(), 50), ("a\nb\n", 50), (&long, 50), ("a\n", 50), ("", 50), ("c\nd\n", 0)]
        {
            written.push_str(&drawing.over(text, rows));
            assert_eq!(shown(50, &written), text.lines().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_has_no_room_is_left_out_and_told() {
        let text = "1\n2\n3\n4\n5\n";
        for (rows, last) in
            [(6, "5"), (5, "... 2 more lines have no room"), (2, "... 5 more lines have no room")]
        {
            let (mut drawing, mut written) = (Drawing::default(), String::new());
            for _ in 0..3 {
                written.push_str(&drawing.over(text, rows));
                let seen = shown(rows, &written);
                assert_eq!(seen.last().map(String::as_str), Some(last), "{rows}: {seen:?}");
                assert!(seen.len() < rows, "{rows}: {seen:?}");
            }
        }
    }

    #[test]
    fn without_a_terminal_it_says_what_programs_use() {
        assert!(check(true).is_ok());
        let refused = check(false).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(refused.help().contains("status --json"), "{}", refused.help());
    }

    #[test]
    fn an_agent_that_is_away_is_told_within_the_screen() {
        let away = Failure::new(
            Exit::Unavailable,
            format!("no agent\x1b answers at {}", "a/ ".repeat(60)),
            None,
            "Start it.",
        );
        let screen = unanswered(&away, Paint::none());
        assert!(
            screen.lines().all(|line| line.len() <= COLUMNS) && screen.ends_with("Start it.\n"),
            "{screen}"
        );
        assert!(!screen.contains('\x1b'), "{screen}");
    }
}
