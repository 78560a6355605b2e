//! Whether the printer that answers is the one that answered before; if not, nothing is printed until a person says so.
//!
//! Compared are the family of the firmware, the machine type and the UUID of `M115`, the USB ids and the USB serial number.
//! What one side has not told is not compared. Version, build date and capabilities are left out, so that an update of the
//! firmware changes nothing. Boards without a serial number are told apart by their USB socket.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spoolway_protocol::Fault;
use spoolway_protocol::event::{EventData, PrinterFingerprintChanged};
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::raw::Extra;
use tracing::{info, warn};

use super::book::json;
use super::clerk::Clerk;
use super::events::event;
use super::restore::meta;
use crate::config;
use crate::printer::{Before, Known, Snapshot};
use crate::store::{Store, StoreError, Write};
use crate::view::Refusal;

/// What is remembered of the printer at a configured port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Firmware, machine and UUID, a line each.
    #[serde(default)]
    firmware: String,
    /// USB vendor and product.
    #[serde(default)]
    usb: Option<String>,
    /// USB serial number.
    #[serde(default)]
    serial: Option<String>,
    /// The port's name by its socket.
    #[serde(default)]
    socket: Option<PathBuf>,
    /// The rate at which it answered.
    #[serde(default)]
    baud: Option<u32>,
}

/// What the desk thinks of the printer that answers.
#[derive(Debug, Default)]
pub(super) enum Trust {
    /// It has not looked yet.
    #[default]
    Unseen,
    /// It is the printer from before, or the first.
    Same(Arc<Known>),
    /// It is another one.
    Changed {
        known: Arc<Known>,
        /// What is different.
        text: String,
    },
}

impl Record {
    fn of(known: &Known) -> Self {
        let usb = known.found.as_ref().and_then(|found| found.usb.as_ref());
        Self {
            firmware: known.report.fingerprint(),
            usb: usb.map(|usb| usb.id.clone()),
            serial: usb.and_then(|usb| usb.serial.clone()),
            socket: known.found.as_ref().and_then(|found| found.by_path.clone()),
            baud: Some(known.baud),
        }
    }

    /// What tells another printer from this one, in words.
    fn difference(&self, other: &Self) -> Option<String> {
        for (key, was) in pairs(&self.firmware) {
            let is = pairs(&other.firmware).find(|(name, _)| *name == key);
            if let Some((_, is)) = is.filter(|(_, is)| *is != was) {
                return Some(format!("its {key} was `{was}` and is `{is}`"));
            }
        }
        let (Some(was), Some(is)) = (&self.usb, &other.usb) else { return None };
        if was != is {
            return Some(format!("its USB device was {was} and is {is}"));
        }
        let number = |serial: &Option<String>| serial.clone().unwrap_or_else(|| "none".to_owned());
        if self.serial != other.serial {
            let (was, is) = (number(&self.serial), number(&other.serial));
            return Some(format!("its USB serial number was {was} and is {is}"));
        }
        let (Some(was), Some(is)) = (&self.socket, &other.socket) else { return None };
        (self.serial.is_none() && was != is).then(|| {
            let (was, is) = (was.display(), is.display());
            format!("its board has no serial number and has moved from {was} to {is}")
        })
    }

    fn text(&self) -> String {
        let usb = self.usb.as_ref().map(|usb| format!("usb={usb}"));
        let serial = self.serial.as_ref().map(|serial| format!("serial={serial}"));
        let firmware = self.firmware.lines().map(str::to_owned);
        firmware.chain(usb).chain(serial).collect::<Vec<_>>().join(", ")
    }
}

fn pairs(firmware: &str) -> impl Iterator<Item = (&str, &str)> {
    firmware.lines().filter_map(|line| line.split_once('='))
}

/// One record for each port as it is configured, so that another configuration begins anew.
fn key(port: &config::Printer) -> String {
    format!("printer:{}", port.port)
}

async fn recall(store: &Store, port: &config::Printer) -> Result<Option<Record>, StoreError> {
    let text = store.meta(&key(port)).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Where the printer was seen in an earlier life of the agent.
pub(crate) async fn before(store: &Store, port: &config::Printer) -> Before {
    let record = recall(store, port).await.ok().flatten().unwrap_or_default();
    Before { port: record.socket, baud: record.baud }
}

impl Clerk {
    /// Looks at a printer that has just answered.
    pub(super) async fn judge(&mut self, snapshot: &Snapshot) {
        let Some(known) = &snapshot.known else { return };
        if self.trust.known().is_some_and(|seen| Arc::ptr_eq(seen, known)) {
            return;
        }
        let (known, now) = (Arc::clone(known), Record::of(known));
        let was = match recall(&self.store, &self.port).await {
            Ok(was) => was,
            // Nothing is printed on a printer that nobody could look up; it is tried again with the next news.
            Err(error) => return warn!(%error, "what is known of the printer cannot be read"),
        };
        let text = was.as_ref().and_then(|was| was.difference(&now));
        let Some(text) = text else {
            if was.as_ref() != Some(&now) {
                drop(self.promise(vec![meta(&key(&self.port), json(&now))]).await);
            }
            self.trust = Trust::Same(known);
            return;
        };
        let fault = Fault::PrinterChanged;
        warn!(code = fault.code(), text, help = fault.help(), "another printer answers");
        let changed = EventData::PrinterFingerprintChanged(PrinterFingerprintChanged {
            from: was.map_or_else(String::new, |was| was.text()),
            to: now.text(),
            extra: Extra::default(),
        });
        let told = event(&changed, None, &self.clock.stamp());
        drop(self.promise(vec![told]).await);
        self.trust = Trust::Changed { known, text };
    }

    /// State and fault as people are shown them: a printer that is ready but is another one has something to be mended.
    pub(super) fn shown_state(&self, snapshot: &Snapshot) -> (PrinterState, Option<(Fault, String)>) {
        match &self.trust {
            Trust::Changed { known, text }
                if snapshot.state == PrinterState::Idle
                    && snapshot.known.as_ref().is_some_and(|now| Arc::ptr_eq(now, known)) =>
            {
                (PrinterState::Error, Some((Fault::PrinterChanged, text.clone())))
            }
            _ => (snapshot.state.clone(), snapshot.fault.clone()),
        }
    }

    /// Whether the printer that answers now may be printed on.
    pub(super) fn check_trust(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let Some(now) = &snapshot.known else { return Ok(()) };
        match &self.trust {
            Trust::Same(known) if Arc::ptr_eq(known, now) => Ok(()),
            Trust::Changed { known, text } if Arc::ptr_eq(known, now) => {
                Err(Refusal::new(Fault::PrinterChanged, text.clone()))
            }
            _ => Err(Refusal::new(Fault::Busy, "the printer is not ready yet")),
        }
    }

    /// A person says that the printer that answers is the right one.
    pub(super) async fn accept_printer(&mut self) -> Result<String, Refusal> {
        let Some(known) = self.trust.known().map(Arc::clone) else {
            return Err(Refusal::new(Fault::PortMissing, "no printer has answered yet"));
        };
        let now = Record::of(&known);
        let stored: Vec<Write> = vec![meta(&key(&self.port), json(&now))];
        if let Err(error) = self.promise(stored).await {
            return Err(Refusal::new(Fault::DiskFull, format!("it could not be stored: {error}")));
        }
        info!(printer = now.text(), "the printer was accepted");
        self.trust = Trust::Same(known);
        self.follow_printer().await;
        Ok(now.text())
    }
}

impl Trust {
    fn known(&self) -> Option<&Arc<Known>> {
        match self {
            Self::Unseen => None,
            Self::Same(known) | Self::Changed { known, .. } => Some(known),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            firmware: "firmware=marlin\nmachine=ender-3 v2\nuuid=cede2a2f".into(),
            usb: Some("1a86:7523".into()),
            serial: None,
            socket: Some("/dev/serial/by-path/a".into()),
            baud: Some(115_200),
        }
    }

    fn with(change: impl FnOnce(&mut Record)) -> Record {
        let mut record = record();
        change(&mut record);
        record
    }

    #[test]
    fn what_is_the_same_or_untold_is_no_difference() {
        for same in [
            record(),
            with(|r| r.baud = Some(250_000)),
            with(|r| r.firmware = "firmware=marlin".into()),
            with(|r| r.firmware = String::new()),
            with(|r| (r.usb, r.socket) = (None, None)),
        ] {
            assert_eq!(record().difference(&same), None, "{same:?}");
            assert_eq!(same.difference(&record()), None, "{same:?}");
        }
    }

    #[test]
    fn another_firmware_machine_board_or_socket_is_told() {
        for (other, word) in [
            (with(|r| r.firmware = r.firmware.replace("ender-3 v2", "cr-10")), "machine"),
            (with(|r| r.firmware = r.firmware.replace("marlin", "klipper")), "firmware"),
            (with(|r| r.firmware = r.firmware.replace("cede2a2f", "1234")), "uuid"),
            (with(|r| r.usb = Some("1d50:6029".into())), "1d50:6029"),
            (with(|r| r.serial = Some("A1".into())), "serial number"),
            (with(|r| r.socket = Some("/dev/serial/by-path/b".into())), "moved"),
        ] {
            let text = record().difference(&other).unwrap();
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn a_board_with_a_serial_number_may_move() {
        let (here, there) = (
            with(|r| r.serial = Some("A1".into())),
            with(|r| (r.serial, r.socket) = (Some("A1".into()), Some("/dev/serial/by-path/b".into()))),
        );
        assert_eq!(here.difference(&there), None);
    }
}
