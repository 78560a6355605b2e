//! The page of an agent that prints, and of one that knows nothing yet; and what is written of the figures.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// Everything that can be told.
fn full() -> Status {
    let job = json!({
        "job_id": "j1", "name": "secret part.gcode", "state": "printing", "attempt": 1, "commands_acked": 470,
        "commands_total": 1000, "line": 500, "layer": 3, "layers_total": 30, "bytes": 5, "size": 10, "reason": null,
        "created_ms": 1,
    });
    let wire = json!({
        "rule": "advanced-ok", "window_bytes": 127, "window_lines": 32, "queue_lines": 4, "narrowed": 1,
        "rtt_ms_p50": 3.25, "rtt_ms_p99": 9.5, "gap_ms_p999": 24.0, "starved_ms": 1500.0, "starvations": 2,
        "resend_ratio": 0.5,
    });
    let fault = |code: &str| json!({ "code": code, "text": "text", "help": "help" });
    let printer = json!({
        "state": "printing", "port": "/dev/ttyUSB0", "baud": 115_200, "profile": "marlin", "profile_verified": true,
        "firmware": "Marlin", "window": "127 bytes", "wire": wire, "tools": [[214.5, 215.0], [20.0, null]],
        "bed": [60.5, 60.0], "link_use": 0.5, "lines_per_s": 312.0, "refusals": 7, "fault": null,
        "alarms": [fault("heat.stays_cold"), fault("heat.no_reports"), fault("heat.stays_cold")],
    });
    let storage = json!({
        "free_bytes": 1000, "reserve_bytes": 10, "files": { "used_bytes": 20, "max_bytes": null },
        "database": { "used_bytes": 30, "max_bytes": null }, "kept": { "used_bytes": 40, "max_bytes": null },
        "written": { "bytes": 500, "files_bytes": 200, "mb_a_day": 12.5 },
    });
    let link = json!({
        "relay": "wss://relay.example", "up": false, "session": null, "since_ms": 1, "for_ms": 60_000,
        "fault": fault("relay.unreachable"),
    });
    let bed = json!({ "epoch": 3, "clear": true, "confirm_required": false, "part": "secret part.gcode" });
    serde_json::from_value(json!({
        "agent_id": "7ZZ", "version": "0.1.0", "uptime_ms": 1500, "printer": printer, "job": job, "link": link,
        "bed": bed, "storage": storage, "jobs_waiting": 2, "events_unacked": 4,
    }))
    .unwrap()
}

fn text() -> String {
    let board = Board { celsius: Some(54.5), throttled: Some(0x5_0005) };
    page(&full(), Process { cpu_s: Some(1.25), resident_bytes: Some(9_000_000) }, board)
}

/// The names of all families.
fn families(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[test]
fn what_is_known_is_told_in_base_units() {
    let page = text();
    for line in [
        "spoolway_agent_info{version=\"0.1.0\",agent=\"7ZZ\"} 1",
        "spoolway_agent_uptime_seconds 1.5",
        "spoolway_agent_printer_state{state=\"printing\"} 1",
        "spoolway_agent_printer_state{state=\"idle\"} 0",
        "spoolway_agent_temperature_celsius{heater=\"tool0\"} 214.5",
        "spoolway_agent_temperature_target_celsius{heater=\"tool1\"} 0",
        "spoolway_agent_temperature_celsius{heater=\"bed\"} 60.5",
        "spoolway_agent_fault{code=\"heat.stays_cold\"} 1",
        "spoolway_agent_fault{code=\"heat.no_reports\"} 1",
        "spoolway_agent_wire_refusals_total 7",
        "spoolway_agent_job_reply_seconds{quantile=\"0.99\"} 0.0095",
        "spoolway_agent_job_starved_seconds 1.5",
        "spoolway_agent_job_commands_acked 470",
        "spoolway_agent_jobs_waiting 2",
        "spoolway_agent_bed_clear 1",
        "spoolway_agent_link_up 0",
        "spoolway_agent_link_state_seconds 60",
        "spoolway_agent_link_fault{code=\"relay.unreachable\"} 1",
        "spoolway_agent_disk_used_bytes{area=\"database\"} 30",
        "spoolway_agent_disk_written_bytes_total{what=\"rest\"} 300",
        "spoolway_agent_disk_written_bytes_per_day 12500000",
        "process_resident_memory_bytes 9000000",
        "spoolway_agent_node_temperature_celsius 54.5",
        "spoolway_agent_node_throttled{what=\"under_voltage\",when=\"now\"} 1",
        "spoolway_agent_node_throttled{what=\"clock_capped\",when=\"now\"} 0",
        "spoolway_agent_node_throttled{what=\"throttled\",when=\"since_start\"} 1",
    ] {
        assert!(page.lines().any(|have| have == line), "{line}\n{page}");
    }
}

#[test]
fn nobodys_names_are_on_the_page() {
    assert!(!text().contains("secret"), "the name of a job");
}

#[test]
fn each_family_stands_once_and_every_figure_in_one() {
    let page = text();
    let families = families(&page);
    let names: BTreeSet<_> = families.iter().copied().collect();
    assert_eq!(names.len(), families.len());
    let mut current = "";
    for line in page.lines() {
        match line.strip_prefix("# ") {
            Some(comment) => current = comment.split(' ').nth(1).unwrap(),
            None => assert_eq!(line.split(['{', ' ']).next(), Some(current), "{line}"),
        }
    }
    assert!(page.ends_with('\n'));
}

/// Whoever scrapes a page on which a figure stands twice takes nothing of it.
#[test]
fn every_figure_stands_once() {
    let page = text();
    let figures: Vec<_> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect();
    let once: BTreeSet<_> = figures.iter().collect();
    assert!(figures.len() > 40 && once.len() == figures.len(), "{page}");
}

#[test]
fn without_a_relay_there_is_no_time_of_its_link() {
    let mut status = full();
    (status.link.relay, status.link.for_ms) = (None, 0);
    let page = page(&status, Process::default(), Board::default());
    assert!(page.contains("spoolway_agent_link_configured 0\n"), "{page}");
    assert!(!page.contains("\nspoolway_agent_link_state_seconds "), "{page}");
}

#[test]
fn an_agent_that_knows_nothing_yet_has_a_page() {
    let mut status = full();
    (status.job, status.storage, status.bed, status.printer.wire) = (None, None, None, None);
    (status.printer.tools, status.printer.bed) = (Vec::new(), None);
    let page = page(&status, Process::default(), Board::default());
    assert!(page.contains("spoolway_agent_job_under_way 0\n") && !page.contains("job_commands"), "{page}");
    assert!(!page.contains("NaN") && !page.contains("process_") && !page.contains("node_"), "{page}");
}

#[test]
fn labels_hold_anything() {
    assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
}

#[test]
fn the_operators_page_explains_every_family() {
    let told = include_str!("../../../../docs/operate.md");
    for name in families(&text()) {
        assert!(told.contains(&format!("`{name}`")), "{name} is not in docs/operate.md");
    }
}

/// A panel that asks for what is not there stays empty, and nobody notices.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/grafana/spoolway-agent.json")).unwrap();
    let page = text();
    let families = families(&page);
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let names: Vec<_> =
                words.filter(|word| word.starts_with("spoolway_") || word.starts_with("process_")).collect();
            assert!(!names.is_empty(), "{expression}");
            for name in names {
                assert!(families.contains(&name), "{name} in {expression}");
                asked += 1;
            }
        }
    }
    assert!(asked >= 12, "{asked}");
}
