//! A job's file: the spool beside the least there could be, the same frames appended to a plain file.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use spoolway_agent::spool::{Spool, SpoolOptions};

use super::{Figure, count};

/// The spool's frames, and how many of them it makes durable at once.
const FRAME_BYTES: usize = 256 * 1024;
const FRAMES_A_SYNC: usize = 16;
/// Pieces as they come from a relay.
const PIECE_BYTES: usize = 64 * 1024;
/// The spool's level.
const LEVEL: i32 = 3;

/// The spool first.
pub(super) fn measure(dir: &Path, raw: &[u8]) -> anyhow::Result<Vec<Figure>> {
    let size = raw.len() as u64;
    let per_frame = format!("plain file of the same frames, a sync for each {} MiB", FRAMES_A_SYNC / 4);
    Ok(vec![
        count("job: the spool", size, dir, |folder| in_spool(folder, raw))?,
        count(&format!("job: {per_frame}"), size, dir, |folder| in_plain_file(folder, raw, FRAMES_A_SYNC))?,
        count("job: the same, a sync for each frame", size, dir, |folder| in_plain_file(folder, raw, 1))?,
    ])
}

/// As the agent stores a file.
pub(super) fn in_spool(folder: &Path, raw: &[u8]) -> anyhow::Result<()> {
    let spool = Spool::open(folder, SpoolOptions { reserve_bytes: 0, ..SpoolOptions::default() })?;
    let mut writer = spool.write("body")?;
    for piece in raw.chunks(PIECE_BYTES) {
        writer.append(piece)?;
    }
    let sha256: String = Sha256::digest(raw).iter().map(|byte| format!("{byte:02x}")).collect();
    writer.finish(&sha256, raw.len() as u64)?;
    Ok(())
}

fn in_plain_file(folder: &Path, raw: &[u8], frames_a_sync: usize) -> anyhow::Result<()> {
    let mut file = File::create(folder.join("body.zst"))?;
    for group in raw.chunks(FRAME_BYTES * frames_a_sync) {
        for frame in group.chunks(FRAME_BYTES) {
            file.write_all(&zstd::bulk::compress(frame, LEVEL)?)?;
        }
        file.sync_data()?;
    }
    Ok(())
}
