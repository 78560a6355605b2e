//! A new key takes an agent's place, by the word of both keys. No session is needed: an agent whose key is refused has none.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use spoolway_protocol::identity::{ROTATE_PATH, Rotate, Rotated};
use spoolway_protocol::security::SecurityKind;
use spoolway_relay_registry::keys::Taken;

use super::agent::respond;
use super::key;
use super::signed::{Signed, bad_signature};
use crate::Gateway;
use crate::answer::Trouble;
use crate::lineage::followed_by;

const CHANGED: &str = "the agent has a new key; the one before is good for seven days";
const REFUSED: &str = "a new key was refused: it does not follow the agent's newest one";

pub(super) async fn rotate(State(gateway): State<Gateway>, request: Request) -> Response {
    respond(StatusCode::OK, gateway.rotate(request).await)
}

impl Gateway {
    async fn rotate(&self, request: Request) -> Result<Rotated, Trouble> {
        let (visitor, request) = self.visitor(request)?;
        let now = self.gate.now();
        self.tries().start(&visitor.neighbourhood, now.ms)?;
        let signed = Signed::read(&self.gate, &visitor, ROTATE_PATH, request).await?;
        let Rotate { agent_id, pubkey_old, link, .. } = signed.parse()?;
        let old = key(&pubkey_old)?;
        let new = followed_by(&agent_id, &old, &link).ok_or_else(bad_signature)?;
        signed.check(&new)?;
        let taken = self.gate.registry(move |registry| {
            let owner = registry.agent(&agent_id)?.map(|record| record.backend);
            Ok::<_, Trouble>((owner, registry.take_key(&agent_id, now.unix_ms, &old, &new)))
        });
        let (owner, taken) = taken.await??;
        let told = match &taken {
            Ok((Taken::Known, _)) => None,
            Ok((Taken::Changed, _)) => Some((SecurityKind::KeyChanged, CHANGED)),
            Err(_) => Some((SecurityKind::AuthFailure, REFUSED)),
        };
        if let Some((owner, (kind, detail))) = owner.zip(told) {
            tracing::info!(agent = %agent_id, address = %visitor.address, detail);
            self.gate.alarm_of_agent(agent_id, owner, kind, detail);
        }
        let (_, old_until_ms) = taken?;
        Ok(Rotated { agent_id, old_until_ms, extra: Default::default() })
    }
}
