//! The agent's side of a pairing: every request is signed with the key that is to be paired, for this host and TLS session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spoolway_protocol::hello::split_signature;
use spoolway_protocol::pairing::{
    ENROL_PATH, Enrol, Enrolled, FORGET_PATH, Forget, PAIR_BODY_BYTES, PAIR_S, PairCode, PairInfo, PairSay,
    PairStart, PairStarted, PairStep, PairView, START_PATH, STEP_PATH,
};
use spoolway_protocol::{B64, BackendId};

use super::answer::{self, Trouble};
use super::{Front, upgrade};
use crate::auth;
use crate::config;
use crate::limits::{Tally, neighbourhood};
use crate::listen::Visit;
use crate::pairing::{Act, By, Pairing, Refused};
use crate::registry::{PairError, Standing};

/// How long an agent waits between two steps, in ms.
const POLL_MS: u64 = 2_000;
/// How long a body may take.
const BODY: Duration = Duration::from_secs(10);
/// Addresses and backends whose tries are remembered.
const REMEMBERED: usize = 4_096;
/// Steps that an address may make: two a second, and a burst of many agents behind one address.
const STEPS: (u32, u64) = (200, 50);
const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;

/// How often what was tried.
#[derive(Debug)]
pub(super) struct Tries {
    /// Pairings and enrolments begun, by address.
    starts: Tally<IpAddr>,
    /// Steps, by address.
    steps: Tally<IpAddr>,
    /// Codes that were wrong, by backend.
    pub(super) wrong_codes: Tally<BackendId>,
    /// Codes that were wrong, whoever tried.
    pub(super) all_wrong_codes: Tally<()>,
}

impl Tries {
    pub(super) fn new(limits: &config::Pairing) -> Self {
        let spread = |count: u32, time_ms: u64| (count, time_ms / u64::from(count.max(1)));
        let (starts, starts_ms) = spread(limits.starts_per_minute, MINUTE_MS);
        let (wrong, wrong_ms) = spread(limits.wrong_codes_per_hour, HOUR_MS);
        let (all, all_ms) = spread(limits.wrong_codes_per_minute, MINUTE_MS);
        Self {
            starts: Tally::new(starts, starts_ms, REMEMBERED),
            steps: Tally::new(STEPS.0, STEPS.1, REMEMBERED),
            wrong_codes: Tally::new(wrong, wrong_ms, REMEMBERED),
            all_wrong_codes: Tally::new(all, all_ms, 1),
        }
    }
}

pub(super) async fn start(
    State(front): State<Front>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    respond(StatusCode::CREATED, front.start(&visit, request).await)
}

pub(super) async fn step(
    State(front): State<Front>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    respond(StatusCode::OK, front.step(&visit, request).await)
}

pub(super) async fn enrol(
    State(front): State<Front>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    respond(StatusCode::OK, front.enrol(&visit, request).await)
}

pub(super) async fn forget(
    State(front): State<Front>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
) -> Response {
    respond(StatusCode::OK, front.forget(&visit, request).await)
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

fn respond(status: StatusCode, outcome: Result<impl Serialize, Trouble>) -> Response {
    match outcome {
        Ok(body) => answer::json(status, &body),
        Err(trouble) => trouble.into_response(),
    }
}

impl Front {
    async fn start(&self, visit: &Visit, request: Request) -> Result<PairStarted, Trouble> {
        let now = self.hub().clock.now();
        self.tries().starts.take(&neighbourhood(visit.address.ip()), now.ms).map_err(Trouble::too_often)?;
        let link = self.link(&request);
        let signed = Signed::read(self, visit, START_PATH, request).await?;
        let start: PairStart = signed.parse()?;
        let public_key = key(&start.pubkey)?;
        signed.check(&public_key)?;
        let agent = auth::agent_id_of(&public_key);
        let (pair_id, code) = draw().map_err(|_| Trouble::busy("no randomness"))?;
        let pairing = Pairing::begin(now.unix_ms, agent, public_key, &start.info, start.commit);
        let (id, most) = (pair_id.clone(), self.pairing.waiting);
        self.hub().desk.with(move |registry| registry.add_pairing(&id, code, &pairing, most)).await??;
        tracing::info!(%agent, address = %visit.address.ip(), "pairing begun");
        Ok(PairStarted {
            pair_id,
            code,
            expires_s: PAIR_S,
            poll_ms: POLL_MS,
            link: link.replace("{code}", &code.to_string()),
            extra: Default::default(),
        })
    }

    async fn step(&self, visit: &Visit, request: Request) -> Result<PairView, Trouble> {
        let now = self.hub().clock.now();
        self.tries().steps.take(&neighbourhood(visit.address.ip()), now.ms).map_err(Trouble::too_often)?;
        let signed = Signed::read(self, visit, STEP_PATH, request).await?;
        let step: PairStep = signed.parse()?;
        let act = act_of(&step)?;
        let is_word = step.say != PairSay::Look;
        let pairing = self.hub().desk.with(move |registry| {
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

    async fn enrol(&self, visit: &Visit, request: Request) -> Result<Enrolled, Trouble> {
        let now = self.hub().clock.now();
        self.tries().starts.take(&neighbourhood(visit.address.ip()), now.ms).map_err(Trouble::too_often)?;
        let signed = Signed::read(self, visit, ENROL_PATH, request).await?;
        let Enrol { pubkey, info, token, .. } = signed.parse()?;
        let public_key = key(&pubkey)?;
        signed.check(&public_key)?;
        let (id, secret) = token.rsplit_once('.').ok_or_else(|| Trouble::bad("token"))?;
        let (id, hash) = (id.to_owned(), auth::hash_of_secret(secret));
        let agent = auth::agent_id_of(&public_key);
        let enrolled = self.hub().desk.with({
            let name = info.cleaned().host;
            move |registry| registry.enrol(now.unix_ms, (&id, &hash), (agent, public_key), &name)
        });
        let backend = enrolled.await??;
        tracing::info!(%agent, %backend, address = %visit.address.ip(), "agent enrolled");
        let organisation = self.hub().desk.backends().get(&backend).map(|record| record.organisation.clone());
        Ok(Enrolled { backend, organisation: organisation.unwrap_or_default(), extra: Default::default() })
    }

    /// Revokes a key by its own word. Whoever holds it may end it, and nobody can do more with it afterwards.
    async fn forget(&self, visit: &Visit, request: Request) -> Result<Forget, Trouble> {
        let now = self.hub().clock.now();
        self.tries().steps.take(&neighbourhood(visit.address.ip()), now.ms).map_err(Trouble::too_often)?;
        let signed = Signed::read(self, visit, FORGET_PATH, request).await?;
        let forget: Forget = signed.parse()?;
        let agent = forget.agent_id;
        let unknown = || Trouble::new(StatusCode::NOT_FOUND, "unknown", "there is no such agent");
        let revoked = self.hub().desk.with(move |registry| {
            let record = registry.agent(&agent)?.ok_or_else(unknown)?;
            signed.check(&record.public_key)?;
            match Standing::of(Some(&record)) {
                Standing::Good => Ok::<_, Trouble>(registry.forget_agent(&agent, now.unix_ms)?),
                // The copy is to forget without an end of the original.
                Standing::Quarantined => Err(PairError::Quarantined.into()),
                Standing::Revoked | Standing::Unknown => Ok(()),
            }
        });
        revoked.await??;
        tracing::info!(%agent, address = %visit.address.ip(), "agent forgets");
        Ok(forget)
    }

    /// Where a person goes with the code: the backend's page, or ours.
    fn link(&self, request: &Request) -> String {
        match self.pairing.link.as_str() {
            "" => {
                let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
                format!("https://{}/pair/{{code}}", host.unwrap_or_default())
            }
            link => link.to_owned(),
        }
    }
}

/// A name as it may be kept and shown.
pub(super) fn cleaned(name: &str) -> String {
    PairInfo { host: name.to_owned(), ..PairInfo::default() }.cleaned().host
}

fn act_of(step: &PairStep) -> Result<Act, Trouble> {
    Ok(match step.say {
        PairSay::Look => Act::Look,
        PairSay::Yes => Act::Yes(String::new()),
        PairSay::No => Act::No,
        PairSay::Reveal => Act::Reveal(step.nonce.as_ref().map_or(Err(Trouble::bad("nonce")), key)?),
    })
}

/// 32 bytes.
pub(super) fn key(bytes: &B64) -> Result<[u8; 32], Trouble> {
    bytes.0.as_slice().try_into().map_err(|_| Trouble::bad("32 bytes in base64 are expected"))
}

fn draw() -> Result<(String, PairCode), ring::error::Unspecified> {
    let id = auth::random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((id, PairCode::from_random(auth::random()?)))
}

/// The body of a request, within its bounds.
pub(super) async fn body_of(request: Request) -> Result<String, Trouble> {
    let body = tokio::time::timeout(BODY, to_bytes(request.into_body(), PAIR_BODY_BYTES)).await;
    let late = |_| Trouble::new(StatusCode::REQUEST_TIMEOUT, "bad_field", "the body takes too long");
    let bytes = body.map_err(late)?.map_err(|error| Trouble::bad(error.to_string()))?;
    String::from_utf8(bytes.into()).map_err(|_| Trouble::bad("the body is not UTF-8"))
}

/// A signed body, and what its signature has to cover besides.
struct Signed {
    path: &'static str,
    host: String,
    exporter: [u8; 32],
    text: String,
    sig: Vec<u8>,
}

impl Signed {
    async fn read(
        front: &Front,
        visit: &Visit,
        path: &'static str,
        request: Request,
    ) -> Result<Self, Trouble> {
        let (status, text) = upgrade::NOT_OUR_NAME;
        let host = front.host(request.headers()).ok_or_else(|| Trouble::new(status, "unknown", text))?;
        let body = body_of(request).await?;
        let (text, sig) =
            split_signature(&body).ok_or_else(|| Trouble::bad("the last member has to be sig"))?;
        Ok(Self { path, host, exporter: visit.exporter, text, sig })
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        serde_json::from_str(&self.text).map_err(|error| Trouble::bad(error.to_string()))
    }

    fn check(&self, key: &[u8; 32]) -> Result<(), Trouble> {
        if auth::is_pairing_signed(self.path, &self.host, &self.exporter, &self.text, &self.sig, key) {
            return Ok(());
        }
        let text = "the signature does not fit the key, the host or this TLS session";
        Err(Trouble::new(StatusCode::FORBIDDEN, "bad_sig", text))
    }
}
