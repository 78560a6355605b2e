//! An updater over a machine that is played: what it installs, when it goes back, and what a kill at any moment leaves.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use spoolway_agent_core::update::AGAIN;
use spoolway_protocol::CmdId;

use super::begin::millis;
use super::well::{BETWEEN, UNTIL_WELL};
use super::*;
use crate::update::ask;
use crate::update::machine::Health;

const NOW_MS: u64 = 1_760_000_000_000;
const WINDOW_MS: u64 = 60_000;
const OLD: &str = "0.1.0-1";
const NEW: &str = "0.2.0-1";

/// The process is gone from one moment to the next.
struct Killed;

/// A machine with one agent, or two.
struct Played {
    dir: tempfile::TempDir,
    /// Versions that the sources have.
    sources: Vec<&'static str>,
    installed: RefCell<Option<String>>,
    /// Versions that run and are well.
    well: Vec<&'static str>,
    /// What an agent says to an updater.
    said: RefCell<Vec<(usize, Said)>>,
    allows: Cell<bool>,
    /// Versions with which the relay is reached.
    linked: Vec<&'static str>,
    agents: usize,
    /// Who was let in.
    held: RefCell<Vec<bool>>,
    /// Versions in the order in which they were installed.
    done: RefCell<Vec<String>>,
    half: Cell<bool>,
    /// Whether there is a program that runs whatever is installed.
    stays: Cell<bool>,
    /// Things that are done until the next kill.
    lives: Cell<usize>,
    /// Seconds since the boot.
    at_s: Cell<u64>,
    /// Looks at an agent since an installation, and how long each of them takes.
    looks: Cell<u64>,
    look_s: u64,
    /// How long a package is fetched.
    fetch_s: u64,
    /// Whether the sources are reached.
    reached: bool,
    runs: bool,
    /// What a person makes of the package while the new version is judged; none is to remove it.
    person: RefCell<Option<Option<&'static str>>>,
    wanted: Cell<bool>,
}

impl Played {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            sources: vec![OLD, NEW],
            installed: RefCell::new(Some(OLD.to_owned())),
            well: vec![OLD, NEW],
            said: RefCell::default(),
            allows: Cell::new(true),
            linked: vec![OLD, NEW],
            agents: 1,
            held: RefCell::new(vec![false; 2]),
            done: RefCell::default(),
            half: Cell::new(false),
            stays: Cell::new(false),
            lives: Cell::new(usize::MAX),
            at_s: Cell::new(0),
            looks: Cell::new(0),
            look_s: 0,
            fetch_s: 0,
            reached: true,
            runs: true,
            person: RefCell::default(),
            wanted: Cell::new(true),
        }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("spoolway")
    }

    fn asks(self, version: Option<&str>) -> Self {
        for seat in self.seats() {
            std::fs::create_dir_all(seat.state).unwrap();
        }
        let request =
            Request { id: id(), version: version.map(str::to_owned), not_after: NOW_MS + WINDOW_MS };
        ask(&self.state(), &request).unwrap();
        self
    }

    fn updater(&self) -> Updater<'_, Self> {
        let folder = self.dir.path();
        let places = Places { state: folder.join("spoolway-update"), cache: folder.join("cache") };
        std::fs::create_dir_all(&places.cache).unwrap();
        Updater { machine: self, places }
    }

    /// The updater's word, when nothing kills it.
    fn word(&self) -> Verdict {
        self.updater().work().unwrap();
        verdict(&self.state()).unwrap()
    }

    /// As the machine stands when all is over.
    fn is_as_it_was_or_new(&self) {
        assert!(!self.half.get(), "something is half installed");
        assert!(Order::left(&self.updater().places.state).unwrap().is_none());
        assert!(!self.held.borrow().iter().any(|held| *held), "jobs are held up for ever");
    }

    fn act(&self) {
        match self.lives.get().checked_sub(1) {
            Some(left) => self.lives.set(left),
            None => resume_unwind(Box::new(Killed)),
        }
    }
}

fn id() -> CmdId {
    CmdId::from_parts(NOW_MS, &[7; 10])
}

impl Machine for Played {
    fn seats(&self) -> Vec<Seat> {
        let names = ["spoolway", "spoolway@left"];
        let seat = |name: &&str| Seat {
            unit: format!("{name}.service"),
            state: self.dir.path().join(name),
            socket: PathBuf::new(),
            allows: self.allows.get(),
        };
        names[..self.agents].iter().map(seat).collect()
    }

    fn ask(&self, seat: &Seat, action: UpdateAction) -> Said {
        self.act();
        let at = usize::from(seat.unit.contains('@'));
        let next = self.said.borrow().first().cloned();
        if let Some((whom, said)) = next
            && whom == at
            && matches!(action, UpdateAction::LetIn { .. })
        {
            self.said.borrow_mut().remove(0);
            return said;
        }
        self.held.borrow_mut()[at] = matches!(action, UpdateAction::LetIn { .. });
        Said::Yes
    }

    fn health(&self, seat: &Seat) -> Option<Health> {
        if !self.done.borrow().is_empty()
            && let Some(version) = self.person.take()
        {
            self.installed.replace(version.map(str::to_owned));
            self.wanted.set(version.is_some());
        }
        if !self.runs {
            return None;
        }
        self.at_s.set(self.at_s.get() + self.look_s);
        self.looks.set(self.looks.get() + 1);
        let installed = self.installed.borrow();
        let well = installed.as_deref().is_some_and(|version| self.well.contains(&version));
        Some(Health {
            pid: well.then_some(1),
            restarts: if well { 0 } else { self.done.borrow().len() as u32 },
            linked: installed.as_deref().is_some_and(|version| self.linked.contains(&version)),
            printer: well,
            lacks: format!("{} is activating", seat.unit),
        })
    }

    fn installed(&self) -> Option<String> {
        self.installed.borrow().clone().filter(|_| !self.half.get())
    }

    fn is_wanted(&self) -> bool {
        self.wanted.get()
    }

    fn refresh(&self) -> Result<(), String> {
        self.act();
        if self.reached { Ok(()) } else { Err("apt-get: E: no route".to_owned()) }
    }

    fn newest(&self) -> Option<String> {
        self.sources.last().map(|version| (*version).to_owned())
    }

    fn is_newer(&self, version: &str, than: &str) -> bool {
        version > than
    }

    fn fetch(&self, version: &str, folder: &Path) -> Result<PathBuf, String> {
        self.act();
        self.at_s.set(self.at_s.get() + self.fetch_s);
        let package = folder.join(version);
        if !package.exists() {
            if !self.sources.contains(&version) {
                return Err("apt-get: not found".to_owned());
            }
            std::fs::write(&package, version).unwrap();
        }
        Ok(package)
    }

    fn install(&self, package: &Path) -> Result<(), String> {
        assert!(self.stays.get(), "nobody could go back");
        assert!(
            self.held.borrow()[..self.agents].iter().all(|held| *held),
            "installed while a job may start"
        );
        self.act();
        let version = std::fs::read_to_string(package).map_err(|error| error.to_string())?;
        self.half.set(true);
        self.installed.replace(Some(version.clone()));
        self.act();
        self.half.set(false);
        self.looks.set(0);
        self.done.borrow_mut().push(version);
        Ok(())
    }

    fn repair(&self) {
        self.act();
        self.half.set(false);
    }

    fn stay(&self) -> Result<(), String> {
        self.act();
        self.stays.set(true);
        Ok(())
    }

    fn leave(&self) {
        self.stays.set(false);
    }

    fn unix_ms(&self) -> u64 {
        NOW_MS + self.at_s.get() * 1_000
    }

    fn since_boot(&self) -> Duration {
        Duration::from_secs(self.at_s.get())
    }

    fn wait(&self, time: Duration) {
        self.at_s.set(self.at_s.get() + time.as_secs());
    }

    fn say(&self, _: &str) {
        self.act();
    }
}

fn refused(played: &Played) -> (UpdateWord, Option<String>) {
    let word = played.word();
    played.is_as_it_was_or_new();
    assert_eq!(played.installed().as_deref(), Some(OLD));
    assert_eq!(*played.done.borrow(), [""; 0], "nothing was changed");
    (word.state, word.code)
}

fn of(fault: Fault) -> (UpdateWord, Option<String>) {
    (UpdateWord::Refused, Some(fault.code().to_owned()))
}

#[test]
fn a_version_that_is_well_stays_and_its_package_is_kept() {
    for version in [Some(NEW), None] {
        let played = Played::new().asks(version);
        let word = played.word();
        assert_eq!(
            (word.state, word.from.as_deref(), word.to.as_deref()),
            (UpdateWord::Installed, Some(OLD), Some(NEW))
        );
        assert_eq!((word.code, word.text), (None, None));
        assert_eq!(*played.done.borrow(), [NEW]);
        let kept: Vec<_> = std::fs::read_dir(played.updater().places.cache).unwrap().flatten().collect();
        assert_eq!(kept.iter().map(std::fs::DirEntry::file_name).collect::<Vec<_>>(), [NEW]);
        played.is_as_it_was_or_new();
        // The agent has not heard of it yet, and asks again.
        ask(&played.state(), &Request { id: id(), version: None, not_after: NOW_MS + 1 }).unwrap();
        played.updater().work().unwrap();
        assert_eq!(*played.done.borrow(), [NEW], "once");
        assert!(Found::look(&played.state()).is_none());
    }
}

#[test]
fn a_version_that_is_not_well_is_rolled_back_without_the_sources() {
    let played = Played { well: vec![OLD], ..Played::new() }.asks(Some(NEW));
    let word = played.word();
    assert_eq!((word.state, word.code.as_deref()), (UpdateWord::RolledBack, Some("update.unhealthy")));
    assert!(word.text.unwrap().contains("spoolway.service is activating"));
    assert_eq!(*played.done.borrow(), [NEW, OLD]);
    played.is_as_it_was_or_new();
}

#[test]
fn a_version_that_does_not_reach_the_relay_as_before_is_rolled_back() {
    let played = Played { linked: vec![OLD], ..Played::new() }.asks(Some(NEW));
    let word = played.word();
    assert_eq!(word.state, UpdateWord::RolledBack);
    assert!(word.text.unwrap().contains("no session with its relay"));
    assert_eq!(*played.done.borrow(), [NEW, OLD]);
    // One that had none before need not have one afterwards.
    let played = Played { linked: vec![], ..Played::new() }.asks(Some(NEW));
    assert_eq!(played.word().state, UpdateWord::Installed);
}

/// Each look takes as long as the agent has to answer: the time counts, and not the looks.
#[test]
fn an_agent_that_hangs_at_its_socket_is_not_looked_at_for_longer_than_another() {
    for look_s in [0, 10, 30] {
        let played = Played { well: vec![], look_s, ..Played::new() }.asks(Some(NEW));
        assert_eq!(played.word().state, UpdateWord::Failed);
        let most = UNTIL_WELL.as_secs() / (look_s + BETWEEN.as_secs()) + 1;
        assert!(played.looks.get() <= most, "{} looks of {look_s} s", played.looks.get());
        played.is_as_it_was_or_new();
    }
}

#[test]
fn what_cannot_be_undone_or_is_not_wanted_is_not_begun() {
    let played = Played::new().asks(Some("0.3.0-1"));
    assert_eq!(refused(&played), of(Fault::UpdateNotFound));
    let played = Played::new().asks(Some("0.0.9-1"));
    assert_eq!(refused(&played), of(Fault::UpdateOlder));
    let played = Played { sources: vec![NEW], ..Played::new() }.asks(Some(NEW));
    assert_eq!(refused(&played), of(Fault::UpdateNoWayBack));
    let played = Played { sources: vec![], ..Played::new() }.asks(None);
    assert_eq!(refused(&played), of(Fault::UpdateNotFound));
    let played = Played::new().asks(Some(NEW));
    played.allows.set(false);
    assert_eq!(refused(&played), of(Fault::UpdateNotAllowed), "whatever the agent says that has asked");
    let played = Played::new().asks(Some(OLD));
    assert_eq!(refused(&played), (UpdateWord::Unchanged, None));
    let played = Played { runs: false, ..Played::new() }.asks(Some(NEW));
    played.allows.set(false);
    assert_eq!(refused(&played), of(Fault::UpdateNotAllowed), "an agent asks, and ends");
    let played = Played { sources: vec![OLD], ..Played::new() }.asks(None);
    assert_eq!(refused(&played), (UpdateWord::Unchanged, None));
    let played = Played { fetch_s: 31, ..Played::new() }.asks(Some(NEW));
    assert_eq!(refused(&played), (UpdateWord::Expired, None), "its window went by while it was fetched");
    let played = Played::new().asks(None);
    std::fs::remove_file(played.state().join("update/request.toml")).unwrap();
    ask(&played.state(), &Request { id: id(), version: None, not_after: NOW_MS - 1 }).unwrap();
    assert_eq!(refused(&played), (UpdateWord::Expired, None));
}

#[test]
fn sources_that_are_not_reached_are_asked_again_while_the_window_lets_it() {
    let away = |version| Played { reached: false, sources: vec![OLD], ..Played::new() }.asks(version);
    for version in [None, Some(NEW)] {
        let played = away(version);
        let not_after = NOW_MS + millis(AGAIN);
        ask(&played.state(), &Request { id: id(), version: version.map(str::to_owned), not_after }).unwrap();
        played.updater().work().unwrap();
        assert_eq!(verdict(&played.state()), None, "{version:?}");
        played.is_as_it_was_or_new();
    }
    let word = away(None).word();
    assert_eq!((word.state, word.text.as_deref()), (UpdateWord::Unchanged, Some("apt-get: E: no route")));
    let word = away(Some(NEW)).word();
    assert_eq!(word.text.as_deref(), Some("apt-get: not found (apt-get: E: no route)"));
    // What is known already need not be looked up.
    let played = Played { reached: false, ..Played::new() }.asks(Some(NEW));
    assert_eq!(played.word().state, UpdateWord::Installed);
}

#[test]
fn what_a_person_does_meanwhile_stays() {
    for (person, text) in
        [(Some("0.1.5-1"), "somebody has installed 0.1.5-1"), (None, "somebody has removed")]
    {
        for well in [vec![OLD, NEW, "0.1.5-1"], vec![OLD]] {
            let played = Played { well, person: RefCell::new(Some(person)), ..Played::new() }.asks(Some(NEW));
            let word = played.word();
            assert_eq!(word.state, UpdateWord::Cancelled);
            assert!(word.text.as_deref().unwrap().starts_with(text), "{word:?}");
            assert_eq!(played.installed().as_deref(), person);
            assert_eq!(*played.done.borrow(), [NEW], "nothing else was installed");
            played.is_as_it_was_or_new();
        }
    }
}

#[test]
fn nothing_is_installed_while_any_agent_of_the_machine_prints() {
    let busy = || Said::No { code: Fault::Busy.code().to_owned(), text: "job j-1 is printing".to_owned() };
    for said in [busy(), Said::Nothing("it is activating".to_owned())] {
        for whom in [0, 1] {
            let played = Played { agents: 2, ..Played::new() }.asks(Some(NEW));
            played.said.replace(vec![(whom, said.clone())]);
            played.updater().work().unwrap();
            assert_eq!(*played.done.borrow(), [""; 0]);
            assert_eq!(verdict(&played.state()), None, "it is asked again");
            played.is_as_it_was_or_new();
        }
    }
    // A print that has begun before the way back is let: the updater waits.
    let played = Played { well: vec![OLD], ..Played::new() }.asks(Some(NEW));
    played.said.replace(vec![(0, Said::Yes), (0, busy()), (0, busy())]);
    // The first word is a mere yes, so it has to be held by hand here.
    played.held.borrow_mut()[0] = true;
    assert_eq!(played.word().state, UpdateWord::RolledBack);
    assert_eq!(*played.said.borrow(), [], "it has asked until nobody printed");
}

#[test]
fn neither_version_being_well_is_told_as_such() {
    let played = Played { well: vec![], ..Played::new() }.asks(Some(NEW));
    let word = played.word();
    assert_eq!((word.state, word.code.as_deref()), (UpdateWord::Failed, Some("update.unhealthy")));
    assert!(word.text.unwrap().contains("; and going back: "));
}

#[test]
fn what_was_in_hand_and_is_lost_holds_up_no_other_wish() {
    let played = Played::new().asks(None);
    let folder = played.updater().places.state;
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("order.toml"), "state = \"/var").unwrap();
    played.half.set(true);
    assert_eq!(played.word().state, UpdateWord::Installed);
    played.is_as_it_was_or_new();
    assert_eq!(std::fs::read_to_string(folder.join(BROKEN)).unwrap(), "state = \"/var");
}

/// kill -9 and power cuts: after each thing that is done, once more after the next run has gone on for a while, and so on.
#[test]
fn a_kill_at_any_moment_leaves_one_of_both_versions_whole_and_its_verdict() {
    for well in [vec![OLD, NEW], vec![OLD]] {
        let is_well = well.contains(&NEW);
        for step in 1..60 {
            let played = Played { agents: 2, well: well.clone(), ..Played::new() }.asks(Some(NEW));
            let mut kills = 0;
            loop {
                // Each run gets further than the one before, as one does that is killed by chance.
                played.lives.set(if kills < 6 { step + kills } else { usize::MAX });
                let run = catch_unwind(AssertUnwindSafe(|| played.updater().work()));
                match run {
                    Ok(done) => break done.unwrap(),
                    Err(death) => assert!(death.is::<Killed>(), "step {step}: it panicked by itself"),
                }
                kills += 1;
            }
            played.lives.set(usize::MAX);
            played.is_as_it_was_or_new();
            let word = verdict(&played.state()).unwrap();
            let installed = played.installed();
            match (&word.state, installed.as_deref()) {
                (UpdateWord::Installed, Some(NEW)) => assert!(is_well, "step {step}"),
                (UpdateWord::RolledBack, Some(OLD)) => assert!(!is_well, "step {step}"),
                (UpdateWord::Refused, Some(OLD)) => {
                    assert_eq!(word.code.as_deref(), Some("update.not_installed"), "step {step}");
                }
                found => panic!("step {step}: {found:?}"),
            }
        }
    }
}
