//! What the computer itself tells: its versions, what its kernel has said of serial ports, its disks.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Words of the kernel's lines that matter to a printer at a serial port.
const ABOUT: [&str; 14] = [
    "tty",
    "usb",
    "cdc_acm",
    "ftdi",
    "ch341",
    "cp210",
    "pl2303",
    "voltage",
    "throttl",
    "thermal",
    "out of memory",
    "oom",
    "mmc",
    "ext4",
];
/// Lines of the kernel that are kept.
const LINES: usize = 400;

/// The versions of everything, for a file.
pub(super) fn versions() -> String {
    let uname = rustix::system::uname();
    let mut text = format!("agent {}\n", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("system", uname.sysname().to_string_lossy()),
        ("kernel", uname.release().to_string_lossy()),
        ("build", uname.version().to_string_lossy()),
        ("machine", uname.machine().to_string_lossy()),
    ] {
        line(&mut text, name, &value);
    }
    for (name, path) in [
        ("model", "/proc/device-tree/model"),
        ("uptime_s", "/proc/uptime"),
        ("load", "/proc/loadavg"),
        ("memory", "/proc/meminfo"),
        ("os", "/etc/os-release"),
    ] {
        let found = fs::read_to_string(path).unwrap_or_default();
        let kept = found.lines().take(8).collect::<Vec<_>>().join("; ");
        if !kept.is_empty() {
            line(&mut text, name, kept.trim_end_matches('\0'));
        }
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{name} {value}");
}

/// What the kernel has said lately of ports, power and disks; else why not.
pub(super) fn kernel() -> Result<String, String> {
    kernel_of(Command::new("dmesg"))
}

fn kernel_of(mut program: Command) -> Result<String, String> {
    let output = program.output().map_err(|error| format!("dmesg cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("it says nothing").to_owned();
        return Err(format!("{said}; root may read it"));
    }
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    let about = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ABOUT.iter().any(|word| line.contains(word))
    };
    let found: Vec<&str> = all.lines().filter(about).collect();
    Ok(found[found.len().saturating_sub(LINES)..].join("\n"))
}

/// How full the disks are that matter.
pub(super) fn disks(folders: &[&Path]) -> String {
    let mut text = String::new();
    for folder in folders {
        let told = match rustix::fs::statvfs(*folder) {
            Ok(found) => {
                let mb = |blocks: u64| blocks.saturating_mul(found.f_frsize) / 1_000_000;
                let (free, all) = (mb(found.f_bavail), mb(found.f_blocks));
                format!("{free} MB free of {all} MB, {} of {} files free", found.f_favail, found.f_files)
            }
            Err(error) => format!("{error}"),
        };
        line(&mut text, &folder.display().to_string(), &told);
    }
    text.push_str("\nmounts:\n");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let on_disks = mounts.lines().filter(|mount| mount.starts_with("/dev/"));
    text.extend(on_disks.take(16).flat_map(|mount| [mount, "\n"]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut program = Command::new("sh");
        program.args(["-c", script]);
        program
    }

    #[test]
    fn of_the_kernel_only_what_matters_is_kept() {
        let said =
            "echo 'usb 1-1: USB disconnect'; echo 'wlan0: joined Anna-Net'; echo 'Under-voltage detected!'";
        assert_eq!(kernel_of(sh(said)).unwrap(), "usb 1-1: USB disconnect\nUnder-voltage detected!");
        let many = "i=0; while [ $i -lt 1000 ]; do echo \"ttyUSB$i\"; i=$((i+1)); done";
        let kept = kernel_of(sh(many)).unwrap();
        assert!(kept.lines().count() == LINES && kept.ends_with("ttyUSB999"));
        let refused = kernel_of(sh("echo 'dmesg: read kernel buffer failed' >&2; exit 1")).unwrap_err();
        assert_eq!(refused, "dmesg: read kernel buffer failed; root may read it");
    }

    #[test]
    fn versions_and_disks_are_told_or_why_not() {
        let text = versions();
        assert!(text.starts_with(&format!("agent {}\nsystem Linux\n", env!("CARGO_PKG_VERSION"))), "{text}");
        let text = disks(&[Path::new("/"), Path::new("/nonexistent")]);
        assert!(
            text.contains("/ ")
                && text.contains(" MB free of ")
                && text.contains("/nonexistent No such file"),
            "{text}"
        );
    }
}
