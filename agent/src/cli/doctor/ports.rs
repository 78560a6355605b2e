//! The printer's port as the kernel shows it: whether it is there and by which name, what stands behind it, and what plugs have become none.

use std::path::Path;

use spoolway_protocol::Fault;

use super::report::Step;
use super::sources::{names_in, text, under};
use crate::config::PortChoice;
use crate::printer::discover::{self, FoundPort};

/// Makers of the chips of boards and adapters; those of `systemd/60-spoolway.rules`.
const MAKERS: [&str; 10] = ["2c99", "1a86", "0403", "2341", "2a03", "1d50", "27b1", "10c4", "0483", "1eaf"];
/// USB devices that are looked at.
const DEVICES_MAX: usize = 128;
/// A driver that hands a device to a program.
const BY_PROGRAM: &str = "usbfs";

/// A plug of a maker of boards that has become no port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Portless {
    /// Vendor and product.
    id: String,
    product: Option<String>,
    /// Whether a program has it, and no driver.
    is_by_program: bool,
}

/// What there is of ports.
#[derive(Debug, Clone)]
pub(super) struct Ports {
    /// What the configuration says.
    choice: PortChoice,
    /// The one that is meant, where it is there.
    pub(super) meant: Option<FoundPort>,
    /// All that are plugged in.
    plugged: Vec<FoundPort>,
    portless: Vec<Portless>,
}

/// Looks for the port that is meant: where the running agent has its printer, else what the configuration says.
pub(super) fn look(root: &Path, choice: &PortChoice, used: Option<&Path>) -> Ports {
    let plugged = discover::ports(root);
    let only = match (choice.path(), plugged.as_slice()) {
        (None, [only]) => Some(only.device.as_path()),
        (path, _) => path,
    };
    let wanted = used.filter(|path| under(root, path).exists()).or(only);
    let meant = wanted.and_then(|path| meant(root, path));
    Ports { choice: choice.clone(), meant, plugged, portless: portless(root) }
}

fn meant(root: &Path, path: &Path) -> Option<FoundPort> {
    if let Some(found) = discover::find(root, path) {
        return Some(found);
    }
    // No driver stands behind a pseudo-terminal.
    let (root, device) = (root.canonicalize().ok()?, under(root, path).canonicalize().ok()?);
    let device = Path::new("/").join(device.strip_prefix(root).ok()?);
    Some(FoundPort { device, by_path: None, by_id: None, driver: None, usb: None })
}

fn portless(root: &Path) -> Vec<Portless> {
    let folder = root.join("sys/bus/usb/devices");
    let mut names = names_in(&folder);
    names.sort();
    names.truncate(DEVICES_MAX);
    names.iter().filter_map(|name| portless_at(&folder.join(name), name)).collect()
}

fn portless_at(device: &Path, name: &str) -> Option<Portless> {
    let id = |file| text(&device.join(file)).map(|id| id.to_ascii_lowercase());
    let (vendor, product) = (id("idVendor")?, id("idProduct")?);
    if !MAKERS.contains(&vendor.as_str()) {
        return None;
    }
    let interfaces = names_in(device).into_iter().filter(|entry| entry.starts_with(&format!("{name}:")));
    let mut is_by_program = false;
    for interface in interfaces.map(|entry| device.join(entry)) {
        if names_in(&interface).iter().any(|entry| entry == "tty" || entry.starts_with("ttyUSB")) {
            return None;
        }
        let driver = std::fs::read_link(interface.join("driver")).unwrap_or_default();
        is_by_program |= driver.file_name().is_some_and(|driver| driver == BY_PROGRAM);
    }
    Some(Portless {
        id: format!("{vendor}:{product}"),
        product: text(&device.join("product")),
        is_by_program,
    })
}

/// Whether the port is there, and whether its name leads to the same one tomorrow.
pub(super) fn there(ports: &Ports) -> Step {
    let Some(meant) = &ports.meant else { return missing(ports) };
    let stable = meant.stable();
    let device = meant.device.display();
    let named = ports.choice.path();
    if stable == meant.device {
        return Step::ok("port", format!("{device} is there; it has no other name"));
    }
    let is_numbered = named.is_some_and(|path| path == meant.device);
    if is_numbered && ports.plugged.len() > 1 {
        let text =
            format!("{device} is there, and so are others: numbers change with what is plugged in first");
        let help = format!("Set printer.port = \"{}\", which stays the same.", stable.display());
        return Step::warning("port", text, help);
    }
    Step::ok("port", format!("{device} is there, as {}", stable.display()))
}

fn missing(ports: &Ports) -> Step {
    let names: Vec<_> = ports.plugged.iter().map(|port| port.stable().display().to_string()).collect();
    let Some(path) = ports.choice.path() else {
        if !names.is_empty() {
            let text = format!("several ports are plugged in: {}", names.join(", "));
            return Step::failed("port", Fault::PortAmbiguous, text);
        }
        return portless_step("no serial port is plugged in", &ports.portless);
    };
    let gone = format!("{} is not there", path.display());
    if names.is_empty() {
        return portless_step(&gone, &ports.portless);
    }
    let help = "Set printer.port to the one that is the printer's; `sudo spoolway-agent setup` finds it.";
    Step::failed("port", Fault::PortMissing, format!("{gone}; plugged in: {}", names.join(", ")))
        .with_help(help)
}

fn portless_step(gone: &str, portless: &[Portless]) -> Step {
    let Some(first) = portless.first() else { return Step::failed("port", Fault::PortMissing, gone) };
    let product = first.product.as_ref().map_or_else(String::new, |product| format!(" ({product})"));
    let plug = format!("{gone}, but USB device {}{product} is plugged in", first.id);
    let (text, help) = if first.is_by_program {
        let help = "Find the program; mostly it is brltty, for braille displays: `sudo apt remove brltty`, then plug the board in anew.";
        (format!("{plug} and another program has it"), help)
    } else {
        let help = "Plug it in anew and read `sudo dmesg | tail`: the kernel has no driver for it, or the board does not start. On some systems drivers are a package of their own (linux-modules-extra).";
        (format!("{plug} and no driver has made a port of it"), help)
    };
    Step::failed("port", Fault::PortMissing, text).with_help(help)
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::super::sources::tests::Tree;
    use super::*;

    const BY_PATH: &str = "/dev/serial/by-path/platform-usb-0:1.1:1.0-port0";

    fn said(tree: &Tree, choice: &PortChoice, used: Option<&str>) -> (Verdict, Option<String>, String) {
        let step = there(&look(tree.root(), choice, used.map(Path::new)));
        (step.verdict, step.code, format!("{} {}", step.text, step.help.unwrap_or_default()))
    }

    fn path(text: &str) -> PortChoice {
        PortChoice::Path(text.into())
    }

    #[test]
    fn a_port_that_is_there_is_told_with_the_name_that_stays() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1.1", "1a86:7523", "ch341-uart");
        tree.link("dev/serial/by-path/platform-usb-0:1.1:1.0-port0", "../../ttyUSB0");
        for choice in [PortChoice::Auto, path("/dev/ttyUSB0"), path(BY_PATH)] {
            let (verdict, code, text) = said(&tree, &choice, None);
            assert_eq!((verdict, code), (Verdict::Ok, None), "{text}");
            assert!(text.contains("/dev/ttyUSB0 is there, as ") && text.contains(BY_PATH), "{text}");
        }
        tree.file("dev/pts/3", "");
        let (verdict, _, text) = said(&tree, &path("/dev/pts/3"), None);
        assert_eq!((verdict, text.trim()), (Verdict::Ok, "/dev/pts/3 is there; it has no other name"));
    }

    #[test]
    fn a_number_among_several_ports_is_no_name() {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1.1", "1a86:7523", "ch341-uart");
        tree.plug("ttyACM0", "1-1.2", "2c99:0002", "cdc_acm");
        tree.link("dev/serial/by-path/platform-usb-0:1.1:1.0-port0", "../../ttyUSB0");
        let (verdict, _, text) = said(&tree, &path("/dev/ttyUSB0"), None);
        assert_eq!(verdict, Verdict::Warning, "{text}");
        assert!(text.contains(&format!("printer.port = \"{BY_PATH}\"")), "{text}");
        let (verdict, code, text) = said(&tree, &PortChoice::Auto, None);
        assert_eq!((verdict, code.as_deref()), (Verdict::Failed, Some("port.ambiguous")), "{text}");
        assert!(text.contains(BY_PATH) && text.contains("/dev/ttyACM0"), "{text}");
        // The agent knows which it is.
        let (verdict, _, text) = said(&tree, &PortChoice::Auto, Some("/dev/ttyACM0"));
        assert_eq!(verdict, Verdict::Ok, "{text}");
    }

    #[test]
    fn what_is_missing_is_told_with_what_is_there_instead() {
        let tree = Tree::new();
        for choice in [PortChoice::Auto, path("/dev/ttyUSB0")] {
            let (verdict, code, text) = said(&tree, &choice, None);
            assert_eq!((verdict, code.as_deref()), (Verdict::Failed, Some("port.missing")), "{text}");
        }
        tree.plug("ttyACM0", "1-1.2", "2c99:0002", "cdc_acm");
        let (_, code, text) = said(&tree, &path("/dev/ttyUSB0"), None);
        assert_eq!(code.as_deref(), Some("port.missing"));
        assert!(text.contains("plugged in: /dev/ttyACM0") && text.contains("printer.port"), "{text}");
    }

    #[test]
    fn a_plug_that_has_become_no_port_is_told_with_who_has_it() {
        let tree = Tree::new();
        // A hub and a keyboard are nobody's printer.
        tree.usb("usb1", "1d6b:0002", &[]);
        tree.usb("1-1.3", "046d:c31c", &[("1-1.3:1.0", Some("usbhid"))]);
        assert_eq!(portless(tree.root()), []);
        tree.usb("1-1.1", "1a86:7523", &[("1-1.1:1.0", Some("usbfs"))]);
        let (_, code, text) = said(&tree, &PortChoice::Auto, None);
        assert_eq!(code.as_deref(), Some("port.missing"));
        assert!(text.contains("1a86:7523") && text.contains("brltty"), "{text}");
        let bare = Tree::new();
        bare.usb("1-1.1", "10C4:EA60", &[("1-1.1:1.0", None)]);
        let (_, _, text) = said(&bare, &path("/dev/ttyUSB0"), None);
        assert!(text.contains("10c4:ea60") && text.contains("no driver has made a port"), "{text}");
    }

    #[test]
    fn the_makers_are_those_of_the_rules() {
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/60-spoolway.rules");
        let rules = std::fs::read_to_string(rules).unwrap();
        assert!(rules.contains(&format!("ENV{{ID_VENDOR_ID}}!=\"{}\"", MAKERS.join("|"))));
    }
}
