//! The next process goes on with a half body behind what is durable, and reads none of it back.

use std::fs;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;
use spoolway_agent::spool::{Spool, SpoolError, SpoolWriter};

use super::{MIB, gcode, read_all, sha256, spool};

/// Changes a part that nobody writes, as damage or another program would.
fn tamper(dir: &Path, sql: &str) {
    Connection::open(dir.join("file.part.db")).unwrap().execute_batch(sql).unwrap();
}

/// Takes the rest of a body and completes it.
fn go_on(spool: &Spool, mut writer: SpoolWriter, bytes: &[u8]) {
    writer.append(&bytes[usize::try_from(writer.received()).unwrap()..]).unwrap();
    let body = writer.finish(&sha256(bytes), bytes.len() as u64).unwrap();
    assert!(read_all(spool.read(&body.sha256).unwrap()) == bytes);
}

/// The files as kill -9 would leave them, anywhere in a body: what is durable is gone on with, and not one frame of it read back.
#[test]
fn a_crash_in_a_transaction_is_undone_by_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let first = spool(dir.path());
    let bytes = gcode(3, 12 * MIB);
    let mut writer = first.write("file").unwrap();
    for (n, piece) in bytes[..11 * MIB].chunks(MIB / 2).enumerate() {
        writer.append(piece).unwrap();
        let image = tempfile::tempdir().unwrap();
        for name in ["file.part.db", "file.part.db-journal"] {
            fs::copy(dir.path().join(name), image.path().join(name)).unwrap();
        }
        let second = spool(image.path());
        let writer = second.write("file").unwrap();
        let taken = (n as u64 + 1) * MIB as u64 / 2;
        let durable = taken - taken % (4 * MIB as u64);
        assert_eq!((writer.durable(), writer.read_back()), (durable, 0), "after {taken} bytes");
        go_on(&second, writer, &bytes);
    }
}

/// Frames that are damaged beyond reading are still there: whoever had read them back would have dropped them.
#[test]
fn a_restart_reads_nothing_of_what_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(11, 9 * MIB + 5);
    let mut writer = spool.write("file").unwrap();
    for to in [5 * MIB, 8 * MIB + MIB / 4, 9 * MIB + 5] {
        writer.append(&bytes[usize::try_from(writer.received()).unwrap()..to]).unwrap();
        let durable = writer.suspend().unwrap();
        tamper(dir.path(), "UPDATE frame SET zstd = x'00'");
        writer = spool.write("file").unwrap();
        assert_eq!((writer.durable(), writer.read_back()), (durable, 0));
        assert_eq!(durable, (to - to % (MIB / 4)) as u64);
    }
    // The digest is of the bytes as they came, so the body is the announced one; its reader finds the damage.
    writer.append(&bytes[usize::try_from(writer.received()).unwrap()..]).unwrap();
    let body = writer.finish(&sha256(&bytes), bytes.len() as u64).unwrap();
    assert!(spool.read(&body.sha256).unwrap().read_to_end(&mut Vec::new()).is_err());
}

/// Bytes that are not those that were announced are found out, whoever wrote the first of them.
#[test]
fn a_digest_that_is_kept_decides_about_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(12, 5 * MIB);
    let mut altered = bytes.clone();
    altered[77] ^= 1;
    let mut writer = spool.write("file").unwrap();
    writer.append(&altered[..4 * MIB + 100]).unwrap();
    writer.suspend().unwrap();
    let mut writer = spool.write("file").unwrap();
    assert_eq!((writer.durable(), writer.read_back()), (4 * MIB as u64, 0));
    writer.append(&bytes[4 * MIB..]).unwrap();
    let error = writer.finish(&sha256(&bytes), bytes.len() as u64).unwrap_err();
    assert!(matches!(&error, SpoolError::AlteredFile { found, .. } if *found == sha256(&altered)), "{error}");
}

/// A crash between the last commit and the rename leaves a short frame, a row that says complete, and a digest of whole frames.
#[test]
fn a_crash_before_the_rename_costs_the_last_frame() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(13, 5 * MIB + 1000);
    let mut writer = spool.write("file").unwrap();
    writer.append(&bytes).unwrap();
    let body = writer.finish(&sha256(&bytes), bytes.len() as u64).unwrap();
    fs::rename(dir.path().join(format!("{}.gcode.db", body.sha256)), dir.path().join("file.part.db"))
        .unwrap();
    let writer = spool.write("file").unwrap();
    assert_eq!((writer.durable(), writer.read_back()), (5 * MIB as u64, 0));
    go_on(&spool, writer, &bytes);
}

/// What does not fit is not believed: the frames are read back, and only those that it does not cover.
#[test]
fn a_digest_that_does_not_fit_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(14, 6 * MIB);
    let all = 5 * MIB as u64;
    for (sql, read_back) in [
        ("DELETE FROM digest", all),
        ("DROP TABLE digest", all),
        ("UPDATE digest SET form = 2", all),
        ("UPDATE digest SET frames = frames - 1", all),
        ("UPDATE digest SET line_ends = line_ends + 1", all),
        ("UPDATE digest SET state = substr(state, 2)", all),
        ("UPDATE digest SET seal = zeroblob(32)", all),
        ("UPDATE frame SET raw_len = 7 WHERE n = 19", 19 * MIB as u64 / 4),
        ("DELETE FROM frame WHERE n = 19", 19 * MIB as u64 / 4),
        ("DELETE FROM digest; UPDATE frame SET zstd = x'00' WHERE n = 3", 3 * MIB as u64 / 4),
    ] {
        let mut writer = spool.write("file").unwrap();
        writer.append(&bytes[..5 * MIB]).unwrap();
        writer.suspend().unwrap();
        tamper(dir.path(), sql);
        let writer = spool.write("file").unwrap();
        assert_eq!((writer.durable(), writer.read_back()), (read_back, read_back), "{sql}");
        drop(writer);
        // It is kept again at once.
        let writer = spool.write("file").unwrap();
        assert_eq!((writer.durable(), writer.read_back()), (read_back, 0), "{sql}");
        go_on(&spool, writer, &bytes);
    }
    // One of an earlier commit covers what it covers.
    let mut writer = spool.write("file").unwrap();
    writer.append(&bytes[..MIB]).unwrap();
    writer.suspend().unwrap();
    tamper(dir.path(), "CREATE TABLE kept AS SELECT * FROM digest");
    let mut writer = spool.write("file").unwrap();
    writer.append(&bytes[MIB..5 * MIB]).unwrap();
    writer.suspend().unwrap();
    tamper(dir.path(), "INSERT OR REPLACE INTO digest SELECT * FROM kept; DROP TABLE kept");
    let writer = spool.write("file").unwrap();
    assert_eq!((writer.durable(), writer.read_back()), (all, 4 * MIB as u64));
    go_on(&spool, writer, &bytes);
}

#[test]
fn a_part_whose_file_is_damaged_beyond_use_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(4, 5 * MIB);
    let mut writer = spool.write("file").unwrap();
    writer.append(&bytes).unwrap();
    writer.suspend().unwrap();
    let path = dir.path().join("file.part.db");
    let mut stored = fs::read(&path).unwrap();
    stored[30..6030].iter_mut().for_each(|byte| *byte ^= 0x77);
    fs::write(&path, stored).unwrap();
    let writer = spool.write("file").unwrap();
    assert_eq!(writer.durable(), 0);
    go_on(&spool, writer, &bytes);
}
