//! What serial ports there are: read from `/sys` and `/dev` under a given root, so that any made-up tree will do.

use std::path::{Path, PathBuf};

use spoolway_protocol::Fault;

use super::open::OpenPortError;
use crate::config::PortChoice;

/// Beginnings of the names of ports that a printer's USB plug can become.
const USB_NAMES: [&str; 2] = ["ttyUSB", "ttyACM"];
/// Folders between a terminal and its USB device: at most the port, the interface and the device.
const STEPS_TO_USB: usize = 4;
/// Ports that are looked at.
const PORTS_MAX: usize = 64;
/// Longest text of a device that is kept, in characters; anybody can plug anything in.
const TEXT_CHARS_MAX: usize = 128;

/// A serial port of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPort {
    /// Where it is opened today (`/dev/ttyUSB0`).
    pub device: PathBuf,
    /// Its name by the socket it is plugged into; the same after every start, and different for two equal boards.
    pub by_path: Option<PathBuf>,
    /// Its name by maker, product and serial number; two boards without a number share it.
    pub by_id: Option<PathBuf>,
    /// The kernel's driver (`ch341-uart`).
    pub driver: Option<String>,
    /// The USB device behind it.
    pub usb: Option<UsbDevice>,
}

/// A USB device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbDevice {
    /// Vendor and product in small hex digits (`1a86:7523`).
    pub id: String,
    /// Serial number, if the maker gave it one.
    pub serial: Option<String>,
    /// Name of the product.
    pub product: Option<String>,
}

impl FoundPort {
    /// The name that stays the same, as far as there is one.
    #[must_use]
    pub fn stable(&self) -> &Path {
        self.by_path.as_deref().or(self.by_id.as_deref()).unwrap_or(&self.device)
    }
}

/// Every port behind USB, in the order of their names.
#[must_use]
pub fn ports(root: &Path) -> Vec<FoundPort> {
    let mut names: Vec<String> = names_in(&root.join("sys/class/tty"));
    names.retain(|name| USB_NAMES.iter().any(|start| name.starts_with(start)));
    names.sort_by_key(|name| (name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned(), number(name)));
    names.truncate(PORTS_MAX);
    names.iter().map(|name| found(root, name)).collect()
}

/// The same once each has a name that stays: udev gives it a moment after the kernel has made the port. `waits` says whether there is time
/// for another look.
pub fn ports_with_names(root: &Path, mut waits: impl FnMut() -> bool) -> Vec<FoundPort> {
    loop {
        let ports = ports(root);
        if ports.iter().all(|port| port.stable() != port.device) || !waits() {
            return ports;
        }
    }
}

/// What is known of the port that a path leads to; `None` for what no driver stands behind, such as a pseudo-terminal.
#[must_use]
pub fn find(root: &Path, path: &Path) -> Option<FoundPort> {
    let device = std::fs::canonicalize(under(root, path)).ok()?;
    let name = device.file_name()?.to_str()?;
    root.join("sys/class/tty").join(name).join("device").exists().then(|| found(root, name))
}

/// Where to open what was configured: `before` is the stable name under which the printer was seen last.
///
/// A printer whose number was configured (`/dev/ttyUSB0`) and that comes back under another is followed through that name;
/// any other name that was configured says itself what it means. `auto` takes the one from before or the only port there is.
///
/// # Errors
/// There is no port, or there are several and none is the one from before.
pub(super) fn choose(
    root: &Path,
    choice: &PortChoice,
    before: Option<&Path>,
) -> Result<PathBuf, OpenPortError> {
    let before =
        before.filter(|before| choice.path().is_none_or(is_numbered) && under(root, before).exists());
    if let Some(before) = before {
        return Ok(before.to_owned());
    }
    match choice {
        PortChoice::Path(path) => Ok(path.clone()),
        PortChoice::Auto => choose_only(&ports(root)),
    }
}

fn choose_only(ports: &[FoundPort]) -> Result<PathBuf, OpenPortError> {
    let failed = |fault, detail| OpenPortError { fault, path: "auto".to_owned(), detail };
    match ports {
        [] => Err(failed(Fault::PortMissing, "no serial port is plugged in".to_owned())),
        [only] => Ok(only.stable().to_owned()),
        several => {
            let names: Vec<String> = several.iter().map(|port| port.stable().display().to_string()).collect();
            Err(failed(Fault::PortAmbiguous, format!("there are several ports: {}", names.join(", "))))
        }
    }
}

/// A name that the kernel gives in the order in which things are plugged in.
fn is_numbered(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.parent() == Some(Path::new("/dev")) && USB_NAMES.iter().any(|start| name.starts_with(start))
}

/// A path as it is called under another root.
fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn found(root: &Path, name: &str) -> FoundPort {
    let device = root.join("sys/class/tty").join(name).join("device");
    let driver = std::fs::read_link(device.join("driver")).ok();
    FoundPort {
        device: Path::new("/dev").join(name),
        by_path: link_to(root, "dev/serial/by-path", name),
        by_id: link_to(root, "dev/serial/by-id", name),
        driver: driver.and_then(|driver| Some(driver.file_name()?.to_str()?.to_owned())),
        usb: std::fs::canonicalize(&device).ok().and_then(|device| usb_above(&device)),
    }
}

/// The first of the links of a folder that leads to a device. A socket may have two names; the order makes it the same.
fn link_to(root: &Path, folder: &str, name: &str) -> Option<PathBuf> {
    let mut links = names_in(&root.join(folder));
    links.sort();
    let leads = |link: &String| {
        std::fs::read_link(root.join(folder).join(link))
            .is_ok_and(|target| target.file_name().is_some_and(|file| file == name))
    };
    links.into_iter().find(leads).map(|link| Path::new("/").join(folder).join(link))
}

fn usb_above(device: &Path) -> Option<UsbDevice> {
    device.ancestors().take(STEPS_TO_USB).find_map(|folder| {
        let id = |file| text(folder, file).map(|id| id.to_ascii_lowercase());
        Some(UsbDevice {
            id: format!("{}:{}", id("idVendor")?, id("idProduct")?),
            serial: text(folder, "serial"),
            product: text(folder, "product"),
        })
    })
}

/// A file's text, if it says anything.
fn text(folder: &Path, file: &str) -> Option<String> {
    let bytes = std::fs::read(folder.join(file)).ok()?;
    let text: String = String::from_utf8_lossy(&bytes).trim().chars().take(TEXT_CHARS_MAX).collect();
    let text = text.replace(|c: char| c.is_control(), "?");
    (!text.is_empty()).then_some(text)
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn number(name: &str) -> u32 {
    name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod tests;
