//! Which processes have a device open, as far as this user may see: read from `/proc` under a given root.

use std::path::Path;

/// A process that has a device open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name (`octoprint`).
    pub name: String,
}

/// Others that have a device open. Those of other users are seen by root alone.
#[must_use]
pub fn holders(root: &Path, device: &Path) -> Vec<Holder> {
    let processes = std::fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let mut found: Vec<Holder> = processes
        .filter_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            let has = pid != std::process::id() && has_open(&process.path(), device);
            has.then(|| Holder { pid, name: name_of(&process.path()) })
        })
        .collect();
    found.sort_by_key(|holder| holder.pid);
    found
}

fn has_open(process: &Path, device: &Path) -> bool {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    targets.any(|target| target == device)
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
}
