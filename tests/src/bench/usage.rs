//! What a process has used of the machine, as `/proc` says it (proc(5)).

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

/// The processor time of a process, thread by thread, to the nanosecond.
///
/// The kernel's sum for a whole process counts in 10 ms, which is more than a short print takes. A thread that ends keeps
/// what was last seen of it, so the clock is to be read every now and then.
#[derive(Debug)]
pub(super) struct ProcessClock {
    pid: u32,
    threads: BTreeMap<u64, Duration>,
}

impl ProcessClock {
    /// A clock that has not been read.
    pub(super) fn new(pid: u32) -> Self {
        Self { pid, threads: BTreeMap::new() }
    }

    /// Processor time so far, all threads together.
    pub(super) fn read(&mut self) -> anyhow::Result<Duration> {
        let folder = format!("/proc/{}/task", self.pid);
        for entry in std::fs::read_dir(&folder).context(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            // One that has ended since is not there any more.
            if let Some((thread, time)) = name.zip(time_of_thread(&path)) {
                self.threads.insert(thread, time);
            }
        }
        Ok(self.threads.values().sum())
    }
}

fn time_of_thread(path: &Path) -> Option<Duration> {
    running_time(&std::fs::read_to_string(path.join("schedstat")).ok()?)
}

/// The first word is the time on a processor in nanoseconds (sched-stats in the kernel's documentation).
fn running_time(schedstat: &str) -> Option<Duration> {
    schedstat.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The most memory that a process ever had at once, in bytes.
pub(super) fn peak_memory_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    peak_of(&text).with_context(|| format!("{path} is not understood"))
}

/// The memory of a process that is resident now, in bytes (proc_pid_smaps(5)).
pub(super) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    kibibytes(&text, "Rss:").with_context(|| format!("{path} is not understood"))
}

/// From now on the peak is counted anew (proc_pid_clear_refs(5)).
pub(super) fn forget_peak(pid: u32) -> anyhow::Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    std::fs::write(&path, "5").context(path)
}

/// What a process has sent towards a device: pages that it made dirty and that the kernel will write (proc_pid_io(5)),
/// without the file system's own journal.
pub(super) fn written_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/io");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).with_context(|| format!("{path} is not understood"))
}

/// What was written to the device under a folder, whoever did, with the file system's own journal (iostats in the kernel's
/// documentation: the seventh word, in units of 512 bytes). `None` where no single device is known to lie under it.
pub(super) fn device_bytes(dir: &Path) -> Option<u64> {
    let device = std::fs::metadata(dir).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    written_sectors(&std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?)
        .map(|sectors| sectors * 512)
}

fn written_sectors(stat: &str) -> Option<u64> {
    stat.split_ascii_whitespace().nth(6)?.parse().ok()
}

fn peak_of(status: &str) -> Option<u64> {
    kibibytes(status, "VmHWM:")
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_it_is_written() {
        assert_eq!(running_time("123456789 55 7\n"), Some(Duration::from_nanos(123_456_789)));
        assert_eq!(running_time(""), None);
        assert_eq!(peak_of("VmPeak:\t  900 kB\nVmHWM:\t   12 kB\nVmRSS:\t 8 kB\n"), Some(12_288));
        assert!(peak_memory_bytes(std::process::id()).unwrap() > 100_000);
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        let stat = "  100 1 2048 30 77 5 4096 60 0 80 90 0 0 0 0\n";
        assert_eq!(written_sectors(stat), Some(4096));
        assert_eq!(written_sectors("1 2"), None);
    }

    #[test]
    fn a_thread_that_has_ended_still_counts() {
        let mut clock = ProcessClock::new(std::process::id());
        let (told, hears) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let busy = std::thread::spawn(move || {
            let mut sum = 0_u64;
            (0..5_000_000_u64).for_each(|n| sum = std::hint::black_box(sum ^ n));
            told.send(sum).unwrap();
            let _ = stopped.recv();
        });
        hears.recv().unwrap();
        let before = clock.read().unwrap();
        drop(stop);
        busy.join().unwrap();
        assert!(clock.read().unwrap() >= before && before > Duration::ZERO);
    }
}
