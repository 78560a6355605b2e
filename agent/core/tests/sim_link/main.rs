//! Outbox and inbox against a lossy, doubling, reordering link, a backend that goes away and a process that dies anywhere:
//! every event arrives once and in order, every command has one result and is carried out at most once.

mod backend;
mod checks;
mod world;

use spoolway_protocol::command::CommandStatus;

use crate::world::{Cut, World};

const SEEDS: u64 = 1_000;

#[test]
fn nothing_is_lost_and_nothing_happens_twice() {
    let mut cut = Cut::default();
    let (mut crashes, mut done, mut indeterminate, mut cancelled, mut events) = (0, 0, 0, 0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..600 {
            world.bad_step();
        }
        world.settle();
        world.check_events();
        world.check_commands();
        world.check_stops();
        crashes += world.crashes;
        cut.add(world.cut);
        events += world.committed.values().map(Vec::len).sum::<usize>();
        let count = |status| world.store.rows.values().filter(|(row, _)| row.status == status).count();
        done += count(CommandStatus::Done);
        indeterminate += count(CommandStatus::Indeterminate);
        cancelled += count(CommandStatus::Cancelled);
    }
    // The model has met what it was made for.
    let met = format!(
        "{crashes} crashes, {done} done, {indeterminate} indeterminate, {cancelled} cancelled, {events} events"
    );
    assert!(
        crashes > 1_000 && done > 1_000 && indeterminate > 50 && cancelled > 50 && events > 10_000,
        "{met}"
    );
    // The relay has died in each phase of a delivery.
    let Cut { offers, receipts, events, acks } = cut;
    assert!(offers > 300 && receipts > 300 && events > 300 && acks > 300, "{cut:?}");
}
