//! What the agent's process takes of its machine (proc(5)).

/// What the process takes; absent is what the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// Time of a processor, in seconds.
    pub cpu_s: Option<f64>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
}

impl Process {
    /// This process, now.
    #[must_use]
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").ok();
        Self { cpu_s: cpu_s(), resident_bytes: status.as_deref().and_then(resident_bytes) }
    }
}

fn cpu_s() -> Option<f64> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(f64::from(u32::try_from(used.tv_sec).ok()?) + f64::from(u32::try_from(used.tv_nsec).ok()?) / 1e9)
}

/// `VmRSS` is in units of 1024 bytes, whatever it says behind the number.
fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let now = Process::now();
        assert!(now.resident_bytes.unwrap() > 100_000, "{now:?}");
        assert!(now.cpu_s.unwrap() <= Process::now().cpu_s.unwrap());
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   9120 kB\n"), Some(9_338_880));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
