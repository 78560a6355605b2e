//! What people, the relay's hello and telemetry are shown.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use spoolway_agent_core::stream::InForce;
use spoolway_agent_core::temperature::Reading;
use spoolway_protocol::job::JobState;
use spoolway_protocol::printer::{ActiveJob, PrinterState, PrinterSummary};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::telemetry::{Buffers, Readings, WindowInForce};
use spoolway_protocol::{JobId, PrinterId};

use super::book::Entry;
use super::clerk::Clerk;
use super::losses::Lost;
use crate::bus::{HelloState, Telemetered};
use crate::printer::Snapshot;
use crate::view::{FaultView, JobView, LinkView, PrinterView, Status, WireView};

/// One process, one printer.
pub(crate) const PRINTER_ID: &str = "p0";

impl Clerk {
    pub(super) async fn status(&self) -> Status {
        let unacked = self.store.outbox_status().await;
        let waiting = self.book.entries.values().filter(|entry| !entry.job.state().is_terminal());
        let active = self.book.active();
        let held = active.map(|entry| entry.job.id());
        Status {
            agent_id: self.identity.agent_id().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: (self.clock.now() - self.began).as_millis() as u64,
            printer: self.printer_view(),
            job: active.map(|entry| self.view(entry)),
            needs_a_person: active.map_or_else(|| self.needs_a_person(), |_| None),
            link: self.link_view(),
            storage: self.storage_view(),
            bed: Some(self.bed_view()),
            maintenance: self.maintenance_view(),
            update: self.update_view(),
            permits: self.permits.view(),
            jobs_waiting: waiting.filter(|entry| Some(entry.job.id()) != held).count() as u64,
            events_unacked: unacked.map_or(0, |status| {
                status.oldest_unacked.map_or(0, |oldest| {
                    if oldest.epoch == status.epoch { status.next_seq - oldest.seq } else { status.next_seq }
                })
            }),
        }
    }

    fn needs_a_person(&self) -> Option<JobView> {
        let mut states = [JobState::Interrupted, JobState::AwaitingOperator].into_iter();
        self.view_of(&states.find_map(|state| self.book.first_in(state))?)
    }

    fn link_view(&self) -> LinkView {
        held_until(self.link.borrow().clone(), self.clock.now().as_millis())
    }

    pub(super) fn jobs(&self) -> Vec<JobView> {
        let mut entries: Vec<&Entry> = self.book.entries.values().collect();
        entries.sort_by_key(|entry| (Reverse(entry.offer.priority), entry.position, entry.created_ms));
        entries.into_iter().map(|entry| self.view(entry)).collect()
    }

    pub(super) fn view_of(&self, id: &JobId) -> Option<JobView> {
        self.book.entries.get(id).map(|entry| self.view(entry))
    }

    pub(super) fn view(&self, entry: &Entry) -> JobView {
        let detail = &entry.detail;
        let (reason, code) = self.why(entry);
        JobView {
            job_id: entry.job.id().clone(),
            name: entry.offer.file.name.clone(),
            state: entry.job.state(),
            attempt: entry.job.attempt(),
            commands_acked: detail.commands_acked,
            commands_total: detail.commands_total,
            line: detail.line,
            layer: detail.layer,
            layers_total: detail.layers_total,
            bytes: detail.bytes,
            size: entry.offer.file.size,
            loss: detail.lost.as_ref().filter(|_| entry.job.state() == JobState::Interrupted).map(Lost::view),
            reason,
            code,
            findings: detail.findings.clone(),
            created_ms: entry.created_ms,
            rev: entry.job.rev(),
            priority: entry.offer.priority,
            copies: entry.offer.copies,
            copies_done: detail.copies_done,
            held: detail.held,
        }
    }

    /// Why a job stands where it stands, and the code of that.
    fn why(&self, entry: &Entry) -> (Option<String>, Option<String>) {
        // What a job waited for may have come about, and it waits on for something else.
        let is_past = entry.job.state() == JobState::AwaitingBedClear && self.check_bed().is_ok();
        match entry.detail.text.clone().filter(|_| !is_past) {
            Some(text) => (Some(text), entry.detail.code.clone()),
            None => (self.why_it_waits(entry), None),
        }
    }

    /// A queued job that does not start shall not be a riddle.
    fn why_it_waits(&self, entry: &Entry) -> Option<String> {
        if !matches!(entry.job.state(), JobState::Queued | JobState::AwaitingBedClear) {
            return None;
        }
        if entry.detail.held {
            return Some(format!("held; `spoolway-agent jobs release {}` lets it go on", entry.job.id()));
        }
        let by_time = entry.offer.not_before.is_some() || entry.offer.not_after.is_some();
        if by_time && self.clock.trusted_unix_ms().is_none() {
            return Some("waits: it has a time, and this machine does not know what time it is".to_owned());
        }
        let early = |limit: &u64| self.clock.trusted_unix_ms().is_some_and(|now_ms| now_ms < *limit);
        if let Some(limit) = entry.offer.not_before.filter(early) {
            return Some(format!("waits until {}", crate::clock::utc(limit)));
        }
        let other = |state| self.book.first_in(state).filter(|id| id != entry.job.id());
        if let Some(id) = other(JobState::Interrupted) {
            return Some(format!(
                "waits: job {id} was interrupted; `spoolway-agent recover {id} --plan` says how it may go on, \
                 `spoolway-agent cancel {id}` gives it up"
            ));
        }
        if let Some(id) = other(JobState::AwaitingOperator) {
            return Some(format!(
                "waits: for job {id}, which a person has to see to (`spoolway-agent job {id}`)"
            ));
        }
        if let Some(id) = other(JobState::AwaitingBedClear) {
            return Some(format!("waits: for job {id}, which waits for the bed"));
        }
        if self.needs_permit(entry.job.id()) {
            return Some("waits: for a start with a permit of its backend".to_owned());
        }
        self.check_printer().err().map(|refusal| format!("waits: {}", refusal.text))
    }

    fn printer_view(&self) -> PrinterView {
        let snapshot = self.snapshot.borrow().clone();
        let known = snapshot.known.as_deref();
        let pair = |reading: Reading| (reading.actual, reading.target);
        let temperatures = snapshot.temperatures.unwrap_or_default();
        let (state, fault) = self.shown_state(&snapshot);
        PrinterView {
            state,
            port: known.map_or_else(|| self.port.port.to_string(), |known| known.port.display().to_string()),
            baud: known.map_or_else(|| self.port.baud.rate().unwrap_or(0), |known| known.baud),
            profile: known.map(|known| known.profile.id.clone()),
            profile_verified: known.is_some_and(|known| {
                known.profile.status == spoolway_firmware_profiles::profile::Status::Verified
            }),
            firmware: known.map(crate::printer::Known::firmware),
            window: snapshot.window.as_ref().filter(|_| known.is_some()).map(window_words),
            wire: known.and_then(|_| wire_view(&snapshot)),
            prompt: self.prompt_view(&snapshot),
            note: snapshot.note.clone(),
            ready: snapshot.ready,
            tools: temperatures.tools.iter().flatten().copied().map(pair).collect(),
            bed: temperatures.bed.map(pair),
            link_use: snapshot.link_use,
            lines_per_s: snapshot.lines_per_s,
            refusals: snapshot.stats.job_refusals,
            fault: fault.map(|(fault, text)| FaultView::new(fault, text)),
            alarms: super::alarms::standing(&snapshot),
        }
    }

    /// Publishes what hello and telemetry tell, when it has changed.
    pub(super) fn publish(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let snapshot = self.snapshot.borrow().clone();
        let hello = HelloState { cmd_seq: self.intake.cmd_seq().0, printers: vec![self.summary(&snapshot)] };
        self.hello.send_replace(hello);
        let telemetered = Telemetered {
            readings: self.readings(&snapshot),
            printing: matches!(snapshot.state, PrinterState::Printing | PrinterState::Paused),
        };
        self.telemetry.send_replace(telemetered);
    }

    fn summary(&self, snapshot: &Snapshot) -> PrinterSummary {
        let known = snapshot.known.as_deref();
        PrinterSummary {
            printer_id: PrinterId::new(PRINTER_ID).expect("the name is a constant"),
            profile: known.map_or_else(String::new, |known| known.profile.id.clone()),
            fw: known.map_or_else(String::new, crate::printer::Known::firmware),
            fingerprint: known.map_or_else(String::new, |known| known.report.fingerprint()),
            state: self.shown_state(snapshot).0,
            state_rev: self.printer_rev,
            bed_epoch: self.bed.epoch(),
            bed_clear: self.bed_clear(),
            active_job: self.book.active().map(|entry| ActiveJob {
                job_id: entry.job.id().clone(),
                attempt: entry.job.attempt(),
                state: entry.job.state(),
                line: entry.detail.line,
                bytes: entry.detail.bytes,
                pct: percent(entry),
                extra: Extra::default(),
            }),
            extra: Extra::default(),
        }
    }

    fn readings(&self, snapshot: &Snapshot) -> Readings {
        let active = self.book.active();
        let (wire, ms) = (&snapshot.wire, |us: u64| Some(rounded(us as f64 / 1e3)));
        let measured = active.is_some();
        Readings {
            state: Some(self.shown_state(snapshot).0),
            bed_clear: self.bed_clear(),
            pct: active.map(percent),
            line: active.map(|entry| entry.detail.line),
            layer: active.map(|entry| entry.detail.layer),
            z: snapshot.height.filter(|_| measured).map(rounded),
            fan: snapshot.dials.fan.filter(|_| measured).map(rounded),
            speed: snapshot.dials.speed.filter(|_| measured).map(rounded),
            flow: snapshot.dials.flow.filter(|_| measured).map(rounded),
            buf: wire.room.filter(|_| measured).map(|(planner, rx)| Buffers { planner, rx }),
            eta_s: active.and_then(|entry| self.eta_s(entry, snapshot)),
            t: temperatures(snapshot),
            resend: Some(snapshot.stats.job_refusals),
            link_use: Some(rounded(f64::from(snapshot.link_use))),
            lines_per_s: Some(rounded(f64::from(snapshot.lines_per_s))),
            rtt_ms_p50: ms(wire.rtt_p50_us).filter(|_| measured),
            rtt_ms_p99: ms(wire.rtt_p99_us).filter(|_| measured),
            gap_ms_p99: ms(wire.gap_p99_us).filter(|_| measured),
            gap_ms_p999: ms(wire.gap_p999_us).filter(|_| measured),
            starved_ms: ms(wire.starved_us).filter(|_| measured),
            resend_ratio: measured.then(|| (f64::from(wire.resend_ratio) * 1e6).round() / 1e6),
            window: snapshot.window.as_ref().filter(|_| measured).map(|window| WindowInForce {
                rule: window.rule.to_owned(),
                bytes: window.bytes as u64,
                lines: window.lines as u64,
                queue_lines: window.queue_lines as u64,
                narrowed: window.narrowed,
                extra: Extra::default(),
            }),
            ..Readings::default()
        }
    }
}

impl Clerk {
    /// Time to go, without pauses to come.
    fn eta_s(&self, entry: &Entry, snapshot: &Snapshot) -> Option<u64> {
        let following = self.following.as_ref().filter(|following| following.job_id == *entry.job.id())?;
        let run = snapshot.run.as_ref().filter(|run| run.id == following.subject.run && !run.is_over())?;
        let printed = (self.clock.now() - following.began).saturating_sub(run.paused);
        let subject = &following.subject;
        let total = entry.detail.commands_total.saturating_sub(subject.commands_before);
        time_to_go_s(printed.as_secs(), run.progress.commands.saturating_sub(subject.preamble), total)
    }
}

/// The link with how long it has been so; without a relay nothing has begun, the machine's boot least of all.
fn held_until(link: LinkView, now_ms: u64) -> LinkView {
    let for_ms = link.relay.as_ref().map_or(0, |_| now_ms.saturating_sub(link.since_boot_ms));
    LinkView { for_ms, ..link }
}

/// As if each line took as long as those before it did on average; nothing before one of a hundred is done.
fn time_to_go_s(printed_s: u64, done: u64, total: u64) -> Option<u64> {
    let left = total.checked_sub(done)?;
    (done > 0 && done * 100 >= total)
        .then(|| (u128::from(printed_s) * u128::from(left) / u128::from(done)) as u64)
}

pub(super) fn temperatures(snapshot: &Snapshot) -> BTreeMap<String, [f64; 2]> {
    let found = snapshot.temperatures.unwrap_or_default();
    let pair = |reading: Reading| {
        [rounded(f64::from(reading.actual)), rounded(f64::from(reading.target.unwrap_or(0.0)))]
    };
    let tools = found.tools.iter().enumerate().filter_map(|(n, tool)| Some((format!("tool{n}"), (*tool)?)));
    let others = [("bed", found.bed), ("chamber", found.chamber)];
    let others = others.into_iter().filter_map(|(name, reading)| Some((name.to_owned(), reading?)));
    tools.chain(others).map(|(name, reading)| (name, pair(reading))).collect()
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn percent(entry: &Entry) -> f64 {
    let detail = &entry.detail;
    rounded(100.0 * detail.commands_acked as f64 / detail.commands_total.max(1) as f64)
}

fn window_words(window: &InForce) -> String {
    match window.lines {
        1 => "one line".to_owned(),
        lines => format!("{} bytes, {lines} lines", window.bytes),
    }
}

fn wire_view(snapshot: &Snapshot) -> Option<WireView> {
    let (window, wire) = (snapshot.window.as_ref()?, &snapshot.wire);
    let ms = |us: u64| us as f64 / 1e3;
    Some(WireView {
        rule: window.rule.to_owned(),
        window_bytes: window.bytes as u64,
        window_lines: window.lines as u64,
        queue_lines: window.queue_lines as u64,
        narrowed: window.narrowed,
        rtt_ms_p50: ms(wire.rtt_p50_us),
        rtt_ms_p99: ms(wire.rtt_p99_us),
        gap_ms_p999: ms(wire.gap_p999_us),
        starved_ms: ms(wire.starved_us),
        starvations: wire.starvations,
        resend_ratio: wire.resend_ratio,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_been_so_since_it_became_so_and_without_a_relay_for_no_time() {
        let with = |relay: Option<&str>, since_boot_ms| LinkView {
            relay: relay.map(str::to_owned),
            since_boot_ms,
            ..LinkView::default()
        };
        assert_eq!(held_until(with(Some("wss://relay.example"), 7_000), 67_000).for_ms, 60_000);
        assert_eq!(held_until(with(None, 0), 67_000).for_ms, 0);
    }

    #[test]
    fn time_to_go_follows_from_what_was_printed() {
        for (printed_s, done, total, left_s) in [
            (60, 50, 100, Some(60)),
            (60, 75, 100, Some(20)),
            (60, 100, 100, Some(0)),
            (60, 9, 1_000, None),
            (60, 10, 1_000, Some(5_940)),
            (60, 0, 0, None),
            (60, 5, 4, None),
            (u64::MAX, 1, 1, Some(0)),
        ] {
            assert_eq!(time_to_go_s(printed_s, done, total), left_s, "{done} of {total}");
        }
    }
}
