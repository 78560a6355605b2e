//! Builds the parts of the agent and keeps them until it is told to stop.

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::identity::Identity;
use crate::local::StateLock;

/// Runs one agent until `stop`.
///
/// # Errors
/// Another agent has the state folder, or the identity cannot be opened.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let _lock = StateLock::take(&config.state_dir)?;
    let identity = Identity::open(&config.state_dir).context("the agent has no identity")?;
    tracing::info!(agent = %identity.agent_id(), "agent started");
    stop.cancelled().await;
    Ok(())
}
