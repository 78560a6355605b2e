//! Which processes have a device open, as far as this user may see: read from `/proc` under a given root.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Major numbers of pseudo-terminals (devices.txt of the kernel).
const PSEUDO_TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

/// A process that has a device open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name (`octoprint`).
    pub name: String,
}

/// Others that have a device open. Those of other users are seen by root alone. systemd keeps the port for an agent while that is started anew
/// (`FileDescriptorStoreMax=`), and neither reads nor writes it: it counts for nobody.
#[must_use]
pub fn holders(root: &Path, device: &Path) -> Vec<Holder> {
    let processes = std::fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let mut found: Vec<Holder> = processes
        .filter_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            let has = pid != std::process::id() && has_open(&process.path(), device);
            has.then(|| Holder { pid, name: name_of(&process.path()) })
        })
        .filter(|holder| (holder.pid, holder.name.as_str()) != (1, "systemd"))
        .collect();
    found.sort_by_key(|holder| holder.pid);
    found
}

fn has_open(process: &Path, device: &Path) -> bool {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let ours = std::fs::metadata(device).ok();
    descriptors.map(|descriptor| descriptor.path()).any(|open| {
        std::fs::read_link(&open).is_ok_and(|target| target == device)
            && !is_namesake(std::fs::metadata(&open).ok().as_ref(), ours.as_ref())
    })
}

/// In a container another device may have the name. Pseudo-terminals are numbered anew in each.
fn is_namesake(open: Option<&Metadata>, ours: Option<&Metadata>) -> bool {
    let (Some(open), Some(ours)) = (open, ours) else { return false };
    let is_pseudo = PSEUDO_TERMINALS.contains(&rustix::fs::major(ours.rdev()));
    open.rdev() != ours.rdev() || (is_pseudo && open.dev() != ours.dev())
}

/// The kernel keeps 15 characters of it.
fn name_of(process: &Path) -> String {
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.trim().replace(|c: char| c.is_control(), "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_the_device_open_is_found() {
        let root = tempfile::tempdir().unwrap();
        for (pid, name, target) in [
            ("1", "systemd", "/dev/ttyUSB0"),
            ("12", "octoprint", "/dev/ttyUSB0"),
            ("7", "screen", "/dev/ttyUSB1"),
            ("self", "x", "/dev/ttyUSB0"),
        ] {
            let process = root.path().join("proc").join(pid);
            std::fs::create_dir_all(process.join("fd")).unwrap();
            std::fs::write(process.join("comm"), format!("{name}\n")).unwrap();
            std::os::unix::fs::symlink("/dev/null", process.join("fd/0")).unwrap();
            std::os::unix::fs::symlink(target, process.join("fd/7")).unwrap();
        }
        let found = holders(root.path(), Path::new("/dev/ttyUSB0"));
        assert_eq!(found, [Holder { pid: 12, name: "octoprint".into() }]);
    }

    #[test]
    fn another_device_of_the_same_name_is_held_by_nobody() {
        let device = |path: &str| std::fs::metadata(path).unwrap();
        let (null, zero) = (device("/dev/null"), device("/dev/zero"));
        assert!(is_namesake(Some(&null), Some(&zero)) && !is_namesake(Some(&null), Some(&null)));
        assert!(!is_namesake(None, Some(&zero)) && !is_namesake(Some(&zero), None));
    }
}
