//! The only reader of the clock, and of what identifies this machine and its boot.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};
use spoolway_agent_core::moment::Moment;
use spoolway_protocol::envelope::ClockSource;
use spoolway_protocol::{BootId, Sha256Hex, Stamp};

/// A Raspberry Pi has no clock of its own and wakes up in the past; it is not earlier than this (2026-01-01).
const RELEASED_MS: u64 = 1_767_225_600_000;
/// systemd-timesyncd leaves this file once the clock is set (systemd-timesyncd.service(8)).
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Where the machine's id may be (machine-id(5)).
const MACHINE_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
/// machine-id(5) asks that the id is never shown as it is.
const MACHINE_SALT: &[u8] = b"spoolway-v1-machine\0";
/// Stands for "the relay has not told its time".
const NO_OFFSET: i64 = i64::MIN;

/// Why there is no clock.
#[derive(Debug, thiserror::Error)]
pub enum StartClockError {
    /// The kernel does not say which boot this is.
    #[error("{BOOT_ID}: {0}")]
    Boot(io::Error),
    /// What it says is not an id.
    #[error("{BOOT_ID}: {0}")]
    BootId(#[from] spoolway_protocol::ids::IdError),
}

/// Reads the clocks; cheap to clone, and all clones share what was learnt.
#[derive(Debug, Clone)]
pub struct Clock {
    boot: BootId,
    learnt: Arc<Learnt>,
    /// Clocks that a test sets, in place of the machine's.
    hands: Option<Arc<Hands>>,
}

/// The clocks of a machine as a test has them.
#[derive(Debug, Default)]
pub struct Hands {
    /// What the wall clock shows, unix ms.
    pub wall_ms: AtomicU64,
    /// Time since boot, ms.
    pub boot_ms: AtomicU64,
    /// Whether the system says that its clock was set.
    pub is_synchronised: AtomicBool,
}

#[derive(Debug)]
struct Learnt {
    floor_ms: AtomicU64,
    /// The relay's unix time less the time since boot, in milliseconds.
    relay_offset_ms: AtomicI64,
}

impl Clock {
    /// A clock for this boot.
    ///
    /// # Errors
    /// The kernel does not say which boot this is.
    pub fn start() -> Result<Self, StartClockError> {
        let boot = std::fs::read_to_string(BOOT_ID).map_err(StartClockError::Boot)?;
        let learnt =
            Learnt { floor_ms: AtomicU64::new(RELEASED_MS), relay_offset_ms: AtomicI64::new(NO_OFFSET) };
        Ok(Self { boot: BootId::new(boot.trim())?, learnt: Arc::new(learnt), hands: None })
    }

    /// A clock whose hands a test moves.
    #[must_use]
    pub fn with_hands(boot: BootId, hands: Arc<Hands>) -> Self {
        let learnt =
            Learnt { floor_ms: AtomicU64::new(RELEASED_MS), relay_offset_ms: AtomicI64::new(NO_OFFSET) };
        Self { boot, learnt: Arc::new(learnt), hands: Some(hands) }
    }

    /// Time since the machine's boot, sleep included; it never goes back.
    #[must_use]
    pub fn now(&self) -> Moment {
        if let Some(hands) = &self.hands {
            return Moment::from_micros(hands.boot_ms.load(Ordering::Relaxed).saturating_mul(1_000));
        }
        let time = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
        Moment::from_micros(seconds * 1_000_000 + nanos / 1_000)
    }

    /// Unix time in milliseconds, as good as this machine knows it.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.wall().0
    }

    /// Unix time in milliseconds, if somebody who knows has told it: the network's time or the relay. What a machine without a clock of its
    /// own takes for the time may be hours or years behind, and is good for records only.
    #[must_use]
    pub fn trusted_unix_ms(&self) -> Option<u64> {
        let (unix_ms, source) = self.wall();
        matches!(source, ClockSource::Ntp | ClockSource::Relay).then_some(unix_ms)
    }

    /// This boot.
    #[must_use]
    pub fn boot_id(&self) -> &BootId {
        &self.boot
    }

    /// This moment on both clocks.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let (w, c) = self.wall();
        Stamp { w, m: self.now().as_millis(), b: self.boot.clone(), c }
    }

    /// From now on the wall clock does not show less than this; for a time that was once written down.
    pub fn raise_floor(&self, unix_ms: u64) {
        self.learnt.floor_ms.fetch_max(unix_ms, Ordering::Relaxed);
    }

    /// The relay told its time; it is used for as long as this machine's own clock is not synchronised.
    pub fn learn_relay_time(&self, unix_ms: u64) {
        let since_boot = i64::try_from(self.now().as_millis()).unwrap_or(i64::MAX);
        let offset = i64::try_from(unix_ms).unwrap_or(i64::MAX).saturating_sub(since_boot);
        self.learnt.relay_offset_ms.store(offset, Ordering::Relaxed);
    }

    fn wall(&self) -> (u64, ClockSource) {
        let (system_ms, is_synchronised) = match &self.hands {
            Some(hands) => {
                (hands.wall_ms.load(Ordering::Relaxed), hands.is_synchronised.load(Ordering::Relaxed))
            }
            None => (wall_ms(), Path::new(SYNCHRONISED).exists()),
        };
        if is_synchronised {
            return (system_ms, ClockSource::Ntp);
        }
        let offset = Some(self.learnt.relay_offset_ms.load(Ordering::Relaxed)).filter(|&at| at != NO_OFFSET);
        judge(system_ms, self.now().as_millis(), offset, self.learnt.floor_ms.load(Ordering::Relaxed))
    }
}

/// The best wall time when nobody has set the clock: the relay's; else the machine's if it is possible; else the floor.
fn judge(
    system_ms: u64,
    since_boot_ms: u64,
    relay_offset_ms: Option<i64>,
    floor_ms: u64,
) -> (u64, ClockSource) {
    match relay_offset_ms {
        Some(offset) => (since_boot_ms.saturating_add_signed(offset), ClockSource::Relay),
        None if system_ms >= floor_ms => (system_ms, ClockSource::Floor),
        None => (floor_ms, ClockSource::None),
    }
}

/// What the machine's wall clock shows, right or wrong, in unix milliseconds.
#[must_use]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// SHA-256 that tells this machine from a copy of its disk in another one, without giving its id away.
#[must_use]
pub fn machine_hash() -> Sha256Hex {
    let id = MACHINE_IDS.iter().find_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned()).filter(|id| !id.is_empty())
    });
    // A system without the file still has a name; two such machines with one name cannot be told apart.
    let id = id.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    hash_of(&id)
}

fn hash_of(machine_id: &str) -> Sha256Hex {
    Sha256Hex(Sha256::new().chain_update(MACHINE_SALT).chain_update(machine_id).finalize().into())
}

/// Unix milliseconds as RFC 3339 in UTC: `2026-01-01T00:00:00.000Z`.
#[must_use]
pub fn utc(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // Days to date in the proleptic Gregorian calendar: years begin in March, so that the leap day comes last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// The inverse of [`utc`]; also with a space for the `T`, without the `Z`, without what is smaller than a second or a minute, or the day alone.
#[must_use]
pub fn from_utc(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let ms = fraction.bytes().all(|c| c.is_ascii_digit()).then(|| format!("{fraction:0<3}"))?;
    let ms: u64 = ms.get(..3)?.parse().ok()?;
    let mut parts = date.split('-').chain(time.split(':'));
    let mut next = |most: u64| parts.next()?.parse::<u64>().ok().filter(|part| *part <= most);
    let (year, month, day) = (next(9_999)?, next(12)?, next(31)?);
    let (hour, minute) = (next(23)?, next(59)?);
    let second = parts.next().map_or(Some(0), |part| part.parse::<u64>().ok().filter(|part| *part <= 59))?;
    let days = days_since_1970(year, month.checked_sub(1)? + 1, day.checked_sub(1)? + 1)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + ms)
}

/// Days from a date, in years that begin in March.
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

    #[test]
    fn moments_rise_and_stamps_carry_the_boot() {
        let clock = Clock::start().unwrap();
        let first = clock.now();
        assert!(first > Moment::ZERO && clock.now() >= first);
        let stamp = clock.stamp();
        assert_eq!(&stamp.b, clock.boot_id());
        clock.learn_relay_time(RELEASED_MS);
        assert!(clock.trusted_unix_ms().is_some());
        assert!(stamp.m >= first.as_millis() && stamp.w >= RELEASED_MS);
    }

    #[test]
    fn the_wall_clock_is_believed_as_far_as_it_can_be() {
        assert_eq!(judge(5_000, 7, None, 4_000), (5_000, ClockSource::Floor));
        assert_eq!(judge(3_000, 7, None, 4_000), (4_000, ClockSource::None));
        assert_eq!(judge(3_000, 7, Some(4_500), 4_000), (4_507, ClockSource::Relay));
    }

    const TEN_YEARS_MS: u64 = 3_652 * 86_400_000;

    #[test]
    fn a_jump_of_ten_years_moves_no_duration_and_no_trusted_time() {
        let hands = Arc::new(Hands::default());
        let clock = Clock::with_hands("boot-1".parse().unwrap(), Arc::clone(&hands));
        let now_ms = RELEASED_MS + 1_000;
        hands.wall_ms.store(now_ms, Ordering::Relaxed);
        let began = clock.stamp();
        assert_eq!((began.w, began.c.clone(), clock.trusted_unix_ms()), (now_ms, ClockSource::Floor, None));
        for jumped_ms in [now_ms + TEN_YEARS_MS, now_ms.saturating_sub(TEN_YEARS_MS)] {
            hands.wall_ms.store(jumped_ms, Ordering::Relaxed);
            hands.boot_ms.fetch_add(2_000, Ordering::Relaxed);
            assert_eq!(clock.trusted_unix_ms(), None);
        }
        let ended = clock.stamp();
        assert_eq!(ended.ms_since(&began), Some(4_000));
        assert_eq!((ended.w, ended.c), (RELEASED_MS, ClockSource::None), "not before the program was made");

        // The relay's time counts from the boot, whatever the machine's own clock does.
        clock.learn_relay_time(now_ms);
        for jumped_ms in [now_ms + TEN_YEARS_MS, 0] {
            hands.wall_ms.store(jumped_ms, Ordering::Relaxed);
            assert_eq!(clock.trusted_unix_ms(), Some(now_ms));
        }
        hands.is_synchronised.store(true, Ordering::Relaxed);
        hands.wall_ms.store(now_ms + 5, Ordering::Relaxed);
        assert_eq!(clock.trusted_unix_ms(), Some(now_ms + 5));
    }

    #[test]
    fn floors_only_rise() {
        let clock = Clock::start().unwrap();
        clock.raise_floor(u64::MAX / 2);
        clock.raise_floor(1);
        assert_eq!(clock.learnt.floor_ms.load(Ordering::Relaxed), u64::MAX / 2);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (RELEASED_MS, "2026-01-01T00:00:00.000Z"),
            (1_760_000_000_123, "2025-10-09T08:53:20.123Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
        ] {
            assert_eq!((utc(ms).as_str(), from_utc(text)), (text, Some(ms)));
        }
    }

    #[test]
    fn machines_are_told_apart_without_their_id() {
        assert_ne!(hash_of("a"), hash_of("b"));
        assert!(!hash_of("0123").to_string().contains("0123"));
        assert_eq!(machine_hash(), machine_hash());
    }
}
