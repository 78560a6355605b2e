//! The log's own files: bounded, whole, and again there after whatever was done to them.

use super::*;
use crate::telemetry::Level;

fn line(number: u64, bytes: usize) -> LogLine {
    LogLine {
        at_ms: 1_760_000_000_000 + number,
        level: Level::Info,
        target: "t".to_owned(),
        text: "x".repeat(bytes),
        fields: vec![("number".to_owned(), number.to_string())],
    }
}

fn numbers(state_dir: &Path) -> Vec<u64> {
    let lines = kept(state_dir).unwrap().into_iter().flatten();
    lines.map(|line| line.fields[0].1.parse().unwrap()).collect()
}

fn bytes(state_dir: &Path) -> Vec<u64> {
    let files = (0..FILES + 2).filter_map(|age| fs::metadata(path(&state_dir.join(FOLDER), age)).ok());
    files.map(|file| file.len()).collect()
}

#[test]
fn the_last_lines_are_kept_in_order_and_within_bounds_over_any_number_of_starts() {
    for seed in 0..40_u64 {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path();
        assert!(kept(state_dir).unwrap().is_none());
        let mut files = LogFiles::sized(state_dir, 2_000);
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for number in 0..200 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random.is_multiple_of(17) {
                files = LogFiles::sized(state_dir, 2_000);
            }
            files.keep(&line(number, (random >> 8) as usize % 300));
            assert!(bytes(state_dir).iter().all(|bytes| *bytes <= 2_000));
            let numbers = numbers(state_dir);
            assert_eq!(numbers.last(), Some(&number));
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        }
        assert_eq!(bytes(state_dir).len(), FILES as usize);
        assert_eq!(bytes(state_dir).iter().sum::<u64>(), kept_bytes(state_dir));
        assert!(numbers(state_dir).len() > 15, "three whole files and more");
    }
}

#[test]
fn a_line_that_was_cut_off_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path();
    let mut files = LogFiles::of(state_dir);
    files.keep(&line(0, 5));
    let growing = path(&state_dir.join(FOLDER), 0);
    let torn = &line(1, 5).json()[..40];
    OpenOptions::new().append(true).open(&growing).unwrap().write_all(torn.as_bytes()).unwrap();
    let mut files = LogFiles::of(state_dir);
    files.keep(&line(2, 5));
    assert_eq!(numbers(state_dir), [0, 2]);
    assert!(fs::read_to_string(&growing).unwrap().contains(torn), "what there is of it stays for people");
}

#[test]
fn what_could_not_be_written_is_counted_and_told_once_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path();
    let mut files = LogFiles::of(state_dir);
    // In the folder's place is a file: nothing can be opened there.
    fs::write(state_dir.join(FOLDER), "").unwrap();
    for number in 0..3 {
        files.keep(&line(number, 5));
    }
    fs::remove_file(state_dir.join(FOLDER)).unwrap();
    files.keep(&line(3, 5));
    files.keep(&line(4, 5));
    let kept: Vec<LogLine> = kept(state_dir).unwrap().unwrap().collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert_eq!((kept[0].level, &kept[0].fields), (Level::Warn, &vec![("lines".to_owned(), "3".to_owned())]));
    assert_eq!(numbers(state_dir), [3, 3, 4]);
}

#[test]
fn files_that_were_taken_away_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path();
    let mut files = LogFiles::of(state_dir);
    files.keep(&line(0, 5));
    fs::remove_dir_all(state_dir.join(FOLDER)).unwrap();
    files.keep(&line(1, 5));
    assert_eq!(numbers(state_dir), [1]);
    for path in [state_dir.join(FOLDER), path(&state_dir.join(FOLDER), 0)] {
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o007, 0, "{}", path.display());
    }
}
