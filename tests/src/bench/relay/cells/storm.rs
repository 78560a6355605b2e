//! All agents lose their connection and come back at once.

use std::time::Duration;

use serde::Serialize;

use super::Cell;

/// Who is not up by then has failed.
const WITHIN: Duration = Duration::from_secs(30);
/// The server has noticed by then that all are gone.
const GONE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench::relay) struct Storm {
    pub(in crate::bench::relay) agents: u32,
    pub(in crate::bench::relay) failed: usize,
    /// From the first dial until the last is up.
    pub(in crate::bench::relay) all_up_s: f64,
    /// Memory with all connected, before; and the most since they came back.
    pub(in crate::bench::relay) steady_bytes: u64,
    pub(in crate::bench::relay) peak_bytes: u64,
}

impl Storm {
    /// The peak in units of what is steady.
    pub(in crate::bench::relay) fn peak(&self) -> f64 {
        self.peak_bytes as f64 / self.steady_bytes as f64
    }
}

impl Cell<'_> {
    /// Connects the agents in peace, hangs up and dials, all at once.
    pub(in crate::bench::relay) async fn storm(mut self, agents: u32) -> anyhow::Result<Storm> {
        self.connect_all(agents).await?;
        self.settle().await?;
        let steady_bytes = self.server.resident_bytes()?;
        self.disconnect(0..agents);
        self.load.pump_for(GONE, &mut |_, _| {}).await?;
        self.server.forget_peak()?;
        let opened = self.connect(0..agents, usize::MAX, WITHIN).await?;
        Ok(Storm {
            agents,
            failed: opened.failed,
            all_up_s: opened.took.as_secs_f64(),
            steady_bytes,
            peak_bytes: self.server.peak_bytes()?,
        })
    }
}
