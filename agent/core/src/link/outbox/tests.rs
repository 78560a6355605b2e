use spoolway_protocol::raw::Extra;

use super::*;

const WINDOW: Window = Window { events: EVENT_WINDOW_ITEMS, bytes: EVENT_WINDOW_BYTES };

const fn at(epoch: u64, seq: u64) -> Position {
    Position { epoch: Epoch(epoch), seq: Seq(seq) }
}

const fn ack(epoch: u64, seq: u64) -> EventAck {
    EventAck { epoch: Epoch(epoch), seq: Seq(seq), extra: Extra(std::collections::BTreeMap::new()) }
}

/// A store and the machine over it.
struct Bench {
    outbox: Outbox,
    rows: Vec<StoredEvent>,
}

impl Bench {
    fn new(events: &[(u64, u64)], bytes: usize) -> Self {
        let text = || Raw::parse(format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)))).unwrap();
        let rows =
            events.iter().map(|&(epoch, seq)| StoredEvent { at: at(epoch, seq), text: text() }).collect();
        let mut outbox = Outbox::new(OutboxOptions::default(), 1);
        outbox.handle_connected(WINDOW);
        Self { outbox, rows }
    }

    /// Carries out everything until the machine waits: the batches, and until when it waits.
    fn run(&mut self, now: Moment) -> (Vec<(Position, Position)>, Option<Moment>) {
        let mut sent = Vec::new();
        loop {
            match self.outbox.poll_output(now) {
                OutboxOutput::Wait(until) => return (sent, until),
                OutboxOutput::Send { first, last, body } => {
                    assert!(body.get().len() <= EVENT_BYTES + 20);
                    sent.push((first, last));
                }
                OutboxOutput::Forget(to) => self.rows.retain(|row| row.at.epoch != to.epoch || row.at > to),
                OutboxOutput::Load { after, items, bytes } => {
                    let mut sum = 0;
                    let behind = self.rows.iter().filter(|row| after.is_none_or(|after| row.at > after));
                    let fits = |row: &&StoredEvent| {
                        sum += row.text.get().len();
                        sum <= bytes
                    };
                    let rows = behind.take_while(fits).take(items).cloned().collect();
                    self.outbox.handle_loaded(rows);
                }
            }
        }
    }
}

fn seqs(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, u64)> {
    range.map(|seq| (1, seq)).collect()
}

#[test]
fn the_window_holds_256_items_and_an_ack_opens_it() {
    let mut bench = Bench::new(&seqs(1..=600), 100);
    let (sent, until) = bench.run(Moment::ZERO);
    assert_eq!((sent[0].0, sent.last().unwrap().1), (at(1, 1), at(1, 256)));
    assert!(until.is_some());
    bench.outbox.handle_ack(Moment::from_millis(50), &ack(1, 200));
    let (sent, _) = bench.run(Moment::from_millis(50));
    assert_eq!((sent[0].0, sent.last().unwrap().1), (at(1, 257), at(1, 456)));
    assert_eq!(bench.rows[0].at, at(1, 201));
}

#[test]
fn the_window_holds_512_kib_and_a_message_60_kib() {
    let mut bench = Bench::new(&seqs(1..=50), 20_000);
    let (sent, _) = bench.run(Moment::ZERO);
    let bytes = bench.outbox.unacked() * 20_000;
    assert!(bytes <= 512 * 1024 && bytes > 440 * 1024, "{bytes}");
    assert!(sent.iter().all(|(first, last)| last.seq.0 - first.seq.0 < 3));
}

#[test]
fn a_reconnect_goes_back_to_the_last_ack() {
    let mut bench = Bench::new(&seqs(1..=10), 100);
    bench.run(Moment::ZERO);
    bench.outbox.handle_ack(Moment::ZERO, &ack(1, 4));
    bench.run(Moment::ZERO);
    bench.outbox.handle_disconnected();
    assert_eq!(bench.run(Moment::ZERO), (vec![], None));
    bench.outbox.handle_connected(WINDOW);
    assert_eq!(bench.run(Moment::ZERO).0, [(at(1, 5), at(1, 10))]);
}

#[test]
fn while_the_owner_is_away_one_batch_is_tried_ever_more_rarely() {
    let mut bench = Bench::new(&seqs(1..=256), 2_000);
    let (mut now, mut waits) = (Moment::ZERO, Vec::new());
    assert!(bench.run(now).0.len() > 5);
    for _ in 0..30 {
        bench.outbox.handle_nack(now);
        let (sent, until) = bench.run(now);
        assert_eq!(sent, []);
        waits.push(until.unwrap().since(now).as_millis());
        now = until.unwrap();
        assert_eq!(bench.run(now).0.len(), 1);
    }
    assert!(waits.iter().all(|wait| (5_000..=60_000).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > 30_000), "{waits:?}");
    bench.outbox.handle_ack(now, &ack(1, 10));
    assert!(bench.run(now).0.len() > 5, "an ack opens the flow at once");
}

#[test]
fn an_owner_that_speaks_is_tried_at_once() {
    let mut bench = Bench::new(&seqs(1..=256), 2_000);
    assert!(bench.run(Moment::ZERO).0.len() > 5);
    for _ in 0..3 {
        bench.outbox.handle_nack(Moment::ZERO);
        assert_eq!(bench.run(Moment::ZERO).0, []);
        bench.outbox.handle_owner_heard();
        assert_eq!(bench.run(Moment::ZERO).0.len(), 1);
        bench.outbox.handle_owner_heard();
        assert_eq!(bench.run(Moment::ZERO).0, [], "one is on its way");
    }
    bench.outbox.handle_ack(Moment::ZERO, &ack(1, 10));
    assert!(bench.run(Moment::ZERO).0.len() > 5);
    bench.outbox.handle_disconnected();
    bench.outbox.handle_nack(Moment::ZERO);
    bench.outbox.handle_owner_heard();
    assert_eq!(bench.run(Moment::ZERO).0, []);
}

#[test]
fn an_epoch_waits_for_the_one_before() {
    let mut bench = Bench::new(&[(1, 8), (1, 9), (2, 1), (2, 2)], 100);
    assert_eq!(bench.run(Moment::ZERO).0, [(at(1, 8), at(1, 9))]);
    bench.outbox.handle_ack(Moment::ZERO, &ack(2, 2));
    assert_eq!(bench.run(Moment::ZERO).0, []);
    bench.outbox.handle_ack(Moment::ZERO, &ack(1, 9));
    assert_eq!(bench.run(Moment::ZERO).0, [(at(2, 1), at(2, 2))]);
}

#[test]
fn an_ack_of_what_was_never_sent_is_not_believed() {
    let mut bench = Bench::new(&seqs(1..=2), 100);
    bench.run(Moment::ZERO);
    bench.rows.push(StoredEvent { at: at(1, 3), text: Raw::default() });
    bench.outbox.handle_ack(Moment::ZERO, &ack(1, 99));
    bench.outbox.handle_appended();
    assert_eq!(bench.run(Moment::ZERO).0, [(at(1, 3), at(1, 3))]);
}

#[test]
fn a_new_event_is_sent_at_once_and_an_idle_outbox_sleeps() {
    let mut bench = Bench::new(&[], 100);
    assert_eq!(bench.run(Moment::ZERO), (vec![], None));
    bench.rows.push(StoredEvent { at: at(1, 1), text: Raw::default() });
    bench.outbox.handle_appended();
    assert_eq!(bench.run(Moment::ZERO).0, [(at(1, 1), at(1, 1))]);
}

#[test]
fn an_answer_from_before_a_reconnect_is_dropped() {
    let mut outbox = Outbox::new(OutboxOptions::default(), 1);
    outbox.handle_connected(WINDOW);
    assert!(matches!(outbox.poll_output(Moment::ZERO), OutboxOutput::Load { .. }));
    outbox.handle_disconnected();
    outbox.handle_connected(WINDOW);
    assert_eq!(outbox.poll_output(Moment::ZERO), OutboxOutput::Wait(None));
    outbox.handle_loaded(vec![StoredEvent { at: at(1, 5), text: Raw::default() }]);
    assert!(matches!(outbox.poll_output(Moment::ZERO), OutboxOutput::Load { after: None, .. }));
}

#[test]
fn an_event_that_was_appended_while_the_store_was_read_is_not_forgotten() {
    let mut outbox = Outbox::new(OutboxOptions::default(), 1);
    outbox.handle_connected(WINDOW);
    assert!(matches!(outbox.poll_output(Moment::ZERO), OutboxOutput::Load { .. }));
    outbox.handle_appended();
    outbox.handle_loaded(Vec::new());
    assert!(matches!(outbox.poll_output(Moment::ZERO), OutboxOutput::Load { .. }));
    outbox.handle_loaded(Vec::new());
    assert_eq!(outbox.poll_output(Moment::ZERO), OutboxOutput::Wait(None));
}
