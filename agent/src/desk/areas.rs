//! What the agent takes on the disk, area by area, and what it writes: for `status`, and for the backend every hour.

use std::fs;
use std::path::Path;
use std::time::Duration;

use spoolway_protocol::event::{AgentHealth, EventData};
use spoolway_protocol::raw::Extra;

use super::budget::Written;
use super::clerk::Clerk;
use super::events::event;
use super::restore::meta;
use crate::board;
use crate::post_mortem::TOTAL_BYTES;
use crate::telemetry;
use crate::view::{AreaView, StorageView, WrittenView};

/// The backend is told so often.
const HEALTH_EVERY: Duration = Duration::from_secs(3600);
/// The last words on the wire, post-mortem records, the log's own files, and what is set aside: each is bounded by itself.
const KEPT_BYTES: u64 = (64 << 20) + (2 << 20) + TOTAL_BYTES + telemetry::KEPT_BYTES;
/// Name of the value that shows whether the store takes writes again.
const CHECKED: &str = "storage_checked";
const WIRE_LOGS: [&str; 2] = ["wire.log", "wire.log.1"];

impl Clerk {
    /// `None` while the system does not tell.
    pub(super) fn storage_view(&self) -> Option<StorageView> {
        let room = self.spool.room().ok()?;
        let database = self.store.area();
        let kept_bytes = database.set_aside_bytes()
            + wire_log_bytes(database.dir())
            + self.shelf.used_bytes()
            + telemetry::kept_bytes(database.dir());
        let written = Written::now(self.spool.written_bytes());
        Some(StorageView {
            free_bytes: room.free_bytes,
            reserve_bytes: room.reserve_bytes,
            files: AreaView { used_bytes: room.used_bytes, max_bytes: Some(room.max_bytes) },
            database: AreaView { used_bytes: database.used_bytes(), max_bytes: database.max_bytes() },
            kept: AreaView { used_bytes: kept_bytes, max_bytes: Some(KEPT_BYTES) },
            written: written.map(|written| WrittenView {
                bytes: written.bytes,
                files_bytes: written.files_bytes,
                mb_a_day: self.budget.mb_a_day(self.clock.now(), written),
            }),
            fault: self.storage_fault.clone(),
        })
    }

    /// After a refused write somebody may look at `status` although nothing waits to be written: a small write shows whether
    /// there is room again.
    pub(super) async fn try_store(&mut self) {
        if self.storage_fault.is_some() {
            drop(self.promise(vec![meta(CHECKED, self.clock.now().as_millis())]).await);
        }
    }

    /// Looks at the counters, and tells the backend every hour.
    pub(super) async fn watch_writes(&mut self) {
        let now = self.clock.now();
        let Some(written) = Written::now(self.spool.written_bytes()) else { return };
        self.budget.sample(now, written);
        if now < self.health_due {
            return;
        }
        // Nothing is to be told before there is a figure.
        let Some(mb_a_day) = self.budget.mb_a_day(now, written) else { return };
        let Ok(room) = self.spool.room() else { return };
        self.health_due = now + HEALTH_EVERY;
        let health = EventData::AgentHealth(AgentHealth {
            disk_free: room.free_bytes,
            write_mb_day: Some((mb_a_day * 10.0).round() / 10.0),
            temp: board::temperature(Path::new("/")),
            throttled: board::throttled(Path::new("/")),
            extra: Extra::default(),
        });
        let told = event(&health, None, &self.clock.stamp());
        self.note(vec![told]).await;
    }
}

fn wire_log_bytes(dir: &Path) -> u64 {
    WIRE_LOGS.iter().map(|name| fs::metadata(dir.join(name)).map_or(0, |file| file.len())).sum()
}
