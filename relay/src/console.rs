//! The unix socket by which the operator's commands ask a relay that runs: a line with the question, lines with the answer.
//!
//! It lies in the state folder and can be opened by the relay's own user and by root, as it says more than numbers.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spoolway_protocol::{Address, BackendId};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::post::Post;

/// Commands that are answered at a time; further ones are closed at once.
const PLACES: usize = 8;
/// Longest question.
const QUESTION_BYTES: u64 = 1024;
/// Time for the question.
const QUESTION_WITHIN: Duration = Duration::from_secs(10);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// [`Status`].
    Status,
    /// A [`Row`] for each agent that is in.
    Agents,
    /// A [`Row`] for each process of a backend that is in.
    Backends,
    /// Heads of frames and lines of the log, until the asker leaves.
    Tail,
}

/// How the relay is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its name.
    pub relay: String,
    /// For how long it runs, ms.
    pub up_ms: u64,
    /// Whether it is about to go.
    pub draining: bool,
    /// Agents that are in.
    pub agents: usize,
    /// Processes of backends that are in.
    pub backends: usize,
    /// TCP connections, handshakes included.
    pub sockets: u64,
    /// Frames that wait for somebody: reliable, bulk, telemetry, log.
    pub waiting: [usize; 4],
    /// Reliable frames that wait for the slowest peer.
    pub deepest: usize,
    /// End of the certificate, unix seconds; 0 when it is not known.
    pub certificate_ends_s: u64,
}

/// One peer that is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Who.
    pub who: Address,
    /// An agent's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<BackendId>,
    /// Agents that a process of a backend serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serves: Option<usize>,
    /// From where.
    pub address: Option<SocketAddr>,
    /// Since when, unix ms.
    pub since_ms: u64,
    /// Frames that wait for it.
    pub waiting: usize,
    /// Bytes of them.
    pub waiting_bytes: usize,
    /// For how long the oldest of them that may not be lost waits, ms.
    pub behind_ms: u64,
}

/// Makes the socket, in place of one that was left behind.
///
/// # Errors
/// It cannot be made.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    // Under another name first, so that nobody can open it before its mode is right.
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    Ok(listener)
}

/// Answers until `stop`.
pub(crate) async fn serve(stop: CancellationToken, listener: UnixListener, hub: Arc<Hub>) {
    let places = Arc::new(Semaphore::new(PLACES));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (Ok((stream, _)), Ok(place)) = (accepted, Arc::clone(&places).try_acquire_owned()) else {
            // Whoever waits for a place asks again, and an error of the system passes.
            tokio::task::yield_now().await;
            continue;
        };
        let (hub, stop) = (Arc::clone(&hub), stop.clone());
        tokio::spawn(async move {
            if let Some(Err(error)) = stop.run_until_cancelled(answer(&hub, stream)).await {
                tracing::debug!(%error, "admin socket");
            }
            drop(place);
        });
    }
}

async fn answer(hub: &Hub, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(QUESTION_BYTES));
    let mut line = String::new();
    timeout(QUESTION_WITHIN, read.read_line(&mut line)).await??;
    let mut lines = String::new();
    match serde_json::from_str(&line) {
        Ok(Ask::Status) => push(&mut lines, &status(hub)),
        Ok(Ask::Agents) => agents(hub).iter().for_each(|row| push(&mut lines, row)),
        Ok(Ask::Backends) => backends(hub).iter().for_each(|row| push(&mut lines, row)),
        Ok(Ask::Tail) => {
            let mut watcher = hub.tail.watch();
            loop {
                let line = tokio::select! {
                    line = watcher.next() => line,
                    _ = read.read_u8() => None,
                };
                let Some(line) = line else { return Ok(()) };
                write.write_all(format!("{line}\n").as_bytes()).await?;
            }
        }
        Err(error) => push(&mut lines, &serde_json::json!({ "error": error.to_string() })),
    }
    write.write_all(lines.as_bytes()).await
}

fn push(lines: &mut String, answer: &impl Serialize) {
    lines.push_str(&serde_json::to_string(answer).expect("answers have string keys"));
    lines.push('\n');
}

fn status(hub: &Hub) -> Status {
    let gauges = hub.gauges();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        relay: hub.options.relay_id.clone(),
        up_ms: hub.clock.ms(),
        draining: hub.is_draining(),
        agents: gauges.agents,
        backends: gauges.backends,
        sockets: hub.metrics.sockets.load(std::sync::atomic::Ordering::Relaxed),
        waiting: gauges.depth,
        deepest: gauges.deepest,
        certificate_ends_s: gauges.certificate_ends_s,
    }
}

fn agents(hub: &Hub) -> Vec<Row> {
    let router = hub.router();
    let seats = router.seats().map(|(login, post)| {
        let owner = Some(login.owner.clone());
        Row { owner, ..row(hub, Address::Agent(login.agent), post) }
    });
    seats.collect()
}

fn backends(hub: &Hub) -> Vec<Row> {
    let router = hub.router();
    let processes = router.loads().map(|(backend, post, load)| {
        let serves = Some(load);
        Row { serves, ..row(hub, Address::Backend(backend.clone()), post) }
    });
    processes.collect()
}

fn row(hub: &Hub, who: Address, post: &Post) -> Row {
    let (waiting_bytes, oldest_ms) = post.backlog();
    let now_ms = hub.clock.ms();
    Row {
        who,
        owner: None,
        serves: None,
        address: post.caller.map(|caller| caller.address),
        since_ms: post.caller.map_or(0, |caller| caller.since_ms),
        waiting: post.depth().iter().sum(),
        waiting_bytes,
        behind_ms: oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_takes_the_place_of_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(bind(&path).unwrap());
        let _listener = bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
