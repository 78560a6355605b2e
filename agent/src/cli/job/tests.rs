use std::collections::BTreeMap;

use spoolway_protocol::JobState;

use super::*;
use crate::cli::jobs::tests::job as view;
use crate::clock::Clock;
use crate::post_mortem::{BoardFigures, Heat, LineFigures, Versions, Wire};
use crate::view::WireLineView;
use crate::view::history::Step;

pub(in crate::cli) fn record() -> Record {
    let line =
        |from: &str, text: &str| WireLineView { at_ms: 5, from: from.to_owned(), text: text.to_owned() };
    Record {
        v: Record::VERSION,
        job_id: "job-7731".parse().unwrap(),
        attempt: 2,
        outcome: "interrupted".to_owned(),
        code: Some("port.lost".to_owned()),
        text: Some("the port went away".to_owned()),
        started: None,
        ended: Clock::start().unwrap().stamp(),
        line: 1_240,
        commands_acked: 900,
        commands_total: 2_000,
        layer: 12,
        usage: Default::default(),
        link: Some(LineFigures { lines_sent: 900, max_gap_ms: 120, ..LineFigures::default() }),
        heat: Heat {
            last: BTreeMap::from([("tool0".to_owned(), [198.25, 210.0])]),
            extremes: BTreeMap::from([("tool0".to_owned(), (151.0, 211.5))]),
            extremes_s: 300,
        },
        board: BoardFigures { throttled: Some(0x5_0000), celsius: Some(61.5) },
        versions: Versions {
            agent: "0.1.0".to_owned(),
            firmware: Some("Marlin\x1b[2J".to_owned()),
            ..Default::default()
        },
        wire: Wire { lines: vec![line("agent", "N5 G28*22"), line("printer", "ok")], ..Wire::default() },
    }
}

fn history() -> HistoryView {
    let step = |to, attempt, code: Option<&str>| Step {
        to,
        at_ms: 1_760_000_000_123,
        unsure: code.is_none(),
        attempt,
        code: code.map(str::to_owned),
    };
    let mut job = view("job-7731", JobState::Interrupted, 450);
    (job.reason, job.code) = (Some("gone ".repeat(30)), Some("port.lost".to_owned()));
    let used = Used {
        attempt: 2,
        printing_ms: 1_330_000,
        paused_ms: 51_000,
        filament_mm: Some(vec![1_000.2, 234.0]),
        resends: 3,
        timeouts: 0,
        max_gap_ms: 120,
    };
    HistoryView {
        job,
        owner: "anna".to_owned(),
        steps: vec![
            step(JobState::Offered, 0, None),
            step(JobState::Printing, 1, Some("port.lost")),
            step(JobState::Interrupted, 2, Some("printer.asked")),
        ],
        steps_left_out: 0,
        attempts: vec![AttemptView {
            attempt: 2,
            started_ms: 1,
            ended_ms: Some(2),
            outcome: Some("interrupted".to_owned()),
            line: Some(1_240),
            reason: Some("the port went away".to_owned()),
            used: Some(used),
            record: true,
        }],
    }
}

#[test]
fn a_page_says_what_happened_when_and_fits_a_terminal() {
    let text = page(&history(), Some(&record()), Paint::none());
    assert!(text.lines().all(|line| line.chars().count() <= 80 && !line.contains('\x1b')), "{text}");
    for part in [
        "\n  job-7731\n  interrupted, 45 %, 716.8 KiB, of anna\n",
        "\n2025-10-09 08:53:20? offered\n",
        "\n? this machine did not know the time then\n",
        "\n2025-10-09 08:53:20  interrupted  attempt 2  [printer.asked]\n",
        "\nAttempt 2: interrupted, behind line 1240\n  the port went away\n",
        "paused 51 s; filament 1234 mm; 3 lines refused",
        "\n  Heat     tool0 198.2 of 210 °C (151.0 to 211.5 in the last 5 min)\n",
        "under-voltage since it was switched on, throttled since it was",
        "\n  Wire     2 lines: `spoolway-agent logs --wire --job job-7731`\n",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(text.ends_with("`spoolway-agent explain port.lost` says more of that code.\n`spoolway-agent explain printer.asked` says more of that code.\n"), "{text}");
}

#[test]
fn what_is_not_known_is_said() {
    let mut late = record();
    (late.link, late.heat, late.board) = (None, Heat::default(), BoardFigures::default());
    late.wire = Wire::missing("the process that had them has ended");
    let text = record::lines(&late, Paint::none());
    for part in [
        "Heat     not known",
        "Line     not known: the process",
        "does not tell of under-voltage",
        "no words of the wire: the process that had them has ended",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}
