//! Ports of a made-up machine, as Linux lays them out.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A machine that a test plugs boards into.
pub(in crate::printer) struct Machine {
    pub(in crate::printer) root: tempfile::TempDir,
}

impl Machine {
    pub(in crate::printer) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["sys/class/tty", "sys/bus/usb-serial/drivers/ch341-uart", "dev/serial"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    pub(in crate::printer) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A CH340 in a socket, as `usb-serial` shows it.
    pub(in crate::printer) fn plug(&self, name: &str, socket: &str, serial: Option<&str>) {
        let root = self.root();
        let usb = root.join(format!("sys/devices/usb1/1-{socket}"));
        let tty = usb.join(format!("1-{socket}:1.0/{name}"));
        fs::create_dir_all(&tty).unwrap();
        fs::write(usb.join("idVendor"), "1A86\n").unwrap();
        fs::write(usb.join("idProduct"), "7523\n").unwrap();
        fs::write(usb.join("product"), "USB Serial\n").unwrap();
        if let Some(serial) = serial {
            fs::write(usb.join("serial"), format!("{serial}\n")).unwrap();
        }
        symlink("../../../../../bus/usb-serial/drivers/ch341-uart", tty.join("driver")).unwrap();
        let class = root.join("sys/class/tty").join(name);
        fs::create_dir_all(&class).unwrap();
        symlink(format!("../../../devices/usb1/1-{socket}/1-{socket}:1.0/{name}"), class.join("device"))
            .unwrap();
        fs::write(root.join("dev").join(name), "").unwrap();
        self.link("by-path", &format!("pci-0000:00:14.0-usb-0:{socket}:1.0-port0"), name);
        self.link("by-id", &format!("usb-1a86_USB_Serial{}-if00-port0", serial.unwrap_or_default()), name);
    }

    pub(in crate::printer) fn unplug(&self, name: &str, socket: &str) {
        let root = self.root();
        fs::remove_dir_all(root.join(format!("sys/devices/usb1/1-{socket}"))).unwrap();
        fs::remove_dir_all(root.join("sys/class/tty").join(name)).unwrap();
        fs::remove_file(root.join("dev").join(name)).unwrap();
        fs::remove_file(
            root.join("dev/serial/by-path").join(format!("pci-0000:00:14.0-usb-0:{socket}:1.0-port0")),
        )
        .unwrap();
    }

    fn link(&self, folder: &str, link: &str, name: &str) {
        let folder = self.root().join("dev/serial").join(folder);
        fs::create_dir_all(&folder).unwrap();
        let link = folder.join(link);
        drop(fs::remove_file(&link));
        symlink(format!("../../{name}"), link).unwrap();
    }
}

fn by_path(socket: &str) -> PathBuf {
    format!("/dev/serial/by-path/pci-0000:00:14.0-usb-0:{socket}:1.0-port0").into()
}

#[test]
fn a_port_is_told_with_all_that_the_system_knows() {
    let machine = Machine::new();
    machine.plug("ttyUSB10", "1.3", None);
    machine.plug("ttyUSB2", "1.2", Some("A1B2"));
    fs::create_dir_all(machine.root().join("sys/class/tty/ttyS0/device")).unwrap();
    fs::create_dir_all(machine.root().join("sys/class/tty/tty1")).unwrap();
    let ports = ports(machine.root());
    let names: Vec<_> = ports.iter().map(|port| port.device.to_str().unwrap()).collect();
    assert_eq!(names, ["/dev/ttyUSB2", "/dev/ttyUSB10"]);
    let usb =
        UsbDevice { id: "1a86:7523".into(), serial: Some("A1B2".into()), product: Some("USB Serial".into()) };
    assert_eq!(
        ports[0],
        FoundPort {
            device: "/dev/ttyUSB2".into(),
            by_path: Some(by_path("1.2")),
            by_id: Some("/dev/serial/by-id/usb-1a86_USB_SerialA1B2-if00-port0".into()),
            driver: Some("ch341-uart".into()),
            usb: Some(usb),
        }
    );
    assert_eq!(ports[0].stable(), by_path("1.2"));
    assert_eq!(find(machine.root(), &by_path("1.2")).as_ref(), Some(&ports[0]));
    assert_eq!(find(machine.root(), Path::new("/dev/ttyUSB2")).as_ref(), Some(&ports[0]));
    assert_eq!(find(machine.root(), Path::new("/dev/ttyUSB3")), None);
}

#[test]
fn a_port_that_was_plugged_in_just_now_is_looked_at_again_until_it_has_its_name() {
    let machine = Machine::new();
    machine.plug("ttyUSB0", "1.1", None);
    for folder in ["by-path", "by-id"] {
        fs::remove_dir_all(machine.root().join("dev/serial").join(folder)).unwrap();
    }
    let mut looks = 0;
    let nameless = ports_with_names(machine.root(), || {
        looks += 1;
        looks < 3
    });
    assert_eq!((looks, nameless[0].stable()), (3, Path::new("/dev/ttyUSB0")));
    let named = ports_with_names(machine.root(), || {
        machine.link("by-path", "pci-0000:00:14.0-usb-0:1.1:1.0-port0", "ttyUSB0");
        true
    });
    assert_eq!(named[0].stable(), by_path("1.1"));
    assert_eq!(ports_with_names(machine.root(), || panic!("it has its name")), named);
}

#[test]
fn a_machine_without_ports_has_none() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(ports(empty.path()), []);
    let error = choose(empty.path(), &PortChoice::Auto, None).unwrap_err();
    assert_eq!(error.fault, Fault::PortMissing);
}

#[test]
fn auto_takes_the_only_port_or_the_one_from_before_and_never_guesses() {
    let machine = Machine::new();
    let auto = |before: Option<&Path>| choose(machine.root(), &PortChoice::Auto, before);
    machine.plug("ttyUSB0", "1.1", None);
    assert_eq!(auto(None).unwrap(), by_path("1.1"));
    machine.plug("ttyUSB1", "1.2", None);
    let error = auto(None).unwrap_err();
    assert_eq!(error.fault, Fault::PortAmbiguous);
    for socket in ["1.1", "1.2"] {
        assert!(error.detail.contains(by_path(socket).to_str().unwrap()), "{error}");
    }
    assert_eq!(auto(Some(&by_path("1.2"))).unwrap(), by_path("1.2"));
    assert_eq!(auto(Some(&by_path("1.4"))).unwrap_err().fault, Fault::PortAmbiguous);
}

#[test]
fn a_board_that_comes_back_with_another_number_is_followed() {
    let machine = Machine::new();
    let configured = PortChoice::Path("/dev/ttyUSB0".into());
    let chosen = |before: Option<&Path>| choose(machine.root(), &configured, before).unwrap();
    assert_eq!(chosen(None), Path::new("/dev/ttyUSB0"));
    machine.plug("ttyUSB0", "1.1", None);
    let before = find(machine.root(), &chosen(None)).unwrap().stable().to_owned();
    machine.unplug("ttyUSB0", "1.1");
    assert_eq!(
        chosen(Some(&before)),
        Path::new("/dev/ttyUSB0"),
        "nothing there: wait for what was configured"
    );
    // Another board takes the old number before the first comes back.
    machine.plug("ttyUSB0", "1.2", None);
    machine.plug("ttyUSB1", "1.1", None);
    let followed = find(machine.root(), &chosen(Some(&before))).unwrap();
    assert_eq!(followed.device, Path::new("/dev/ttyUSB1"));
    // A name that means one board, or one socket, is never left for another.
    let by_id = PortChoice::Path("/dev/serial/by-id/usb-1a86_USB_SerialA1-if00-port0".into());
    assert_eq!(choose(machine.root(), &by_id, Some(&before)).unwrap(), by_id.path().unwrap());
}
