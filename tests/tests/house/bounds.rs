//! Every bound that a peer can run into has a row on its page: what happens at it, and a test that does.

use spoolway_protocol::hello::{NackCode, RejectCode};
use spoolway_protocol::limits::{DEAD_MS, HB_MS};
use spoolway_relay::config::Config;

use crate::refusals::close_codes;
use crate::sources::code;
use crate::threats::quoted;
use crate::tree::{files, read};

const PAGE: &str = "docs/bounds.md";
/// Where numbers stand that a peer can run into.
const PLACES: [&str; 8] = [
    "protocol/src/limits.rs",
    "relay/src",
    "relay/tls/src",
    "relay/gateway/src",
    "relay/registry/src",
    "agent/src/uplink",
    "agent/src/pairing",
    "agent/core/src/link",
];
/// What only forwards goes by the operator's settings; its own numbers are sizes of buffers.
const FORWARDS: [&str; 8] = ["peer", "hub", "socket", "write", "mailbox", "post", "listen", "peer/bell"];
/// Sections of settings that are bounds.
const SECTIONS: [&str; 5] = ["session", "telemetry", "pairing", "limits", "drain"];

/// Numbers that nobody runs into: units, paces of one's own, sizes of a thing that has only this size, and what a peer does not see.
const NO_BOUNDS: [&str; 38] = [
    "relay/src/admission.rs::SECOND_MS",
    "relay/src/admission.rs::MINUTE_MS",
    "relay/src/auth.rs::SECRET_BYTES",
    "relay/src/desk.rs::CHANGES",
    "relay/src/desk.rs::POLL_EVERY",
    "relay/src/desk.rs::GROUP_COUNTERS",
    "relay/src/desk.rs::GROUP_FOR",
    "relay/src/metrics.rs::MOST_WORDS",
    "relay/src/reload.rs::DAY_MS",
    "relay/src/run.rs::TELL_EVERY",
    "relay/gateway/src/answer.rs::RETRY_MS",
    "relay/gateway/src/pairing/agent.rs::POLL_MS",
    "relay/gateway/src/pairing/tries.rs::HOUR_MS",
    "relay/gateway/src/pairing/tries.rs::MINUTE_MS",
    "relay/gateway/src/push/supply.rs::CHUNK",
    "relay/registry/src/pairings.rs::KEPT_MS",
    "relay/registry/src/sqlite.rs::BUSY_TIMEOUT",
    "agent/src/pairing/kept.rs::VERSION",
    "agent/src/pairing/mod.rs::LOOK_EVERY",
    "agent/src/uplink/events.rs::STORE_RETRY",
    "agent/src/uplink/failure.rs::RATE_LIMITED_MS",
    "agent/src/uplink/failure.rs::DRAIN_SPREAD_MS",
    "agent/src/uplink/first_bytes.rs::KEPT",
    "agent/src/uplink/https_url.rs::HTTPS_PORT",
    "agent/src/uplink/pace.rs::WATCH_TTL_MS",
    "agent/src/uplink/probe.rs::GOODBYE",
    "agent/src/uplink/session.rs::FAREWELL",
    "agent/src/uplink/socket.rs::READ_BYTES",
    "agent/src/uplink/socket.rs::WRITE_BYTES",
    "agent/src/uplink/telemetry.rs::FULL_EVERY",
    "agent/src/uplink/telemetry.rs::ALONG",
    "agent/src/uplink/way.rs::HEAD_START",
    "agent/src/uplink/way.rs::KEEPALIVE_IDLE",
    "agent/src/uplink/way.rs::KEEPALIVE_EVERY",
    "agent/src/uplink/way.rs::KEEPALIVE_TIMES",
    "agent/core/src/link/heartbeat.rs::TICK_MS",
    "agent/core/src/link/redial.rs::SETTLED",
    "agent/core/src/link/redial.rs::ONE_MORE",
];

/// Constants that are a number, a time or a range of numbers, as `path.rs::NAME`.
fn constants() -> Vec<String> {
    let is_number = |kind: &str| {
        let words = ["u8", "u16", "u32", "u64", "usize", "f64", "Duration", "(u32, u64)"];
        words.contains(&kind) || kind.contains("RangeInclusive")
    };
    let sources = PLACES.iter().flat_map(|place| match place.ends_with(".rs") {
        true => vec![(*place).to_owned()],
        false => files(place, ".rs"),
    });
    let forwards = FORWARDS.map(|name| format!("relay/src/{name}.rs"));
    let there: Vec<_> = files("relay/src", ".rs");
    let gone: Vec<_> = forwards.iter().filter(|path| !there.contains(path)).collect();
    assert!(gone.is_empty(), "not there any more: {gone:?}");
    let sources = sources.filter(|path| !path.contains("/tests") && !forwards.contains(path));
    let mut found = Vec::new();
    for path in sources {
        let source = read(&path);
        for (_, line) in code(&source) {
            let Some((_, rest)) = line.split_once("const ") else { continue };
            let Some((name, rest)) = rest.split_once(": ") else { continue };
            let kind = rest.split(" =").next().unwrap_or_default();
            if is_number(kind)
                && name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
            {
                found.push(format!("{path}::{name}"));
            }
        }
    }
    found
}

/// What the first cells of the page's rows name.
fn named() -> Vec<String> {
    let page = read(PAGE);
    let rows =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next().map(str::to_owned));
    rows.flat_map(|cell| quoted(&format!("`{cell}")).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_bound_has_a_row_with_a_test() {
    let (named, constants) = (named(), constants());
    assert!(constants.len() > 80, "{constants:?}");
    let bare: Vec<_> = constants
        .iter()
        .filter(|constant| named.contains(constant) == NO_BOUNDS.contains(&constant.as_str()))
        .collect();
    assert!(bare.is_empty(), "a row in {PAGE}, or a place among those that are no bounds: {bare:#?}");
    let gone: Vec<_> =
        NO_BOUNDS.iter().filter(|name| !constants.iter().any(|constant| constant == *name)).collect();
    assert!(gone.is_empty(), "not there any more: {gone:?}");
    let stale: Vec<_> =
        named.iter().filter(|name| name.contains(".rs::") && !constants.contains(name)).collect();
    assert!(stale.is_empty(), "{PAGE} names what is not there: {stale:?}");
}

#[test]
fn every_setting_that_is_a_bound_has_a_row() {
    let (named, settings) = (named(), toml::Table::try_from(Config::default()).unwrap());
    for section in SECTIONS {
        for key in settings[section].as_table().unwrap().keys() {
            let name = format!("{section}.{key}");
            assert!(named.contains(&name) || name == "pairing.link", "{PAGE} has no row for {name}");
        }
    }
}

#[test]
fn every_word_that_refuses_has_a_row() {
    let named = named();
    let numbers = close_codes().into_iter().map(|(_, number)| number);
    let words = NackCode::WORDS.iter().chain(RejectCode::WORDS).map(|word| (*word).to_owned());
    for word in numbers.chain(words) {
        assert!(named.contains(&word), "{PAGE} has no row for {word}");
    }
}

#[test]
fn a_relay_as_it_is_shipped_beats_as_the_protocol_says() {
    let session = Config::default().session;
    assert_eq!((session.hb_ms, session.dead_ms), (HB_MS, DEAD_MS));
}
