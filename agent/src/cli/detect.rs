//! `detect`: which printer is at which port, at what rate, and what to write into the configuration.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use spoolway_firmware_profiles::Registry;
use spoolway_firmware_profiles::profile::Status;
use spoolway_protocol::Fault;

use super::paint::{Paint, plain};
use super::{Exit, Failure, Whereabouts};
use crate::clock::Clock;
use crate::local::Client;
use crate::printer::discover::{self, FoundPort};
use crate::printer::{Holder, Known, ProbeError, holders, probe};

/// What was found at one port.
#[derive(Debug, Serialize)]
struct Row {
    /// Where it is opened today.
    port: PathBuf,
    /// Its name that stays the same; what belongs into the configuration.
    stable: PathBuf,
    /// USB vendor and product.
    usb: Option<String>,
    /// USB serial number.
    serial: Option<String>,
    /// Name of the USB product.
    product: Option<String>,
    /// The kernel's driver.
    driver: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// How looking ended.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    /// A printer answers.
    Printer {
        /// Bits per second.
        baud: u32,
        /// What the firmware calls itself.
        firmware: String,
        /// What it calls the machine.
        machine: Option<String>,
        /// The profile that fits.
        profile: String,
        /// Whether a source or a recorded conversation backs it.
        profile_verified: bool,
    },
    /// It was left alone, because somebody has it.
    Held {
        /// Who.
        by: String,
    },
    /// Nobody answers, or it cannot be opened.
    Nothing {
        /// Stable code.
        code: String,
        /// What happened.
        text: String,
    },
}

/// Looks at one port, or at all that are plugged in.
pub(super) fn detect(
    whereabouts: &Whereabouts,
    port: Option<PathBuf>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let asked = match port {
        Some(path) => vec![of_path(&path)?],
        None => discover::ports(Path::new("/")),
    };
    if asked.is_empty() {
        let text = "no serial port is plugged in (UARTs on pins and pseudo-terminals have to be named)";
        return Err(Failure::of(Fault::PortMissing, text));
    }
    let registry = Arc::new(registry(whereabouts));
    let clock = Clock::start()
        .map_err(|error| Failure::new(Exit::Runtime, error.to_string(), None, "Mount /proc."))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for found in asked {
        if !json {
            writeln!(out, "{}", heading(&found))?;
            out.flush()?;
        }
        let outcome = match holder(whereabouts, &found.device) {
            Some(by) => Outcome::Held { by },
            None => {
                let probed = runtime.block_on(probe(&found.device, Arc::clone(&registry), clock.clone()));
                told(probed)
            }
        };
        let row = row(found, outcome);
        if json {
            writeln!(out, "{}", serde_json::to_string(&row).map_err(std::io::Error::from)?)?;
        } else {
            write!(out, "{}", text(&row, Paint::of(&std::io::stdout())))?;
        }
        rows.push(row);
    }
    finish(&rows)
}

/// A port that was named; a pseudo-terminal is as good as any.
pub(super) fn of_path(path: &Path) -> Result<FoundPort, Failure> {
    let device = std::fs::canonicalize(path)
        .map_err(|error| Failure::of(Fault::PortMissing, format!("{}: {error}", path.display())))?;
    Ok(discover::find(Path::new("/"), &device).unwrap_or_else(|| FoundPort {
        device,
        by_path: std::path::absolute(path).ok(),
        by_id: None,
        driver: None,
        usb: None,
    }))
}

/// The built-in profiles and those of the configured folder, as far as this user may read them.
pub(super) fn registry(whereabouts: &Whereabouts) -> Registry {
    match whereabouts.load_of_agent() {
        Ok((loaded, _)) => Registry::load(loaded.config.profiles.folder.as_deref()).0,
        Err(_) => Registry::built_in(),
    }
}

/// Who has a port: a running agent says so itself, others are seen in `/proc`.
fn holder(whereabouts: &Whereabouts, device: &Path) -> Option<String> {
    let is_same = |port: &str| std::fs::canonicalize(port).is_ok_and(|port| port == device);
    let status =
        whereabouts.find_socket().ok().and_then(|socket| Client::connect(&socket).ok()?.status().ok());
    if let Some(status) = status.filter(|status| is_same(&status.printer.port)) {
        return Some(format!("the agent that runs ({})", status.printer.state));
    }
    let held = holders(Path::new("/"), device);
    let names: Vec<String> =
        held.iter().map(|Holder { pid, name }| format!("{} (process {pid})", plain(name))).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn told(probed: Result<Arc<Known>, ProbeError>) -> Outcome {
    match probed {
        Ok(known) => Outcome::Printer {
            baud: known.baud,
            firmware: known.firmware(),
            machine: known.report.machine_type.clone(),
            profile: known.profile.id.clone(),
            profile_verified: known.profile.status == Status::Verified,
        },
        Err(ProbeError::Open(error)) if error.fault == Fault::PortBusy => {
            Outcome::Held { by: "another program".to_owned() }
        }
        Err(error) => {
            let fault = match &error {
                ProbeError::Open(error) => error.fault,
                ProbeError::Lost(_) => Fault::PortLost,
                ProbeError::Silent(_) => Fault::FirmwareSilent,
            };
            Outcome::Nothing { code: fault.code().to_owned(), text: error.to_string() }
        }
    }
}

fn row(found: FoundPort, outcome: Outcome) -> Row {
    let stable = found.stable().to_owned();
    let usb = found.usb;
    Row {
        port: found.device,
        stable,
        usb: usb.as_ref().map(|usb| usb.id.clone()),
        serial: usb.as_ref().and_then(|usb| usb.serial.clone()),
        product: usb.and_then(|usb| usb.product),
        driver: found.driver,
        outcome,
    }
}

fn heading(found: &FoundPort) -> String {
    let mut line = found.device.display().to_string();
    if let Some(usb) = &found.usb {
        line.push_str(&format!("  {} USB {}", plain(usb.product.as_deref().unwrap_or("")), usb.id));
        if let Some(serial) = &usb.serial {
            line.push_str(&format!(", serial number {}", plain(serial)));
        }
    }
    if let Some(driver) = &found.driver {
        line.push_str(&format!(", driver {}", plain(driver)));
    }
    line
}

fn text(row: &Row, paint: Paint) -> String {
    match &row.outcome {
        Outcome::Held { by } => {
            format!("  {} {by} has it; stop that first.\n", paint.yellow("left alone:"))
        }
        Outcome::Nothing { code, text } => format!("  {} {} [{code}]\n", paint.red("nobody:"), plain(text)),
        Outcome::Printer { baud, firmware, machine, profile, profile_verified } => {
            let machine = machine.as_deref().map_or_else(String::new, |name| format!(" on {}", plain(name)));
            let status = if *profile_verified { "" } else { " (unverified: one line at a time)" };
            format!(
                "  {} {}{machine}, profile {profile}{status}\n\n    [printer]\n    port = {}\n    baud = {baud}\n    profile = \"{profile}\"\n\n",
                paint.green("printer:"),
                plain(firmware),
                toml::Value::String(row.stable.display().to_string()),
            )
        }
    }
}

/// One printer is enough; without any, what stood in the way decides how the command ends.
fn finish(rows: &[Row]) -> Result<(), Failure> {
    if rows.iter().any(|row| matches!(row.outcome, Outcome::Printer { .. })) {
        return Ok(());
    }
    let held = rows.iter().any(|row| matches!(row.outcome, Outcome::Held { .. }));
    let fault = if held { Fault::PortBusy } else { Fault::FirmwareSilent };
    let ports: Vec<String> = rows.iter().map(|row| row.port.display().to_string()).collect();
    Err(Failure::of(fault, format!("no printer was found at {}", ports.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> FoundPort {
        FoundPort {
            device: "/dev/ttyUSB0".into(),
            by_path: Some("/dev/serial/by-path/pci-0-usb-0:1.2:1.0-port0".into()),
            by_id: None,
            driver: Some("ch341-uart".into()),
            usb: Some(discover::UsbDevice {
                id: "1a86:7523".into(),
                serial: None,
                product: Some("USB\x1b[2J Serial".into()),
            }),
        }
    }

    #[test]
    fn a_printer_is_told_with_the_lines_to_write() {
        let outcome = Outcome::Printer {
            baud: 250_000,
            firmware: "Marlin 2.1.2".into(),
            machine: Some("Ender-3".into()),
            profile: "marlin".into(),
            profile_verified: true,
        };
        let head = heading(&port());
        assert!(head.starts_with("/dev/ttyUSB0  USB?[2J Serial USB 1a86:7523, driver ch341"), "{head}");
        let row = row(port(), outcome);
        let text = text(&row, Paint::none());
        assert!(text.contains("printer: Marlin 2.1.2 on Ender-3, profile marlin\n"), "{text}");
        let lines: String =
            text.lines().filter_map(|line| line.strip_prefix("    ")).collect::<Vec<_>>().join("\n");
        let config: toml::Table = lines.parse().unwrap();
        assert_eq!(config["printer"]["port"].as_str(), Some("/dev/serial/by-path/pci-0-usb-0:1.2:1.0-port0"));
        assert_eq!(config["printer"]["baud"].as_integer(), Some(250_000));
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!((&json["outcome"], &json["baud"]), (&"printer".into(), &250_000.into()));
        assert!(finish(&[row]).is_ok());
    }

    #[test]
    fn a_port_that_is_held_is_no_failure_of_the_printer() {
        let held = row(port(), Outcome::Held { by: "octoprint (process 12)".into() });
        assert!(text(&held, Paint::none()).contains("left alone: octoprint (process 12) has it"));
        assert_eq!(finish(&[held]).unwrap_err().exit(), Exit::Unavailable);
    }
}
