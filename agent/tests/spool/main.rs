//! The spool gives back what was promised to it, byte for byte, or says why not and keeps nothing half done.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod restart;

use std::fs;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use spoolway_agent::spool::{Spool, SpoolError, SpoolOptions, SpoolReader, SpoolWriter};

const MIB: usize = 1 << 20;

fn spool(dir: &Path) -> Spool {
    Spool::open(dir, SpoolOptions { reserve_bytes: 0, ..SpoolOptions::default() }).unwrap()
}

/// G-code of some size, different for every seed.
fn gcode(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(0x9e37_79b9);
    let mut text = String::with_capacity(size + 64);
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (x, y, e) = (state >> 48, (state >> 32) & 0xffff, (state >> 20) & 0xfff);
        text.push_str(&format!("G1 X{}.{:03} Y{}.{:03} E.{e:04}\n", x % 220, x % 1000, y % 220, y % 1000));
    }
    text.truncate(size);
    text.into_bytes()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn store(spool: &Spool, bytes: &[u8]) -> String {
    let sha = sha256(bytes);
    let mut writer = spool.write(&sha).unwrap();
    for chunk in bytes.chunks(60_000) {
        writer.append(chunk).unwrap();
    }
    let body = writer.finish(&sha, bytes.len() as u64).unwrap();
    assert_eq!((body.size, &body.sha256), (bytes.len() as u64, &sha));
    sha
}

fn read_all(mut reader: SpoolReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn handles_may_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<SpoolWriter>();
    is_send::<SpoolReader>();
    is_send::<Spool>();
}

#[test]
fn bodies_of_all_sizes_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let frame = 256 * 1024;
    let sizes = [0, 1, 37, 4096, frame - 1, frame, frame + 1, 3 * frame, 4 * MIB, 4 * MIB + 5, 10 * MIB];
    for (seed, size) in sizes.into_iter().enumerate() {
        let bytes = gcode(seed as u64, size);
        let sha = store(&spool, &bytes);
        assert!(spool.contains(&sha).unwrap());
        let body = spool.body(&sha).unwrap();
        let lines = String::from_utf8(bytes.clone()).unwrap().lines().count() as u64;
        assert_eq!((body.size, body.lines), (size as u64, lines), "size {size}");
        assert!(read_all(spool.read(&sha).unwrap()) == bytes, "size {size}");
    }
    assert_eq!(spool.bodies().unwrap().len(), sizes.len());
    assert!(spool.parts().unwrap().is_empty());
    let strangers: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".gcode.db"))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn a_body_takes_less_room_than_its_text() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    store(&spool, &gcode(1, 8 * MIB));
    let file_bytes = spool.bodies().unwrap()[0].file_bytes;
    assert!(file_bytes < 4 * MIB as u64, "{file_bytes}");
}

#[test]
fn a_transfer_resumes_where_it_was_durable() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(2, 10 * MIB + 77);
    let sha = sha256(&bytes);

    let mut writer = spool.write("file-1").unwrap();
    writer.append(&bytes[..5 * MIB]).unwrap();
    assert_eq!((writer.durable(), writer.received()), (4 * MIB as u64, 5 * MIB as u64));
    assert!(matches!(spool.write("file-1"), Err(SpoolError::Busy)));
    drop(writer);

    let mut writer = spool.write("file-1").unwrap();
    assert_eq!((writer.durable(), writer.received()), (4 * MIB as u64, 4 * MIB as u64));
    writer.append(&bytes[4 * MIB..6 * MIB + 1000]).unwrap();
    assert_eq!(writer.suspend().unwrap(), 6 * MIB as u64);
    assert_eq!(spool.parts().unwrap()[0].name, "file-1");

    let mut writer = spool.write("file-1").unwrap();
    writer.append(&bytes[6 * MIB..]).unwrap();
    writer.finish(&sha, bytes.len() as u64).unwrap();
    assert!(read_all(spool.read(&sha).unwrap()) == bytes);
}

#[test]
fn a_truncated_file_can_go_on_and_an_altered_one_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(5, MIB);
    let sha = sha256(&bytes);
    let mut writer = spool.write("file").unwrap();
    writer.append(&bytes[..MIB - 10]).unwrap();
    let short = writer.finish(&sha, MIB as u64);
    assert!(matches!(short, Err(SpoolError::TruncatedFile { expected, found })
        if expected == MIB as u64 && found == MIB as u64 - 10));

    let mut writer = spool.write("file").unwrap();
    let from = usize::try_from(writer.durable()).unwrap();
    assert_eq!(from, 3 * MIB / 4);
    let mut altered = bytes[from..].to_vec();
    altered[1000] ^= 1;
    writer.append(&altered).unwrap();
    let error = writer.finish(&sha, MIB as u64).unwrap_err();
    assert!(
        matches!(&error, SpoolError::AlteredFile { expected, found } if *expected == sha && *found != sha)
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something half done remains");

    let mut writer = spool.write("file").unwrap();
    writer.append(&bytes).unwrap();
    writer.append(b"; more").unwrap();
    assert!(matches!(writer.finish(&sha, MIB as u64), Err(SpoolError::AlteredFile { .. })));
    assert!(!spool.contains(&sha).unwrap());
}

#[test]
fn a_full_disk_keeps_what_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let tight = SpoolOptions { reserve_bytes: 0, max_page_count: Some(900), ..SpoolOptions::default() };
    let bytes = gcode(6, 12 * MIB);
    let mut writer = Spool::open(dir.path(), tight).unwrap().write("file").unwrap();
    let error = writer.append(&bytes).unwrap_err();
    assert!(matches!(error, SpoolError::DiskFull), "{error}");
    assert!(matches!(writer.append(b"G28\n"), Err(SpoolError::Broken)));
    let durable = writer.durable();
    assert!(durable > 0);
    drop(writer);
    let roomy = spool(dir.path());
    let mut writer = roomy.write("file").unwrap();
    assert_eq!(writer.durable(), durable);
    writer.append(&bytes[usize::try_from(durable).unwrap()..]).unwrap();
    writer.finish(&sha256(&bytes), bytes.len() as u64).unwrap();
}

#[test]
fn what_does_not_fit_is_not_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let small = SpoolOptions { max_body_bytes: 1000, reserve_bytes: 0, ..SpoolOptions::default() };
    let small = Spool::open(dir.path(), small).unwrap();
    assert!(matches!(small.admit(1001, 0), Err(SpoolError::TooLarge { size: 1001, max: 1000 })));
    small.admit(1000, 0).unwrap();
    let mut writer = small.write("file").unwrap();
    writer.append(&[b'\n'; 900]).unwrap();
    assert!(matches!(writer.append(&[b'\n'; 101]), Err(SpoolError::TooLarge { size: 1001, .. })));
    drop(writer);

    let greedy = SpoolOptions { reserve_bytes: u64::MAX, ..SpoolOptions::default() };
    let greedy = Spool::open(dir.path(), greedy).unwrap();
    assert!(matches!(greedy.admit(1, 0), Err(SpoolError::NoRoom(_))));
    assert!(matches!(greedy.write("other"), Err(SpoolError::DiskFull)));
}

#[test]
fn the_quota_counts_what_is_there_and_what_is_promised() {
    let dir = tempfile::tempdir().unwrap();
    let options = SpoolOptions { max_bytes: 2_000_000, reserve_bytes: 0, ..SpoolOptions::default() };
    let spool = Spool::open(dir.path(), options).unwrap();
    spool.admit(2_000_000, 0).unwrap();
    store(&spool, &gcode(9, MIB));
    let used_bytes = spool.room().unwrap().used_bytes;
    assert_eq!(used_bytes, spool.bodies().unwrap()[0].file_bytes);
    let left = 2_000_000 - used_bytes;
    spool.admit(left, 0).unwrap();
    let Err(SpoolError::NoRoom(shortage)) = spool.admit(left + 1, 0) else { panic!("it was admitted") };
    assert_eq!((shortage.needed_bytes, shortage.room.left_bytes()), (left + 1, left));
    assert!(shortage.to_string().contains("free of 2.0 MB for job files"), "{shortage}");
    assert!(matches!(spool.admit(left, 1), Err(SpoolError::NoRoom(_))));
}

#[test]
fn seeking_finds_every_byte_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let mut bytes = gcode(7, 3 * 256 * 1024 + 100);
    // One line end exactly at the end of a frame, and one line longer than a frame.
    bytes[256 * 1024 - 1] = b'\n';
    bytes.extend(std::iter::repeat_n(b';', 300 * 1024));
    bytes.extend_from_slice(b"\nM104 S0\nM84");
    let sha = store(&spool, &bytes);
    let mut starts = vec![0];
    starts.extend(bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    let mut reader = spool.read(&sha).unwrap();
    assert_eq!(reader.body().lines, starts.len() as u64);
    for (line, start) in
        starts.iter().enumerate().step_by(613).chain(starts.iter().enumerate().skip(starts.len() - 4))
    {
        assert_eq!(reader.seek_line(line as u64).unwrap(), *start as u64, "line {line}");
        assert_eq!(reader.position(), *start as u64);
        let mut here = [0; 3];
        reader.read_exact(&mut here).unwrap();
        assert_eq!(here, bytes[*start..*start + 3], "line {line}");
    }
    assert!(matches!(reader.seek_line(starts.len() as u64), Err(SpoolError::PastEnd { .. })));
    for at in [0, 1, 256 * 1024 - 1, 256 * 1024, 600_000, bytes.len() - 1, bytes.len()] {
        reader.seek_byte(at as u64).unwrap();
        let mut rest = Vec::new();
        (&mut reader).take(70_000).read_to_end(&mut rest).unwrap();
        assert!(rest == bytes[at..bytes.len().min(at + 70_000)], "byte {at}");
    }
    assert!(matches!(reader.seek_byte(bytes.len() as u64 + 1), Err(SpoolError::PastEnd { .. })));
}

#[test]
fn a_local_file_is_imported_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(&dir.path().join("spool"));
    let bytes = gcode(8, 2 * MIB + 9);
    let source = dir.path().join("cube.gcode");
    fs::write(&source, &bytes).unwrap();
    let body = spool.import(&source, 0).unwrap();
    assert_eq!((body.sha256.as_str(), body.size), (sha256(&bytes).as_str(), bytes.len() as u64));
    assert_eq!(spool.import(&source, 0).unwrap(), body);
    assert_eq!(spool.bodies().unwrap().len(), 1);
    assert!(read_all(spool.read(&body.sha256).unwrap()) == bytes);
    assert!(spool.import(&dir.path().join("nothing.gcode"), 0).is_err());
    assert!(spool.parts().unwrap().is_empty());
}

#[test]
fn a_deleted_body_is_gone_but_its_reader_reads_on() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(9, MIB);
    let sha = store(&spool, &bytes);
    let mut reader = spool.read(&sha).unwrap();
    let mut start = vec![0; 1000];
    reader.read_exact(&mut start).unwrap();
    assert!(spool.delete(&sha).unwrap());
    assert!(!spool.delete(&sha).unwrap());
    assert!(matches!(spool.read(&sha), Err(SpoolError::NotFound(_))));
    start.extend(read_all(reader));
    assert!(start == bytes);
}

#[test]
fn damage_is_noticed_before_it_reaches_a_printer() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let bytes = gcode(10, 2 * MIB);
    let sha = store(&spool, &bytes);
    let path = dir.path().join(format!("{sha}.gcode.db"));
    let mut stored = fs::read(&path).unwrap();
    // Inside of pages, and in more than one: a last page of a frame may hold nothing there.
    for page in [0, 1, 2] {
        let at = stored.len() / 2 / 4096 * 4096 + page * 4096 + 30;
        stored[at] ^= 0x10;
    }
    fs::write(&path, stored).unwrap();
    let mut read = Vec::new();
    assert!(spool.read(&sha).unwrap().read_to_end(&mut read).is_err());
    assert!(bytes.starts_with(&read), "altered bytes were handed out");
}

#[test]
fn opening_cleans_up_what_nobody_can_use() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["import-1-0.part.db", "import-1-0.part.db-journal", "gone.part.db-journal", "kept.part.db"] {
        fs::write(dir.path().join(name), b"").unwrap();
    }
    fs::write(dir.path().join("kept.part.db-journal"), b"").unwrap();
    let spool = spool(dir.path());
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["kept.part.db", "kept.part.db-journal"]);
    assert!(spool.delete_part("kept").unwrap());
    for name in ["", "../x", "a/b", "a.b"] {
        assert!(matches!(spool.write(name), Err(SpoolError::BadName(_))), "{name:?}");
        assert!(matches!(spool.contains(name), Err(SpoolError::BadName(_))), "{name:?}");
    }
}
