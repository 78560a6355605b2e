//! `bundle`: everything that somebody needs who is asked for help, in one file, without secrets and names.

mod chest;
mod machine;
mod secrets;

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use spoolway_protocol::JobId;

use super::logs::files;
use super::logs::journal::{Journal, Wanted};
use super::paint::{size, wrap};
use super::{Exit, Failure, Whereabouts, doctor, settings, which};
use crate::clock::{utc, wall_ms};
use crate::local::Client;
use crate::local::words::{Answer, Request};
use crate::post_mortem::{Kept, Record, Shelf};
use crate::telemetry::{Level, LogLine, RING_LINES};
use crate::view::JobView;
use chest::Chest;

const COLUMNS: usize = 80;

/// Jobs whose story is in it.
const STORIES: usize = 30;
/// Lines of the journal, and of the log's own files, that are in it, and from how long ago.
const KEPT_LINES: usize = 5_000;
const KEPT_MS: u64 = 3 * 24 * 3_600_000;
/// Told at the end, and in the last entry.
const CONTENTS: &str = "contents.txt";

/// What is wanted of a bundle.
#[derive(Debug, Args)]
pub(in crate::cli) struct BundleFlags {
    /// Only the story and the records of this job; the beginning or the end of its id is enough.
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// The file; it must not be there yet [default: spoolway-bundle-TIME.tar.zst in this folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Keep names of jobs and people.
    #[arg(long)]
    names: bool,
    /// Do not try the way to the relay: no doctor.
    #[arg(long)]
    no_doctor: bool,
}

/// A part of a bundle, or why it is not there.
type Part = (String, Result<String, String>);

/// Packs everything, and says what is in it and what is not.
pub(super) fn bundle(
    whereabouts: &Whereabouts,
    flags: &BundleFlags,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let now_ms = wall_ms();
    let time: String = utc(now_ms).chars().take(19).filter(|c| c.is_ascii_digit()).collect();
    let folder = format!("spoolway-bundle-{time}");
    let path = flags.out.clone().unwrap_or_else(|| format!("{folder}.tar.zst").into());
    let mut agent = whereabouts.agent();
    let known = agent.as_mut().ok().and_then(|agent| agent.jobs().ok());
    let records = Records::of(whereabouts);
    let only = flags.job.as_deref().map(|typed| wanted(known.as_deref(), &records, typed)).transpose()?;
    let only = only.as_deref();
    let jobs = known.unwrap_or_default();
    let redactor = secrets::redactor(whereabouts, &jobs, flags.names);
    let mut chest = Chest::create(&path, &folder, redactor, now_ms / 1_000)
        .map_err(|error| cannot_write(&path, &error))?;
    let mut missing: Vec<(String, String)> = Vec::new();
    let mut take = |(name, found): Part| -> Result<(), Failure> {
        match found {
            Ok(text) => chest.put(&name, &text).map_err(|error| cannot_write(&path, &error)),
            Err(why) => {
                missing.push((name, why));
                Ok(())
            }
        }
    };
    take(("versions.txt".to_owned(), Ok(machine::versions())))?;
    take(config(whereabouts))?;
    if !flags.no_doctor {
        take(examined(whereabouts))?;
    }
    match &mut agent {
        Ok(agent) => {
            let parts = of_agent(agent, &jobs, only, flags.names);
            parts.into_iter().try_for_each(&mut take)?;
            // An agent may have lost its jobs and not their records.
            if only.is_some_and(|only| jobs.iter().all(|job| job.job_id.as_str() != only)) {
                records.parts(only).into_iter().try_for_each(&mut take)?;
            }
        }
        Err(failure) => {
            take(("status.json".to_owned(), Err(failure.text().to_owned())))?;
            records.parts(only).into_iter().try_for_each(&mut take)?;
        }
    }
    take(("journal.jsonl".to_owned(), journal(&whereabouts.unit(), now_ms, flags.names)))?;
    if files::are_there(whereabouts) {
        take(("files.jsonl".to_owned(), kept(whereabouts, now_ms, flags.names)))?;
    }
    take(("kernel.txt".to_owned(), machine::kernel()))?;
    let state = whereabouts.load_of_agent().map(|(loaded, _)| loaded.config.state_dir);
    let state = state.unwrap_or_else(|_| "/".into());
    take(("disks.txt".to_owned(), Ok(machine::disks(&[&state, Path::new("/")]))))?;
    let contents = contents(&chest, &missing);
    chest.close(CONTENTS, &contents).map_err(|error| cannot_write(&path, &error))?;
    write!(out, "{contents}")?;
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    writeln!(
        out,
        "\n{} ({})\nLook into it before you give it away: tar xf FILE",
        path.display(),
        size(bytes)
    )?;
    Ok(())
}

/// The job that is meant: one of the agent's, or one of which there is a record. Where no agent says what it knows, the bundle is all that
/// one has, and says itself that there is nothing of the job.
fn wanted(jobs: Option<&[JobView]>, records: &Records, typed: &str) -> Result<String, Failure> {
    let known = jobs.unwrap_or_default().iter().map(|job| job.job_id.as_str());
    let meant = match which::among(known, typed)? {
        None => which::among(records.jobs(), typed)?,
        known => known,
    };
    match meant {
        Some(id) => Ok(id.to_owned()),
        None if jobs.is_some() => Err(which::unknown(typed)),
        None => Ok(typed.to_owned()),
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let text = format!("{}: the bundle cannot be written: {error}", path.display());
    Failure::new(Exit::Runtime, text, None, "Name another file with --out, in a folder with room.")
}

fn config(whereabouts: &Whereabouts) -> Part {
    let mut text = Vec::new();
    let shown = settings::show(whereabouts, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    ("config.toml".to_owned(), shown.map(|()| text).map_err(|failure| failure.text().to_owned()))
}

/// Its report is worth as much when a step has failed.
fn examined(whereabouts: &Whereabouts) -> Part {
    let mut text = Vec::new();
    let ended = doctor::doctor(whereabouts, None, true, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let found = match ended {
        Err(failure) if text.trim().is_empty() => Err(failure.text().to_owned()),
        _ => Ok(text),
    };
    ("doctor.json".to_owned(), found)
}

fn of_agent(agent: &mut Client, jobs: &[JobView], only: Option<&str>, names: bool) -> Vec<Part> {
    let text = |found: Result<Value, crate::local::TalkError>| {
        found.map(|value| format!("{value:#}\n")).map_err(|error| error.to_string())
    };
    let mut parts = vec![
        ("status.json".to_owned(), text(agent.status().map(|status| json!(status)))),
        ("jobs.json".to_owned(), Ok(summary(jobs, names))),
        ("log.jsonl".to_owned(), log(agent, names).map_err(|error| error.to_string())),
        (
            "wire.txt".to_owned(),
            agent.wire().map(|lines| wire_text(&lines)).map_err(|error| error.to_string()),
        ),
    ];
    let mut chosen: Vec<&JobView> =
        jobs.iter().filter(|job| only.is_none_or(|only| job.job_id.as_str() == only)).collect();
    chosen.sort_by_key(|job| std::cmp::Reverse(job.created_ms));
    for job in chosen.into_iter().take(STORIES) {
        let id = &job.job_id;
        let Ok(mut history) = agent.history(id.clone()) else { continue };
        if !names {
            history.owner = "[name]".to_owned();
        }
        for attempt in history.attempts.iter().filter(|attempt| attempt.record) {
            if let Ok(Some(record)) = agent.record(id.clone(), Some(attempt.attempt)) {
                parts.push(of_record(&record));
            }
        }
        parts.push((format!("jobs/{id}.json"), Ok(format!("{:#}\n", json!(history)))));
    }
    parts
}

/// What lies in the state folder of prints that could not go on, or why that cannot be seen.
struct Records(Result<(Shelf, Vec<Kept>), String>);

impl Records {
    fn of(whereabouts: &Whereabouts) -> Self {
        let shelf = whereabouts.load_of_agent().map(|(loaded, _)| Shelf::of(&loaded.config.state_dir));
        Self(shelf.map_err(|failure| failure.text().to_owned()).and_then(|shelf| match shelf.list() {
            Ok(kept) => Ok((shelf, kept)),
            Err(error) => Err(error.to_string()),
        }))
    }

    /// The jobs that they are of.
    fn jobs(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(_, kept)| kept).map(|kept| kept.job_id.as_str())
    }

    /// Those of one job, or all.
    fn parts(&self, only: Option<&str>) -> Vec<Part> {
        let folder = "post-mortem".to_owned();
        let (shelf, kept) = match &self.0 {
            Ok(found) => found,
            Err(why) => return vec![(folder, Err(why.clone()))],
        };
        let chosen = kept.iter().filter(|kept| only.is_none_or(|only| kept.job_id.as_str() == only));
        let parts: Vec<Part> = chosen
            .map(|kept| match shelf.read(kept) {
                Ok(record) => of_record(&record),
                Err(error) => (record_name(&kept.job_id, kept.attempt), Err(error.to_string())),
            })
            .collect();
        match only {
            Some(job) if parts.is_empty() => vec![(folder, Err(format!("there is no record of job {job}")))],
            _ => parts,
        }
    }
}

fn of_record(record: &Record) -> Part {
    (record_name(&record.job_id, record.attempt), Ok(format!("{:#}\n", json!(record))))
}

fn record_name(job: &JobId, attempt: u32) -> String {
    format!("post-mortem/{job}.{attempt}.json")
}

/// All that the agent remembers; names are taken out here, and wherever else they stand by the redaction.
fn summary(jobs: &[JobView], names: bool) -> String {
    let mut shown = json!(jobs);
    for job in shown.as_array_mut().into_iter().flatten().filter(|_| !names) {
        job["name"] = "[name]".into();
    }
    format!("{shown:#}\n")
}

/// Fields of the log that name somebody, or somebody's part: an agent that is away cannot say what its jobs are called.
fn without_people(mut line: LogLine, names: bool) -> LogLine {
    let is_of_people = |name: &str, value: &str| match name {
        "file" => !value.starts_with('/'),
        "actor" | "by" | "owner" => true,
        _ => false,
    };
    for (name, value) in line.fields.iter_mut().filter(|_| !names) {
        if is_of_people(name, value) {
            *value = "[name]".to_owned();
        }
    }
    line
}

fn log(agent: &mut Client, names: bool) -> Result<String, crate::local::TalkError> {
    let mut text = String::new();
    let request = Request::Logs { lines: RING_LINES, follow: false, level: Level::Trace };
    let mut answer = agent.ask(&request)?;
    loop {
        match answer {
            Answer::Log { line } => text.extend([without_people(line, names).json().as_str(), "\n"]),
            Answer::Done => return Ok(text),
            other => return Err(agent.strange(&other)),
        }
        answer = agent.read()?;
    }
}

fn wire_text(lines: &[crate::view::WireLineView]) -> String {
    let shown = lines.iter().map(|line| {
        let sign = if line.from == "agent" { '>' } else { '<' };
        format!("{:10.3} {sign} {}\n", line.at_ms as f64 / 1e3, line.text)
    });
    shown.collect()
}

fn journal(unit: &str, now_ms: u64, names: bool) -> Result<String, String> {
    let since_ms = Some(now_ms.saturating_sub(KEPT_MS));
    let wanted = Wanted { lines: Some(KEPT_LINES), since_ms, follow: false };
    let said = |failure: Failure| failure.text().to_owned();
    let mut journal = Journal::ask(unit, wanted).map_err(said)?;
    let mut text = String::new();
    while let Some(line) = journal.next().map_err(said)? {
        text.extend([without_people(line, names).json().as_str(), "\n"]);
    }
    if text.is_empty() { Err(format!("it has nothing of {unit} in the last three days")) } else { Ok(text) }
}

/// What the agent has kept of its log in files.
fn kept(whereabouts: &Whereabouts, now_ms: u64, names: bool) -> Result<String, String> {
    let lines = files::kept(whereabouts).map_err(|failure| failure.text().to_owned())?;
    let mut last = VecDeque::new();
    for line in lines.filter(|line| line.at_ms >= now_ms.saturating_sub(KEPT_MS)) {
        last.push_back(without_people(line, names).json() + "\n");
        if last.len() > KEPT_LINES {
            last.pop_front();
        }
    }
    if last.is_empty() {
        Err("nothing was written there in the last three days".to_owned())
    } else {
        Ok(last.into_iter().collect())
    }
}

/// What is in the bundle, and what is not.
fn contents(chest: &Chest, missing: &[(String, String)]) -> String {
    let mut text = "In the bundle:\n".to_owned();
    for packed in chest.packed() {
        let (name, cut) = (&packed.name, if packed.is_cut { ", its beginning cut off" } else { "" });
        if let Some(bytes) = packed.bytes {
            text.push_str(&format!("  {name:<48} {:>10}{cut}\n", size(bytes as u64)));
        }
    }
    text.push_str("Not in it:\n");
    for (name, why) in missing {
        let told = wrap(&format!("{name}: {}", chest.redacted(why)), COLUMNS - 4).join("\n    ");
        text.push_str(&format!("  {told}\n"));
    }
    for packed in chest.packed().iter().filter(|packed| packed.bytes.is_none()) {
        text.push_str(&format!("  {}: there was no room left\n", packed.name));
    }
    text.push_str("  keys, tokens, passwords, signed addresses, files of jobs, and what a display\n");
    text.push_str("  was told\n");
    text
}

#[cfg(test)]
mod tests;
