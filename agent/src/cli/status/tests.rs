//! The screen of `status`: everything on it fits, and says what it is to say.

use spoolway_protocol::{Fault, JobState};

use super::super::jobs::tests::job;
use super::*;
use crate::view::{AreaView, MaintenanceView, PromptView, StorageView, WireView, WrittenView};

pub(in crate::cli) fn full() -> Status {
    Status {
        agent_id: "7ZZZZZZZZZZZZZZZZZZZZZZZZZ".into(),
        version: "0.1.0".into(),
        uptime_ms: 11_520_000,
        printer: PrinterView {
            state: PrinterState::Printing,
            port: "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0".into(),
            baud: 115_200,
            profile: Some("marlin".into()),
            profile_verified: true,
            firmware: Some(
                "Marlin 2.1.2.4 \x1b[31m(Dec 16 2023 12:00:00) with a very long name that goes on".into(),
            ),
            window: Some("127 bytes, 32 lines".into()),
            wire: Some(WireView {
                rule: "advanced-ok".into(),
                window_bytes: 127,
                window_lines: 32,
                queue_lines: 4,
                narrowed: 1,
                rtt_ms_p50: 3.24,
                rtt_ms_p99: 9.8,
                gap_ms_p999: 24.0,
                starved_ms: 12.0,
                starvations: 2,
                resend_ratio: 0.0002,
            }),
            prompt: Some(PromptView {
                prompt_id: "q-1".parse().unwrap(),
                text: "Filament runout T0".into(),
                choices: vec!["Continue".into(), "Purge more".into()],
            }),
            note: Some("Time 0:05".into()),
            ready: Some(false),
            tools: vec![(214.8, Some(215.0))],
            bed: Some((60.1, Some(60.0))),
            link_use: 0.84,
            lines_per_s: 312.0,
            refusals: 1,
            fault: None,
            alarms: vec![FaultView::new(Fault::HeatStaysCold, "the bed is at 20 °C")],
        },
        job: Some(job("j1", JobState::Printing, 470)),
        needs_a_person: None,
        link: LinkView {
            relay: Some("wss://relay.example".into()),
            up: false,
            session: None,
            since_ms: 1_000,
            since_boot_ms: 7_000,
            for_ms: 60_000,
            fault: Some(FaultView::new(Fault::RelayUnreachable, "relay.example: connection refused")),
        },
        bed: Some(BedView {
            epoch: 3,
            clear: false,
            confirm_required: true,
            part: Some("benchy.gcode (j0, completed)".into()),
            interrupted: Vec::new(),
        }),
        permits: PermitsView { required: true, keys: vec!["k56475aa75463474c".to_owned()] },
        storage: Some(StorageView {
            free_bytes: 3_100_000_000,
            reserve_bytes: 268_435_456,
            files: AreaView { used_bytes: 12_340_000, max_bytes: Some(4_294_967_296) },
            database: AreaView { used_bytes: 1_200_000, max_bytes: Some(268_435_456) },
            kept: AreaView { used_bytes: 0, max_bytes: None },
            written: Some(WrittenView { bytes: 9, files_bytes: 1, mb_a_day: Some(34.4) }),
            fault: None,
        }),
        jobs_waiting: 2,
        events_unacked: 1,
        maintenance: Some(MaintenanceView { left_s: 900, by: "uid 1000".into(), reason: Some("PID".into()) }),
        update: serde_json::from_value(serde_json::json!({
            "version": "0.2.0-1", "stage": "waiting", "why": "job j-1 is printing",
        }))
        .unwrap(),
    }
}

#[test]
fn everything_fits_one_screen() {
    let text = Screen::of(&full(), Paint::none());
    assert!(text.lines().count() <= 32, "{text}");
    assert_eq!(text.matches("spoolway-agent explain").count(), 1, "of two codes one is the example: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS && !line.contains('\x1b')), "{text}");
    for part in [
        "Agent     7ZZZZZZZZZZZZZZZZZZZZZZZZZ  version 0.1.0, up 3 h 12 min\n",
        "Printer   printing on /dev/serial/by-id/",
        "; profile marlin\n",
        "Wire      84 % in use, 312 lines/s, 1 refusal; window 127 bytes, 32 lines\n",
        "          rule advanced-ok, narrowed 1x, 0.02 % sent again\n",
        "          round trip 3.2 ms, p99 9.8 ms; gap p99.9 24 ms; starved 12 ms\n",
        "Asks      Filament runout T0\n",
        "          `spoolway-agent answer N`: 0 Continue, 1 Purge more\n",
        "Says      Time 0:05\n",
        "          somebody has set it to not ready\n",
        "Heat      nozzle 214.8 -> 215 °C, bed 60.1 -> 60 °C\n",
        "          [##################----------------------]  47 %  layer 61/130\n",
        "          470 of 1000 commands, line 470 of the file\n",
        "          the bed is at 20 °C [heat.stays_cold]\n",
        "Open      The maintenance window is open for 15 min 0 s, by uid 1000: PID\n",
        "Update    0.2.0-1 waits: job j-1 is printing\n",
        "Link      down for 1 min 0 s, wss://relay.example\n",
        "          relay.example: connection refused [relay.unreachable]\n",
        "          Try: Read what it says",
        "Waiting   2 jobs, 1 event\n",
        "Storage   files 12.3 MB of 4294 MB, database 1.2 MB of 268 MB\n",
        "          3100 MB free, reserve 268 MB; writes 34 MB a day beyond files\n",
        "Codes     `spoolway-agent explain heat.stays_cold` says more\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("Bed "), "a part is being printed: {text}");
}

#[test]
fn an_agent_that_knows_nothing_yet_says_so() {
    let mut status = full();
    status.job = None;
    status.link = LinkView::default();
    status.printer = PrinterView {
        state: PrinterState::Offline,
        firmware: None,
        profile: None,
        window: None,
        wire: None,
        prompt: None,
        note: None,
        ready: None,
        tools: Vec::new(),
        bed: None,
        fault: Some(FaultView::new(Fault::PortMissing, "/dev/ttyUSB0 is not there")),
        ..status.printer
    };
    let text = Screen::of(&status, Paint::none());
    for part in [
        "not known yet",
        "Job       none\n",
        "Bed       nobody has said that it is clear after benchy.gcode (j0, completed)\n",
        "          `spoolway-agent bed clear` says so (bed epoch 3)\n",
        "no relay is configured",
        "[port.missing]",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("Heat") && !text.contains("Wire"));
    (status.printer.fault, status.printer.alarms) = (None, Vec::new());
    assert!(!Screen::of(&status, Paint::none()).contains("explain"), "nothing is wrong");
    let mut paused = job("j1", JobState::Paused, 470);
    (paused.reason, paused.code) = (Some("no reply".into()), Some(Fault::CommUncertain.code().into()));
    status.job = Some(paused);
    let text = Screen::of(&status, Paint::none());
    assert!(text.contains("          no reply [comm.uncertain]\n"), "{text}");
    assert!(text.contains("`spoolway-agent explain comm.uncertain` says more\n"), "{text}");
}

#[test]
fn a_print_that_may_go_on_is_shown_and_not_what_gives_it_up() {
    let mut status = full();
    let mut lost = job("01a22bd3-36b0-75fb-8a11-5e0d9b7c2f61", JobState::Interrupted, 930);
    (lost.reason, lost.code) = (Some("the port went away".into()), Some(Fault::PortLost.code().into()));
    (status.job, status.needs_a_person) = (None, Some(lost.clone()));
    let text = Screen::of(&status, Paint::none());
    for part in [
        " (interrupted, attempt 1)\n",
        "          the port went away [port.lost]\n",
        "          `spoolway-agent recover 01a22bd3-36b0-75fb-8a11-5e0d9b7c2f61 --plan`",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("bed clear"), "{text}");
    status.needs_a_person = Some(job("j2", JobState::AwaitingOperator, 0));
    let text = Screen::of(&status, Paint::none());
    assert!(text.contains("          `spoolway-agent job j2` says what was found in its file\n"), "{text}");
    assert!(text.contains("bed clear"), "{text}");
}
