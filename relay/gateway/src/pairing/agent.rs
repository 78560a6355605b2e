//! The agent's side of a pairing: every request is signed with the key that is to be paired, for this host and TLS session.

use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use spoolway_protocol::AgentId;
use spoolway_protocol::identity::Lineage;
use spoolway_protocol::pairing::{
    ENROL_PATH, Enrol, Enrolled, FORGET_PATH, Forget, PAIR_S, PairCode, PairSay, PairStart, PairStarted,
    PairStep, PairView, START_PATH, STEP_PATH,
};
use spoolway_relay::auth;
use spoolway_relay::web::Visitor;
use spoolway_relay_registry::pairing::{Act, By, Pairing, Refused};
use spoolway_relay_registry::{PairError, Standing};

use super::key;
use super::signed::{Signed, bad_signature};
use crate::answer::{self, Trouble};
use crate::{Gateway, lineage};

/// How long an agent waits between two steps, in ms. No setting: a person looks at both ends meanwhile, and it fits what an address may do.
const POLL_MS: u64 = 2_000;

pub(super) async fn start(State(gateway): State<Gateway>, request: Request) -> Response {
    respond(StatusCode::CREATED, gateway.pair_start(request).await)
}

pub(super) async fn step(State(gateway): State<Gateway>, request: Request) -> Response {
    respond(StatusCode::OK, gateway.pair_step(request).await)
}

pub(super) async fn enrol(State(gateway): State<Gateway>, request: Request) -> Response {
    respond(StatusCode::OK, gateway.pair_enrol(request).await)
}

pub(super) async fn forget(State(gateway): State<Gateway>, request: Request) -> Response {
    respond(StatusCode::OK, gateway.pair_forget(request).await)
}

/// Where the link leads, unless the operator has named a page of the backend: it says what to do, and nothing about the code.
pub(super) async fn page(Path(code): Path<String>) -> Response {
    let Ok(code) = code.parse::<PairCode>() else {
        return answer::text(StatusCode::NOT_FOUND, "no such code");
    };
    let text = format!(
        "The code is {code}.\n\nGive it to whoever runs your print service, or on the relay's machine:\n\n\
         spoolway-relay pair approve {code} --backend BACKEND\n"
    );
    ([(header::CONTENT_TYPE, "text/plain"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

pub(super) fn respond(status: StatusCode, outcome: Result<impl Serialize, Trouble>) -> Response {
    match outcome {
        Ok(body) => answer::json(status, &body),
        Err(trouble) => trouble.into_response(),
    }
}

impl Gateway {
    /// Who asks, and what.
    pub(super) fn visitor(&self, request: Request) -> Result<(Visitor, Request), Trouble> {
        let (head, body) = request.into_parts();
        Ok((self.gate.visitor(&head)?, Request::from_parts(head, body)))
    }

    async fn pair_start(&self, request: Request) -> Result<PairStarted, Trouble> {
        let (visitor, request) = self.visitor(request)?;
        let now = self.gate.now();
        self.tries().start(&visitor.neighbourhood, now.ms)?;
        let link = self.link(request.headers());
        let signed = Signed::read(&self.gate, &visitor, START_PATH, request).await?;
        let start: PairStart = signed.parse()?;
        let public_key = key(&start.pubkey)?;
        signed.check(&public_key)?;
        let agent = agent_of(&public_key, start.lineage.as_ref())?;
        let (pair_id, code) = draw()?;
        let mut pairing = Pairing::begin(now.unix_ms, agent, public_key, &start.info, start.commit);
        pairing.lineage = start.lineage;
        let (id, most) = (pair_id.clone(), self.gate.pairing().waiting);
        self.gate.registry(move |registry| registry.add_pairing(&id, code, &pairing, most)).await??;
        tracing::info!(%agent, address = %visitor.address, "pairing begun");
        Ok(PairStarted {
            pair_id,
            code,
            expires_s: PAIR_S,
            poll_ms: POLL_MS,
            link: link.replace("{code}", &code.to_string()),
            extra: Default::default(),
        })
    }

    async fn pair_step(&self, request: Request) -> Result<PairView, Trouble> {
        let (visitor, request) = self.visitor(request)?;
        let now = self.gate.now();
        self.tries().step(&visitor.neighbourhood, now.ms)?;
        let signed = Signed::read(&self.gate, &visitor, STEP_PATH, request).await?;
        let step: PairStep = signed.parse()?;
        let act = act_of(&step)?;
        let is_word = step.say != PairSay::Look;
        let pairing = self.gate.registry(move |registry| {
            let pairing = registry.pairing(&step.pair_id)?.ok_or(Refused::Unknown)?;
            signed.check(&pairing.public_key)?;
            Ok::<_, Trouble>(registry.act_on_pairing(&step.pair_id, now.unix_ms, &By::Agent, act)?)
        });
        let pairing = pairing.await??;
        let view = pairing.view(now.unix_ms);
        if is_word {
            tracing::info!(agent = %pairing.agent, state = %view.state, "pairing");
        }
        Ok(view)
    }

    async fn pair_enrol(&self, request: Request) -> Result<Enrolled, Trouble> {
        let (visitor, request) = self.visitor(request)?;
        let now = self.gate.now();
        self.tries().start(&visitor.neighbourhood, now.ms)?;
        let signed = Signed::read(&self.gate, &visitor, ENROL_PATH, request).await?;
        let Enrol { pubkey, info, token, lineage, .. } = signed.parse()?;
        let public_key = key(&pubkey)?;
        signed.check(&public_key)?;
        let (id, secret) = token.rsplit_once('.').ok_or_else(|| Trouble::bad("token"))?;
        let (id, hash) = (id.to_owned(), auth::hash_of_secret(secret));
        let agent = agent_of(&public_key, lineage.as_ref())?;
        let enrolled = self.gate.registry({
            let name = info.cleaned().host;
            move |registry| {
                let agent = (agent, public_key, lineage.as_ref());
                registry.enrol(now.unix_ms, (&id, &hash), agent, &name)
            }
        });
        let backend = enrolled.await??;
        tracing::info!(%agent, %backend, address = %visitor.address, "agent enrolled");
        let organisation = self.gate.organisation(&backend);
        Ok(Enrolled { backend, organisation, extra: Default::default() })
    }

    /// Revokes a key by its own word. Whoever holds it may end it, and nobody can do more with it afterwards.
    async fn pair_forget(&self, request: Request) -> Result<Forget, Trouble> {
        let (visitor, request) = self.visitor(request)?;
        let now = self.gate.now();
        self.tries().step(&visitor.neighbourhood, now.ms)?;
        let signed = Signed::read(&self.gate, &visitor, FORGET_PATH, request).await?;
        let forget: Forget = signed.parse()?;
        let agent = forget.agent_id;
        let unknown = || Trouble::new(StatusCode::NOT_FOUND, "unknown", "there is no such agent");
        let revoked = self.gate.registry(move |registry| {
            let record = registry.agent(&agent)?.ok_or_else(unknown)?;
            let keys = registry.keys(&agent)?.ok_or_else(unknown)?;
            // A key before is as good, for as long as it is.
            let old = keys.old.iter().filter(|old| now.unix_ms < old.until_ms).map(|old| &old.key);
            old.chain([&keys.current]).find(|key| signed.is_by(key)).ok_or_else(bad_signature)?;
            match Standing::of(Some(&record)) {
                Standing::Good => Ok::<_, Trouble>(registry.forget_agent(&agent, now.unix_ms)?),
                // The copy is to forget without an end of the original.
                Standing::Quarantined => Err(PairError::Quarantined.into()),
                Standing::Revoked | Standing::Unknown => Ok(()),
            }
        });
        revoked.await??;
        tracing::info!(%agent, address = %visitor.address, "agent forgets");
        Ok(forget)
    }

    /// Where a person goes with the code: the backend's page, or ours.
    fn link(&self, headers: &HeaderMap) -> String {
        match self.gate.pairing().link.as_str() {
            "" => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                format!("https://{}/pair/{{code}}", host.unwrap_or_default())
            }
            link => link.to_owned(),
        }
    }
}

fn agent_of(key: &[u8; 32], lineage: Option<&Lineage>) -> Result<AgentId, Trouble> {
    let found = lineage::agent_of(key, lineage).map(|(agent, _)| agent);
    found.ok_or_else(|| Trouble::bad("the lineage does not lead to this key"))
}

fn act_of(step: &PairStep) -> Result<Act, Trouble> {
    Ok(match step.say {
        PairSay::Look => Act::Look,
        PairSay::Yes => Act::Yes(String::new()),
        PairSay::No => Act::No,
        PairSay::Reveal => Act::Reveal(step.nonce.as_ref().map_or(Err(Trouble::bad("nonce")), key)?),
    })
}

fn draw() -> Result<(String, PairCode), Trouble> {
    let id = random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((id, PairCode::from_random(random()?)))
}

fn random<const N: usize>() -> Result<[u8; N], Trouble> {
    auth::random().map_err(|_| Trouble::busy("no randomness"))
}
