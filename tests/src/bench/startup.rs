//! The time from the start of the agent's process to its first line on the wire, on a port that it knows.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Site;
use super::cell::median;
use crate::agent_program::AgentSetup;
use crate::pty::{PtyOptions, PtyPrinter};

/// Starts that count; one before them makes the port known.
const STARTS: usize = 5;
/// How long a first line may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The usual rate.
const BAUD: u32 = 115_200;

/// Hears the board's conversation, and says when a line from the host has come.
struct Ear(Sender<Instant>);

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.contains(&b'>') {
            // Nobody may be interested any more.
            let _ = self.0.send(Instant::now());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The middle of several starts, in milliseconds.
///
/// # Errors
/// The agent does not come up.
pub(super) async fn measure(site: &Site) -> anyhow::Result<f64> {
    let dir = tempfile::Builder::new().prefix("spoolway-bench-").tempdir()?;
    let (told, heard) = channel();
    let mut options = PtyOptions::instant();
    options.log = Some(Box::new(Ear(told)));
    let board = PtyPrinter::open(options)?.spawn()?;
    let folder = dir.path().join("agent");
    let setup = AgentSetup::new(&folder, board.path(), BAUD);
    let mut times = Vec::new();
    for n in 0..=STARTS {
        eprintln!("start: {n} of {STARTS}");
        heard.try_iter().for_each(drop);
        let begin = Instant::now();
        let mut agent = site.agent.start(&setup, &dir.path().join("agent.log"))?;
        let first = first_line(&heard, begin).await.with_context(|| agent.log_tail())?;
        if n > 0 {
            times.push((first - begin).as_secs_f64() * 1e3);
        }
        agent.ready().await?;
        agent.finish()?;
    }
    board.finish()?;
    median(times).context("there were starts")
}

async fn first_line(heard: &Receiver<Instant>, begin: Instant) -> anyhow::Result<Instant> {
    while begin.elapsed() < PATIENCE {
        if let Ok(at) = heard.try_recv() {
            return Ok(at);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("no line comes")
}
