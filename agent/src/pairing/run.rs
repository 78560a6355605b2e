//! The shell of a pairing: carries between its machine, the relay and the person who compares the words.

use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use serde::de::DeserializeOwned;
use spoolway_agent_core::pairing::{
    PairAnswer, PairRequest, PairedWith, Pairing, PairingFailure, PairingOptions, PairingOutput,
};
use spoolway_protocol::pairing::{PairInfo, PairStarted, Problem, START_PATH, STEP_PATH};
use spoolway_protocol::{BackendId, Fault, Raw};

use super::kept::{Kept, KeptError};
use crate::clock::Clock;
use crate::identity::Identity;
use crate::uplink::{Answered, PostError, Poster, RelaySettings};

/// The person at this machine.
pub trait Scene {
    /// Shows the code, and where to go with it.
    ///
    /// # Errors
    /// Nobody sees it.
    fn show_code(&mut self, started: &PairStarted) -> std::io::Result<()>;

    /// Shows the words and asks whether they are the same at the other end. It may be dropped before it is answered. An error stands for
    /// nobody who could answer, and the other end hears a no.
    fn compare(
        &mut self,
        owner: &BackendId,
        organisation: &str,
        words: [&'static str; 4],
    ) -> impl Future<Output = std::io::Result<bool>>;

    /// The person has said yes, and the other end is waited for.
    ///
    /// # Errors
    /// Nobody sees it.
    fn wait_for_other(&mut self) -> std::io::Result<()>;
}

/// Why there is no pairing.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// It ended without one.
    #[error("{}", .0.detail)]
    Failed(PairingFailure),
    /// It was made and cannot be kept: the relay knows this agent, and this machine does not know its relay.
    #[error("paired, but it cannot be kept: {0}")]
    Keep(#[from] KeptError),
    /// The person cannot be reached.
    #[error("the terminal: {0}")]
    Scene(#[from] std::io::Error),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
}

/// Pairs this agent over a relay, and keeps what came of it. `ca` is the text of the authority to be kept along.
///
/// # Errors
/// There is no pairing; or there is one that cannot be kept.
pub async fn pair(
    (state_dir, identity, clock): (&Path, &Identity, &Clock),
    (relay, ca): (RelaySettings, Option<&str>),
    info: PairInfo,
    scene: &mut impl Scene,
) -> Result<Kept, PairError> {
    let mut nonce = [0; 32];
    SystemRandom::new().fill(&mut nonce).map_err(|_| PairError::NoRandom)?;
    let key = identity.key();
    let options = PairingOptions { public_key: *key.public(), nonce, info, lineage: identity.lineage() };
    let mut machine = Pairing::new(clock.now(), options);
    let url = relay.url.clone();
    let with = carry(&mut machine, Poster::new(relay, clock.clone(), key), clock, scene).await?;
    let kept = Kept {
        relay: url,
        owner: with.owner,
        organisation: with.organisation,
        keys: with.keys.into_iter().map(Into::into).collect(),
        ca_file: None,
    };
    kept.keep(state_dir, ca)?;
    Ok(kept)
}

async fn carry(
    machine: &mut Pairing,
    mut poster: Poster,
    clock: &Clock,
    scene: &mut impl Scene,
) -> Result<PairedWith, PairError> {
    loop {
        let (owner, organisation, words) = match next(machine, &mut poster, clock).await {
            PairingOutput::ShowCode(started) => {
                scene.show_code(&started)?;
                continue;
            }
            PairingOutput::Compare { owner, organisation, words } => (owner, organisation, words),
            PairingOutput::Paired(with) => return Ok(with),
            PairingOutput::Failed(failure) => return Err(PairError::Failed(failure)),
            PairingOutput::Post(_) | PairingOutput::Wait(_) | PairingOutput::Over => continue,
        };
        // While the person looks, the other end may say no, and the time may run out.
        let is_same = {
            let asked = scene.compare(&owner, &organisation, words);
            tokio::select! {
                same = asked => same,
                output = next(machine, &mut poster, clock) => match output {
                    PairingOutput::Failed(failure) => return Err(PairError::Failed(failure)),
                    _ => return Err(PairError::Failed(out_of_step())),
                },
            }
        };
        machine.handle_word(clock.now(), matches!(is_same, Ok(true)));
        match is_same {
            Ok(true) => scene.wait_for_other()?,
            Ok(false) => {}
            Err(error) => {
                // Nobody can answer. The other end hears a no, and need not wait until the time is over.
                drop(next(machine, &mut poster, clock).await);
                return Err(error.into());
            }
        }
    }
}

fn out_of_step() -> PairingFailure {
    PairingFailure {
        fault: Fault::PairRefused,
        detail: "the pairing went on without the person here".to_owned(),
    }
}

/// The next thing that is not between the machine and the relay alone. When it is dropped, an answer may be lost, which then is asked
/// for again.
async fn next(machine: &mut Pairing, poster: &mut Poster, clock: &Clock) -> PairingOutput {
    loop {
        match machine.poll_output(clock.now()) {
            PairingOutput::Post(request) => {
                let mut given_up = GivenUp { machine: &mut *machine, clock, is_answered: false };
                let answer = ask(poster, &request).await;
                given_up.answer(answer);
            }
            PairingOutput::Wait(Some(until)) => tokio::time::sleep(until.since(clock.now())).await,
            PairingOutput::Wait(None) => std::future::pending().await,
            output => return output,
        }
    }
}

/// Tells the machine that a request was lost, when its answer is no longer waited for.
struct GivenUp<'a> {
    machine: &'a mut Pairing,
    clock: &'a Clock,
    is_answered: bool,
}

impl GivenUp<'_> {
    fn answer(&mut self, answer: PairAnswer) {
        self.is_answered = true;
        self.machine.handle_answer(self.clock.now(), answer);
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            let (fault, detail) = (Fault::RelayUnreachable, "not waited for".to_owned());
            self.answer(PairAnswer::Lost { fault, detail });
        }
    }
}

async fn ask(poster: &mut Poster, request: &PairRequest) -> PairAnswer {
    match request {
        PairRequest::Start(start) => {
            let answered = poster.post(START_PATH, Raw::of(start).get()).await;
            read(answered, PairAnswer::Started)
        }
        PairRequest::Step(step) => {
            let answered = poster.post(STEP_PATH, Raw::of(step).get()).await;
            read(answered, PairAnswer::Seen)
        }
    }
}

fn read<T: DeserializeOwned>(
    answered: Result<Answered, PostError>,
    good: impl FnOnce(T) -> PairAnswer,
) -> PairAnswer {
    let answered = match answered {
        Ok(answered) => answered,
        Err(error) => return PairAnswer::Lost { fault: error.fault, detail: error.text },
    };
    match body_of(&answered) {
        Ok(body) => good(body),
        Err(Problem { code, detail }) => {
            PairAnswer::Refused { code, detail, retry_after_ms: answered.retry_after_ms }
        }
    }
}

/// The body of a success, or what the relay says is wrong. Whoever answers otherwise is not a relay of this protocol.
pub(crate) fn body_of<T: DeserializeOwned>(answered: &Answered) -> Result<T, Problem> {
    let strange = |what: &str| Problem {
        code: "strange".to_owned(),
        detail: format!("HTTP {} {what}: is this the relay, and is it up to date?", answered.status),
    };
    if (200..300).contains(&answered.status) {
        return serde_json::from_slice(&answered.body).map_err(|error| strange(&error.to_string()));
    }
    Err(serde_json::from_slice(&answered.body).unwrap_or_else(|_| strange("without a reason")))
}
