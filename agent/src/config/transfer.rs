//! How files are fetched.

use super::settings::Setting;

/// How files are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The most that a file may take of the network while something is printed, in bytes a second; `None` for no cap.
    pub printing_bytes_per_s: Option<u64>,
}

impl Default for Transfer {
    fn default() -> Self {
        Self { printing_bytes_per_s: Some(2_000_000) }
    }
}

/// `transfer.printing_bytes_per_s`.
pub(super) const PRINTING: Setting = Setting {
    key: "transfer.printing_bytes_per_s",
    take: |config, given| {
        let bytes_per_s = given.whole(0, 1_000_000_000)?;
        config.transfer.printing_bytes_per_s = Some(bytes_per_s).filter(|rate| *rate > 0);
        Ok(())
    },
    show: |config| config.transfer.printing_bytes_per_s.unwrap_or(0).to_string(),
};
