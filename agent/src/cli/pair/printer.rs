//! What is said of a printer that nobody has spoken with: where it is, or that none was found.

use std::path::Path;

use crate::config::PortChoice;
use crate::printer::discover;

/// The port that was chosen, or what is plugged in. `is_set`: a person has chosen it, and not the shipped configuration.
pub(super) fn at(root: &Path, choice: &PortChoice, is_set: bool) -> String {
    if let Some(path) = choice.path() {
        if let Some(found) = discover::find(root, path) {
            return named(&found);
        }
        // No driver stands behind a pseudo-terminal or a socket's link.
        if root.join(path.strip_prefix("/").unwrap_or(path)).exists() {
            return path.display().to_string();
        }
        if is_set {
            return format!("none: {} is not there", path.display());
        }
    }
    match discover::ports(root).as_slice() {
        [] => "none: no serial port was found".to_owned(),
        [only] => named(only),
        several => format!("one of {} serial ports", several.len()),
    }
}

/// Short enough for whoever looks at many.
fn named(port: &discover::FoundPort) -> String {
    let product = port.usb.as_ref().and_then(|usb| usb.product.as_deref());
    match product {
        Some(product) => format!("{product} at {}", port.device.display()),
        None => port.device.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn plug(root: &Path, name: &str, product: Option<&str>) {
        let device = root.join("sys/class/tty").join(name).join("device");
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(root.join("dev")).unwrap();
        fs::write(root.join("dev").join(name), "").unwrap();
        if let Some(product) = product {
            for (file, text) in [("idVendor", "1a86"), ("idProduct", "7523"), ("product", product)] {
                fs::write(device.join(file), text).unwrap();
            }
        }
    }

    #[test]
    fn a_port_is_named_when_it_is_there_and_else_it_is_said_that_none_is() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path();
        let path = |path: &str| PortChoice::Path(path.into());
        let shipped = path("/dev/ttyUSB0");
        assert_eq!(at(root, &shipped, false), "none: no serial port was found");
        assert_eq!(at(root, &PortChoice::Auto, true), "none: no serial port was found");
        assert_eq!(at(root, &shipped, true), "none: /dev/ttyUSB0 is not there");
        plug(root, "ttyACM0", Some("Prusa MK3"));
        assert_eq!(at(root, &shipped, false), "Prusa MK3 at /dev/ttyACM0");
        assert_eq!(at(root, &PortChoice::Auto, true), "Prusa MK3 at /dev/ttyACM0");
        assert_eq!(at(root, &shipped, true), "none: /dev/ttyUSB0 is not there");
        plug(root, "ttyUSB0", None);
        assert_eq!(at(root, &shipped, true), "/dev/ttyUSB0");
        assert_eq!(at(root, &path("/dev/ttyACM0"), true), "Prusa MK3 at /dev/ttyACM0");
        assert_eq!(at(root, &PortChoice::Auto, true), "one of 2 serial ports");
        fs::write(root.join("dev/pty"), "").unwrap();
        assert_eq!(at(root, &path("/dev/pty"), true), "/dev/pty");
    }
}
