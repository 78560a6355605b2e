//! Files that arrive whole over links that are cut all the time, and over the ends of every process on the way.

use std::path::Path;

use spoolway_tests::torture::files::{Arguments, By, Report, fetch};

const TORTURE: &str = env!("CARGO_BIN_EXE_spoolway-torture");

fn arguments(by: By) -> Arguments {
    // At this speed it takes ten seconds, however quick the machine is.
    Arguments { mib: 64, by, cut_every_ms: 2_000, mib_per_s: 6, agent_dies_every: 0, relay_dies_every: 0 }
}

async fn fetched(arguments: Arguments) -> Report {
    let report = fetch(Path::new(TORTURE), &arguments).await.unwrap();
    assert_eq!((report.bytes, report.verified), (64 << 20, 1), "{report:?}");
    assert!(report.cuts >= 2, "{report:?}");
    report
}

#[tokio::test]
async fn a_file_from_a_server_arrives_whole_over_a_link_that_is_cut_all_the_time() {
    let report = fetched(arguments(By::Https)).await;
    assert!(report.requests.len() > 1 && report.requests.last() > Some(&0), "{report:?}");
}

#[tokio::test]
async fn a_file_through_the_relay_arrives_whole_over_a_link_that_is_cut_all_the_time() {
    let report = fetched(arguments(By::Relay)).await;
    assert_eq!(report.requests, [0_u64; 0]);
}

#[tokio::test]
async fn a_file_arrives_whole_although_agent_and_relay_are_killed_on_the_way() {
    let report = fetched(Arguments { agent_dies_every: 3, relay_dies_every: 2, ..arguments(By::Both) }).await;
    assert!(report.relay_deaths > 0 && report.agent_deaths > 0, "{report:?}");
}
