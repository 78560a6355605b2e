//! Measures what a job body costs the device: bytes written per byte of G-code, for several ways to store it.
//!
//! `cargo run --release -p spoolway-agent --example spool_cost -- [FOLDER] [FILE.gcode]`
//!
//! FOLDER must lie on a real file system; a tmpfs counts nothing. Without FILE, 32 MiB of made-up perimeters
//! are stored. The figures are `write_bytes` of `/proc/self/io` (pages that this process made dirty and that
//! the kernel sends to the device, see proc_pid_io(5)) after everything was synced, without the file
//! system's own journal. Each way stores the same independent zstd frames of 256 KiB, and each makes every
//! 4 MiB durable, but for the last one, which syncs every frame.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use spoolway_agent::spool::{Spool, SpoolOptions};

const FRAME_BYTES: usize = 256 * 1024;
const FRAMES_PER_COMMIT: usize = 16;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let base = arguments.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let raw = match arguments.next() {
        Some(path) => fs::read(path)?,
        None => perimeters(32 << 20),
    };
    let dir = base.join(format!("spool-cost-{}", std::process::id()));
    fs::create_dir(&dir)?;
    let result = measure_all(&dir, &raw);
    fs::remove_dir_all(&dir)?;
    result
}

fn measure_all(dir: &Path, raw: &[u8]) -> Outcome<()> {
    println!("{:<44} {:>12} {:>10} {:>8}", "way to store", "device/job", "file/job", "MiB/s");
    for (journal, synchronous, page) in [
        ("TRUNCATE", "FULL", 4096),
        ("DELETE", "FULL", 4096),
        ("DELETE", "EXTRA", 4096),
        ("PERSIST", "FULL", 4096),
        ("WAL", "FULL", 4096),
        ("TRUNCATE", "FULL", 1024),
        ("TRUNCATE", "FULL", 16384),
        ("TRUNCATE", "FULL", 65536),
    ] {
        let name = format!("SQLite {journal} {synchronous}, {page} B pages");
        report(&name, raw, dir, |path| in_sqlite(path, raw, journal, synchronous, page))?;
    }
    report("the spool itself", raw, dir, |path| in_spool(path, raw))?;
    report("appended frames, fdatasync every 4 MiB", raw, dir, |path| {
        in_plain_file(path, raw, FRAMES_PER_COMMIT)
    })?;
    report("appended frames, fdatasync every frame", raw, dir, |path| in_plain_file(path, raw, 1))
}

/// Runs one way in a folder of its own and prints what it took.
fn report(name: &str, raw: &[u8], dir: &Path, store: impl Fn(&Path) -> Outcome<()>) -> Outcome<()> {
    let folder = dir.join("one");
    fs::create_dir(&folder)?;
    let (before, started) = (write_bytes()?, Instant::now());
    store(&folder)?;
    let seconds = started.elapsed().as_secs_f64();
    // Whatever the way left unsynced has to reach the device as well.
    let mut file_bytes = 0;
    for entry in fs::read_dir(&folder)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        file_bytes += file.metadata()?.len();
    }
    File::open(&folder)?.sync_all()?;
    let written = write_bytes()? - before;
    let per_byte = |bytes: u64| bytes as f64 / raw.len() as f64;
    let speed = raw.len() as f64 / seconds / (1 << 20) as f64;
    println!("{name:<44} {:>12.3} {:>10.3} {speed:>8.0}", per_byte(written), per_byte(file_bytes));
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn in_sqlite(folder: &Path, raw: &[u8], journal: &str, synchronous: &str, page: u32) -> Outcome<()> {
    let conn = Connection::open(folder.join("body.db"))?;
    conn.execute_batch(&format!(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = {page}; PRAGMA journal_mode = {journal};
         PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;
         CREATE TABLE frame(n INTEGER PRIMARY KEY, first_byte INTEGER, first_line INTEGER, raw_len INTEGER, zstd BLOB);"
    ))?;
    let mut line = 0;
    for (group_n, group) in raw.chunks(FRAME_BYTES * FRAMES_PER_COMMIT).enumerate() {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for (frame_n, frame) in group.chunks(FRAME_BYTES).enumerate() {
            let n = group_n * FRAMES_PER_COMMIT + frame_n;
            conn.prepare_cached("INSERT INTO frame VALUES(?1, ?2, ?3, ?4, ?5)")?.execute(params![
                n,
                n * FRAME_BYTES,
                line,
                frame.len(),
                zstd::bulk::compress(frame, 3)?
            ])?;
            line += frame.iter().filter(|byte| **byte == b'\n').count();
        }
        conn.execute_batch("COMMIT")?;
    }
    conn.close().map_err(|(_, error)| error)?;
    Ok(())
}

fn in_spool(folder: &Path, raw: &[u8]) -> Outcome<()> {
    let spool = Spool::open(folder, SpoolOptions { reserve_bytes: 0, ..SpoolOptions::default() })?;
    let mut writer = spool.write("body")?;
    for chunk in raw.chunks(64 * 1024) {
        writer.append(chunk)?;
    }
    let sha256: String = Sha256::digest(raw).iter().map(|byte| format!("{byte:02x}")).collect();
    writer.finish(&sha256, raw.len() as u64)?;
    Ok(())
}

fn in_plain_file(folder: &Path, raw: &[u8], frames_per_sync: usize) -> Outcome<()> {
    let mut file = File::create(folder.join("body.zst"))?;
    for group in raw.chunks(FRAME_BYTES * frames_per_sync) {
        for frame in group.chunks(FRAME_BYTES) {
            file.write_all(&zstd::bulk::compress(frame, 3)?)?;
        }
        file.sync_data()?;
    }
    Ok(())
}

/// Bytes that this process has sent towards a device.
fn write_bytes() -> Outcome<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.ok_or("no write_bytes in /proc/self/io")?.parse()?)
}

/// Made-up G-code in the shape of a slicer's: rounded outlines that grow layer by layer, with extrusion.
fn perimeters(size: usize) -> Vec<u8> {
    let mut text = String::with_capacity(size + 128);
    let (mut layer, mut extruded, mut noise) = (0u32, 0.0, 1u64);
    while text.len() < size {
        layer += 1;
        text.push_str(&format!(";LAYER:{layer}\nG1 Z{:.2} F9000\n", f64::from(layer) * 0.2));
        for wall in 0..8 {
            for step in 0..180 {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let wobble = (noise >> 40) as f64 / (1u64 << 24) as f64;
                let angle = f64::from(step) * std::f64::consts::PI / 90.0;
                let radius = 40.0 - f64::from(wall) * 0.45 + f64::from(layer % 50) * 0.05 + wobble * 0.3;
                let (x, y) = (110.0 + radius * angle.cos(), 110.0 + radius * angle.sin());
                extruded += 0.045 + wobble * 0.01;
                text.push_str(&format!("G1 X{x:.3} Y{y:.3} E{extruded:.5}\n"));
            }
        }
    }
    text.truncate(size);
    text.into_bytes()
}
