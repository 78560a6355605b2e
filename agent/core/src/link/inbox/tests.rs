use super::*;
use crate::link::tests::{command, id};

fn start(seq: u64) -> Command {
    command(seq, "job.start", r#"{"job_id":"j","attempt":1}"#)
}

fn on_job(seq: u64, kind: &str) -> Command {
    command(seq, kind, r#"{"job_id":"j"}"#)
}

fn estop(seq: u64) -> Command {
    command(seq, "printer.estop", "{}")
}

fn inbox() -> Inbox {
    Inbox::restore(Moment::ZERO, InboxOptions::default(), Seq(0), Vec::new())
}

fn arrive(inbox: &mut Inbox, command: Command) {
    inbox.handle_command(
        Moment::ZERO,
        Arrival { command, ttl_ms: Some(1_000), age_ms: 0, id: None, unsigned: None },
    );
}

/// Everything until the machine waits, each as a short word; stores are answered with `stored`.
fn run_with(inbox: &mut Inbox, now: Moment, stored: StoredAs) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        said.push(match inbox.poll_output(now) {
            InboxOutput::Wait(_) => return said,
            InboxOutput::Store { row, result } => {
                inbox.handle_stored(row.command.cmd_id, stored);
                format!("store {} {:?} {}", row.command.seq, row.status, result.is_some())
            }
            InboxOutput::Receipt(receipt) => format!("receipt {} {}", receipt.seq, receipt.dup),
            InboxOutput::Execute { command, write_ahead, .. } => {
                format!("execute {} {write_ahead}", command.seq)
            }
            InboxOutput::Finish(result) => {
                let seq = (1..100).find(|seq| id(*seq) == result.cmd_id).unwrap();
                let code = result.code.map_or_else(String::new, |code| format!(" {}", code.0));
                format!("finish {seq} {:?}{code}", result.status)
            }
            InboxOutput::Nack { code, .. } => format!("nack {code}"),
        });
    }
}

fn run(inbox: &mut Inbox) -> Vec<String> {
    run_with(inbox, Moment::ZERO, StoredAs::New)
}

fn finish(inbox: &mut Inbox, seq: u64) {
    inbox.handle_finished(judge::result(id(seq), CommandStatus::Done, None, None));
}

fn restored(command: Command, status: CommandStatus, age_ms: Option<u64>) -> RestoredRow {
    RestoredRow { row: InboxRow { command, ttl_ms: Some(1_000), age_ms: 0, status }, age_ms }
}

#[test]
fn a_command_is_stored_told_carried_out_and_told_again() {
    let mut inbox = inbox();
    arrive(&mut inbox, start(1));
    assert_eq!(run(&mut inbox), ["store 1 Accepted false", "receipt 1 false", "execute 1 true"]);
    finish(&mut inbox, 1);
    assert_eq!(run(&mut inbox), ["finish 1 Done"]);
    finish(&mut inbox, 1);
    assert_eq!(run(&mut inbox), [""; 0]);
    assert_eq!(inbox.cmd_seq(), Seq(1));
}

#[test]
fn a_repeat_is_told_and_not_carried_out() {
    let mut inbox = inbox();
    arrive(&mut inbox, start(1));
    arrive(&mut inbox, start(1));
    run(&mut inbox);
    arrive(&mut inbox, start(1));
    assert_eq!(run(&mut inbox), ["receipt 1 true"]);
    finish(&mut inbox, 1);
    run(&mut inbox);
    arrive(&mut inbox, start(1));
    assert_eq!(
        run_with(&mut inbox, Moment::ZERO, StoredAs::Existing),
        ["store 1 Accepted false", "receipt 1 true"]
    );
}

#[test]
fn what_is_refused_is_stored_with_its_result() {
    let mut inbox = inbox();
    arrive(&mut inbox, command(1, "camera.dream", "{}"));
    inbox.handle_command(
        Moment::ZERO,
        Arrival { command: start(2), ttl_ms: Some(5), age_ms: 6, id: None, unsigned: None },
    );
    assert_eq!(
        run(&mut inbox),
        ["store 1 Rejected true", "store 2 Expired true", "receipt 1 false", "receipt 2 false"]
    );
}

#[test]
fn ordinary_commands_go_one_by_one_in_order_of_seq() {
    let mut inbox = inbox();
    for seq in [3, 1, 2] {
        arrive(&mut inbox, on_job(seq, "job.resume"));
    }
    let said = run(&mut inbox);
    assert_eq!(said.last().unwrap(), "execute 1 true");
    finish(&mut inbox, 1);
    assert_eq!(run(&mut inbox), ["finish 1 Done", "execute 2 true"]);
}

#[test]
fn urgent_commands_overtake_and_run_beside_an_ordinary_one() {
    let mut inbox = inbox();
    arrive(&mut inbox, start(1));
    run(&mut inbox);
    arrive(&mut inbox, command(2, "job.resume", r#"{"job_id":"other"}"#));
    arrive(&mut inbox, on_job(3, "job.pause"));
    assert_eq!(run(&mut inbox).last().unwrap(), "execute 3 false");
    finish(&mut inbox, 1);
    assert_eq!(run(&mut inbox), ["finish 1 Done"], "an ordinary one waits for the urgent one");
    finish(&mut inbox, 3);
    assert_eq!(run(&mut inbox), ["finish 3 Done", "execute 2 true"]);
}

#[test]
fn a_stop_takes_back_what_would_move_after_it() {
    for stop in ["job.cancel", "job.pause"] {
        let mut inbox = inbox();
        arrive(&mut inbox, on_job(1, "job.resume"));
        run(&mut inbox);
        arrive(&mut inbox, start(2));
        run(&mut inbox);
        arrive(&mut inbox, on_job(3, stop));
        assert!(run(&mut inbox).contains(&"finish 2 Cancelled job.cancelled".to_owned()), "{stop}");
    }
}

#[test]
fn a_stop_that_overtook_a_start_on_the_way_still_stops_it() {
    let mut inbox = inbox();
    arrive(&mut inbox, on_job(2, "job.cancel"));
    run(&mut inbox);
    assert_eq!(inbox.cmd_seq(), Seq(0), "the start is still missing");
    arrive(&mut inbox, start(1));
    assert_eq!(
        run(&mut inbox),
        ["store 1 Accepted false", "receipt 1 false", "finish 1 Cancelled job.cancelled"]
    );
    assert_eq!(inbox.cmd_seq(), Seq(2));
}

#[test]
fn an_emergency_stop_does_not_wait_for_the_store() {
    let mut inbox = inbox();
    arrive(&mut inbox, estop(1));
    let first = inbox.poll_output(Moment::ZERO);
    assert!(matches!(first, InboxOutput::Execute { write_ahead: false, .. }), "{first:?}");
    finish(&mut inbox, 1);
    assert_eq!(run(&mut inbox), ["store 1 Accepted false", "receipt 1 false", "finish 1 Done"]);
    arrive(&mut inbox, estop(1));
    let said = run_with(&mut inbox, Moment::ZERO, StoredAs::Existing);
    assert_eq!(said, ["store 1 Accepted false", "receipt 1 true"], "a repeat does not stop again");
}

#[test]
fn of_many_emergency_stops_the_latest_are_known_without_the_store_and_an_older_one_stops_once_more() {
    let mut inbox = inbox();
    let most = RECENT_ESTOPS as u64;
    for seq in 1..=most + 1 {
        arrive(&mut inbox, estop(seq));
        run(&mut inbox);
        finish(&mut inbox, seq);
        run(&mut inbox);
    }
    arrive(&mut inbox, estop(2));
    let again = run_with(&mut inbox, Moment::ZERO, StoredAs::Existing);
    assert_eq!(again, ["store 2 Accepted false", "receipt 2 true"]);
    arrive(&mut inbox, estop(1));
    let forgotten = run_with(&mut inbox, Moment::ZERO, StoredAs::Existing);
    assert_eq!(forgotten[0], "execute 1 false", "{forgotten:?}");
}

#[test]
fn a_waiting_command_expires() {
    let mut inbox = inbox();
    arrive(&mut inbox, on_job(1, "job.resume"));
    run(&mut inbox);
    arrive(&mut inbox, start(2));
    run(&mut inbox);
    let InboxOutput::Wait(Some(deadline)) = inbox.poll_output(Moment::ZERO) else { panic!() };
    assert_eq!(deadline, Moment::from_millis(1_001));
    assert_eq!(run_with(&mut inbox, deadline, StoredAs::New), ["finish 2 Expired command.expired"]);
}

#[test]
fn a_full_inbox_still_takes_stops() {
    let options = InboxOptions { capacity: 2, ..InboxOptions::default() };
    let mut inbox = Inbox::restore(Moment::ZERO, options, Seq(0), Vec::new());
    for seq in 1..=4 {
        arrive(&mut inbox, command(seq, "job.resume", r#"{"job_id":"other"}"#));
        run(&mut inbox);
    }
    arrive(&mut inbox, on_job(5, "job.cancel"));
    assert!(run(&mut inbox).contains(&"execute 5 false".to_owned()));
    arrive(&mut inbox, on_job(6, "job.resume"));
    assert_eq!(run(&mut inbox), ["nack busy"]);
}

#[test]
fn a_store_that_fails_makes_no_promise() {
    let mut inbox = inbox();
    arrive(&mut inbox, start(1));
    assert_eq!(run_with(&mut inbox, Moment::ZERO, StoredAs::Failed), ["store 1 Accepted false", "nack busy"]);
    assert_eq!(inbox.cmd_seq(), Seq(0));
}

#[test]
fn after_a_restart_nothing_that_may_have_begun_begins_again() {
    let rows = vec![
        restored(start(1), CommandStatus::Executing, Some(0)),
        restored(on_job(2, "job.resume"), CommandStatus::Accepted, Some(900)),
        restored(on_job(3, "job.resume"), CommandStatus::Received, Some(1_001)),
        restored(on_job(4, "job.resume"), CommandStatus::Accepted, None),
        restored(estop(5), CommandStatus::Accepted, Some(0)),
        restored(start(6), CommandStatus::Done, None),
    ];
    let mut inbox = Inbox::restore(Moment::ZERO, InboxOptions::default(), Seq(0), rows);
    assert_eq!(inbox.cmd_seq(), Seq(6));
    let said = run(&mut inbox);
    assert_eq!(
        said,
        [
            "finish 1 Indeterminate agent.restarted",
            "finish 2 Cancelled job.cancelled",
            "finish 3 Expired command.expired",
            "finish 4 Expired command.expired",
            "finish 5 Indeterminate agent.restarted"
        ]
    );
}

#[test]
fn after_a_restart_what_was_accepted_in_time_is_carried_out() {
    let rows = vec![restored(start(7), CommandStatus::Accepted, Some(900))];
    let mut inbox = Inbox::restore(Moment::ZERO, InboxOptions::default(), Seq(6), rows);
    assert_eq!(run(&mut inbox), ["execute 7 true"]);
}

#[test]
fn an_emergency_stop_that_could_not_be_stored_is_told_when_it_is_repeated() {
    let mut inbox = inbox();
    arrive(&mut inbox, estop(1));
    let said = run_with(&mut inbox, Moment::ZERO, StoredAs::Failed);
    assert_eq!(said, ["execute 1 false", "store 1 Accepted false", "nack busy"]);
    finish(&mut inbox, 1);
    inbox.handle_command(
        Moment::ZERO,
        Arrival { command: estop(1), ttl_ms: Some(5), age_ms: 9, id: None, unsigned: None },
    );
    assert_eq!(run(&mut inbox), ["store 1 Accepted false", "receipt 1 false", "finish 1 Done"]);
}
