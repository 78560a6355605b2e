//! `pair` and `enrol`: this machine gets an owner, with a person who compares four words or by a token.

pub(super) mod ask;
mod printer;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use spoolway_protocol::pairing::{PairInfo, PairStarted};
use spoolway_protocol::{BackendId, Fault};

use super::paint::{plain, wrap};
use super::{Exit, Failure, Whereabouts};
use crate::clock::Clock;
use crate::config::{Flag, Loaded, Origin, Relay};
use crate::identity::Identity;
use crate::local::Client;
use crate::pairing::{
    EnrolError, Kept, PairError, Scene, TOKEN_FILES, TokenFile, enrol, erase, pair, relay_of,
};
use crate::paths::SYSTEM_SOCKET;
use crate::uplink::{check_files, this_agent};

/// Width of a terminal that nobody has to widen.
const COLUMNS: usize = 79;

/// How to pair.
#[derive(Debug, Args)]
pub(super) struct PairFlags {
    /// Relay, as wss://host or wss://host:port; else that of the configuration, or of the pairing before.
    #[arg(long, value_name = "URL")]
    relay: Option<String>,
    /// Authority that signed the relay's certificate (PEM), if it is a private one; it is kept with the pairing.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Do not ask whether the words are the same. Only where nobody can be between this machine and the relay.
    #[arg(long)]
    yes: bool,
}

impl PairFlags {
    /// As another command means it; `yes` skips the words.
    pub(super) fn new(relay: String, ca: Option<PathBuf>, yes: bool) -> Self {
        Self { relay: Some(relay), ca, yes }
    }
}

/// Whether a file is the certificate of an authority.
pub(super) fn check_ca(file: &Path) -> Result<(), Failure> {
    let relay = Relay { ca_file: Some(file.to_owned()), ca_only: true, ..Relay::default() };
    check_files(&relay).map_err(|why| {
        let why = why.strip_prefix("relay.ca_file = ").unwrap_or(&why).to_owned();
        let help = "Copy the relay's ca.pem to this machine, and name it.";
        Failure::new(Exit::Usage, format!("--ca {why}"), None, help)
    })
}

/// Pairs, with a person at either end.
pub(super) fn with_code(
    whereabouts: &Whereabouts,
    flags: PairFlags,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if !flags.yes && ask::is_at_end(&mut io::stdin().lock(), io::stdin()) {
        return Err(unanswered(Exit::Usage, "nobody can be asked whether the words are the same"));
    }
    flags.ca.as_deref().map_or(Ok(()), check_ca)?;
    let given = flags.relay.map(|value| Flag { key: "relay.url".to_owned(), value });
    let mut here = Here::find(whereabouts, given.as_slice())?;
    let kept = Kept::read(&here.loaded.config.state_dir).unwrap_or_default();
    let mut relay = relay_of(&here.loaded.config, kept.as_ref()).ok_or_else(|| {
        let help = "Name the relay: `spoolway-agent pair --relay wss://relay.example.org`.";
        Failure::new(Exit::Usage, "it is not said with which relay", None, help)
    })?;
    relay.ca_file = flags.ca.or(relay.ca_file);
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::of(Fault::ConfigBroken, format!("{}: {error}", path.display())))
    };
    let ca = relay.ca_file.as_deref().map(read).transpose()?;
    if let Some(kept) = &kept {
        let until = format!(
            "{} owns this agent until now. Its jobs are dropped, and so is what it has not been told yet; a print goes on to its end.",
            kept.owner
        );
        for line in wrap(&until, COLUMNS) {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out, "Pairing over {} ...", relay.url)?;
    let info = here.info();
    let mut screen = Screen { out, yes: flags.yes };
    let me = (here.loaded.config.state_dir.as_path(), &here.identity, &here.clock);
    let paired = block_on(pair(me, (relay, ca.as_deref()), info, &mut screen))??;
    writeln!(out, "Paired: {} ({}) owns this agent now.", paired.owner, plain(&paired.organisation))?;
    here.say_when(out)
}

/// Pairs by a token, and erases it.
pub(super) fn by_token(
    whereabouts: &Whereabouts,
    file: Option<PathBuf>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let usual = || TOKEN_FILES.iter().map(PathBuf::from).find(|path| path.exists());
    let path = file.or_else(usual).ok_or_else(|| {
        let text = format!("there is no token: neither {}", TOKEN_FILES.join(" nor "));
        let help = "Write the output of `spoolway-relay enrol add` there, or name another file.";
        Failure::new(Exit::Configuration, text, None, help)
    })?;
    let token = TokenFile::read(&path)?;
    let mut here = Here::find(whereabouts, &[])?;
    writeln!(out, "Enrolling at {} ...", token.relay())?;
    let info = here.info();
    let me = (here.loaded.config.state_dir.as_path(), &here.identity, &here.clock);
    let enrolled = block_on(enrol(me, (&token, &here.loaded.config.relay), info))??;
    writeln!(out, "Enrolled: {} ({}) owns this agent now.", enrolled.owner, plain(&enrolled.organisation))?;
    match erase(&path) {
        Ok(()) => writeln!(out, "The token is erased.")?,
        Err(error) => writeln!(out, "The token could not be erased: {error}. Remove it by hand.")?,
    }
    here.say_when(out)
}

/// This machine's agent.
struct Here {
    loaded: Loaded,
    identity: Identity,
    clock: Clock,
    agent: Option<Client>,
}

impl Here {
    fn find(whereabouts: &Whereabouts, flags: &[Flag]) -> Result<Self, Failure> {
        let loaded = whereabouts.load(flags)?;
        let socket = whereabouts.find_socket()?;
        refuse_for_the_systems(&socket, &loaded)?;
        let identity = Identity::open(&loaded.config.state_dir)?;
        let clock = Clock::start()
            .map_err(|error| Failure::new(Exit::Runtime, error.to_string(), None, "Mount /proc."))?;
        clock.raise_floor(identity.last_hello_ctr());
        Ok(Self { loaded, identity, clock, agent: Client::connect(&socket).ok() })
    }

    /// What a person at the other end recognises this machine by.
    fn info(&mut self) -> PairInfo {
        let config = &self.loaded.config;
        let firmware = self.agent.as_mut().and_then(|agent| agent.status().ok()?.printer.firmware);
        let is_set = *self.loaded.origin("printer.port") != Origin::Default;
        let at_port = || printer::at(Path::new("/"), &config.printer.port, is_set);
        let name = config.preflight.model.clone().or(firmware).unwrap_or_else(at_port);
        let this = this_agent();
        PairInfo {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            printer: name,
            model: if this.model.is_empty() { format!("{} computer", this.arch) } else { this.model },
            ver: this.ver,
        }
    }

    fn say_when(&self, out: &mut impl Write) -> Result<(), Failure> {
        match self.agent {
            Some(_) => writeln!(out, "The agent connects within seconds.")?,
            None => writeln!(out, "The agent connects when it is started.")?,
        }
        Ok(())
    }
}

/// Where the system's agent is meant, its settings and its pairing are not those of this user.
pub(super) fn refuse_for_the_systems(socket: &Path, loaded: &Loaded) -> Result<(), Failure> {
    if socket != Path::new(SYSTEM_SOCKET) || loaded.config.socket == socket {
        return Ok(());
    }
    let text = "this machine's agent belongs to the system";
    Err(Failure::new(Exit::Runtime, text, None, "Say it as root: `sudo spoolway-agent ...`."))
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // Somebody may still be asked; nobody waits for the answer.
    runtime.shutdown_background();
    Ok(done)
}

/// The terminal.
struct Screen<'a, W> {
    out: &'a mut W,
    yes: bool,
}

impl<W: Write> Scene for Screen<'_, W> {
    fn show_code(&mut self, started: &PairStarted) -> io::Result<()> {
        let minutes = started.expires_s / 60;
        let link = plain(&started.link);
        writeln!(
            self.out,
            "\n  Code   {}   (once, within {minutes} minutes)\n  Link   {link}\n",
            started.code
        )?;
        if io::stdout().is_terminal()
            && let Ok(code) = QrCode::new(&link)
        {
            writeln!(self.out, "{}\n", code.render::<Dense1x2>().build())?;
        }
        writeln!(self.out, "Give the code to the backend, or open the link. Waiting ...")?;
        self.out.flush()
    }

    async fn compare(
        &mut self,
        owner: &BackendId,
        organisation: &str,
        words: [&'static str; 4],
    ) -> io::Result<bool> {
        writeln!(
            self.out,
            "\n{owner} ({}) has taken the code.\n\n  Words  {}\n",
            plain(organisation),
            words.join(" ")
        )?;
        if self.yes {
            return Ok(true);
        }
        write!(self.out, "Does the other end show the same words? [y/N] ")?;
        self.out.flush()?;
        let asked = tokio::task::spawn_blocking(|| ask::is_yes(&mut io::stdin().lock()));
        let answer = asked.await.map_err(io::Error::other)?;
        if answer.is_err() {
            // Nobody has ended the line of the question.
            writeln!(self.out)?;
        }
        answer
    }

    fn wait_for_other(&mut self) -> io::Result<()> {
        writeln!(self.out, "Waiting for the yes at the other end ...")?;
        self.out.flush()
    }
}

/// There is nobody to compare the words.
fn unanswered(exit: Exit, text: &str) -> Failure {
    let help = "Say it where somebody can answer: at a terminal, or by `ssh -t HOST sudo spoolway-agent pair`. With --yes nothing is asked here, and the other end alone compares: only where nobody can be between this machine and the relay. Where there is nobody at all, `spoolway-agent enrol` takes a token.";
    Failure::new(exit, format!("{text}:\nstandard input is at its end"), None, help)
}

impl From<PairError> for Failure {
    fn from(error: PairError) -> Self {
        let text = error.to_string();
        match error {
            PairError::Failed(failure) => Self::of(failure.fault, text),
            PairError::Scene(error) if error.kind() == ErrorKind::UnexpectedEof => {
                unanswered(Exit::Runtime, "nobody has said whether the words are the same")
            }
            PairError::Scene(error) => error.into(),
            PairError::Keep(_) => {
                Self::new(Exit::Runtime, text, None, "Say it as the agent's own user, or as root.")
            }
            PairError::NoRandom => {
                Self::new(Exit::Runtime, text, None, "Try again once the machine is fully up.")
            }
        }
    }
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Self {
        let text = error.to_string();
        match error {
            EnrolError::Refused { fault, .. } => Self::of(fault, text),
            EnrolError::Broken { .. } => {
                Self::new(Exit::Configuration, text, None, "Make the file anew: `spoolway-relay enrol add`.")
            }
            EnrolError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
                Self::new(Exit::Configuration, text, None, "Name a token file that exists.")
            }
            EnrolError::Io { .. } | EnrolError::Keep(_) => {
                Self::new(Exit::Runtime, text, None, "Say it as root: `sudo spoolway-agent enrol`.")
            }
        }
    }
}
