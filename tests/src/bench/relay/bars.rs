//! The bars of the relay: what has to be reached beside the other servers, and whether it was.

use super::Contender;
use super::cells::{Forward, Overload, Storm};
use super::report::{Column, Report};
use crate::bench::bars::Bar;

/// Resident memory of an idle connection beside mosquitto's and NATS's.
const IDLE_OF_MOSQUITTO: f64 = 1.0;
const IDLE_OF_NATS: f64 = 0.3;
/// Percent of a core with all idle connections.
const IDLE_PERCENT: f64 = 2.0;
/// Processor time a message beside NATS's and mosquitto's, and beside NATS's with telemetry coalesced.
const MESSAGE_OF_NATS: f64 = 0.6;
const MESSAGE_OF_MOSQUITTO: f64 = 0.85;
const COALESCED_OF_NATS: f64 = 0.5;
/// Half of the messages take at most this beside NATS's.
const P50_OF_NATS: f64 = 0.8;
/// Peak of the memory while all come back, beside what is steady; and the time beside NATS's.
const STORM_PEAK: f64 = 1.3;
const STORM_OF_NATS: f64 = 1.0;
/// Delivered under overload, beside the most that can be delivered.
const OVERLOAD_OF_PEAK: f64 = 0.9;
/// Memory in the second half of an overload beside the first: what is bounded does not grow.
const OVERLOAD_GROWTH: f64 = 1.1;
/// Routing of a large body beside that of a small one.
const ROUTING: f64 = 1.2;
/// Below this share of its rate the generator, and not the server, was measured.
const PACE: f64 = 0.98;

/// The bars for which there are figures.
pub(super) fn of(report: &Report) -> Vec<Bar> {
    let mut bars = Vec::new();
    if let Some(relay) = report.column(Contender::Spoolway) {
        of_idle(report, relay, &mut bars);
        of_forward(report, relay, &mut bars);
        relay.storm.iter().for_each(|storm| of_storm(report, storm, &mut bars));
        relay.overload.iter().for_each(|overload| of_overload(overload, &mut bars));
    }
    if let Some(routing) = &report.routing {
        bars.push(Bar::at_most("routing 36 KB beside 300 bytes", routing.ratio, ROUTING));
    }
    bars
}

fn of_idle(report: &Report, relay: &Column, bars: &mut Vec<Bar>) {
    let bytes = |column: &Column| column.idle.as_ref().map(|idle| idle.bytes_per_connection);
    for (other, bar) in [(Contender::Mosquitto, IDLE_OF_MOSQUITTO), (Contender::Nats, IDLE_OF_NATS)] {
        let what = "memory of an idle connection";
        bars.extend(beside(report, what, other, bytes).map(|(what, ratio)| Bar::at_most(what, ratio, bar)));
    }
    if let Some(idle) = &relay.idle {
        let what = format!("% of a core with {} idle connections", idle.connections);
        bars.push(Bar::at_most(what, idle.cpu_percent, IDLE_PERCENT));
    }
}

fn of_forward(report: &Report, relay: &Column, bars: &mut Vec<Bar>) {
    let cpu = |column: &Column| column.forward.as_ref().map(|forward| forward.cpu_us);
    let coalesced = |column: &Column| column.coalesced.as_ref().map(|forward| forward.cpu_us);
    let p50 = |column: &Column| column.forward.as_ref().map(|forward| forward.p50_us);
    type Figure<'a> = &'a dyn Fn(&Column) -> Option<f64>;
    let wanted: [(&str, Contender, Figure<'_>, f64); 4] = [
        ("processor time a message", Contender::Nats, &cpu, MESSAGE_OF_NATS),
        ("processor time a message", Contender::Mosquitto, &cpu, MESSAGE_OF_MOSQUITTO),
        ("processor time a message, coalesced", Contender::Nats, &coalesced, COALESCED_OF_NATS),
        ("p50", Contender::Nats, &p50, P50_OF_NATS),
    ];
    for (what, other, figure, bar) in wanted {
        bars.extend(beside(report, what, other, figure).map(|(what, ratio)| Bar::at_most(what, ratio, bar)));
    }
    for Forward { per_write, sent, delivered, .. } in relay.forward.iter().chain(&relay.coalesced) {
        bars.push(Bar::none(format!("messages lost, {per_write} a write"), sent - delivered));
    }
    let columns = report.columns.iter().flat_map(|column| column.forward.iter().chain(&column.coalesced));
    let pace = columns.map(|forward| forward.kept_pace).reduce(f64::min);
    bars.extend(pace.map(|pace| Bar::at_least("pace of the generator, least of all", pace, PACE)));
}

fn of_storm(report: &Report, storm: &Storm, bars: &mut Vec<Bar>) {
    bars.push(Bar::none(format!("of {} agents that come back failed", storm.agents), storm.failed as u64));
    bars.push(Bar::at_most("peak of the memory meanwhile beside steady", storm.peak(), STORM_PEAK));
    let all_up = |column: &Column| column.storm.as_ref().map(|storm| storm.all_up_s);
    let time = beside(report, "time until all are up", Contender::Nats, all_up);
    bars.extend(time.map(|(what, ratio)| Bar::at_most(what, ratio, STORM_OF_NATS)));
}

fn of_overload(overload: &Overload, bars: &mut Vec<Bar>) {
    bars.push(Bar::none("events lost in overload", overload.events_lost));
    bars.push(Bar::none("commands lost in overload", overload.commands_lost));
    let of_peak = overload.delivered_per_s / overload.peak_per_s;
    bars.push(Bar::at_least("delivered in overload beside the peak", of_peak, OVERLOAD_OF_PEAK));
    let [first, second] = overload.rss_bytes.map(|bytes| bytes as f64);
    bars.push(Bar::at_most("memory in overload, second half beside first", second / first, OVERLOAD_GROWTH));
}

/// The relay's figure for each of another server's.
fn beside(
    report: &Report,
    what: &str,
    other: Contender,
    figure: impl Fn(&Column) -> Option<f64>,
) -> Option<(String, f64)> {
    let of = |contender| report.column(contender).and_then(&figure);
    let ratio = of(Contender::Spoolway)? / of(other)?;
    Some((format!("{what} beside {}", other.name()), ratio))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::relay::cells::{Idle, Routing};

    /// A server whose every figure is so many times a common one.
    fn column(contender: Contender, times: f64) -> Column {
        let forward = |per_write, cpu_us| Forward {
            agents: 10,
            rate_per_s: 10,
            per_write,
            sent: 100,
            delivered: 100,
            cpu_us: cpu_us * times,
            p50_us: 100.0 * times,
            p99_us: 200.0,
            kept_pace: 1.0,
        };
        let overload = Overload {
            agents: 64,
            peak_per_s: 100.0,
            offered_per_s: 200.0,
            delivered_per_s: 90.0,
            events: 1_000,
            events_lost: 0,
            commands: 10,
            commands_refused: 3,
            commands_lost: 0,
            command_p50_ms: 1.0,
            command_p99_ms: 2.0,
            rss_bytes: [100, 110],
        };
        Column {
            contender,
            version: String::new(),
            idle: Some(Idle {
                connections: 19_000,
                bytes_per_connection: 1_000.0 * times,
                accept_us: 1.0,
                cpu_even_percent: 3.0 * times,
                cpu_percent: 2.0 * times,
            }),
            forward: Some(forward(1, 10.0)),
            coalesced: Some(forward(16, 1.0)),
            rounds: Vec::new(),
            storm: Some(Storm {
                agents: 10_000,
                failed: 0,
                all_up_s: 3.0 * times,
                steady_bytes: 100,
                peak_bytes: 130,
            }),
            overload: Some(overload),
        }
    }

    fn report(mosquitto: f64, nats: f64) -> Report {
        let columns =
            [(Contender::Spoolway, 1.0), (Contender::Mosquitto, mosquitto), (Contender::Nats, nats)];
        let routing = Routing {
            small_bytes: 300,
            large_bytes: 36_864,
            small_ns: 10.0,
            large_ns: 12.0,
            read_ns: [20.0, 900.0],
            ratio: 1.2,
        };
        Report {
            columns: columns.map(|(contender, times)| column(contender, times)).into(),
            routing: Some(routing),
            ..Report::default()
        }
    }

    fn missed(report: &Report) -> Vec<String> {
        of(report).into_iter().filter(|bar| !bar.is_met).map(|bar| bar.what).collect()
    }

    #[test]
    fn a_relay_that_is_just_good_enough_misses_nothing() {
        let good = report(1.0 / 0.85, 1.0 / 0.3);
        assert_eq!((missed(&good), of(&good).len()), (Vec::new(), 18));
    }

    #[test]
    fn each_ratio_is_judged_beside_its_own_server() {
        assert_eq!(missed(&report(1.1, 4.0)), ["processor time a message beside mosquitto QoS 0"]);
        assert_eq!(missed(&report(2.0, 2.1)), ["memory of an idle connection beside NATS"]);
        let all = missed(&report(0.9, 0.9));
        assert_eq!(all.len(), 7, "all ratios: {all:?}");
    }

    #[test]
    fn the_relays_own_figures_are_judged_without_others() {
        let mut alone = report(2.0, 4.0);
        alone.columns.truncate(1);
        assert_eq!(of(&alone).len(), 11);
        let relay = &mut alone.columns[0];
        relay.storm.as_mut().unwrap().failed = 1;
        relay.storm.as_mut().unwrap().peak_bytes = 131;
        relay.idle.as_mut().unwrap().cpu_percent = 2.01;
        relay.forward.as_mut().unwrap().delivered = 99;
        relay.coalesced.as_mut().unwrap().kept_pace = 0.97;
        let overload = relay.overload.as_mut().unwrap();
        (overload.events_lost, overload.commands_lost, overload.delivered_per_s) = (1, 1, 89.9);
        overload.rss_bytes = [100, 111];
        alone.routing.as_mut().unwrap().ratio = 1.21;
        assert_eq!(missed(&alone).len(), 10, "all but what is coalesced and was not lost");
    }
}
