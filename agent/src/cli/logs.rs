//! `logs`: what the agent has logged, of the running one, of the journal or of its own files; and the last words on the wire.

pub(super) mod files;
mod flags;
pub(super) mod journal;

use std::collections::{BTreeSet, VecDeque};
use std::io::Write;

use spoolway_protocol::Fault;

use super::paint::{Paint, plain, wants_colour};
use super::{Exit, Failure, Whereabouts, which};
use crate::clock::{utc, wall_ms};
use crate::local::words::{Answer, Request};
use crate::telemetry::{Level, LogLine, RING_LINES};
use crate::view::WireLineView;
pub(super) use flags::LogsFlags;
use journal::{Journal, Wanted};

/// Lines that are shown when nothing else chooses them.
const LINES: usize = 50;
/// Lines of journal or files that are held until they are shown.
const KEPT_LINES: usize = 50_000;

/// Shows the log.
pub(super) fn logs(
    whereabouts: &Whereabouts,
    flags: &LogsFlags,
    out: &mut impl Write,
) -> Result<(), Failure> {
    match (flags.wire, flags.journal, flags.files) {
        (true, ..) => wire(whereabouts, flags, out),
        (_, true, _) => from_journal(whereabouts, flags, out),
        (_, _, true) => from_files(whereabouts, flags, out),
        _ => from_agent(whereabouts, flags, out),
    }
}

/// Which lines are shown.
struct Choice {
    level: Level,
    since_ms: Option<u64>,
    job: Option<String>,
}

impl Choice {
    fn of(flags: &LogsFlags, job: Option<String>) -> Self {
        let since_ms = flags.since.map(|since| since.unix_ms(wall_ms()));
        Self { level: flags.level, since_ms, job }
    }

    fn takes(&self, line: &LogLine) -> bool {
        line.level <= self.level
            && self.since_ms.is_none_or(|since_ms| line.at_ms >= since_ms)
            && self.job.as_deref().is_none_or(|job| job_of(line) == Some(job))
    }

    /// How many of the last ones are wanted.
    fn most(&self, flags: &LogsFlags) -> usize {
        flags.lines.unwrap_or(if self.is_all() { LINES } else { usize::MAX })
    }

    /// Nothing but the level chooses.
    const fn is_all(&self) -> bool {
        self.since_ms.is_none() && self.job.is_none()
    }
}

/// What the running agent remembers, and if asked what comes after it.
fn from_agent(whereabouts: &Whereabouts, flags: &LogsFlags, out: &mut impl Write) -> Result<(), Failure> {
    let mut agent = whereabouts.agent().map_err(|failure| or_kept(failure, whereabouts))?;
    let job = match &flags.job {
        Some(typed) => Some(which::job(&agent.jobs()?, typed)?.job_id.to_string()),
        None => None,
    };
    let choice = Choice::of(flags, job);
    let shown = Shown::of(flags);
    // Of lines that are followed the last ones cannot be told from the news: all that are chosen are shown.
    let lines = if choice.is_all() { choice.most(flags).min(RING_LINES) } else { RING_LINES };
    let mut chosen = Vec::new();
    let mut oldest_ms = None;
    let mut answer = agent.ask(&Request::Logs { lines, follow: flags.follow, level: flags.level })?;
    loop {
        match answer {
            Answer::Log { line } => {
                oldest_ms.get_or_insert(line.at_ms);
                match choice.takes(&line) {
                    false => {}
                    true if flags.follow => shown.line(&line, out)?,
                    true => chosen.push(line),
                }
            }
            Answer::Missed { lines } => shown.missed(lines, out)?,
            Answer::Done => break,
            other => return Err(agent.strange(&other).into()),
        }
        out.flush()?;
        answer = agent.read()?;
    }
    let is_short = choice.since_ms.zip(oldest_ms).is_some_and(|(since_ms, oldest_ms)| oldest_ms > since_ms);
    if is_short && !flags.json {
        let more = files::command(whereabouts);
        writeln!(out, "... the agent remembers no more; `{more}` may have it ...")?;
    }
    let first = chosen.len().saturating_sub(choice.most(flags));
    chosen[first..].iter().try_for_each(|line| shown.line(line, out))
}

/// Without an agent there may be what is kept of its log.
fn or_kept(failure: Failure, whereabouts: &Whereabouts) -> Failure {
    let more = files::command(whereabouts);
    let help = format!("{} What it has logged before may be kept: {more}.", failure.help());
    Failure::new(failure.exit(), failure.text(), failure.code().map(str::to_owned), help)
}

/// The job that is meant: one of the agent's, or else one of which there are lines.
fn meant(
    whereabouts: &Whereabouts,
    flags: &LogsFlags,
    with_lines: impl FnOnce() -> Result<BTreeSet<String>, Failure>,
) -> Result<Option<String>, Failure> {
    let Some(typed) = &flags.job else { return Ok(None) };
    let jobs = whereabouts.agent().ok().and_then(|mut agent| agent.jobs().ok()).unwrap_or_default();
    if let Some(id) = which::among(jobs.iter().map(|job| job.job_id.as_str()), typed)? {
        return Ok(Some(id.to_owned()));
    }
    let with_lines = with_lines()?;
    match which::among(with_lines.iter().map(String::as_str), typed)? {
        Some(id) => Ok(Some(id.to_owned())),
        None => Err(Failure::of(Fault::JobUnknown, format!("no line that is kept is of a job {typed:?}"))),
    }
}

/// The job that a line concerns.
fn job_of(line: &LogLine) -> Option<&str> {
    line.fields.iter().find(|(name, _)| name == "job").map(|(_, job)| job.as_str())
}

/// The jobs that there are lines of.
fn jobs_of(lines: impl Iterator<Item = LogLine>) -> BTreeSet<String> {
    lines.filter_map(|line| job_of(&line).map(str::to_owned)).collect()
}

/// What the journal has of the agent's service.
fn from_journal(whereabouts: &Whereabouts, flags: &LogsFlags, out: &mut impl Write) -> Result<(), Failure> {
    let job = meant(whereabouts, flags, || {
        let mut journal =
            Journal::ask(&whereabouts.unit(), Wanted { lines: None, since_ms: None, follow: false })?;
        let mut lines = std::iter::from_fn(|| journal.next().transpose());
        lines.try_fold(BTreeSet::new(), |mut jobs, line| {
            jobs.extend(job_of(&line?).map(str::to_owned));
            Ok(jobs)
        })
    })?;
    let choice = Choice::of(flags, job);
    let shown = Shown::of(flags);
    // What is chosen of it is chosen here: it may be any part of the whole.
    let lines = choice.is_all().then(|| choice.most(flags));
    let wanted = Wanted { lines, since_ms: choice.since_ms, follow: flags.follow };
    let mut journal = Journal::ask(&whereabouts.unit(), wanted)?;
    let mut last = Last::new(choice.most(flags));
    while let Some(line) = journal.next()? {
        if !choice.takes(&line) {
            continue;
        }
        if flags.follow {
            shown.line(&line, out)?;
            out.flush()?;
            continue;
        }
        last.push(line);
    }
    last.0.iter().try_for_each(|line| shown.line(line, out))
}

/// What the agent's own files have.
fn from_files(whereabouts: &Whereabouts, flags: &LogsFlags, out: &mut impl Write) -> Result<(), Failure> {
    let job = meant(whereabouts, flags, || Ok(jobs_of(files::kept(whereabouts)?)))?;
    let choice = Choice::of(flags, job);
    let shown = Shown::of(flags);
    let mut last = Last::new(choice.most(flags));
    files::kept(whereabouts)?.filter(|line| choice.takes(line)).for_each(|line| last.push(line));
    last.0.iter().try_for_each(|line| shown.line(line, out))
}

/// The last lines of many.
struct Last(VecDeque<LogLine>, usize);

impl Last {
    fn new(most: usize) -> Self {
        Self(VecDeque::new(), most.min(KEPT_LINES))
    }

    fn push(&mut self, line: LogLine) {
        self.0.push_back(line);
        if self.0.len() > self.1 {
            self.0.pop_front();
        }
    }
}

/// The last words on the wire: of the running conversation, or those of a job that could not go on.
fn wire(whereabouts: &Whereabouts, flags: &LogsFlags, out: &mut impl Write) -> Result<(), Failure> {
    let mut agent = whereabouts.agent()?;
    let shown = Shown::of(flags);
    let Some(typed) = &flags.job else {
        let lines = agent.wire()?;
        return shown.wire(&lines, flags.lines, |at_ms| format!("{:10.3}", at_ms as f64 / 1e3), out);
    };
    let id = which::job(&agent.jobs()?, typed)?.job_id.clone();
    let Some(record) = agent.record(id.clone(), None)? else {
        return Err(Failure::new(
            Exit::Runtime,
            format!("There is no post-mortem record of job {id}."),
            None,
            "Jobs that failed or were interrupted while they were printed have one; the oldest of them go. `spoolway-agent logs --wire` \
             shows what is on the wire now.",
        ));
    };
    if let Some(why) = record.wire.missing.as_ref().filter(|_| !flags.json) {
        writeln!(out, "There are no words of the wire: {}.", plain(why))?;
    }
    shown.wire(&record.wire.lines, flags.lines, |at_ms| utc(record.wall_ms(at_ms))[11..23].to_owned(), out)
}

/// How lines are shown.
#[derive(Debug, Clone, Copy)]
struct Shown {
    json: bool,
    colour: bool,
    paint: Paint,
}

impl Shown {
    fn of(flags: &LogsFlags) -> Self {
        Self {
            json: flags.json,
            colour: wants_colour(&std::io::stdout()),
            paint: Paint::of(&std::io::stdout()),
        }
    }

    fn line(self, line: &LogLine, out: &mut impl Write) -> Result<(), Failure> {
        let text = if self.json { line.json() } else { line.human(self.colour) };
        Ok(writeln!(out, "{text}")?)
    }

    fn missed(self, lines: u64, out: &mut impl Write) -> Result<(), Failure> {
        if self.json {
            return Ok(writeln!(out, "{}", serde_json::json!({"missed_lines": lines}))?);
        }
        Ok(writeln!(out, "... {lines} lines were missed, this reader is too slow ...")?)
    }

    fn wire(
        self,
        lines: &[WireLineView],
        most: Option<usize>,
        time: impl Fn(u64) -> String,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let paint = self.paint;
        let first = lines.len().saturating_sub(most.unwrap_or(usize::MAX));
        for line in &lines[first..] {
            if self.json {
                writeln!(out, "{}", serde_json::to_string(line).map_err(std::io::Error::from)?)?;
                continue;
            }
            let (at, text) = (time(line.at_ms), plain(&line.text));
            match line.from.as_str() {
                "agent" => writeln!(out, "{at} {}", paint.dim(&format!("> {text}")))?,
                _ => writeln!(out, "{at} < {text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, at_ms: u64, job: &str) -> LogLine {
        let fields = vec![("job".to_owned(), job.to_owned()), ("line".to_owned(), "j1".to_owned())];
        LogLine { at_ms, level, target: String::new(), text: String::new(), fields }
    }

    #[test]
    fn lines_are_chosen_by_level_time_and_job() {
        let all = Choice { level: Level::Info, since_ms: None, job: None };
        assert!(all.is_all() && all.takes(&line(Level::Warn, 0, "j2")));
        assert!(!all.takes(&line(Level::Debug, 0, "j2")));
        let some = Choice { since_ms: Some(5), job: Some("j1".to_owned()), ..all };
        assert!(!some.is_all() && some.takes(&line(Level::Info, 5, "j1")));
        assert!(!some.takes(&line(Level::Info, 4, "j1")), "too old");
        assert!(!some.takes(&line(Level::Info, 5, "j2")), "another field has that word");
    }

    #[test]
    fn words_on_the_wire_are_shown_with_their_times() {
        let line =
            |from: &str, at_ms| WireLineView { at_ms, from: from.to_owned(), text: format!("ok {at_ms}") };
        let lines = [line("agent", 1), line("agent", 2), line("printer", 3)];
        let mut out = Vec::new();
        let shown = Shown { json: false, colour: false, paint: Paint::none() };
        shown.wire(&lines, Some(2), |at_ms| format!("at {at_ms}"), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "at 2 > ok 2\nat 3 < ok 3\n");
        let mut out = Vec::new();
        Shown { json: true, colour: false, paint: Paint::none() }
            .wire(&lines[..1], None, |_| String::new(), &mut out)
            .unwrap();
        assert_eq!(out, b"{\"at_ms\":1,\"from\":\"agent\",\"text\":\"ok 1\"}\n");
    }
}
