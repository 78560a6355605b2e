//! Connections that say nothing but that they are there: what one takes of the memory, and all of the processor.

use std::time::{Duration, Instant};

use serde::Serialize;
use spoolway_protocol::limits::HB_MS;

use super::{Cell, Contender, place_of};

/// Connections that come and go before anything is counted, so that the program's own pages are there.
const WARM_UP: u32 = 100;
/// The longest wait for a socket, between two beats.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The ticks of the relay's clock on which its agents beat (`spoolway_agent_core::link::Heartbeats`).
const TICK: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench::relay) struct Idle {
    pub(in crate::bench::relay) connections: u32,
    pub(in crate::bench::relay) bytes_per_connection: f64,
    /// Processor time of the server to let one in, in microseconds.
    pub(in crate::bench::relay) accept_us: f64,
    /// Of one core, with all connections and their heartbeats, one after the other.
    pub(in crate::bench::relay) cpu_even_percent: f64,
    /// The same with heartbeats as the server's own clients send them: the relay's agents do on ticks of its clock.
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
        let time = Duration::from_secs(seconds.into());
        let even = self.beat_for(connections, time, Duration::ZERO).await?;
        let as_clients = if self.contender == Contender::Spoolway {
            self.beat_for(connections, time, TICK).await?
        } else {
            even
        };
        let more = self.server.resident_bytes()? as f64 - bytes as f64;
        let lost = self.load.take_lost();
        anyhow::ensure!(lost.is_empty(), "{} idle connections were lost: {}", lost.len(), lost[0].1);
        Ok(Idle {
            connections,
            bytes_per_connection: more / f64::from(connections),
            accept_us: accept.as_secs_f64() * 1e6 / f64::from(connections),
            cpu_even_percent: 100.0 * even,
            cpu_percent: 100.0 * as_clients,
        })
    }

    /// Each gives a sign of life once in the default interval: one after the other, or all of a tick at once. Returns the server's share
    /// of a core.
    async fn beat_for(&mut self, connections: u32, time: Duration, tick: Duration) -> anyhow::Result<f64> {
        let (began, cpu) = (Instant::now(), self.server.processor_time()?);
        let mut beats = 0;
        while began.elapsed() < time {
            let passed = began.elapsed().as_secs_f64();
            let of_ticks = (passed / tick.as_secs_f64()).floor() * tick.as_secs_f64();
            let until = if tick.is_zero() { passed } else { of_ticks };
            let due = until * f64::from(connections) * 1e3 / HB_MS as f64;
            while f64::from(beats) < due {
                self.load.beat(place_of(beats % connections))?;
                beats += 1;
            }
            self.load.pump(LOOK_EVERY, &mut |_, _| {}).await?;
        }
        Ok((self.server.processor_time()? - cpu).as_secs_f64() / began.elapsed().as_secs_f64())
    }
}
