//! The backend's side of a pairing: it takes a code, sees who is behind it, and says yes or no.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use spoolway_protocol::pairing::{PairApprove, PairClaim, PairCode, PairSeen};
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::{Address, BackendId};

use super::answer::{self, Trouble};
use super::pair::{body_of, key};
use super::{Front, pair};
use crate::pairing::{Act, By, Claim, Refused};
use crate::registry::PairError;
use crate::security::{Alarm, Hearer};

pub(super) async fn claim(State(front): State<Front>, request: Request) -> Response {
    respond(front.claim(request).await)
}

pub(super) async fn look(
    State(front): State<Front>,
    Path(pair_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    respond(front.say(&headers, pair_id, Act::Look).await)
}

pub(super) async fn approve(
    State(front): State<Front>,
    Path(pair_id): Path<String>,
    request: Request,
) -> Response {
    respond(front.approve(pair_id, request).await)
}

pub(super) async fn deny(
    State(front): State<Front>,
    Path(pair_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    respond(front.say(&headers, pair_id, Act::No).await)
}

fn respond(outcome: Result<PairSeen, Trouble>) -> Response {
    match outcome {
        Ok(seen) => answer::json(StatusCode::OK, &seen),
        Err(trouble) => trouble.into_response(),
    }
}

impl Front {
    fn who(&self, headers: &HeaderMap) -> Result<(BackendId, String), Trouble> {
        let text = "a backend's credential is required";
        self.backend(headers).ok_or_else(|| Trouble::new(StatusCode::UNAUTHORIZED, "unauthorised", text))
    }

    /// Whoever has been wrong too often is not even looked at, so that a right guess does not show.
    async fn claim(&self, request: Request) -> Result<PairSeen, Trouble> {
        let (backend, organisation) = self.who(request.headers())?;
        let now = self.hub().clock.now();
        let looked = {
            let tries = self.tries();
            let looked = tries.wrong_codes.look(&backend, now.ms);
            looked.and_then(|()| tries.all_wrong_codes.look(&(), now.ms))
        };
        looked.map_err(|wait_ms| {
            let (about, hearer) = (Some(Address::Backend(backend.clone())), Hearer::Owner(backend.clone()));
            let detail = "too many wrong pairing codes".to_owned();
            self.hub().alarm(Alarm { kind: SecurityKind::RateTrip, about, from: None, hearer, detail });
            Trouble::too_often(wait_ms)
        })?;
        let body = body_of(request).await?;
        let asked: PairClaim =
            serde_json::from_str(&body).map_err(|error| Trouble::bad(error.to_string()))?;
        let code: PairCode = asked.code.parse().map_err(|_| Trouble::bad("code"))?;
        let keys = asked.keys.iter().map(key).collect::<Result<_, _>>()?;
        let claim = Claim { backend: backend.clone(), organisation, nonce: key(&asked.nonce)?, keys };
        let by = By::Backend(backend.clone());
        let claimed = self.hub().desk.with(move |registry| {
            let id = registry.pairing_of(code)?.ok_or(Refused::Unknown)?;
            let pairing = registry.act_on_pairing(&id, now.unix_ms, &by, Act::Claim(claim))?;
            Ok::<_, PairError>(pairing.seen(now.unix_ms, &id))
        });
        let claimed = claimed.await?;
        match &claimed {
            Ok(seen) => tracing::info!(%backend, agent = %seen.agent, "pairing claimed"),
            Err(PairError::Refused(Refused::Unknown | Refused::Expired)) => {
                tracing::warn!(%backend, "wrong pairing code");
                let mut tries = self.tries();
                tries.wrong_codes.count(&backend, now.ms);
                tries.all_wrong_codes.count(&(), now.ms);
            }
            Err(_) => {}
        }
        match claimed {
            // Which codes there were is nobody's business either.
            Err(PairError::Refused(Refused::Expired)) => Err(Trouble::unknown()),
            claimed => Ok(claimed?),
        }
    }

    async fn approve(&self, pair_id: String, request: Request) -> Result<PairSeen, Trouble> {
        let headers = request.headers().clone();
        self.who(&headers)?;
        let body = body_of(request).await?;
        let asked =
            if body.trim().is_empty() { Ok(PairApprove::default()) } else { serde_json::from_str(&body) };
        let asked: PairApprove = asked.map_err(|error| Trouble::bad(error.to_string()))?;
        self.say(&headers, pair_id, Act::Yes(pair::cleaned(&asked.name))).await
    }

    async fn say(&self, headers: &HeaderMap, pair_id: String, act: Act) -> Result<PairSeen, Trouble> {
        let (backend, _) = self.who(headers)?;
        let now_ms = self.hub().clock.now().unix_ms;
        let is_word = act != Act::Look;
        let by = By::Backend(backend.clone());
        let said = self.hub().desk.with(move |registry| {
            let pairing = registry.act_on_pairing(&pair_id, now_ms, &by, act)?;
            Ok::<_, PairError>(pairing.seen(now_ms, &pair_id))
        });
        let seen = said.await??;
        if is_word {
            tracing::info!(%backend, agent = %seen.agent, state = %seen.state, "pairing");
        }
        Ok(seen)
    }
}
