//! The flags of `logs`, and what a time is that somebody types.

use clap::Args;

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
    if let Some(unit) = text.chars().last().filter(|_| text.is_ascii() && text.len() < 12) {
        let unit_ms = match unit {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return at(text).ok_or_else(wrong),
        };
        let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        return count.checked_mul(unit_ms).map(Since::Ago).ok_or_else(wrong);
    }
    at(text).ok_or_else(wrong)
}

/// `2026-01-31T02:00:00Z`, also with a space, without the seconds, or the day alone.
fn at(text: &str) -> Option<Since> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let time = time.split('.').next()?;
    let mut parts = date.split('-').chain(time.split(':'));
    let mut next = |most: u64| parts.next()?.parse::<u64>().ok().filter(|part| *part <= most);
    let (year, month, day) = (next(9_999)?, next(12)?, next(31)?);
    let (hour, minute) = (next(23)?, next(59)?);
    let second = parts.next().map_or(Some(0), |part| part.parse::<u64>().ok().filter(|part| *part <= 59))?;
    let days = days_since_1970(year, month.checked_sub(1)? + 1, day.checked_sub(1)? + 1)?;
    Some(Since::At((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000))
}

/// The inverse of what the clock does: years begin in March, so that the leap day comes last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, shifted) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
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
            ("2026-11-29T19:18:49.123Z", "2026-11-29T19:18:49.000Z"),
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
