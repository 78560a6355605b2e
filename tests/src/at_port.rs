//! An agent's process at one port, whose relay nobody answers, and a patient look at it: for tests of what happens at the
//! machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spoolway_agent::local::words::Request;
use spoolway_agent::local::{Client, TalkError};
use spoolway_agent::view::{JobView, Status};
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;

use crate::descriptor_store::DescriptorStore;
use crate::printer::Executed;
use crate::process::ChildProcess;

/// Only something that hangs reaches it.
pub const HANG: Duration = Duration::from_secs(120);
/// The rate of a port that has no wire.
pub const BAUD: u32 = 1_000_000;
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What the agent itself asks and sets.
const OWN_COMMANDS: [&str; 4] = ["M105", "M110", "M115", "M155"];

/// The agent in a folder of its own. Its methods panic with the agent's log when it does not do what a test waits for.
#[derive(Debug)]
pub struct AgentAtPort {
    program: PathBuf,
    dir: tempfile::TempDir,
    /// Its log, which is there whatever becomes of its folder's disk.
    logs: tempfile::TempDir,
    port: PathBuf,
    profile: String,
    /// The relay, and who has signed its certificate.
    relay: (String, PathBuf),
    process: Option<ChildProcess>,
    /// Keeps the port open from one process to the next, where somebody does.
    store: Option<DescriptorStore>,
}

fn logs() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

impl AgentAtPort {
    /// Starts it; `program` is one that can play the agent, `profile` an id or `auto`.
    ///
    /// # Panics
    /// The process or its folder cannot be made.
    #[must_use]
    pub fn start(program: &Path, port: &Path, profile: &str) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder can be made"), program, port, profile)
    }

    /// The same in a folder that is there already.
    ///
    /// # Panics
    /// The process cannot be made.
    #[must_use]
    pub fn start_in(dir: tempfile::TempDir, program: &Path, port: &Path, profile: &str) -> Self {
        Self::build(dir, program, port, profile, None)
    }

    /// Like [`AgentAtPort::start`], and its port is kept open between one process and the next, as systemd does it.
    ///
    /// # Panics
    /// The process or its folder cannot be made.
    #[must_use]
    pub fn start_kept(program: &Path, port: &Path, profile: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let store = DescriptorStore::open(dir.path(), "printer").expect("a socket can be made");
        Self::build(dir, program, port, profile, Some(store))
    }

    /// The same in a folder that is there already, with a relay that answers, and its authority.
    ///
    /// # Panics
    /// The process cannot be made.
    #[must_use]
    pub fn start_kept_at(
        dir: tempfile::TempDir,
        relay: (String, PathBuf),
        program: &Path,
        port: &Path,
        profile: &str,
    ) -> Self {
        let store = DescriptorStore::open(dir.path(), "printer").expect("a socket can be made");
        let (program, port) = (program.to_owned(), port.to_owned());
        let (profile, store) = (profile.to_owned(), Some(store));
        let logs = logs();
        let mut agent = Self { program, dir, logs, port, profile, relay, process: None, store };
        agent.start_again();
        agent
    }

    fn build(
        dir: tempfile::TempDir,
        program: &Path,
        port: &Path,
        profile: &str,
        store: Option<DescriptorStore>,
    ) -> Self {
        spoolway_relay_tools::certs::init(&dir.path().join("tls"), &["localhost".to_owned()])
            .expect("certificates can be made");
        let (program, port) = (program.to_owned(), port.to_owned());
        // Nobody listens there: the agent does all local work all the same.
        let relay = ("wss://localhost:9".to_owned(), dir.path().join("tls/ca.pem"));
        let (profile, logs) = (profile.to_owned(), logs());
        let mut agent = Self { program, dir, logs, port, profile, relay, process: None, store };
        agent.start_again();
        agent
    }

    /// Starts it once more, after its end.
    ///
    /// # Panics
    /// The process cannot be made.
    pub fn start_again(&mut self) {
        let words = [
            "agent".to_owned(),
            format!("--folder={}", self.folder().display()),
            format!("--relay={}", self.relay.0),
            format!("--ca={}", self.relay.1.display()),
            format!("--port={}", self.port.display()),
            format!("--baud={BAUD}"),
            format!("--profile={}", self.profile),
        ];
        let log = self.log_file();
        let process = match &mut self.store {
            Some(store) => store.command(&self.program, &words).and_then(|mut command| {
                command.stderr(File::options().create(true).append(true).open(&log)?);
                ChildProcess::spawn_command("agent", command, log)
            }),
            None => ChildProcess::spawn("agent", &self.program, &words, &log),
        };
        self.process = Some(process.expect("the program is there"));
    }

    /// SIGKILL, as the kernel's memory killer or a power button would.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill().expect("a child can be killed");
    }

    /// It is asked to end, and ends in order; nothing happens when it has ended before.
    ///
    /// # Panics
    /// It does not end, or not well.
    pub fn end(&mut self) {
        if let Some(process) = &mut self.process {
            process.ask_to_end();
            self.wait();
        }
    }

    /// It was asked to end by somebody else, and ends in order.
    ///
    /// # Panics
    /// It does not run, does not end, or not well.
    pub fn wait(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let status = process.wait(HANG).expect("an agent that is asked to ends");
        assert!(status.success(), "{status}: {}", process.log_tail());
    }

    /// It ends by itself, so that its service manager starts it again.
    ///
    /// # Panics
    /// It does not run, does not end, or ends as if all were done.
    pub fn wait_for_failure(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let status = process.wait(HANG).expect("it ends");
        assert!(!status.success(), "{}", process.log_tail());
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(ChildProcess::id)
    }

    /// The printer's port.
    #[must_use]
    pub fn port(&self) -> &Path {
        &self.port
    }

    /// Where everything of it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.logs.path().join("agent.log")
    }

    /// It has ended, and nobody has asked how (proc_pid_stat(5)).
    fn is_dead(&self) -> bool {
        let Some(id) = self.id() else { return true };
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
        stat.ok().and_then(|stat| stat.rsplit(") ").next().map(|rest| rest.starts_with('Z'))).unwrap_or(true)
    }

    /// A connection to its socket.
    ///
    /// # Panics
    /// It has ended.
    #[must_use]
    pub fn client(&self) -> Client {
        self.until("the agent's socket", || {
            let client = Client::connect(&self.folder().join("agent.sock")).ok();
            assert!(client.is_some() || !self.is_dead(), "the agent has ended\n{}", self.log());
            client
        })
    }

    /// The agent at a glance.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    pub fn status(&self) -> Status {
        self.answer(Client::status)
    }

    /// What it says. On a busy machine it may take longer than a person is made to wait.
    fn answer<T>(&self, ask: impl Fn(&mut Client) -> Result<T, TalkError>) -> T {
        self.until("an answer", || match ask(&mut self.client()) {
            Ok(answer) => Some(answer),
            Err(TalkError::Broken { .. }) => None,
            Err(error) => panic!("{error}\n{}", self.log()),
        })
    }

    /// A job.
    ///
    /// # Panics
    /// There is no such job.
    #[must_use]
    pub fn job(&self, id: &str) -> JobView {
        let jobs = self.answer(Client::jobs);
        jobs.into_iter().find(|job| job.job_id.as_str() == id).expect("the job is there")
    }

    /// Looks until there is something to give.
    ///
    /// # Panics
    /// There is nothing for far too long.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let hung = Instant::now() + HANG;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < hung, "waited for {what}\n{}", self.log());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for a state of the printer.
    pub fn until_printer(&self, state: &PrinterState) -> Status {
        self.until(&format!("a printer that is {state:?}"), || {
            Some(self.status()).filter(|status| status.printer.state == *state)
        })
    }

    /// Waits until the printer is ready for a job.
    pub fn until_idle(&self) -> Status {
        self.until_printer(&PrinterState::Idle)
    }

    /// Waits for a state of a job.
    pub fn until_job(&self, id: &str, state: JobState) -> JobView {
        self.until(&format!("job {state}"), || Some(self.job(id)).filter(|job| job.state == state))
    }

    /// Has it print a file; gives the job's id.
    ///
    /// # Panics
    /// It refuses.
    #[must_use]
    pub fn print(&self, file: &Path) -> String {
        let request = Request::Print { path: file.to_owned(), name: None };
        self.client().job(&request).expect("a good file is taken").job_id.to_string()
    }

    /// Has it print a text.
    ///
    /// # Panics
    /// It refuses.
    #[must_use]
    pub fn print_text(&self, name: &str, text: &str) -> String {
        let file = self.folder().join(name);
        std::fs::write(&file, text).expect("a file can be written");
        self.print(&file)
    }
}

/// What a board carried out of a job, without what the agent itself asks. What carries no number stands outside of the order:
/// a host's hello and the emergency lane.
#[must_use]
pub fn commands(executed: &[Executed]) -> Vec<String> {
    let numbered = executed.iter().filter(|line| line.number.is_some());
    let texts = numbered.map(|line| String::from_utf8_lossy(line.text()).into_owned());
    texts.filter(|text| !OWN_COMMANDS.iter().any(|own| text.starts_with(own))).collect()
}
