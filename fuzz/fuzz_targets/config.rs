//! The configuration file of the agent: taken and shown, or refused with a reason.

#![no_main]

use std::cell::RefCell;
use std::io::{Seek, Write};
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use spoolway_agent::config::{Loaded, load, render};
use spoolway_agent::paths::Paths;
use tempfile::NamedTempFile;

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("a temporary file"));
}

fn read(text: &[u8]) -> Result<Loaded, String> {
    FILE.with_borrow_mut(|file| {
        let written =
            file.as_file().set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text));
        written.expect("a temporary file can be written");
        let folder = Path::new("/nonexistent").to_owned();
        let paths = Paths { config: folder.clone(), state: folder.clone(), runtime: folder };
        load(&paths, Some(file.path()), [], &[]).map_err(|error| error.to_string())
    })
}

fuzz_target!(|text: &[u8]| match read(text) {
    Ok(loaded) => assert!(!render(&loaded).is_empty()),
    Err(error) => assert!(!error.is_empty()),
});
