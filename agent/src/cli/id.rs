//! `id`: who this agent is, and the line that tells a relay so.

use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};
use spoolway_protocol::AgentId;

use super::{Failure, Whereabouts};
use crate::identity::Identity;
use crate::local::{Client, TalkError};
use crate::paths::SYSTEM_SOCKET;

/// Asks the running agent, whose key this user need not be able to read; without one, opens or makes the key.
pub(super) fn id(whereabouts: &Whereabouts, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let (agent_id, public_key) = identity(whereabouts)?;
    if json {
        writeln!(out, "{}", json!({"agent_id": agent_id, "public_key": public_key}))?;
        return Ok(());
    }
    writeln!(out, "Agent  {agent_id}\nKey    {public_key}\n")?;
    if is_first(agent_id, &public_key) {
        writeln!(out, "Instead of `spoolway-agent pair`, on the relay, once:")?;
        writeln!(out, "spoolway-relay agent add --id {agent_id} --key {public_key} --backend BACKEND")?;
    } else {
        writeln!(
            out,
            "The key has followed others. A relay that does not know it yet: `spoolway-agent pair`."
        )?;
    }
    Ok(())
}

/// Has the running agent replace its key: it needs its relay for that.
pub(super) fn rotate(whereabouts: &Whereabouts, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let (agent_id, public_key) = Client::connect(&whereabouts.find_socket()?)?.rotate_key()?;
    if json {
        writeln!(out, "{}", json!({"agent_id": agent_id, "public_key": public_key}))?;
        return Ok(());
    }
    writeln!(out, "Agent  {agent_id} has a new key:\nKey    {public_key}\n")?;
    writeln!(out, "The one before is good at the relay for seven days more.")?;
    Ok(())
}

/// An agent's id is the head of the SHA-256 of its first key.
fn is_first(agent_id: AgentId, public_key: &str) -> bool {
    let key = STANDARD.decode(public_key).unwrap_or_default();
    Sha256::digest(key).starts_with(agent_id.as_bytes())
}

fn identity(whereabouts: &Whereabouts) -> Result<(AgentId, String), Failure> {
    let loaded = whereabouts.load(&[])?;
    let socket = whereabouts.find_socket()?;
    match Client::connect(&socket).and_then(|mut agent| agent.identity()) {
        Ok(identity) => Ok(identity),
        Err(error @ TalkError::Unreachable { .. }) => {
            // The system's agent is meant; a key made here would be nobody's.
            if socket == Path::new(SYSTEM_SOCKET) && loaded.config.socket != socket {
                return Err(error.into());
            }
            let identity = Identity::open(&loaded.config.state_dir)?;
            Ok((identity.agent_id(), identity.public_key_b64()))
        }
        Err(error) => Err(error.into()),
    }
}
