//! Session, router and mailbox under thousands of seeds: second logins, late closes, half-open peers, slow readers, clones.
//!
//! The driver does what the shells do, in an order that the seed chooses.

#![expect(clippy::unwrap_used, reason = "a test may panic, also in what it calls")]

mod answers;
mod clients;
mod guests;
mod names;
mod relay;
mod world;

use std::collections::HashMap;

use names::{Dice, hello, options};
use spoolway_protocol::Route;
use spoolway_protocol::hello::Binding;
use spoolway_relay::clock::Now;
use spoolway_relay::session::{Heard, Output, Session};
use world::World;

const SEEDS: u64 = 2_500;
const STEPS: usize = 150;

#[test]
fn no_frame_is_lost_doubled_altered_or_misled_whatever_the_order() {
    let mut nacks: HashMap<String, usize> = HashMap::new();
    let (mut delivered, mut superseded, mut clones, mut dropped) = (0, 0, 0, 0);
    let (mut copies, mut closed_guests) = (0, 0);
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.settle();
            world
        });
        let world = outcome.unwrap_or_else(|_| panic!("seed {seed}"));
        delivered += world.delivered;
        superseded += world.superseded;
        clones += world.clones;
        dropped += world.dropped;
        copies += world.copies;
        closed_guests += world.closed_guests;
        for (code, count) in world.nacks {
            *nacks.entry(code).or_default() += count;
        }
    }
    // The seeds have to reach what they are for.
    assert!(
        delivered > 20_000 && superseded > 1_000 && clones > 50 && dropped > 0,
        "{delivered} {superseded} {clones} {dropped}"
    );
    assert!(copies > 1_000 && closed_guests > 0, "{copies} copies, {closed_guests} guests closed");
    for code in ["busy", "offline", "unauthorised"] {
        assert!(nacks.get(code).is_some_and(|count| *count > 100), "{nacks:?}");
    }
}

/// Frames with bytes flipped, cut out, doubled: each is passed on, refused or the end, and never a panic.
#[test]
fn mutilated_frames_are_refused_or_end_the_session() {
    let good = [
        hello(0, 0),
        r#"{"v":1,"t":"hb","to":"relay","id":"m1","body":{"n":1}}"#.into(),
        r#"{"v":1,"t":"subscribe","body":{"agents":[],"organisation":"org"}}"#.into(),
        r#"{"v":1,"t":"cmd","to":"b:b0","lane":"urgent","ttl_ms":1,"age_ms":0,"body":{"a":[1,{"b":"\u00e9"}]}}"#.into(),
    ];
    let (mut passed, mut refused, mut ended) = (0, 0, 0);
    for seed in 0..20_000 {
        let mut dice = Dice(seed);
        let mut session = match dice.roll(2) {
            0 => {
                Session::agent(Now::default(), &options(), "s".parse().unwrap(), &[0; 32], Binding::Exporter)
            }
            _ => Session::backend(Now::default(), &options(), "s".parse().unwrap()),
        };
        while session.poll_output().is_some() {}
        let mut bytes = good[dice.roll(good.len())].clone().into_bytes();
        for _ in 0..dice.roll(4) {
            let at = dice.roll(bytes.len());
            match dice.roll(3) {
                0 => bytes[at] = b" {}[]\",:\\0e-~"[dice.roll(13)],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        let heard = session.handle_frame(Now::default(), Route::parse(&text));
        let quiet = matches!(heard, Heard::Nothing);
        if let Heard::Forward(head, to) = heard {
            let out = head.rewrite(&to, 3);
            assert_eq!(Route::parse(&out).unwrap().body, head.body);
        }
        match session.poll_output() {
            Some(Output::Close(_)) => ended += 1,
            Some(Output::Send(answer)) => {
                Route::parse(&answer).unwrap();
                refused += 1;
            }
            None => passed += usize::from(!quiet),
        }
    }
    assert!(passed > 500 && refused > 500 && ended > 500, "{passed} {refused} {ended}");
}
