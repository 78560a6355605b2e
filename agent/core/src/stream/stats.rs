//! Counters of a conversation.

use std::time::Duration;

use crate::pack::{Pack, Unpack};

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
    /// How often the firmware said that it is busy.
    pub busy_heard: u64,
    /// Events that nobody fetched.
    pub events_dropped: u64,
    /// How often another process went on with the job.
    pub takeovers: u64,
}

impl Stats {
    pub(super) fn begin_job(&mut self) {
        self.job_lines_sent = 0;
        self.job_refusals = 0;
        self.job_probes = 0;
        self.job_max_gap = Duration::ZERO;
        self.takeovers = 0;
    }

    /// Writes them down for another process.
    pub fn pack(&self, to: &mut Pack<'_>) {
        for count in [
            self.bytes_sent,
            self.lines_sent,
            self.job_lines_sent,
            self.lines_repeated,
            self.job_refusals,
            self.job_probes,
            self.stray_acks,
            self.busy_heard,
            self.events_dropped,
            self.takeovers,
        ] {
            to.u64(count);
        }
        to.duration(self.job_max_gap);
    }

    /// Reads what [`Stats::pack`] wrote.
    #[must_use]
    pub fn unpack(from: &mut Unpack<'_>) -> Option<Self> {
        Some(Self {
            bytes_sent: from.u64()?,
            lines_sent: from.u64()?,
            job_lines_sent: from.u64()?,
            lines_repeated: from.u64()?,
            job_refusals: from.u64()?,
            job_probes: from.u64()?,
            stray_acks: from.u64()?,
            busy_heard: from.u64()?,
            events_dropped: from.u64()?,
            takeovers: from.u64()?,
            job_max_gap: from.duration()?,
        })
    }
}
