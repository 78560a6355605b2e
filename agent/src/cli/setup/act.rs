//! What a first run has others do: the agent takes its printer, the relay pairs, and a small file is printed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use spoolway_firmware_profiles::Registry;
use spoolway_protocol::{Fault, JobState};

use super::super::pair::{self, PairFlags};
use super::super::{Failure, Whereabouts, bed};
use crate::config::Config;
use crate::explain::program::UNREACHABLE;
use crate::local::words::Request;
use crate::local::{Client, PrintWishes, TalkError};
use crate::pairing::Kept;
use crate::preflight;
use crate::setup::{Attempt, Complaint, Ground, Paired, Ready, Test, gcode};
use crate::view::{JobView, Status};

/// How long an agent has to find its printer: a board may be starting, and every rate is tried.
const PRINTER: Duration = Duration::from_secs(60);
/// How long a test may take; most of it is the heating of a bed.
const TEST: Duration = Duration::from_secs(20 * 60);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until the agent has its printer.
pub(super) fn ready(whereabouts: &Whereabouts) -> Ready {
    let until = Instant::now() + PRINTER;
    loop {
        let status = whereabouts.agent().map_err(|failure| complaint(&failure));
        let status = status.and_then(|mut agent| agent.status().map_err(|error| complaint(&error.into())));
        let ready = match status {
            Ok(status) => has_printer(&status),
            Err(complaint) => Ready::No(complaint),
        };
        if ready == Ready::Yes || Instant::now() >= until {
            return ready;
        }
        sleep(LOOK);
    }
}

fn has_printer(status: &Status) -> Ready {
    match &status.printer.fault {
        Some(fault) => Ready::No(Complaint { code: fault.code.clone(), text: fault.text.clone() }),
        None if status.printer.firmware.is_some() => Ready::Yes,
        None => Ready::No(Complaint::of(Fault::FirmwareSilent, "the printer has not answered yet")),
    }
}

/// Pairs by a code.
pub(super) fn pair(
    whereabouts: &Whereabouts,
    relay: String,
    ca: Option<PathBuf>,
    unseen: bool,
    out: &mut impl Write,
) -> Attempt<Paired> {
    let paired = pair::with_code(whereabouts, PairFlags::new(relay, ca, unseen), out);
    owner(whereabouts, paired)
}

/// Pairs by a token.
pub(super) fn enrol(whereabouts: &Whereabouts, token: PathBuf, out: &mut impl Write) -> Attempt<Paired> {
    let enrolled = pair::by_token(whereabouts, Some(token), out);
    owner(whereabouts, enrolled)
}

fn owner(whereabouts: &Whereabouts, done: Result<(), Failure>) -> Attempt<Paired> {
    done.map_err(|failure| complaint(&failure))?;
    let loaded = whereabouts.load(&[]).map_err(|failure| complaint(&failure))?;
    let kept = Kept::read(&loaded.config.state_dir).ok().flatten();
    let unkept = || Complaint::of(Fault::PairRefused, "it was paired, and nothing is kept of it");
    kept.map(|kept| Paired { owner: kept.owner.to_string() }).ok_or_else(unkept)
}

fn complaint(failure: &Failure) -> Complaint {
    let code = failure.code().unwrap_or(Fault::PairRefused.code());
    Complaint { code: code.to_owned(), text: failure.text().to_owned() }
}

/// Prints a test and stays until it is over.
pub(super) fn test(whereabouts: &Whereabouts, test: Test, out: &mut impl Write) -> Attempt<()> {
    let told = |failure: Failure| complaint(&failure);
    let talk = |error: TalkError| complaint(&error.into());
    let mut agent = whereabouts.agent().map_err(told)?;
    let config = whereabouts.load(&[]).map_err(told)?.config;
    let status = agent.status().map_err(talk)?;
    may_begin(&status)?;
    let ground = status.printer.profile.and_then(|profile| ground(&config, &profile));
    let text = gcode(test, ground).map_err(|error| Complaint::of(Fault::MotionOutside, error.to_string()))?;
    let file = place(&text).map_err(|error| Complaint::of(Fault::DiskFull, error.to_string()))?;
    if test.moves() {
        // The person has said so with the test.
        bed::clear_now(&mut agent).map_err(told)?;
    }
    let wishes = PrintWishes { name: Some(format!("setup-{}.gcode", test.word())), ..PrintWishes::default() };
    let job = agent.job(&Request::Enqueue { path: file.clone(), wishes });
    // The agent has a copy of its own.
    let _ = fs::remove_file(&file);
    let job = job.map_err(talk)?;
    // Nobody who reads along is no reason to leave a print unwatched.
    let _ = writeln!(out, "The test is job {}.", job.job_id);
    let _ = out.flush();
    follow(&mut agent, job)
}

/// A part that may be gone on with is not given up for the sake of a test.
fn may_begin(status: &Status) -> Attempt<()> {
    let interrupted = status.bed.iter().flat_map(|bed| &bed.interrupted).next();
    match interrupted {
        Some(job) => {
            let text = format!("job {job} was interrupted and is on the bed; see `spoolway-agent jobs`");
            Err(Complaint::of(Fault::BedNotClear, text))
        }
        None => Ok(()),
    }
}

fn follow(agent: &mut Client, mut job: JobView) -> Attempt<()> {
    let until = Instant::now() + TEST;
    loop {
        match job.state {
            JobState::Completed => return Ok(()),
            state if state.is_terminal() || state == JobState::Interrupted => return Err(ended(&job)),
            // Both wait for a person, who is told what for.
            JobState::AwaitingOperator | JobState::AwaitingBedClear => return Err(ended(&job)),
            _ if Instant::now() >= until => {
                return Err(Complaint::of(Fault::PrintStalled, format!("job {} takes too long", job.job_id)));
            }
            _ => sleep(LOOK),
        }
        let jobs = agent.jobs().map_err(|error| complaint(&error.into()))?;
        let found = jobs.into_iter().find(|known| known.job_id == job.job_id);
        job = found.ok_or_else(|| Complaint::of(Fault::JobUnknown, "the test's job is gone"))?;
    }
}

fn ended(job: &JobView) -> Complaint {
    let code = job.code.clone().unwrap_or_else(|| match job.state {
        JobState::AwaitingBedClear => Fault::BedNotClear.code().to_owned(),
        JobState::AwaitingOperator => Fault::JobNeedsOverride.code().to_owned(),
        _ => UNREACHABLE.to_owned(),
    });
    let reason = job.reason.as_deref().unwrap_or("no reason is known");
    Complaint { code, text: format!("the test (job {}) is {}: {reason}", job.job_id, job.state) }
}

/// Where the bed is, as the agent itself holds files against it.
fn ground(config: &Config, profile: &str) -> Option<Ground> {
    let (registry, _) = Registry::load(config.profiles.folder.as_deref());
    let known = registry.get(profile).ok()?;
    let volume = preflight::printer(&known.profile, None, None, &config.preflight).volume?;
    let flat = |point: [f64; 3]| (point[0], point[1]);
    Some(Ground { least: flat(volume.least), most: flat(volume.most) })
}

/// A file that the agent's user can read, and that nobody has laid there before.
fn place(text: &str) -> std::io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("spoolway-setup-{}.gcode", std::process::id()));
    let path = if path.is_absolute() { path } else { Path::new("/tmp").join(path) };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::super::super::jobs::tests::job;
    use super::*;

    #[test]
    fn a_job_that_waits_for_a_person_or_has_failed_says_why() {
        for (state, code) in [
            (JobState::AwaitingBedClear, "bed.not_clear"),
            (JobState::AwaitingOperator, "job.needs_override"),
        ] {
            let complaint = ended(&job("j1", state, 0));
            assert_eq!(complaint.code, code);
            assert!(complaint.text.contains("j1"), "{}", complaint.text);
        }
        let mut failed = job("j1", JobState::Failed, 0);
        failed.code = Some(Fault::FirmwareReset.code().to_owned());
        assert_eq!(ended(&failed).code, "firmware.reset");
    }

    /// Otherwise it would wait for a person, for whom it was meant to be the first easy thing.
    #[test]
    fn no_test_is_held_up_by_what_is_found_in_its_own_file() {
        use spoolway_agent_core::preflight::Severity;
        let said = crate::config::Preflight { volume_mm: Some([220, 220, 250]), ..Default::default() };
        let ground = Some(Ground { least: (0.0, 0.0), most: (220.0, 220.0) });
        for known in Registry::built_in().iter() {
            let is_marlin = known.profile.id == "marlin";
            for (_, test) in Test::WORDS.into_iter().filter(|(_, test)| !test.moves() || is_marlin) {
                let printer = preflight::printer(&known.profile, Some(115_200), None, &said);
                // Without a line there is no file.
                let Some(text) = Some(gcode(test, ground).unwrap()).filter(|text| !text.is_empty()) else {
                    continue;
                };
                let report = preflight::read(text.as_bytes(), printer).unwrap();
                let findings = preflight::findings(&report);
                let is_held = matches!(report.worst(), Some(Severity::Fatal | Severity::Error));
                assert!(!is_held, "{} {test:?}: {findings:?}", known.profile.id);
            }
        }
    }

    #[test]
    fn the_file_of_a_test_is_not_laid_over_another() {
        let path = place("G4 P0\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "G4 P0\n");
        assert!(place("G4 P0\n").is_err());
        fs::remove_file(&path).unwrap();
    }
}
