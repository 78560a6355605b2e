//! What stands between the plug and the port: the driver, the USB socket, and programs that are known to get in the way.

use std::path::{Path, PathBuf};

use super::report::Step;
use super::sources::{names_in, number, text};
use crate::printer::discover::FoundPort;

/// Folders between a terminal and its USB device: at most the port, the interface and the device.
const STEPS_TO_USB: usize = 4;
/// Probes ports for modems.
const MODEM_MANAGER: &str = "ModemManager";
/// Speaks to braille displays, some of which have the same adapters.
const BRLTTY: &str = "brltty";
/// Adapters that brltty's own rules take, whatever stands behind them.
const OF_BRLTTY: [&str; 3] = ["1a86:7523", "10c4:ea60", "0403:6001"];
/// Marks of udev by which a port is left alone by ModemManager.
const IGNORED: [&str; 2] = ["E:ID_MM_PORT_IGNORE=1", "E:ID_MM_DEVICE_IGNORE=1"];

/// What stands behind a port.
#[derive(Debug, Clone, Default)]
pub(super) struct Behind {
    driver: Option<String>,
    /// Vendor and product, where it is a plug.
    usb_id: Option<String>,
    product: Option<String>,
    /// The USB socket (`1-1.2`).
    socket: Option<String>,
    /// In Mbit/s, as the kernel says it (`1.5`, `12`, `480`).
    speed: Option<String>,
    /// How often the socket was switched off because too much current was drawn.
    over_current: Option<u64>,
    is_modem_manager_running: bool,
    /// Whether udev has told modem programs to leave it alone.
    is_ignored: bool,
    is_brltty_running: bool,
}

/// Looks behind a port.
pub(super) fn look(root: &Path, port: &FoundPort) -> Behind {
    let name = port.device.file_name().unwrap_or_default();
    let tty = root.join("sys/class/tty").join(name);
    let socket = usb_folder(&tty.join("device"));
    let processes = names_in(&root.join("proc")).into_iter().filter(|name| name.parse::<u32>().is_ok());
    let running: Vec<_> =
        processes.filter_map(|pid| text(&root.join("proc").join(pid).join("comm"))).collect();
    let runs = |program: &str| running.iter().any(|name| name == program);
    let marks = text(&tty.join("dev")).and_then(|dev| text(&root.join(format!("run/udev/data/c{dev}"))));
    let marks = marks.unwrap_or_default();
    Behind {
        driver: port.driver.clone(),
        usb_id: port.usb.as_ref().map(|usb| usb.id.clone()),
        product: port.usb.as_ref().and_then(|usb| usb.product.clone()),
        speed: socket.as_ref().and_then(|socket| text(&socket.join("speed"))),
        over_current: socket.as_ref().and_then(|socket| number(&socket.join("port/over_current_count"))),
        socket: socket.and_then(|socket| Some(socket.file_name()?.to_str()?.to_owned())),
        is_modem_manager_running: runs(MODEM_MANAGER),
        is_ignored: marks.lines().any(|line| IGNORED.contains(&line)),
        is_brltty_running: runs(BRLTTY),
    }
}

fn usb_folder(device: &Path) -> Option<PathBuf> {
    let device = std::fs::canonicalize(device).ok()?;
    device.ancestors().take(STEPS_TO_USB).find(|folder| folder.join("idVendor").exists()).map(Path::to_owned)
}

/// The kernel's driver, and who is known to disturb it.
pub(super) fn driver(behind: &Behind) -> Step {
    let Some(driver) = &behind.driver else {
        return Step::ok("driver", "none: another program stands behind this port, and no wire");
    };
    let mut what = driver.clone();
    if let Some(id) = &behind.usb_id {
        let product = behind.product.as_ref().map_or_else(String::new, |product| format!(", {product}"));
        what = format!("{driver}, USB {id}{product}");
    }
    if behind.is_modem_manager_running && behind.usb_id.is_some() && !behind.is_ignored {
        let text = format!("{what}; ModemManager runs and probes it: its bytes reach the firmware");
        let help = "Install the rules that come with the agent (60-spoolway.rules) and plug the board in anew, or, where there is no modem, `sudo systemctl disable --now ModemManager`.";
        return Step::warning("driver", text, help);
    }
    let takes = behind.usb_id.as_ref().is_some_and(|id| OF_BRLTTY.contains(&id.as_str()));
    if behind.is_brltty_running && takes {
        let text = format!("{what}; brltty runs, which takes adapters of this kind for braille displays");
        let help = "Where nobody has a braille display: `sudo apt remove brltty`.";
        return Step::warning("driver", text, help);
    }
    Step::ok("driver", what)
}

/// The USB socket.
pub(super) fn usb(behind: &Behind) -> Step {
    let (Some(socket), Some(_)) = (&behind.socket, &behind.usb_id) else {
        return Step::skipped("usb", "it is not at USB");
    };
    let speed = behind.speed.as_ref().map_or_else(String::new, |speed| format!(", {speed} Mbit/s"));
    let socket = format!("socket {socket}{speed}");
    match behind.over_current {
        Some(times) if times > 0 => Step::warning(
            "usb",
            format!("{socket}; too much current was drawn there {times} times since the start"),
            "The board takes its current from this computer: switch the printer's own supply on, cut the 5 V wire of the cable, or use a hub with a supply of its own.",
        ),
        _ => Step::ok("usb", socket),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::super::sources::tests::Tree;
    use super::*;
    use crate::printer::discover;

    fn behind(tree: &Tree, name: &str) -> Behind {
        let port = discover::find(tree.root(), &Path::new("/dev").join(name)).unwrap();
        look(tree.root(), &port)
    }

    /// An adapter of the kind that everybody takes.
    fn tree() -> Tree {
        let tree = Tree::new();
        tree.plug("ttyUSB0", "1-1.2", "1a86:7523", "ch341-uart");
        tree.link("sys/bus/usb/devices/1-1.2/1-1.2:1.0/driver-of-port", "x");
        tree.file("sys/class/tty/ttyUSB0/dev", "188:0\n");
        tree.file("sys/bus/usb/devices/1-1.2/speed", "12\n");
        tree.file("sys/bus/usb/devices/1-1.2/product", "USB Serial\n");
        tree.file("sys/bus/usb/devices/1-1.2/port/over_current_count", "0\n");
        tree
    }

    #[test]
    fn driver_and_socket_are_told() {
        let behind = behind(&tree(), "ttyUSB0");
        let (driver, usb) = (driver(&behind), usb(&behind));
        assert_eq!((driver.verdict, usb.verdict), (Verdict::Ok, Verdict::Ok), "{driver:?} {usb:?}");
        assert_eq!(driver.text, "ch341-uart, USB 1a86:7523, USB Serial");
        assert_eq!(usb.text, "socket 1-1.2, 12 Mbit/s");
    }

    #[test]
    fn a_program_that_probes_modems_is_told_unless_it_leaves_this_port_alone() {
        let tree = tree();
        tree.file("proc/612/comm", "ModemManager\n");
        let step = driver(&behind(&tree, "ttyUSB0"));
        assert_eq!(step.verdict, Verdict::Warning, "{step:?}");
        assert!(step.text.contains("ModemManager") && step.help.unwrap().contains("60-spoolway.rules"));
        tree.file("run/udev/data/c188:0", "S:serial/by-id/x\nE:ID_MM_PORT_IGNORE=1\n");
        assert_eq!(driver(&behind(&tree, "ttyUSB0")).verdict, Verdict::Ok);
    }

    #[test]
    fn a_program_for_braille_displays_is_told_where_it_takes_such_adapters() {
        let tree = tree();
        tree.file("proc/613/comm", "brltty\n");
        tree.plug("ttyACM0", "1-1.3", "2c99:0002", "cdc_acm");
        let step = driver(&behind(&tree, "ttyUSB0"));
        assert_eq!(step.verdict, Verdict::Warning, "{step:?}");
        assert!(step.help.unwrap().contains("remove brltty"));
        assert_eq!(driver(&behind(&tree, "ttyACM0")).verdict, Verdict::Ok);
    }

    #[test]
    fn a_socket_from_which_too_much_was_drawn_is_told() {
        let tree = tree();
        tree.file("sys/bus/usb/devices/1-1.2/port/over_current_count", "3\n");
        let step = usb(&behind(&tree, "ttyUSB0"));
        assert_eq!(step.verdict, Verdict::Warning, "{step:?}");
        assert!(step.text.contains("3 times") && step.help.unwrap().contains("supply"));
    }

    #[test]
    fn a_uart_on_pins_and_a_pseudo_terminal_have_no_socket() {
        let uart = Behind { driver: Some("uart-pl011".into()), ..Behind::default() };
        assert_eq!((driver(&uart).text.as_str(), usb(&uart).verdict), ("uart-pl011", Verdict::Skipped));
        let pty = Behind::default();
        assert!(driver(&pty).text.contains("another program stands behind"));
    }
}
