//! What is known about each printer firmware, as data.
//!
//! A *profile* is one TOML file that describes one firmware dialect: how a command becomes bytes, how much may be
//! on its way, what the replies mean, how long what may take, how a busy firmware can still be reached. The
//! streaming core reads nothing but the profile, so a new dialect is a new file and no new code.
//!
//! * [`profile`], [`flow`], [`reply`], [`hand`], [`limits`]: the schema, as serde types.
//! * [`parse`]: text to [`Profile`], with every finding named by file, key path and value.
//! * [`Registry`]: the built-in profiles, overlaid with the files of one folder.
//! * [`FirmwareReport`] and [`identify()`]: from what a printer says about itself to the profile it needs.
//!
//! The crate opens no port and keeps no time; it reads given text and, for the overlay, one given folder.
//!
//! ```
//! use spoolway_firmware_profiles::{FirmwareReport, Registry, identify};
//!
//! let registry = Registry::built_in();
//! let mut report = FirmwareReport::default();
//! report.feed("FIRMWARE_NAME:Marlin 2.1.2 (Dec 16 2022) PROTOCOL_VERSION:1.0 MACHINE_TYPE:My Own Corexy");
//! report.feed("Cap:AUTOREPORT_TEMP:1");
//!
//! let known = identify(&registry, &[], &report);
//! assert_eq!(known.profile.id, "marlin");
//! assert_eq!(report.machine_type.as_deref(), Some("My Own Corexy"));
//! ```

pub mod advice;
pub mod error;
pub mod flow;
pub mod hand;
pub mod identify;
pub mod limits;
mod lines;
pub mod profile;
pub mod registry;
pub mod reply;
mod report;
mod rules;
mod schema;
mod shape;
pub mod validate;

pub use advice::advice;
pub use error::{Finding, Origin, ProfileError, UnknownProfile};
pub use flow::{Ack, Flow, Window};
pub use identify::identify;
pub use profile::{HostWaits, Profile, Recovery, Sequence};
pub use registry::{KnownProfile, Registry};
pub use reply::Replies;
pub use report::FirmwareReport;
pub use validate::parse;
