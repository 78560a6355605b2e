//! `status`, `agents`, `backends`, `tail`: what a relay that runs says about itself, for people or as JSON.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::Value;
use spoolway_relay::console::{Ask, Row, Status};

use super::registry::{now_ms, open};
use super::{Failed, UNAVAILABLE};

#[derive(Debug, Args)]
pub(super) struct Form {
    /// One JSON object a line, as the relay says it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// How many changes, the last ones
    #[arg(long, default_value_t = 50)]
    last: u32,
    #[command(flatten)]
    form: Form,
}

/// Prints who has changed the registry.
pub(super) fn audit(audit: &Audit, file: &Path) -> Result<(), Failed> {
    let rows = open(file)?.audit(audit.last)?;
    if audit.form.json {
        rows.iter().try_for_each(|row| serde_json::to_string(row).map(|row| println!("{row}")))?;
        return Ok(());
    }
    let head = ["TIME (UTC)", "WHO", "WHAT", "OF", ""].map(str::to_owned);
    let rows = rows.into_iter().map(|row| [row.time, row.actor, row.action, row.subject, row.detail]);
    print!("{}", table(std::iter::once(head).chain(rows).collect()));
    Ok(())
}

/// Asks the relay at this socket and prints what it says.
pub(super) fn ask(ask: Ask, form: &Form, socket: &Path) -> Result<(), Failed> {
    let lines = question(ask, socket)?;
    let mut out = std::io::stdout().lock();
    if form.json || ask == Ask::Tail {
        for line in lines {
            let line = line?;
            let text = if form.json { line } else { passed(&serde_json::from_str(&line)?) };
            // Nobody reads any longer: that is how one stops to watch.
            if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
        }
        return Ok(());
    }
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    let text = match ask {
        Ask::Status => status(&serde_json::from_str(lines.first().context("the relay is about to go")?)?),
        _ => rows(&lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<Vec<_>, _>>()?),
    };
    write!(out, "{text}")?;
    Ok(())
}

fn question(ask: Ask, socket: &Path) -> Result<std::io::Lines<BufReader<UnixStream>>, Failed> {
    let mut stream = UnixStream::connect(socket).map_err(|error| {
        let text = format!("no relay can be asked at {}: {error}", socket.display());
        Failed { code: UNAVAILABLE, error: anyhow!(text) }
    })?;
    writeln!(stream, "{}", serde_json::to_string(&ask)?)?;
    Ok(BufReader::new(stream).lines())
}

fn status(status: &Status) -> String {
    let [reliable, bulk, telemetry, log] = status.waiting;
    let certificate = match status.certificate_ends_s {
        0 => "it cannot be read when it ends".to_owned(),
        ends_s => format!("ends in {} days", ends_s.saturating_sub(now_ms() / 1000) / 86_400),
    };
    let rows = [
        ("version", status.version.clone()),
        ("relay", status.relay.clone() + if status.draining { ", about to go" } else { "" }),
        ("up", span(status.up_ms)),
        ("agents", status.agents.to_string()),
        ("backends", format!("{} processes", status.backends)),
        ("sockets", status.sockets.to_string()),
        ("waiting", format!("{reliable} reliable, {bulk} bulk, {telemetry} telemetry, {log} log")),
        ("slowest", format!("{} reliable frames wait for one peer", status.deepest)),
        ("certificate", certificate),
    ];
    rows.map(|(name, value)| format!("{name:<12}{value}\n")).concat()
}

fn rows(rows: &[Row]) -> String {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (row.who.to_string(), row.since_ms));
    let of_agents = rows.iter().any(|row| row.owner.is_some());
    let head =
        ["WHO", if of_agents { "OWNER" } else { "AGENTS" }, "ADDRESS", "SINCE", "WAITING", "BYTES", "BEHIND"];
    let cells = rows.iter().map(|row| {
        let owner = row.owner.as_ref().map(ToString::to_string);
        [
            row.who.to_string(),
            owner.or(row.serves.map(|serves| serves.to_string())).unwrap_or_default(),
            row.address.map(|address| address.to_string()).unwrap_or_default(),
            span(now_ms().saturating_sub(row.since_ms)),
            row.waiting.to_string(),
            row.waiting_bytes.to_string(),
            span(row.behind_ms),
        ]
    });
    table(std::iter::once(head.map(str::to_owned)).chain(cells).collect())
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// One line of `tail` for people.
fn passed(line: &Value) -> String {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    if let Some(missed) = line["missed"].as_u64() {
        return format!("... {missed} lines were missed");
    }
    let Some(at_ms) = line["at_ms"].as_u64() else {
        let fields = line["fields"].as_object().into_iter().flatten().filter(|(key, _)| *key != "message");
        let fields = fields.map(|(key, value)| {
            format!(" {key}={}", value.as_str().map_or(value.to_string(), str::to_owned))
        });
        let time = text("timestamp");
        let time = time.get(11..23).unwrap_or(&time);
        let message = line["fields"]["message"].as_str().unwrap_or_default();
        return format!("{time} {:<5} {message}{}", text("level"), fields.collect::<String>());
    };
    let seconds = at_ms / 1000;
    let time = format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        at_ms % 1000
    );
    let rest = ["key", "lane", "id"].map(text).into_iter().filter(|word| !word.is_empty());
    let rest: String = rest.map(|word| format!(" {word}")).collect();
    format!("{time} {} > {} {}{rest} {} bytes", text("from"), text("to"), text("t"), line["bytes"])
}

/// A time for people.
fn span(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        s @ 1..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h {} min", s / 3600, s / 60 % 60),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_below_one_another() {
        let rows = [["WHO", "BYTES"], ["b:farm", "1"], ["b:x", "1000"]];
        let text = table(rows.map(|row| row.map(str::to_owned)).to_vec());
        assert_eq!(text, "WHO     BYTES\nb:farm  1\nb:x     1000\n");
    }

    #[test]
    fn what_passes_is_one_short_line() {
        let frame = json!({"at_ms": 1_760_000_000_007_u64, "t": "telem", "from": "a:X", "to": "b:farm", "key": "p0",
            "lane": null, "id": null, "bytes": 312});
        assert_eq!(passed(&frame), "08:53:20.007 a:X > b:farm telem p0 312 bytes");
        let log = json!({"timestamp": "2026-11-28T22:15:04.123456Z", "level": "INFO", "target": "spoolway_relay::peer",
            "fields": {"message": "agent in", "conn": 3, "backend": "farm"}});
        assert_eq!(passed(&log), "22:15:04.123 INFO  agent in backend=farm conn=3");
        assert_eq!(passed(&json!({"missed": 7})), "... 7 lines were missed");
    }

    #[test]
    fn times_are_for_people() {
        let spans = [5, 5_000, 65_000, 3_700_000, 200_000_000].map(span);
        assert_eq!(spans, ["5 ms", "5 s", "1 min", "1 h 1 min", "2 days"]);
    }
}
