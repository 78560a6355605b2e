//! `id`: who this agent is, and the line that tells a relay so.

use std::io::Write;

use serde_json::json;
use spoolway_protocol::AgentId;

use super::{Desk, Failure};
use crate::identity::Identity;
use crate::local::Client;

/// Asks the running agent, whose key this user need not be able to read; without one, opens or makes the key.
pub(super) fn id(desk: &Desk, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let (agent_id, public_key) = identity(desk)?;
    if json {
        writeln!(out, "{}", json!({"agent_id": agent_id, "public_key": public_key}))?;
        return Ok(());
    }
    writeln!(out, "Agent  {agent_id}\nKey    {public_key}\n\nOn the relay, once:")?;
    writeln!(out, "spoolway-relay agent add --id {agent_id} --key {public_key}")?;
    Ok(())
}

fn identity(desk: &Desk) -> Result<(AgentId, String), Failure> {
    let asked =
        desk.find_socket().map(|socket| Client::connect(&socket).and_then(|mut agent| agent.identity()));
    match asked {
        Ok(Ok(identity)) => Ok(identity),
        _ => {
            let identity = Identity::open(&desk.load(&[])?.config.state_dir)?;
            Ok((identity.agent_id(), identity.public_key_b64()))
        }
    }
}
