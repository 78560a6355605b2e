//! Connections that say nothing but that they are there: what one takes of the memory, and all of the processor.

use std::time::{Duration, Instant};

use serde::Serialize;
use spoolway_protocol::limits::HB_MS;

use super::{Cell, place_of};

/// Connections that come and go before anything is counted, so that the program's own pages are there.
const WARM_UP: u32 = 100;
/// The longest wait for a socket, between two beats.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench::relay) struct Idle {
    pub(in crate::bench::relay) connections: u32,
    pub(in crate::bench::relay) bytes_per_connection: f64,
    /// Processor time of the server to let one in, in microseconds.
    pub(in crate::bench::relay) accept_us: f64,
    /// Of one core, with all connections and their heartbeats.
    pub(in crate::bench::relay) cpu_percent: f64,
}

impl Cell<'_> {
    /// Connects so many, and looks at them for so long.
    pub(in crate::bench::relay) async fn idle(
        mut self,
        connections: u32,
        seconds: u32,
    ) -> anyhow::Result<Idle> {
        let warm_up = WARM_UP.min(connections);
        self.connect_all(warm_up).await?;
        self.disconnect(0..warm_up);
        self.settle().await?;
        let (bytes, cpu) = (self.server.resident_bytes()?, self.server.processor_time()?);
        self.connect_all(connections).await?;
        let accept = self.server.processor_time()? - cpu;
        self.settle().await?;
        let (began, cpu) = (Instant::now(), self.server.processor_time()?);
        self.beat_for(connections, Duration::from_secs(seconds.into())).await?;
        let cpu = (self.server.processor_time()? - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
        let more = self.server.resident_bytes()? as f64 - bytes as f64;
        let lost = self.load.take_lost();
        anyhow::ensure!(lost.is_empty(), "{} idle connections were lost: {}", lost.len(), lost[0].1);
        Ok(Idle {
            connections,
            bytes_per_connection: more / f64::from(connections),
            accept_us: accept.as_secs_f64() * 1e6 / f64::from(connections),
            cpu_percent: 100.0 * cpu,
        })
    }

    /// Each gives a sign of life once in the default interval, one after the other.
    async fn beat_for(&mut self, connections: u32, time: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut beats = 0;
        while began.elapsed() < time {
            let due = began.elapsed().as_secs_f64() * f64::from(connections) * 1e3 / HB_MS as f64;
            while f64::from(beats) < due {
                self.load.beat(place_of(beats % connections))?;
                beats += 1;
            }
            self.load.pump(LOOK_EVERY, &mut |_, _| {}).await?;
        }
        Ok(())
    }
}
