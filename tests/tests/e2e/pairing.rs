//! Pairing from end to end over TLS: an agent that nobody knows, a relay that runs, a backend that compares four words.

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spoolway_agent::clock::{Clock, wall_ms};
use spoolway_agent::config::{self, Proxy, RelayUrl};
use spoolway_agent::identity::Identity;
use spoolway_agent::pairing::{Kept, PairError, Scene, TokenFile, enrol, erase, pair};
use spoolway_agent::uplink::RelaySettings;
use spoolway_protocol::pairing::{PairInfo, PairStarted, PairState};
use spoolway_protocol::{BackendId, Fault};
use spoolway_relay_registry::{EnrolmentRecord, Pairings, Registry};
use spoolway_relay_tools::certs;
use spoolway_tests::agent_program::{AgentProgram, AgentSetup};
use spoolway_tests::dial::{Dialler, Relay};
use spoolway_tests::pairing::Approver;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);
const KEY: [u8; 32] = [9; 32];

/// A relay to pair with.
struct Bench(LoneRelay);

impl Deref for Bench {
    type Target = LoneRelay;

    fn deref(&self) -> &LoneRelay {
        &self.0
    }
}

impl Bench {
    async fn start() -> Self {
        Self(LoneRelay::start("localhost").await)
    }

    fn settings(&self) -> RelaySettings {
        RelaySettings {
            url: self.url().parse().unwrap(),
            ca_file: Some(self.ca()),
            ca_only: false,
            allow_unbound: false,
            client: Default::default(),
            proxy: Proxy::default(),
        }
    }

    fn approver(&self) -> Approver {
        Approver::new("localhost", self.bound.public.port(), "farm.secret", &self.ca(), vec![KEY]).unwrap()
    }
}

/// The person at the agent: gives the code away, and says yes or no to the words.
struct Person {
    code: Option<oneshot::Sender<String>>,
    words: Arc<Mutex<Option<[&'static str; 4]>>>,
    /// Nothing, where the input is at its end.
    word: Option<bool>,
}

impl Scene for Person {
    fn show_code(&mut self, started: &PairStarted) -> io::Result<()> {
        drop(self.code.take().unwrap().send(started.code.to_string()));
        Ok(())
    }

    async fn compare(
        &mut self,
        owner: &BackendId,
        organisation: &str,
        words: [&'static str; 4],
    ) -> io::Result<bool> {
        assert_eq!((owner.as_str(), organisation), ("farm", "lab"));
        *self.words.lock().unwrap() = Some(words);
        self.word.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn wait_for_other(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pairs in this process; what came of it, and whether the words were the same, unless the backend came too late to see any.
async fn paired(bench: &Bench, word: Option<bool>, answer: &str) -> (Result<Kept, PairError>, Option<bool>) {
    let identity = Identity::open(&bench.agent()).unwrap();
    let clock = Clock::start().unwrap();
    let (code, given) = oneshot::channel();
    let words = Arc::new(Mutex::new(None));
    let mut person = Person { code: Some(code), words: Arc::clone(&words), word };
    let info = PairInfo { host: "pi".into(), printer: "left".into(), ..PairInfo::default() };
    let (state, ca) = (bench.agent(), std::fs::read_to_string(bench.ca()).unwrap());
    let agent = pair((&state, &identity, &clock), (bench.settings(), Some(&ca)), info, &mut person);
    let backend = async {
        let approver = bench.approver();
        let mut claimed = approver.claim(&given.await.unwrap(), [4; 32]).await.unwrap();
        assert_eq!((claimed.seen.info.host.as_str(), claimed.seen.info.printer.as_str()), ("pi", "left"));
        // The agent may have said no already.
        let words = approver.words(&mut claimed).await.ok();
        drop(approver.say(&claimed, answer).await);
        words
    };
    let (agent, theirs) = timeout(HANG, async { tokio::join!(agent, backend) }).await.unwrap();
    let ours = words.lock().unwrap().unwrap();
    (agent, theirs.map(|theirs| ours == theirs))
}

#[tokio::test]
async fn both_ends_see_the_same_words_and_a_yes_of_both_pairs() {
    let bench = Bench::start().await;
    let (kept, is_same) = paired(&bench, Some(true), "approve").await;
    let kept = kept.unwrap();
    assert_eq!(is_same, Some(true));
    assert_eq!((kept.owner.as_str(), kept.keys.as_slice()), ("farm", [KEY.into()].as_slice()));
    let read = Kept::read(&bench.agent()).unwrap().unwrap();
    assert_eq!(std::fs::read(read.ca_file.unwrap()).unwrap(), std::fs::read(bench.ca()).unwrap());
    let id = Identity::open(&bench.agent()).unwrap().agent_id();
    assert_eq!(bench.registry().agent(&id).unwrap().unwrap().backend.as_str(), "farm");
}

#[tokio::test]
async fn a_no_of_either_end_leaves_both_as_they_were() {
    let bench = Bench::start().await;
    for (word, answer, fault) in
        [(false, "approve", Fault::PairWordsDiffer), (true, "deny", Fault::PairDenied)]
    {
        let (failed, _) = paired(&bench, Some(word), answer).await;
        assert!(matches!(&failed, Err(PairError::Failed(failure)) if failure.fault == fault), "{failed:?}");
        assert_eq!(Kept::read(&bench.agent()).unwrap(), None);
    }
    assert!(bench.registry().agents().unwrap().is_empty());
}

#[tokio::test]
async fn an_input_that_ends_before_there_was_a_yes_is_a_no_to_the_other_end() {
    let bench = Bench::start().await;
    let (failed, _) = paired(&bench, None, "approve").await;
    let is_told =
        matches!(&failed, Err(PairError::Scene(error)) if error.kind() == io::ErrorKind::UnexpectedEof);
    assert!(is_told, "{failed:?}");
    assert_eq!(Kept::read(&bench.agent()).unwrap(), None);
    let pairings = bench.registry().pairings().unwrap();
    let states: Vec<_> = pairings.iter().map(|(_, pairing)| pairing.state(wall_ms())).collect();
    assert_eq!(states, [PairState::Denied], "nobody waits until its time is over");
    assert!(bench.registry().agents().unwrap().is_empty());
}

#[tokio::test]
async fn a_relay_that_is_not_trusted_is_told_as_such() {
    let bench = Bench::start().await;
    let other = certs::init(&bench.dir.path().join("other"), &["localhost".into()]).unwrap();
    let identity = Identity::open(&bench.agent()).unwrap();
    let clock = Clock::start().unwrap();
    let mut person = Person { code: None, words: Arc::default(), word: None };
    let settings = RelaySettings { ca_file: Some(other.ca), ..bench.settings() };
    let (state, info) = (bench.agent(), PairInfo::default());
    let failed = pair((&state, &identity, &clock), (settings, None), info, &mut person).await;
    let is_told =
        matches!(&failed, Err(PairError::Failed(failure)) if failure.fault == Fault::TlsWrongCertificate);
    assert!(is_told, "{failed:?}");
}

/// Runs a command of the agent's own program, with a parent that stays.
fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(BENCH);
    command.arg("agent-program").arg(format!("--config={}", folder.join("agent.toml").display())).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn an_agent_that_runs_connects_to_the_relay_it_was_paired_with() {
    let bench = Bench::start().await;
    let folder = bench.agent();
    let setup = AgentSetup::new(&folder, Path::new("/dev/nowhere"), 115_200);
    let program = AgentProgram::within(Path::new(BENCH), "agent-program");
    let agent = program.start(&setup, &bench.dir.path().join("agent.log")).unwrap();
    let mut pairing =
        command(&folder, &["pair", "--yes", "--relay", &bench.url(), "--ca", bench.ca().to_str().unwrap()])
            .spawn()
            .unwrap();
    let (code, given) = oneshot::channel();
    // The program ends when its parent closes this.
    let input = pairing.stdin.take();
    let output = pairing.stdout.take().unwrap();
    let printed = std::thread::spawn(move || {
        use std::io::BufRead;
        let mut code = Some(code);
        let mut text = String::new();
        for line in io::BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(found) = line.trim().strip_prefix("Code ") {
                let found = found.split_whitespace().next().unwrap().to_owned();
                code.take().map(|code| code.send(found));
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    });
    let approver = bench.approver();
    let code = timeout(HANG, given).await.unwrap().unwrap();
    let mut claimed = approver.claim(&code, [4; 32]).await.unwrap();
    assert_eq!(claimed.seen.info.printer, "none: /dev/nowhere is not there");
    let words = timeout(HANG, approver.words(&mut claimed)).await.unwrap().unwrap();
    approver.say(&claimed, "approve").await.unwrap();
    let ended = tokio::task::spawn_blocking(move || pairing.wait()).await.unwrap().unwrap();
    drop(input);
    let printed = printed.join().unwrap();
    assert!(ended.success() && printed.contains(&words.join(" ")), "{ended} {printed}");
    let relay = Relay {
        host: "localhost".into(),
        port: bench.bound.public.port(),
        token: "farm.secret".into(),
        ca_file: bench.ca(),
    };
    let mut backend = Dialler::new(relay).unwrap().dial().await.unwrap();
    let up = async { while !backend.next_text().await.unwrap().contains(r#""state":"up""#) {} };
    timeout(HANG, up).await.expect("the agent connects");
    agent.finish().unwrap();
}

#[tokio::test]
async fn a_token_on_the_card_is_used_and_erased() {
    let bench = Bench::start().await;
    let token = EnrolmentRecord {
        id: "t1".into(),
        backend: "farm".parse().unwrap(),
        secret_hash: spoolway_relay::auth::hash_of_secret("s3cret"),
        uses_left: 1,
        expires_ms: u64::from(u32::MAX) * 1_000,
    };
    bench.registry().add_enrolment(&token).unwrap();
    let ca = std::fs::read_to_string(bench.ca()).unwrap();
    let key = spoolway_agent::config::BackendKey::from(KEY).to_string();
    let text = format!(
        "relay = \"{}\"\nbackend = \"farm\"\ntoken = \"t1.s3cret\"\nkeys = [\"{key}\"]\nca = '''\n{ca}'''\n",
        bench.url()
    );
    let file = bench.dir.path().join("spoolway-enrol.toml");
    std::fs::write(&file, &text).unwrap();
    let identity = Identity::open(&bench.agent()).unwrap();
    let clock = Clock::start().unwrap();
    for _ in 0..2 {
        let token = TokenFile::read(&file).unwrap_or_else(|error| panic!("{error}"));
        let state = bench.agent();
        let enrolled =
            enrol((&state, &identity, &clock), (&token, &config::Relay::default()), PairInfo::default())
                .await;
        let kept = enrolled.unwrap_or_else(|error| panic!("the same agent again: {error}"));
        assert_eq!((kept.owner.as_str(), kept.keys.as_slice()), ("farm", [KEY.into()].as_slice()));
    }
    erase(&file).unwrap();
    // Another card with the same token is one too many; the command says so with the code for "do not try again".
    let second = bench.dir.path().join("second");
    std::fs::create_dir_all(&second).unwrap();
    let config = format!("state_dir = \"{0}\"\nsocket = \"{0}/agent.sock\"\n", second.display());
    std::fs::write(second.join("agent.toml"), config).unwrap();
    std::fs::write(&file, &text).unwrap();
    let enrolment = command(&second, &["enrol", file.to_str().unwrap()]).spawn().unwrap();
    let Output { status, stderr, .. } = tokio::task::spawn_blocking(move || waited(enrolment)).await.unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("enrol.refused") && !stderr.contains("s3cret"), "{stderr}");
    assert!(file.exists(), "a token that was not used is not erased");
}

/// The end of a child whose standard input stays open meanwhile.
fn waited(mut child: std::process::Child) -> Output {
    let input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(input);
    output
}

#[test]
fn what_the_relay_writes_onto_cards_every_agent_takes() {
    for host in [
        "relay.example.org",
        "192.0.2.7",
        "[2001:db8::7]",
        "",
        "a b",
        "relay_of_ours",
        "*.example",
        "2001:db8::7",
    ] {
        for rest in ["", "/", ":8443", ":0", ":65536", ":", "/path", "?x"] {
            for scheme in ["wss://", "ws://", "https://", "", "wss://me@"] {
                let address = format!("{scheme}{host}{rest}");
                let is_written = spoolway_relay_tools::host::address(&address).is_ok();
                assert_eq!(is_written, address.parse::<RelayUrl>().is_ok(), "{address}");
            }
        }
    }
    // The agent looks for no more than characters; a certificate is for none of these.
    for address in ["wss://a..b", "wss://300.1.1.1", "wss://-", "wss://[a]"] {
        assert!(spoolway_relay_tools::host::address(address).is_err() && address.parse::<RelayUrl>().is_ok());
    }
}
