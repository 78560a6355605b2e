//! Counters of a conversation.

use std::time::Duration;

/// What has happened since the conversation began; `job_*` since the job began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Bytes written, lines that were sent again included.
    pub bytes_sent: u64,
    /// Lines written for the first time.
    pub lines_sent: u64,
    /// Lines of the job written for the first time.
    pub job_lines_sent: u64,
    /// Lines written once more.
    pub lines_repeated: u64,
    /// Lines of the job that the firmware refused.
    pub job_refusals: u64,
    /// How often the firmware was asked where it stands because a reply was missing.
    pub job_probes: u64,
    /// Acknowledgements that belonged to nothing.
    pub stray_acks: u64,
    /// Longest time between two acknowledged lines of the job.
    pub job_max_gap: Duration,
    /// Events that nobody fetched.
    pub events_dropped: u64,
}

impl Stats {
    pub(super) fn begin_job(&mut self) {
        self.job_lines_sent = 0;
        self.job_refusals = 0;
        self.job_probes = 0;
        self.job_max_gap = Duration::ZERO;
    }
}
