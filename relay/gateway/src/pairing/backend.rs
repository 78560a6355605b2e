//! The backend's side of a pairing: it takes a code, sees who is behind it, and says yes or no.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use spoolway_protocol::BackendId;
use spoolway_protocol::pairing::{PairApprove, PairClaim, PairCode, PairSeen};
use spoolway_protocol::security::SecurityKind;
use spoolway_relay_registry::PairError;
use spoolway_relay_registry::pairing::{Act, By, Claim, Refused};

use super::{body_of, cleaned, key};
use crate::Gateway;
use crate::answer::{self, Trouble};

/// `POST /v1/pairings/claim`
pub(crate) async fn claim(State(gateway): State<Gateway>, request: Request) -> Response {
    respond(gateway.claim(request).await)
}

/// `GET /v1/pairings/{pair_id}`
pub(crate) async fn look(
    State(gateway): State<Gateway>,
    Path(pair_id): Path<String>,
    request: Request,
) -> Response {
    respond(gateway.say(request, pair_id, Act::Look).await)
}

/// `POST /v1/pairings/{pair_id}/approve`
pub(crate) async fn approve(
    State(gateway): State<Gateway>,
    Path(pair_id): Path<String>,
    request: Request,
) -> Response {
    respond(gateway.approve(pair_id, request).await)
}

/// `POST /v1/pairings/{pair_id}/deny`
pub(crate) async fn deny(
    State(gateway): State<Gateway>,
    Path(pair_id): Path<String>,
    request: Request,
) -> Response {
    respond(gateway.say(request, pair_id, Act::No).await)
}

fn respond(outcome: Result<PairSeen, Trouble>) -> Response {
    match outcome {
        Ok(seen) => answer::json(StatusCode::OK, &seen),
        Err(trouble) => trouble.into_response(),
    }
}

impl Gateway {
    /// Whoever has been wrong too often is not even looked at, so that a right guess does not show.
    async fn claim(&self, request: Request) -> Result<PairSeen, Trouble> {
        let (head, body) = request.into_parts();
        let who = self.gate.backend(&head)?;
        let (backend, now) = (who.backend.clone(), self.gate.now());
        let looked = self.tries().code(&backend, now.ms);
        looked.map_err(|wait_ms| {
            self.gate.alarm(&backend, SecurityKind::RateTrip, "too many wrong pairing codes");
            Trouble::too_often(wait_ms)
        })?;
        let text = body_of(body).await?;
        let asked: PairClaim =
            serde_json::from_str(&text).map_err(|error| Trouble::bad(error.to_string()))?;
        let code: PairCode = asked.code.parse().map_err(|_| Trouble::bad("code"))?;
        let keys = asked.keys.iter().map(key).collect::<Result<_, _>>()?;
        let organisation = who.organisation.clone();
        let claim = Claim { backend: backend.clone(), organisation, nonce: key(&asked.nonce)?, keys };
        let by = By::Backend(backend.clone());
        let claimed = self.gate.registry(move |registry| {
            let id = registry.pairing_of(code)?.ok_or(Refused::Unknown)?;
            let pairing = registry.act_on_pairing(&id, now.unix_ms, &by, Act::Claim(claim))?;
            Ok::<_, PairError>(pairing.seen(now.unix_ms, &id))
        });
        match claimed.await? {
            Ok(seen) => {
                tracing::info!(%backend, agent = %seen.agent, "pairing claimed");
                Ok(seen)
            }
            // Which codes there were is nobody's business either.
            Err(PairError::Refused(Refused::Unknown | Refused::Expired)) => {
                tracing::warn!(%backend, "wrong pairing code");
                self.tries().wrong_code(&backend, now.ms);
                Err(Refused::Unknown.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn approve(&self, pair_id: String, request: Request) -> Result<PairSeen, Trouble> {
        let (head, body) = request.into_parts();
        let backend = self.gate.backend(&head)?.backend;
        let text = body_of(body).await?;
        let asked =
            if text.trim().is_empty() { Ok(PairApprove::default()) } else { serde_json::from_str(&text) };
        let asked: PairApprove = asked.map_err(|error| Trouble::bad(error.to_string()))?;
        self.act(backend, pair_id, Act::Yes(cleaned(&asked.name))).await
    }

    async fn say(&self, request: Request, pair_id: String, act: Act) -> Result<PairSeen, Trouble> {
        let backend = self.gate.backend(&request.into_parts().0)?.backend;
        self.act(backend, pair_id, act).await
    }

    async fn act(&self, backend: BackendId, pair_id: String, act: Act) -> Result<PairSeen, Trouble> {
        let (now_ms, is_word) = (self.gate.now().unix_ms, act != Act::Look);
        let by = By::Backend(backend.clone());
        let said = self.gate.registry(move |registry| {
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
