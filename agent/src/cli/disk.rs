//! What `status` says of the disk.

use crate::spool::Megabytes;
use crate::view::{AreaView, StorageView};

/// The areas, and what is written.
pub(super) fn words(storage: &StorageView) -> [String; 2] {
    let area = |area: &AreaView| match area.max_bytes {
        Some(max) => format!("{} of {}", Megabytes(area.used_bytes), Megabytes(max)),
        None => Megabytes(area.used_bytes).to_string(),
    };
    let written = match &storage.written {
        None => String::new(),
        Some(written) => {
            let rate = written.mb_a_day.map_or_else(|| "-".to_owned(), |mb| format!("{mb:.0}"));
            format!("; writes {rate} MB a day beyond files")
        }
    };
    [
        format!("files {}, database {}", area(&storage.files), area(&storage.database)),
        format!(
            "{} free, reserve {}{written}",
            Megabytes(storage.free_bytes),
            Megabytes(storage.reserve_bytes)
        ),
    ]
}
