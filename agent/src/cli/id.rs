//! `id`: who this agent is, and the line that tells a relay so.

use std::io::Write;
use std::path::Path;

use serde_json::json;
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
    writeln!(
        out,
        "Agent  {agent_id}\nKey    {public_key}\n\nInstead of `spoolway-agent pair`, on the relay, once:"
    )?;
    writeln!(out, "spoolway-relay agent add --id {agent_id} --key {public_key} --backend BACKEND")?;
    Ok(())
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
