//! An enrolment, and the answer to it.

use spoolway_agent::clock::Clock;
use spoolway_agent::config;
use spoolway_agent::identity::Identity;
use spoolway_agent::pairing::{EnrolError, Kept, TokenFile, enrol};
use spoolway_protocol::Fault;
use spoolway_protocol::pairing::PairInfo;

use crate::relay::{FakeRelay, in_time};

/// The longest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// Somebody with a token for a relay.
struct Newcomer {
    dir: tempfile::TempDir,
    identity: Identity,
    token: TokenFile,
}

impl Newcomer {
    fn of(relay: &FakeRelay) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = std::fs::read_to_string(relay.ca_file()).unwrap();
        let relay = format!("relay = \"wss://localhost:{}\"\nbackend = \"farm\"\n", relay.port);
        let path = dir.path().join("spoolway-enrol.toml");
        std::fs::write(&path, format!("{relay}token = \"t1.s3cret\"\nca = '''\n{ca}'''\n")).unwrap();
        let token = TokenFile::read(&path).unwrap_or_else(|error| panic!("{error}"));
        Self { identity: Identity::open(dir.path()).unwrap(), token, dir }
    }

    async fn enrolled(&self) -> Result<Kept, EnrolError> {
        let (clock, relay) = (Clock::start().unwrap(), config::Relay::default());
        let me = (self.dir.path(), &self.identity, &clock);
        in_time(enrol(me, (&self.token, &relay), PairInfo::default())).await
    }
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound_and_a_longer_one_leaves_everything_as_it_was() {
    let relay = FakeRelay::start().await;
    let newcomer = Newcomer::of(&relay);
    for (bytes, is_taken) in [(ANSWER_BYTES + 1, false), (ANSWER_BYTES, true)] {
        let body = r#"{"backend":"farm","organisation":"lab"}"#;
        let rest = " ".repeat(bytes - body.len());
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{body}{rest}");
        let enrolled = tokio::select! {
            enrolled = newcomer.enrolled() => enrolled,
            () = relay.answer_all(&answer) => unreachable!("it serves for ever"),
        };
        match enrolled {
            Err(EnrolError::Refused { fault: Fault::RelayUnreachable, detail }) if !is_taken => {
                assert!(detail.contains("longer than 64 KiB"), "{detail}");
            }
            Ok(kept) if is_taken => assert_eq!(kept.owner.as_str(), "farm"),
            Ok(_) => panic!("{bytes} bytes are taken"),
            Err(error) => panic!("{bytes} bytes: {error}"),
        }
        assert_eq!(Kept::read(newcomer.dir.path()).unwrap().is_some(), is_taken);
    }
}
