//! The archive of a bundle: nothing comes in but through the redaction, and everything is bounded.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::redact::Redactor;

/// Largest entry: what is longer loses its beginning, which is the oldest of a log.
const ENTRY_BYTES: usize = 2 << 20;
/// All entries together, before they are packed.
const TOTAL_BYTES: usize = 16 << 20;
/// How hard is packed.
const LEVEL: i32 = 9;

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    /// Its name.
    pub(super) name: String,
    /// Its size; nothing when there was no room left.
    pub(super) bytes: Option<usize>,
    /// Its beginning is cut off.
    pub(super) is_cut: bool,
}

/// A bundle that is being packed.
pub(super) struct Chest {
    archive: tar::Builder<zstd::Encoder<'static, File>>,
    redactor: Redactor,
    folder: String,
    room: usize,
    at_s: u64,
    packed: Vec<Packed>,
}

impl Chest {
    /// Begins a file that must not be there yet; its entries are in a folder of this name.
    pub(super) fn create(path: &Path, folder: &str, redactor: Redactor, at_s: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let archive = tar::Builder::new(zstd::Encoder::new(file, LEVEL)?);
        let folder = folder.to_owned();
        Ok(Self { archive, redactor, folder, room: TOTAL_BYTES, at_s, packed: Vec::new() })
    }

    /// Puts a text in, without what is to be kept back.
    pub(super) fn put(&mut self, name: &str, text: &str) -> io::Result<()> {
        // What is JSON is read as such by whoever gets it.
        let text = match name.rsplit_once('.') {
            Some((_, "json")) => self.redactor.json(text),
            Some((_, "jsonl")) => self.redactor.json_lines(text),
            _ => self.redactor.text(text),
        };
        let (text, is_cut) = newest(&text, ENTRY_BYTES);
        let name = self.redactor.text(name);
        if text.len() > self.room {
            self.packed.push(Packed { name, bytes: None, is_cut: false });
            return Ok(());
        }
        self.room -= text.len();
        self.append(&name, text)?;
        self.packed.push(Packed { name, bytes: Some(text.len()), is_cut });
        Ok(())
    }

    /// What is in it by now.
    pub(super) fn packed(&self) -> &[Packed] {
        &self.packed
    }

    /// A text of ours or of the system as it may be shown.
    pub(super) fn redacted(&self, text: &str) -> String {
        self.redactor.text(text)
    }

    /// Ends the file, with a last entry that tells of the others; there is always room for it.
    pub(super) fn close(mut self, name: &str, text: &str) -> io::Result<()> {
        let text = self.redactor.text(text);
        self.append(name, &text)?;
        let mut file = self.archive.into_inner()?.finish()?;
        file.flush()?;
        file.sync_all()
    }

    fn append(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.at_s);
        self.archive.append_data(&mut header, format!("{}/{name}", self.folder), text.as_bytes())
    }
}

/// The last bytes of a text, whole lines where there are any, and whether something was cut off.
fn newest(text: &str, most: usize) -> (&str, bool) {
    if text.len() <= most {
        return (text, false);
    }
    let from = (text.len() - most..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let rest = &text[from..];
    (rest.split_once('\n').map_or(rest, |(_, lines)| lines), true)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read as _;

    use super::*;

    /// Every entry: its name and text.
    pub(in crate::cli::bundle) fn unpack(path: &Path) -> Vec<(String, String)> {
        let mut archive = tar::Archive::new(zstd::Decoder::new(File::open(path).unwrap()).unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name, text)
        });
        entries.collect()
    }

    #[test]
    fn what_goes_in_is_redacted_bounded_and_only_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.tar.zst");
        let mut redactor = Redactor::default();
        redactor.name("Anna");
        let mut chest = Chest::create(&path, "bundle", redactor, 7).unwrap();
        chest.put("Anna.stl", "of Anna: password=hunter2\n").unwrap();
        chest.put("a.json", "{\"Anna\": \"Anna\", \"token\": 5}").unwrap();
        chest.put("a.jsonl", "{\"n\":1}\n{\"text\":\"of Anna\"}\n").unwrap();
        let log = "0123456789 line\n".repeat(ENTRY_BYTES / 10);
        chest.put("log.txt", &log).unwrap();
        for n in 0..8 {
            chest.put(&format!("more-{n}.txt"), &log).unwrap();
        }
        let left_out: Vec<bool> = chest.packed().iter().map(|packed| packed.bytes.is_none()).collect();
        assert_eq!(left_out.iter().filter(|left_out| **left_out).count(), 1, "{left_out:?}");
        assert!(chest.packed()[3].is_cut && !chest.packed()[0].is_cut);
        chest.close("contents.txt", "all of Anna's").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let entries = unpack(&path);
        assert_eq!(
            entries[0],
            ("bundle/[name].stl".to_owned(), "of [name]: password=[redacted]\n".to_owned())
        );
        assert_eq!(entries[1].1, "{\n  \"Anna\": \"[name]\",\n  \"token\": \"[redacted]\"\n}\n");
        assert_eq!(entries[2].1, "{\"n\":1}\n{\"text\":\"of [name]\"}\n");
        assert!(entries[3].1.len() <= ENTRY_BYTES && entries[3].1.starts_with("0123456789 line\n"));
        assert_eq!(entries.last().unwrap().1, "all of [name]'s");
        assert!(Chest::create(&path, "bundle", Redactor::default(), 7).is_err(), "nothing is written over");
    }
}
