//! Where the facts are read: files under a root that tests make up, and a bound in time for whatever may hang.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// How long one look may take: a device that hangs does not keep the others from being looked at.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest file that is read; those of the kernel are far smaller.
const TEXT_MAX: usize = 64 * 1024;
/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 4_096;

/// Looks within a bound; `None` when that was not enough. What hangs ends with the program.
pub(super) fn within<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (say, said) = mpsc::sync_channel(1);
    let look = move || drop(say.send(look()));
    std::thread::Builder::new().name("look".to_owned()).spawn(look).ok()?;
    said.recv_timeout(PATIENCE).ok()
}

/// A path as it is called under another root.
pub(super) fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What a file says, without white space around it; `None` where it says nothing.
pub(super) fn text(file: &Path) -> Option<String> {
    let mut bytes = fs::read(file).ok()?;
    bytes.truncate(TEXT_MAX);
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// A number in a file.
pub(super) fn number(file: &Path) -> Option<u64> {
    text(file)?.parse().ok()
}

/// What lies in a folder.
pub(super) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A made-up machine.
    pub(in super::super) struct Tree(tempfile::TempDir);

    impl Tree {
        pub(in super::super) fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        pub(in super::super) fn root(&self) -> &Path {
            self.0.path()
        }

        pub(in super::super) fn file(&self, path: &str, text: &str) {
            let file = self.root().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        pub(in super::super) fn link(&self, path: &str, target: &str) {
            let link = self.root().join(path);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, link).unwrap();
        }

        /// A USB device with its interfaces and the driver of each.
        pub(in super::super) fn usb(&self, name: &str, id: &str, interfaces: &[(&str, Option<&str>)]) {
            let folder = format!("sys/bus/usb/devices/{name}");
            let (vendor, product) = id.split_once(':').unwrap();
            self.file(&format!("{folder}/idVendor"), &format!("{vendor}\n"));
            self.file(&format!("{folder}/idProduct"), &format!("{product}\n"));
            for (interface, driver) in interfaces {
                fs::create_dir_all(self.root().join(&folder).join(interface)).unwrap();
                if let Some(driver) = driver {
                    self.link(&format!("{folder}/{interface}/driver"), &format!("../../drivers/{driver}"));
                }
            }
        }

        /// A port at a USB socket.
        pub(in super::super) fn plug(&self, name: &str, socket: &str, id: &str, driver: &str) {
            let interface = format!("{socket}:1.0");
            self.usb(socket, id, &[(&interface, Some(driver))]);
            let device = format!("sys/bus/usb/devices/{socket}/{interface}");
            let tty = if name.starts_with("ttyUSB") { name } else { "tty" };
            fs::create_dir_all(self.root().join(&device).join(tty)).unwrap();
            self.link(&format!("sys/class/tty/{name}/device"), &format!("../../../../{device}"));
            self.file(&format!("dev/{name}"), "");
        }
    }

    #[test]
    fn what_hangs_is_given_up_and_what_says_nothing_is_nothing() {
        assert_eq!(within(|| 7), Some(7));
        let tree = Tree::new();
        tree.file("a", " 12 \n");
        tree.file("b", "\n");
        let at = |name| tree.root().join(name);
        assert_eq!((number(&at("a")), text(&at("b")), text(&at("c"))), (Some(12), None, None));
        // Whoever looks and dies has said nothing either.
        assert_eq!(within(|| -> u8 { panic!("it dies") }), None);
        assert_eq!(under(tree.root(), Path::new("/dev/x")), at("dev/x"));
    }
}
