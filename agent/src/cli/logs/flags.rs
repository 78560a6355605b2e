//! The flags of `logs`, and what a time is that somebody types.

use clap::Args;

use crate::clock::from_utc;
use crate::telemetry::Level;

/// What of the log is wanted.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogsFlags {
    /// Stay and show new lines as they come.
    #[arg(short, long, conflicts_with = "wire")]
    pub(super) follow: bool,
    /// How many of the last lines to show [default: 50, or all of those that --since or --job choose].
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) lines: Option<usize>,
    /// The least that matters.
    #[arg(long, value_enum, default_value_t = Level::Info, conflicts_with = "wire")]
    pub(super) level: Level,
    /// Only what is not older: 90s, 10m, 2h or 3d ago, or a time like 2026-01-31T02:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = parse_since, conflicts_with = "wire")]
    pub(super) since: Option<Since>,
    /// Only what concerns this job; the beginning or the end of its id is enough.
    #[arg(long, value_name = "ID")]
    pub(super) job: Option<String>,
    /// The last lines on the wire, in the place of the log; with --job those of its post-mortem record.
    #[arg(long, conflicts_with = "journal")]
    pub(super) wire: bool,
    /// What the journal of this machine has of the agent's service, in the place of the running agent's memory.
    #[arg(long)]
    pub(super) journal: bool,
    /// What is in the files that an agent keeps its log in where no journal does, in the place of its memory.
    #[arg(long, conflicts_with_all = ["wire", "journal", "follow"])]
    pub(super) files: bool,
    /// As one JSON object a line.
    #[arg(long)]
    pub(super) json: bool,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// So many milliseconds ago.
    Ago(u64),
    /// Unix milliseconds.
    At(u64),
}

impl Since {
    /// Unix milliseconds.
    pub(super) const fn unix_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::Ago(ms) => now_ms.saturating_sub(ms),
            Self::At(unix_ms) => unix_ms,
        }
    }
}

/// A span with its unit, or a time in UTC as the log's JSON has it.
fn parse_since(text: &str) -> Result<Since, String> {
    let wrong =
        || "must be a span like 90s, 10m, 2h or 3d, or a time in UTC like 2026-01-31T02:00:00Z".to_owned();
    let at = || from_utc(text).map(Since::At);
    if let Some(unit) = text.chars().last().filter(|_| text.is_ascii() && text.len() < 12) {
        let unit_ms = match unit {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return at().ok_or_else(wrong),
        };
        let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        return count.checked_mul(unit_ms).map(Since::Ago).ok_or_else(wrong);
    }
    at().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::utc;

    #[test]
    fn spans_and_times_are_understood() {
        for (text, ms) in [("90s", 90_000), ("10m", 600_000), ("2h", 7_200_000), ("3d", 259_200_000)] {
            assert_eq!(parse_since(text), Ok(Since::Ago(ms)), "{text}");
        }
        let at = |text: &str| match parse_since(text) {
            Ok(Since::At(ms)) => utc(ms),
            other => panic!("{text}: {other:?}"),
        };
        for (text, time) in [
            ("2026-01-31T02:00:00Z", "2026-01-31T02:00:00.000Z"),
            ("2024-02-29 23:59", "2024-02-29T23:59:00.000Z"),
            ("1970-01-01", "1970-01-01T00:00:00.000Z"),
            ("2026-11-29T19:18:49.123Z", "2026-11-29T19:18:49.123Z"),
        ] {
            assert_eq!(at(text), time);
        }
        for wrong in
            ["", "m", "10", "10w", "-5m", "yesterday", "2026-13-01", "2026-00-10", "2026-01-00", "20:15", "ü"]
        {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Since::Ago(5).unix_ms(3), 0);
    }
}
