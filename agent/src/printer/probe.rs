//! Asks once who is at a port, at every rate of the profiles, and lets go of it again.

use std::path::Path;
use std::sync::Arc;

use spoolway_agent_core::greeting::Unanswered;
use spoolway_firmware_profiles::Registry;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::dump::Dump;
use super::greet::Ask;
use super::memory::Memory;
use super::task::{Bench, Seams};
use super::{Before, Known, OpenPortError, PortLost, PrinterOptions, Snapshot};
use crate::clock::Clock;
use crate::config::{BaudChoice, PortChoice, Safety};

/// Why nobody is known at a port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenPortError),
    /// It went away while it was asked.
    #[error(transparent)]
    Lost(#[from] PortLost),
    /// Nobody answered at any rate.
    #[error("nobody answers at any of the rates: {0}")]
    Silent(Unanswered),
}

/// Opens a port, asks who is there, and closes it. It takes up to ten seconds for the first rate, because opening may have
/// reset the board, and two for each other.
///
/// # Errors
/// [`ProbeError`].
pub async fn probe(path: &Path, registry: Arc<Registry>, clock: Clock) -> Result<Arc<Known>, ProbeError> {
    let options = PrinterOptions {
        port: PortChoice::Path(path.to_owned()),
        baud: BaudChoice::Auto,
        parity_workaround: false,
        before: Before::default(),
        root: "/".into(),
        profile: None,
        registry,
        safety: Safety::default(),
        dump_folder: None,
    };
    // Kept until the end: without a sender the conversation would be over.
    let (_orders, inbox) = mpsc::channel(1);
    let (publish, _snapshot) = watch::channel(Snapshot::default());
    let mut bench =
        Bench::new(options, clock, Seams::of(inbox, publish), Dump::default(), Memory::of_this_process());
    let mut port = bench.open_port()?;
    match bench.greet_once(&mut port).await? {
        Ask::Greeted(greeted) => bench.know(greeted).ok_or(ProbeError::Silent(Unanswered::Deaf)),
        Ask::Unanswered(why) => Err(ProbeError::Silent(why)),
        Ask::Leave => Err(ProbeError::Silent(Unanswered::Silent)),
    }
}
