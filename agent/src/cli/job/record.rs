//! What a post-mortem record says, for people.

use crate::cli::paint::{Paint, plain, span, wrap};
use crate::post_mortem::{Record, throttled_words};

/// The record of an attempt, without its lines.
pub(super) fn lines(record: &Record, paint: Paint) -> String {
    let head = format!("Post-mortem record of attempt {}", record.attempt);
    let mut text = format!("\n{}\n", paint.bold(&head));
    let rows = [
        ("Heat", heat(record)),
        ("Line", link(record)),
        ("Power", power(record)),
        ("Printer", printer(record)),
        ("Wire", wire(record)),
    ];
    for (name, words) in rows {
        for (n, line) in wrap(&plain(&words), 68).iter().enumerate() {
            let name = if n == 0 { name } else { "" };
            text.push_str(&format!("  {name:<8} {line}\n"));
        }
    }
    text
}

fn heat(record: &Record) -> String {
    let minutes = record.heat.extremes_s / 60;
    let words = record.heat.last.iter().map(|(heater, [actual, target])| {
        let spread = record.heat.extremes.get(heater).map_or_else(String::new, |(low, high)| {
            format!(" ({low:.1} to {high:.1} in the last {minutes} min)")
        });
        format!("{heater} {actual:.1} of {target:.0} °C{spread}")
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "not known".to_owned() } else { words.join(", ") }
}

fn link(record: &Record) -> String {
    let Some(link) = &record.link else { return "not known: the process that knew has ended".to_owned() };
    format!(
        "{} lines sent, {} repeated, {} refused, {} replies missing, {} stray; reply after {:.1} ms, 1 of 100 \
         after {:.1} ms; longest gap {} ms; planner empty {} times, {}",
        link.lines_sent,
        link.lines_repeated,
        link.refusals,
        link.probes,
        link.stray_acks,
        link.rtt_ms_p50,
        link.rtt_ms_p99,
        link.max_gap_ms,
        link.starvations,
        span(link.starved_ms as u64)
    )
}

fn power(record: &Record) -> String {
    let throttled = match record.board.throttled {
        None => "this computer does not tell of under-voltage".to_owned(),
        Some(bits) => match throttled_words(bits).as_slice() {
            [] => "no under-voltage and no throttling".to_owned(),
            words => words.join(", "),
        },
    };
    record.board.celsius.map_or_else(|| throttled.clone(), |celsius| format!("{throttled}; {celsius:.1} °C"))
}

fn printer(record: &Record) -> String {
    let versions = &record.versions;
    let firmware = versions.firmware.as_deref().unwrap_or("firmware not known");
    let profile = versions.profile.as_deref().map_or_else(String::new, |id| format!(", profile {id}"));
    let port = versions.port.as_deref().map_or_else(String::new, |port| format!(", {port}"));
    let baud = versions.baud.map_or_else(String::new, |baud| format!(" at {baud}"));
    format!("{firmware}{profile}{port}{baud}; agent {}", versions.agent)
}

fn wire(record: &Record) -> String {
    if let Some(why) = &record.wire.missing {
        return format!("no words of the wire: {why}");
    }
    let left_out = match record.wire.left_out {
        0 => String::new(),
        lines => format!(" ({lines} older ones did not fit)"),
    };
    let count = record.wire.lines.len();
    format!("{count} lines{left_out}: `spoolway-agent logs --wire --job {}`", record.job_id)
}
