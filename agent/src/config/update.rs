//! Whether a backend may have the agent updated.

use super::settings::Setting;

/// Whether a backend may have the agent updated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Update {
    /// Whether it may choose a version, among those that the machine's package sources have.
    pub allow: bool,
}

/// `update.allow`.
pub(super) const ALLOW: Setting = Setting {
    key: "update.allow",
    take: |config, given| {
        config.update.allow = given.switch()?;
        Ok(())
    },
    show: |config| config.update.allow.to_string(),
};
