//! `status`, `agents`, `backends`, `tail`: what a relay that runs says about itself, for people or as JSON.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::Value;
use spoolway_relay::console::{Ask, Row, Status};
use spoolway_relay_registry::AuditRow;
use spoolway_relay_tls::ends;

use super::registry::{now_ms, open};
use super::table::{counted, table, width, wrap};
use super::{Failed, UNAVAILABLE};

/// Where what belongs to a change begins, below its time.
const INDENT: usize = 21;

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
    print!("{}", changes(&rows, width()));
    Ok(())
}

/// A line each; on a terminal two, because one would not fit.
fn changes(rows: &[AuditRow], width: Option<usize>) -> String {
    let Some(width) = width else {
        let head = ["TIME (UTC)", "WHO", "WHAT", "OF", ""].map(str::to_owned);
        let cells = |row: &AuditRow| {
            [&row.time, &row.actor, &row.action, &row.subject, &row.detail].map(|cell| plain(cell))
        };
        let all: Vec<_> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
        return table(&all, &[], None);
    };
    let head = ["TIME (UTC)", "WHAT", "OF"].map(str::to_owned);
    let cells = rows.iter().map(|row| [&row.time, &row.action, &row.subject].map(|cell| plain(cell)));
    let all: Vec<_> = std::iter::once(head).chain(cells).collect();
    let mut text = String::new();
    for (at, line) in table(&all, &[2], Some(width)).lines().enumerate() {
        text.push_str(&format!("{line}\n"));
        let Some(row) = at.checked_sub(1).and_then(|at| rows.get(at)) else { continue };
        let rest = if row.detail.is_empty() { "" } else { "; " };
        let who = plain(&format!("{}{rest}{}", row.actor, row.detail));
        for line in wrap(&who, width.saturating_sub(INDENT)) {
            text.push_str(&format!("{:INDENT$}{line}\n", ""));
        }
    }
    text
}

/// Without characters that could steer a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
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
        _ => {
            let said = lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<Vec<_>, _>>()?;
            rows(&said, width())
        }
    };
    write!(out, "{text}")?;
    Ok(())
}

fn question(ask: Ask, socket: &Path) -> Result<std::io::Lines<BufReader<UnixStream>>, Failed> {
    let mut stream = UnixStream::connect(socket).map_err(|error| {
        let what_helps = match error.kind() {
            ErrorKind::PermissionDenied => {
                "say it as the relay's user: `sudo -u spoolway-relay spoolway-relay ...`"
            }
            _ => {
                "start it: `sudo systemctl start spoolway-relay`, or `spoolway-relay run`; \
                or name its folder with --folder"
            }
        };
        let error = anyhow!("no relay can be asked at {}: {error}; {what_helps}", socket.display());
        Failed { code: UNAVAILABLE, error }
    })?;
    writeln!(stream, "{}", serde_json::to_string(&ask)?)?;
    Ok(BufReader::new(stream).lines())
}

fn status(status: &Status) -> String {
    let [reliable, bulk, telemetry, log] = status.waiting;
    let certificate = match status.certificate_ends_s {
        0 => "it cannot be read when it ends".to_owned(),
        ends_s => ends(Duration::from_millis(ends_s.saturating_mul(1000).saturating_sub(now_ms()))),
    };
    let rows = [
        ("version", status.version.clone()),
        ("relay", status.relay.clone() + if status.draining { ", about to go" } else { "" }),
        ("up", span(status.up_ms)),
        ("agents", status.agents.to_string()),
        ("backends", counted(status.backends, "process", "processes")),
        ("sockets", status.sockets.to_string()),
        ("waiting", format!("{reliable} reliable, {bulk} bulk, {telemetry} telemetry, {log} log")),
        ("slowest", format!("{} reliable frames wait for one peer", status.deepest)),
        ("certificate", certificate),
    ];
    rows.map(|(name, value)| format!("{name:<12}{value}\n")).concat()
}

fn rows(rows: &[Row], width: Option<usize>) -> String {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (row.who.to_string(), row.since_ms));
    let of_agents = rows.iter().any(|row| row.owner.is_some());
    let head = if of_agents { ["AGENT", "OWNER"] } else { ["BACKEND", "AGENTS"] };
    let head = [head[0], head[1], "ADDRESS", "SINCE", "WAITING"];
    let cells = rows.iter().map(|row| {
        let (who, owner) = (row.who.to_string(), row.owner.as_ref().map(ToString::to_string));
        [
            // As other commands take it.
            who.split_once(':').map_or(who.as_str(), |(_, id)| id).to_owned(),
            owner.or(row.serves.map(|serves| serves.to_string())).unwrap_or_default(),
            row.address.map(|address| address.to_string()).unwrap_or_default(),
            span(now_ms().saturating_sub(row.since_ms)),
            waiting(row),
        ]
    });
    let all: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(cells).collect();
    table(&all, if of_agents { &[1, 2] } else { &[0, 2] }, width)
}

/// What lies in a peer's mailbox, and for how long.
fn waiting(row: &Row) -> String {
    let bytes = match row.waiting_bytes {
        bytes @ 0..1024 => format!("{bytes} B"),
        bytes => format!("{} KiB", bytes.div_ceil(1024)),
    };
    match (row.waiting, row.behind_ms) {
        (0, _) => "0".to_owned(),
        (frames, 0) => format!("{frames}, {bytes}"),
        (frames, ms) => format!("{frames}, {bytes}, {}", span(ms)),
    }
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
    fn who_is_in_fits_a_terminal_with_the_whole_id() {
        let row = |owner: &str, address: &str| Row {
            who: "a:7ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse().unwrap(),
            owner: Some(owner.parse().unwrap()),
            serves: None,
            address: Some(address.parse().unwrap()),
            since_ms: now_ms() - 11_460_000,
            waiting: 256,
            waiting_bytes: 262_144,
            behind_ms: 65_000,
        };
        let two = [row("farm", "127.0.0.1:33476"), row("a-farm-of-somebody", "[2001:db8:0:1:2:3:4:5]:40000")];
        let text = rows(&two, Some(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text.matches("\n7ZZZZZZZZZZZZZZZZZZZZZZZZZ  ").count(), 2, "{text}");
        assert_eq!(text.matches("  256, 256 KiB, 1 min\n").count(), 2, "{text}");
        let whole = rows(&two, None);
        for part in ["AGENT  ", "  a-farm-of-somebody  ", "  [2001:db8:0:1:2:3:4:5]:40000  3 h 11 min  "] {
            assert!(whole.contains(part), "{part}: {whole}");
        }
        let idle = Row { waiting: 0, waiting_bytes: 0, behind_ms: 0, ..row("farm", "127.0.0.1:33476") };
        let expected = "AGENT                       OWNER  ADDRESS          SINCE       WAITING\n\
            7ZZZZZZZZZZZZZZZZZZZZZZZZZ  farm   127.0.0.1:33476  3 h 11 min  0\n";
        assert_eq!(rows(&[idle], Some(80)), expected);
    }

    #[test]
    fn a_change_has_two_lines_on_a_terminal_and_one_for_programs() {
        let row = AuditRow {
            at_ms: 0,
            time: "2026-11-28 22:14:07".to_owned(),
            actor: "uid 997, by sudo of uid 1000".to_owned(),
            action: "agent.quarantine".to_owned(),
            subject: "a:1MEM7SHFASZKY98VD4BANBX4SV".to_owned(),
            detail: "something that takes more than what is left of the line\u{1b}[2J".to_owned(),
        };
        let text = changes(std::slice::from_ref(&row), Some(80));
        assert_eq!(
            text,
            "TIME (UTC)           WHAT              OF\n\
             2026-11-28 22:14:07  agent.quarantine  a:1MEM7SHFASZKY98VD4BANBX4SV\n\
            \u{20}                    uid 997, by sudo of uid 1000; something that takes more\n\
            \u{20}                    than what is left of the line?[2J\n"
        );
        assert_eq!(changes(&[row], None).lines().count(), 2);
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
