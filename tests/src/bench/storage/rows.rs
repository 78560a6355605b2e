//! Events: grouped ones that wait for an ack, grouped ones that are acknowledged as they go, and promises one by one.

use std::path::Path;

use spoolway_agent::store::{Durability, EventClass, NewEvent, Position, Store, StoreOptions, Write};

use super::{Figure, sync_all};
use crate::bench::usage::written_bytes;

/// Rows of a group, as the agent's store groups them.
const GROUP: usize = 32;
/// Rows in all.
const ROWS: usize = 16_000;
/// A backend's window: so many events wait for their ack.
const WINDOW: u64 = 256;
/// Promises are dear, so there are fewer of them.
const PROMISES: usize = 500;

/// Grouped rows without acks first.
pub(super) async fn measure(dir: &Path) -> anyhow::Result<Vec<Figure>> {
    let store = async |way: &str, rows, group, durability, window| {
        let folder = dir.join("rows");
        let figure = figure(way, &folder, rows, group, durability, window).await;
        std::fs::remove_dir_all(&folder)?;
        figure
    };
    Ok(vec![
        store("events: 32 a group, no acks", ROWS, GROUP, Durability::Grouped, None).await?,
        store("events: 32 a group, each acknowledged", ROWS, GROUP, Durability::Grouped, Some(WINDOW))
            .await?,
        store("events: promises, one by one", PROMISES, 1, Durability::Promise, None).await?,
    ])
}

async fn figure(
    way: &str,
    folder: &Path,
    rows: usize,
    group: usize,
    durability: Durability,
    window: Option<u64>,
) -> anyhow::Result<Figure> {
    let (store, _) = Store::open(folder, &StoreOptions { group_rows: group, ..StoreOptions::default() })?;
    sync_all(folder)?;
    let pid = std::process::id();
    let (before, mut bytes) = (written_bytes(pid)?, 0);
    for n in (0..rows).step_by(group) {
        let events: Vec<_> = (n..n + group).map(row).collect();
        bytes += events.iter().map(text_bytes).sum::<u64>();
        let writes = events.into_iter().map(Write::Event).collect();
        let committed = store.commit(writes, durability).await?;
        let last = committed.positions.last().copied().unwrap_or_default();
        if let Some(seq) =
            window.and_then(|window| last.seq.checked_sub(window)).filter(|seq| seq % WINDOW == 0)
        {
            store.ack(Position { seq, ..last }).await?;
        }
    }
    store.close().await?;
    sync_all(folder)?;
    let device_bytes = written_bytes(pid)? - before;
    Ok(Figure { way: way.to_owned(), bytes, device_bytes, ratio: device_bytes as f64 / bytes as f64 })
}

/// About 280 bytes, like `job.progress`.
fn row(n: usize) -> NewEvent {
    NewEvent {
        cls: EventClass::Info,
        kind: "job.progress".to_owned(),
        printer_id: Some("p0".to_owned()),
        job_id: Some("0199c7a2-4c00-7d55-9b22-6f1eac8d3a44".to_owned()),
        attempt: Some(1),
        ts_json: format!(
            r#"{{"w":17600{n:08},"m":8{n:08},"b":"6f1c2a04-55d1-4a7e-9a1b-3f0c8d2e7b11","c":"ntp"}}"#
        ),
        data_json: format!(
            r#"{{"pct":{},"layer":{},"line":{n},"bytes":{},"note":"{}"}}"#,
            n % 100,
            n / 40,
            n * 31,
            "x".repeat(94)
        ),
    }
}

/// What the row says, without what the store adds.
fn text_bytes(event: &NewEvent) -> u64 {
    let ids = event.printer_id.as_ref().map_or(0, String::len) + event.job_id.as_ref().map_or(0, String::len);
    (event.kind.len() + ids + event.ts_json.len() + event.data_json.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_long_as_a_usual_event() {
        for n in [0, ROWS] {
            assert!((270..=300).contains(&text_bytes(&row(n))), "{}", text_bytes(&row(n)));
        }
    }
}
