//! The bars: what has to be reached, and whether it was.

use serde::Serialize;

use super::cell::{Cell, Column};
use super::memory::MemoryFigures;
use super::peers::Peer;
use super::plans::{AGENT, AGENT_ADVANCED, AGENT_QUEUE, RAW, SLOW};

/// Lines a second beside the raw sender, OctoPrint and Printrun where nothing is the limit.
const INSTANT_OF_RAW: f64 = 1.0;
const INSTANT_OF_OCTOPRINT: f64 = 15.0;
const INSTANT_OF_PRINTRUN: f64 = 80.0;
/// Processor time a line beside the raw sender and OctoPrint.
const CPU_OF_RAW: f64 = 2.5;
const CPU_OF_OCTOPRINT: f64 = 1.0 / 8.0;
/// Link use with the plain rule, beside the raw sender and beside the wire.
const LINK_OF_RAW: f64 = 0.98;
const LINK_OF_WIRE: f64 = 0.97;
/// Link use with slow replies and a window that counts the command queue, on each of the wires.
const SLOW_LINK: [f64; 2] = [0.95, 0.97];
/// Time with an empty planner above the raw sender's, in percentage points.
const EMPTY_ABOVE_RAW: f64 = 0.5;
/// Peak memory of the agent, in bytes, and how much more a large file may take: the pieces that wait for the disk, which a
/// small file does not fill.
const PEAK_BYTES: f64 = 16e6;
const PEAK_ABOVE_SMALL: f64 = 1e6;
/// From the start of the process to the first line.
const START_MS: f64 = 60.0;

/// A figure that is to be reached.
#[derive(Debug, Serialize)]
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) wanted: String,
    pub(super) is_met: bool,
}

impl Bar {
    pub(super) fn at_least(what: impl Into<String>, measured: f64, bar: f64) -> Self {
        Self { what: what.into(), measured, wanted: format!("at least {bar}"), is_met: measured >= bar }
    }

    pub(super) fn at_most(what: impl Into<String>, measured: f64, bar: f64) -> Self {
        Self { what: what.into(), measured, wanted: format!("at most {bar}"), is_met: measured <= bar }
    }

    pub(super) fn none(what: impl Into<String>, measured: u64) -> Self {
        Self {
            what: what.into(),
            measured: measured as f64,
            wanted: "none".to_owned(),
            is_met: measured == 0,
        }
    }
}

/// The bars of the board that is never the limit.
pub(super) fn of_instant(cell: &Cell) -> Vec<Bar> {
    let lines = |column: &Column| column.lines_per_s;
    let wanted = [
        (RAW, INSTANT_OF_RAW),
        (Peer::Octoprint.name(), INSTANT_OF_OCTOPRINT),
        (Peer::Printrun.name(), INSTANT_OF_PRINTRUN),
    ];
    let speeds = wanted.into_iter().filter_map(|(other, bar)| {
        let what = format!("{}: lines/s beside {other}", cell.title);
        Some(Bar::at_least(what, cell.ratio(AGENT, other, lines)?, bar))
    });
    speeds.chain(of_processor(cell)).collect()
}

/// Processor time a line.
fn of_processor(cell: &Cell) -> impl Iterator<Item = Bar> {
    let wanted = [(RAW, CPU_OF_RAW), (Peer::Octoprint.name(), CPU_OF_OCTOPRINT)];
    wanted.into_iter().filter_map(|(other, bar)| {
        let ratio = cell.ratio(AGENT, other, |column| column.cpu_s_per_million_lines)?;
        Some(Bar::at_most(format!("{}: processor time beside {other}", cell.title), ratio, bar))
    })
}

/// The bars of a wire with the plain rule.
pub(super) fn of_wire(cell: &Cell) -> Vec<Bar> {
    let title = &cell.title;
    let mut bars = Vec::new();
    if let Some(agent) = cell.column(AGENT) {
        let link_use = agent.link_use.unwrap_or(0.0);
        let of_raw = cell.ratio(AGENT, RAW, |column| column.link_use.unwrap_or(0.0)).unwrap_or(0.0);
        bars.push(Bar::at_least(format!("{title}: link use beside {RAW}"), of_raw, LINK_OF_RAW));
        bars.push(Bar::at_least(format!("{title}: link use"), link_use, LINK_OF_WIRE));
        bars.push(Bar::none(format!("{title}: dropped bytes"), agent.dropped_bytes));
    }
    bars.extend(of_processor(cell));
    bars
}

/// The bar of a planner that takes its time.
pub(super) fn of_planner(cell: &Cell) -> Vec<Bar> {
    let empty = |name: &str| Some(100.0 * cell.column(name)?.empty);
    let above = empty(AGENT).zip(empty(RAW)).map(|(agent, raw)| agent - raw);
    let what = format!("{}: planner empty, points above {RAW}", cell.title);
    above.map(|above| Bar::at_most(what, above, EMPTY_ABOVE_RAW)).into_iter().collect()
}

/// The bars of a wire with slow replies.
pub(super) fn of_slow(cell: &Cell) -> Vec<Bar> {
    let at = SLOW.iter().position(|(baud, _)| Some(*baud) == cell.wire_baud);
    let Some(bar) = at.map(|at| SLOW_LINK[at]) else { return Vec::new() };
    let columns = [AGENT_QUEUE, AGENT_ADVANCED].into_iter().filter_map(|name| cell.column(name));
    let bars = columns.flat_map(|column| {
        let what = |what: &str| format!("{}: {what}, {}", cell.title, column.name);
        [
            Bar::at_least(what("link use"), column.link_use.unwrap_or(0.0), bar),
            Bar::none(what("dropped bytes"), column.dropped_bytes),
        ]
    });
    bars.collect()
}

/// The bars of a firmware that stalls. That no line was lost or repeated is held against the file after each print.
pub(super) fn of_stall(cell: &Cell) -> Vec<Bar> {
    let plain = cell
        .column(AGENT)
        .map(|column| Bar::none(format!("{}: dropped bytes, plain rule", cell.title), column.dropped_bytes));
    let wide = [AGENT_QUEUE, AGENT_ADVANCED].into_iter().filter_map(|name| cell.column(name));
    let wide = wide.map(|column| {
        let what = format!("{}: overflows without narrowing, {}", cell.title, column.name);
        Bar::none(what, column.turns_not_narrowed)
    });
    plain.into_iter().chain(wide).collect()
}

/// The bars of the memory.
pub(super) fn of_memory(figures: &[MemoryFigures]) -> Vec<Bar> {
    let peak = |figures: &MemoryFigures| figures.peak_bytes as f64;
    let mut bars = Vec::new();
    for figures in figures {
        let what =
            format!("peak memory with {} MB of G-code, MB", (figures.file_bytes + 500_000) / 1_000_000);
        bars.push(Bar::at_most(what, peak(figures) / 1e6, PEAK_BYTES / 1e6));
    }
    if let [small, .., large] = figures {
        let above = (peak(large) - peak(small)) / 1e6;
        bars.push(Bar::at_most("peak memory, large above small, MB", above, PEAK_ABOVE_SMALL / 1e6));
    }
    bars
}

/// The bar of the start.
pub(super) fn of_start(milliseconds: f64) -> Bar {
    Bar::at_most("process start to first line, ms", milliseconds, START_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, figures: impl FnOnce(&mut Column)) -> Column {
        let mut column = Column::good(name);
        figures(&mut column);
        column
    }

    fn cell(wire_baud: Option<u32>, columns: Vec<Column>) -> Cell {
        Cell { title: "cell".to_owned(), wire_baud, has_planner: false, repeated: 0, columns }
    }

    fn met(bars: &[Bar]) -> Vec<bool> {
        bars.iter().map(|bar| bar.is_met).collect()
    }

    #[test]
    fn without_a_wire_lines_and_processor_time_count_beside_each_other_host() {
        let with = |lines_per_s: f64, cpu: f64| {
            let agent = column(AGENT, |agent| {
                agent.lines_per_s = lines_per_s;
                agent.cpu_s_per_million_lines = cpu;
            });
            let slow = |name, lines_per_s| {
                column(name, |peer| {
                    peer.lines_per_s = lines_per_s;
                    peer.cpu_s_per_million_lines = 400.0;
                })
            };
            let peers = [slow("OctoPrint", 20.0), slow("Printrun", 3.75)];
            met(&of_instant(&cell(None, [column(RAW, |_| {}), agent].into_iter().chain(peers).collect())))
        };
        assert_eq!(with(300.0, 50.0), [true; 5]);
        assert_eq!(with(299.0, 50.1), [false; 5]);
        assert_eq!(with(301.0, 50.1), [true, true, true, false, false]);
        let alone = cell(None, vec![column(RAW, |_| {}), column(AGENT, |_| {})]);
        assert_eq!(
            met(&of_instant(&alone)),
            [true, true],
            "without other hosts there are no bars beside them"
        );
    }

    #[test]
    fn on_a_wire_each_figure_has_its_own_bar() {
        let with = |link_use: f64, dropped: u64, cpu: f64| {
            let agent = column(AGENT, |agent| {
                agent.link_use = Some(link_use);
                agent.dropped_bytes = dropped;
                agent.cpu_s_per_million_lines = cpu;
            });
            met(&of_wire(&cell(Some(115_200), vec![column(RAW, |_| {}), agent])))
        };
        assert_eq!(with(0.98, 0, 50.0), [true; 4]);
        assert_eq!(with(0.9703, 0, 50.0), [true; 4]);
        assert_eq!(with(0.9699, 0, 50.0), [false, false, true, true]);
        assert_eq!(with(0.98, 1, 50.5), [true, true, false, false]);
    }

    #[test]
    fn slow_replies_and_stalls_are_judged_by_window() {
        let wide = |name, link_use: f64, dropped: u64, not_narrowed: u64| {
            column(name, |column| {
                column.link_use = Some(link_use);
                column.dropped_bytes = dropped;
                column.turns_not_narrowed = not_narrowed;
            })
        };
        let columns =
            || vec![wide(AGENT, 0.49, 0, 0), wide(AGENT_QUEUE, 0.96, 0, 0), wide(AGENT_ADVANCED, 0.96, 5, 1)];
        assert_eq!(met(&of_slow(&cell(Some(115_200), columns()))), [true, true, true, false]);
        assert_eq!(met(&of_slow(&cell(Some(250_000), columns()))), [false, true, false, false]);
        assert_eq!(met(&of_stall(&cell(Some(115_200), columns()))), [true, true, false]);
        let dropping = cell(Some(115_200), vec![wide(AGENT, 0.9, 1, 1)]);
        assert_eq!(met(&of_stall(&dropping)), [false]);
    }

    #[test]
    fn planner_memory_and_start_have_their_bars() {
        let with = |empty: f64| {
            let columns =
                vec![column(RAW, |raw| raw.empty = 0.01), column(AGENT, |agent| agent.empty = empty)];
            met(&of_planner(&cell(Some(115_200), columns)))
        };
        assert_eq!((with(0.0149), with(0.0152)), (vec![true], vec![false]));
        let figures =
            |peak_bytes| MemoryFigures { file_bytes: 1, arrival_s: 1.0, commands_acked: 1, peak_bytes };
        let peaks = |small, large| met(&of_memory(&[figures(small), figures(large)]));
        assert_eq!(peaks(14_800_000, 15_700_000), [true; 3]);
        assert_eq!(peaks(14_600_000, 15_700_000), [true, true, false]);
        assert_eq!(peaks(15_800_000, 16_100_000), [true, false, true]);
        assert!(of_start(60.0).is_met && !of_start(60.1).is_met);
    }
}
