//! The page: what is known of printer, job, wire, link and disk, a family of figures each. No name of a job or of a person is in it.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use spoolway_protocol::printer::PrinterState;

use super::Process;
use crate::board::Board;
use crate::view::{JobView, LinkView, PrinterView, Status, StorageView, WireView};

/// The page of an agent that stands like this.
#[must_use]
pub fn page(status: &Status, process: Process, board: Board) -> String {
    let mut page = Page::default();
    let who = [("version", status.version.as_str()), ("agent", status.agent_id.as_str())];
    page.family("info", Kind::Gauge, "Which agent this is, and the version of its program.").put(&who, 1);
    let seconds = status.uptime_ms as f64 / 1e3;
    page.family("uptime_seconds", Kind::Gauge, "For how long the agent has been running.").put(&[], seconds);
    printer(&mut page, &status.printer);
    if let Some(wire) = &status.printer.wire {
        wire_figures(&mut page, wire);
    }
    job(&mut page, status.job.as_ref());
    queue(&mut page, status);
    link(&mut page, &status.link);
    if let Some(storage) = &status.storage {
        disk(&mut page, storage);
    }
    own_process(&mut page, process);
    computer(&mut page, board);
    page.0
}

/// What a family of figures does.
#[derive(Clone, Copy)]
enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only goes up, and begins anew with the process.
    Counter,
}

#[derive(Default)]
struct Page(String);

/// One family, whose figures may be put now.
struct Family<'a> {
    page: &'a mut String,
    name: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        self.named(format!("spoolway_agent_{name}"), kind, help)
    }

    fn named(&mut self, name: String, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: &mut self.0, name }
    }
}

impl Family<'_> {
    fn put(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.page.push_str(&self.name);
        for (at, (label, word)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(self.page, "{open}{label}=\"{}\"", escaped(word));
        }
        self.page.push_str(if labels.is_empty() { "" } else { "}" });
        let _ = writeln!(self.page, " {value}");
        self
    }
}

/// A label's value may hold anything, but three characters are written otherwise.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn printer(page: &mut Page, printer: &PrinterView) {
    let mut states = page.family(
        "printer_state",
        Kind::Gauge,
        "1 for the state that the printer is in, 0 for the others.",
    );
    for word in PrinterState::WORDS {
        states.put(&[("state", word)], u8::from(*word == printer.state.as_str()));
    }
    let heaters = || {
        let tools = printer.tools.iter().enumerate().map(|(at, &of)| (format!("tool{at}"), of));
        tools.chain(printer.bed.map(|of| ("bed".to_owned(), of)))
    };
    let mut actual = page.family("temperature_celsius", Kind::Gauge, "What a heater has.");
    for (heater, (has, _)) in heaters() {
        actual.put(&[("heater", &heater)], has);
    }
    let mut target = page.family(
        "temperature_target_celsius",
        Kind::Gauge,
        "What a heater is to have; 0 where it is off.",
    );
    for (heater, (_, wanted)) in heaters() {
        target.put(&[("heater", &heater)], wanted.unwrap_or_default());
    }
    let mut faults = page.family(
        "fault",
        Kind::Gauge,
        "1 for each fault and alarm of the printer that is not over, by its code.",
    );
    // Two heaters may stay cold, and a page on which a figure stands twice is taken by nobody.
    let standing = printer.fault.iter().chain(&printer.alarms);
    for code in standing.map(|fault| fault.code.as_str()).collect::<BTreeSet<_>>() {
        faults.put(&[("code", code)], 1);
    }
    let help = "Share of the serial line that was in use over the last second.";
    page.family("wire_use_ratio", Kind::Gauge, help).put(&[], printer.link_use);
    let help = "Lines acknowledged over the last second.";
    page.family("wire_lines_per_second", Kind::Gauge, help).put(&[], printer.lines_per_s);
    let help = "Lines that the firmware has refused since the port was opened.";
    page.family("wire_refusals_total", Kind::Counter, help).put(&[], printer.refusals);
}

fn wire_figures(page: &mut Page, wire: &WireView) {
    let help = "Lines sent again per line sent, in the present or last job.";
    page.family("job_resend_ratio", Kind::Gauge, help).put(&[], wire.resend_ratio);
    let help = "Time from a line to its acknowledgement, in the present or last job.";
    page.family("job_reply_seconds", Kind::Gauge, help)
        .put(&[("quantile", "0.5")], wire.rtt_ms_p50 / 1e3)
        .put(&[("quantile", "0.99")], wire.rtt_ms_p99 / 1e3);
    let help = "How long the printer's planner has stood empty in the present or last job, by estimate.";
    page.family("job_starved_seconds", Kind::Gauge, help).put(&[], wire.starved_ms / 1e3);
}

fn job(page: &mut Page, job: Option<&JobView>) {
    let help = "Whether a job holds the printer.";
    page.family("job_under_way", Kind::Gauge, help).put(&[], u8::from(job.is_some()));
    let Some(job) = job else { return };
    let help = "Commands of the job that were acknowledged.";
    page.family("job_commands_acked", Kind::Gauge, help).put(&[], job.commands_acked);
    let help = "Commands of the job; 0 while it is unknown.";
    page.family("job_commands", Kind::Gauge, help).put(&[], job.commands_total);
    page.family("job_layer", Kind::Gauge, "Layer of the job, by the slicer's marks.").put(&[], job.layer);
}

fn queue(page: &mut Page, status: &Status) {
    page.family("jobs_waiting", Kind::Gauge, "Jobs that wait.").put(&[], status.jobs_waiting);
    let help = "Events that the backend has not yet acknowledged.";
    page.family("events_unacked", Kind::Gauge, help).put(&[], status.events_unacked);
    if let Some(bed) = &status.bed {
        let help = "Whether the bed counts as clear.";
        page.family("bed_clear", Kind::Gauge, help).put(&[], u8::from(bed.clear));
    }
}

fn link(page: &mut Page, link: &LinkView) {
    let help = "Whether a relay is configured.";
    page.family("link_configured", Kind::Gauge, help).put(&[], u8::from(link.relay.is_some()));
    page.family("link_up", Kind::Gauge, "Whether there is a session with the relay.")
        .put(&[], u8::from(link.up));
    let help = "For how long the link has been up, or down.";
    let mut held = page.family("link_state_seconds", Kind::Gauge, help);
    // Without a relay there is no link that could have been so.
    if link.relay.is_some() {
        held.put(&[], link.for_ms as f64 / 1e3);
    }
    let mut fault =
        page.family("link_fault", Kind::Gauge, "1 for what keeps the relay from being reached, by its code.");
    if let Some(why) = &link.fault {
        fault.put(&[("code", &why.code)], 1);
    }
}

fn disk(page: &mut Page, storage: &StorageView) {
    page.family("disk_free_bytes", Kind::Gauge, "Free on the disk of the state folder.")
        .put(&[], storage.free_bytes);
    page.family("disk_used_bytes", Kind::Gauge, "Taken by the agent, by what it is for.")
        .put(&[("area", "files")], storage.files.used_bytes)
        .put(&[("area", "database")], storage.database.used_bytes)
        .put(&[("area", "kept")], storage.kept.used_bytes);
    let help = "Whether something can be written; a print goes on where it cannot.";
    page.family("disk_writable", Kind::Gauge, help).put(&[], u8::from(storage.fault.is_none()));
    let Some(written) = storage.written else { return };
    let rest = written.bytes.saturating_sub(written.files_bytes);
    page.family(
        "disk_written_bytes_total",
        Kind::Counter,
        "Sent towards the disk by this process, by what it was.",
    )
    .put(&[("what", "files")], written.files_bytes)
    .put(&[("what", "rest")], rest);
    if let Some(mb) = written.mb_a_day {
        let help = "What the agent writes in a day beyond job files, as far as it has watched.";
        page.family("disk_written_bytes_per_day", Kind::Gauge, help).put(&[], mb * 1e6);
    }
}

/// Under the names that every exporter has for these.
fn own_process(page: &mut Page, process: Process) {
    if let Some(cpu_s) = process.cpu_s {
        let help = "Time of a processor that the process has taken.";
        page.named("process_cpu_seconds_total".to_owned(), Kind::Counter, help).put(&[], cpu_s);
    }
    if let Some(bytes) = process.resident_bytes {
        let help = "Memory of the process that is resident.";
        page.named("process_resident_memory_bytes".to_owned(), Kind::Gauge, help).put(&[], bytes);
    }
}

/// What the firmware of a Raspberry Pi tells of: now by these bits, and since it was switched on by those 16 places further.
const THROTTLED: [(&str, u32); 4] =
    [("under_voltage", 0), ("clock_capped", 1), ("throttled", 2), ("temperature_limit", 3)];
const SINCE_START: u32 = 16;

/// The computer beside the printer.
fn computer(page: &mut Page, board: Board) {
    if let Some(celsius) = board.celsius {
        let help = "What the computer's processor has.";
        page.family("node_temperature_celsius", Kind::Gauge, help).put(&[], celsius);
    }
    let Some(bits) = board.throttled else { return };
    let help = "1 for what slows a Raspberry Pi down now, and for what has done so since it was switched on.";
    let mut throttled = page.family("node_throttled", Kind::Gauge, help);
    for (what, bit) in THROTTLED {
        throttled
            .put(&[("what", what), ("when", "now")], bits >> bit & 1)
            .put(&[("what", what), ("when", "since_start")], bits >> (bit + SINCE_START) & 1);
    }
}

#[cfg(test)]
mod tests;
