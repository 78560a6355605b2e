//! Spoolway's own protocol: an agent that signs its hello, or a backend with its token.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;
use sha2::{Digest, Sha256};
use spoolway_agent::clock::wall_ms;
use spoolway_protocol::hello::{attach_signature, signed_bytes};
use spoolway_protocol::version::{AGENT_PATH, BACKEND_PATH, PROTO};
use spoolway_relay::auth;

use super::websocket::{self, CLOSE, PING, PONG, TEXT};
use super::{Broken, Exporter, Heard, Party, Talk};

/// The host that agents sign for.
const HOST: &str = "localhost";

/// See the module.
#[derive(Debug)]
pub(in crate::bench::relay) struct Spoolway {
    party: Party,
    /// `<backend>.<secret>`; of the backend only.
    token: Arc<str>,
    state: State,
    beats: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading(Exporter),
    Challenged(Exporter),
    Claiming,
    Up,
}

/// An agent's key; the same for the same number.
pub(in crate::bench::relay) fn agent_key(agent: u32) -> Ed25519KeyPair {
    let seed: [u8; 32] = Sha256::digest(format!("an agent of the bench: {agent}")).into();
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed")
}

impl Spoolway {
    pub(in crate::bench::relay) fn new(party: Party, token: Arc<str>) -> Self {
        Self { party, token, state: State::Upgrading(Exporter::default()), beats: 0 }
    }

    /// What a text of the relay leads to.
    fn text(
        &mut self,
        text: &[u8],
        out: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<(), Broken> {
        let broken = || Broken(format!("the relay says {}", String::from_utf8_lossy(text)));
        let is = |kind: &str| {
            text.strip_prefix(br#"{"v":1,"t":""#.as_slice())
                .and_then(|rest| rest.strip_prefix(kind.as_bytes()))
                .is_some_and(|rest| rest.first() == Some(&b'"'))
        };
        match (self.state, self.party) {
            (State::Up, _) if is("nack") => hear(Heard::Refused(refused(text).ok_or_else(broken)?)),
            (State::Up, _) if is("hb") => self.beat(out),
            (State::Up, _) => hear(Heard::Message(text)),
            (State::Challenged(exporter), Party::Agent(agent)) if is("challenge") => {
                let hello = hello(agent, text, &exporter).ok_or_else(broken)?;
                websocket::encode(TEXT, hello.as_bytes(), out);
                self.state = State::Claiming;
            }
            (State::Claiming, _) if is("welcome") => self.state = State::Up,
            _ => return Err(broken()),
        }
        Ok(())
    }
}

/// The message that was not taken.
fn refused(text: &[u8]) -> Option<&str> {
    spoolway_protocol::Route::parse(std::str::from_utf8(text).ok()?).ok()?.re
}

fn hello(agent: u32, challenge: &[u8], exporter: &Exporter) -> Option<String> {
    let challenge: serde_json::Value = serde_json::from_slice(challenge).ok()?;
    let nonce = STANDARD.decode(challenge["body"]["nonce"].as_str()?).ok()?;
    let key = agent_key(agent);
    let public: [u8; 32] = key.public_key().as_ref().try_into().ok()?;
    let body = json!({
        "agent_id": auth::agent_id_of(&public), "kid": "k1", "proto": PROTO, "hello_ctr": wall_ms(),
        "boot_id": "boot-1", "machine_hash": "ab".repeat(32),
        "agent": {"ver": "1.0.0", "build": "b", "os": "linux", "arch": "aarch64", "model": "Raspberry Pi 4 Model B"},
        "caps": [], "outbox": {"epoch": 3, "next_seq": 9, "oldest_unacked": 7}, "cmd_seq": 5,
        "printers": [{"printer_id": "p0", "profile": "marlin", "fw": "Marlin 2.1.2", "fingerprint": "0011223344556677",
                      "state": "idle", "state_rev": 3, "bed_epoch": 2}],
    });
    let body = body.to_string();
    let digest: [u8; 32] = Sha256::digest(&body).into();
    let sig = key.sign(&signed_bytes(&nonce, HOST, Some(exporter), &digest));
    let body = attach_signature(&body, sig.as_ref())?;
    Some(format!(r#"{{"v":1,"t":"hello","to":"relay","body":{body}}}"#))
}

impl Talk for Spoolway {
    fn begin(&mut self, exporter: &Exporter, out: &mut Vec<u8>) {
        self.state = State::Upgrading(*exporter);
        let protocol = format!("Sec-WebSocket-Protocol: {PROTO}\r\n");
        match self.party {
            Party::Agent(_) => websocket::upgrade(AGENT_PATH, HOST, &protocol, out),
            Party::Backend => {
                let headers = format!("{protocol}Authorization: Bearer {}\r\n", self.token);
                websocket::upgrade(BACKEND_PATH, HOST, &headers, out);
            }
        }
    }

    fn take(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        if let State::Upgrading(exporter) = self.state {
            let Some(answer) = websocket::upgraded(input)? else { return Ok(0) };
            self.state = match self.party {
                Party::Agent(_) => State::Challenged(exporter),
                Party::Backend => State::Up,
            };
            taken = answer;
        }
        while let Some((frame, end)) = websocket::decode(&input[taken..])? {
            match frame.opcode {
                TEXT => self.text(frame.payload, out, hear)?,
                PING => websocket::encode(PONG, frame.payload, out),
                CLOSE => {
                    let why = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default());
                    return Err(Broken(format!("closed: {why}")));
                }
                _ => {}
            }
            taken += end;
        }
        Ok(taken)
    }

    fn is_up(&self) -> bool {
        self.state == State::Up
    }

    fn say(&mut self, _: Party, texts: &[&[u8]], out: &mut Vec<u8>) {
        texts.iter().for_each(|text| websocket::encode(TEXT, text, out));
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        self.beats += 1;
        let beat = format!(r#"{{"v":1,"t":"hb","to":"relay","body":{{"n":{}}}}}"#, self.beats);
        websocket::encode(TEXT, beat.as_bytes(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &str) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [&[0x81, 126, length[0], length[1]], payload.as_bytes()].concat()
    }

    fn take(spoolway: &mut Spoolway, input: &[u8]) -> (Result<usize, Broken>, usize, Vec<String>) {
        let (mut out, mut heard) = (Vec::new(), Vec::new());
        let taken = spoolway.take(input, &mut out, &mut |one| {
            heard.push(match one {
                Heard::Message(text) => String::from_utf8(text.to_vec()).unwrap(),
                Heard::Refused(id) => format!("refused {id}"),
            });
        });
        (taken, out.len(), heard)
    }

    #[test]
    fn an_agent_answers_the_challenge_and_is_up_once_it_is_welcome() {
        let mut agent = Spoolway::new(Party::Agent(1), "".into());
        agent.begin(&[7; 32], &mut Vec::new());
        let answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        assert_eq!(take(&mut agent, answer).0, Ok(answer.len()));
        let challenge = frame(r#"{"v":1,"t":"challenge","from":"relay","body":{"nonce":"AAAA"}}"#);
        let (taken, said, _) = take(&mut agent, &challenge);
        assert!(taken.is_ok() && said > 600 && !agent.is_up());
        take(&mut agent, &frame(r#"{"v":1,"t":"welcome","body":{}}"#)).0.unwrap();
        assert!(agent.is_up());
        let heard = take(&mut agent, &frame(r#"{"v":1,"t":"cmd","body":{}}"#)).2;
        assert_eq!(heard, [r#"{"v":1,"t":"cmd","body":{}}"#]);
        assert!(take(&mut agent, &frame(r#"{"v":1,"t":"hb","body":{"n":1}}"#)).1 > 0, "it answers");
        let error = take(&mut agent, b"\x88\x0a\x0f\xa1replaced").0.unwrap_err();
        assert!(error.0.contains("replaced"));
    }

    #[test]
    fn a_reject_ends_it_and_a_nack_names_its_message() {
        let mut agent = Spoolway { state: State::Claiming, ..Spoolway::new(Party::Agent(1), "".into()) };
        assert!(take(&mut agent, &frame(r#"{"v":1,"t":"reject","body":{"code":"unpaired"}}"#)).0.is_err());
        let mut backend = Spoolway { state: State::Up, ..Spoolway::new(Party::Backend, "t".into()) };
        let nack = frame(r#"{"v":1,"t":"nack","from":"relay","re":"c7","body":{"code":"busy"}}"#);
        assert_eq!(take(&mut backend, &nack).2, ["refused c7"]);
    }

    #[test]
    fn the_hello_is_signed_by_the_key_that_is_registered() {
        let text = hello(5, br#"{"body":{"nonce":"AAAA"}}"#, &[1; 32]).unwrap();
        let body = text.split_once(r#""body":"#).unwrap().1.strip_suffix('}').unwrap();
        let (signed, sig) = spoolway_protocol::hello::split_signature(body).unwrap();
        let digest: [u8; 32] = Sha256::digest(signed).into();
        let bytes = signed_bytes(&[0; 3], HOST, Some(&[1; 32]), &digest);
        let public = agent_key(5);
        let public = public.public_key();
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public)
            .verify(&bytes, &sig)
            .unwrap();
        serde_json::from_str::<spoolway_protocol::hello::Hello>(body).unwrap();
    }
}
