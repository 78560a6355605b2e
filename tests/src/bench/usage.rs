//! What a process has used of the machine, as `/proc` says it (proc(5)).

use std::time::Duration;

use anyhow::Context;

/// Clock ticks of `/proc` in a second; the same on every Linux that Rust runs on.
const TICKS_PER_S: f64 = 100.0;

/// Processor time of a process so far, all threads together, to 10 ms.
pub(super) fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let ticks = ticks_of(&text).with_context(|| format!("{path} is not understood"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / TICKS_PER_S))
}

/// The most memory that a process ever had at once, in bytes.
pub(super) fn peak_memory_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    peak_of(&text).with_context(|| format!("{path} is not understood"))
}

/// User and system time are the 14th and 15th word; the name, the second one, may hold blanks and parentheses.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace().skip(11);
    let mut next = || words.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_it_is_written() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1000 0 0 0 12 30 0 0 20 0 1 0 100 1000 10";
        assert_eq!(ticks_of(stat), Some(42));
        assert_eq!(ticks_of("7 (a"), None);
        assert_eq!(peak_of("VmPeak:\t  900 kB\nVmHWM:\t   12 kB\nVmRSS:\t 8 kB\n"), Some(12_288));
        assert!(peak_memory_bytes(std::process::id()).unwrap() > 100_000);
        processor_time(std::process::id()).unwrap();
    }
}
