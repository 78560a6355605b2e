//! Links cut, chunks lost, pieces altered, processes killed, thousands of times: the file is whole in the end.

use super::server::Mood;
use super::*;
use crate::backoff::Jitter;

/// What happens on the way, in so many of a thousand steps.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    cuts: u64,
    kills: u64,
    losses: u64,
    corrupt: u64,
    no_session: u64,
    moods: bool,
}

/// One transfer in bad weather, from its beginning to its end.
fn brave(seed: u64, mut world: World, body: &[u8], weather: Weather) -> World {
    let mut dice = Jitter::new(seed);
    world.truth = Some(body.to_vec());
    world.server.file = body.to_vec();
    world.server.etag = (!seed.is_multiple_of(3)).then(|| "\"v1\"".to_owned());
    world.urls = vec!["https://files.example/again?s3cret".to_owned(); 99];
    if seed % 2 == 1 {
        world.narrow();
    }
    world.transfer.handle_rate(world.now, seed.is_multiple_of(5).then_some(200_000));
    world.transfer.handle_connected();
    let end = (0..20_000).find_map(|_| step(&mut world, &mut dice, body, weather));
    assert_eq!(end, Some(End::Complete), "seed {seed}: stuck at {}", world.transfer.received());
    assert!(world.disk == body, "seed {seed}");
    world
}

fn step(world: &mut World, dice: &mut Jitter, body: &[u8], weather: Weather) -> Option<End> {
    let until = match world.settle() {
        Ok(until) => until,
        Err(end) => return Some(end),
    };
    let Weather { cuts, kills, losses, corrupt, no_session, moods } = weather;
    let drawn = dice.between(0, 999);
    let mut below = 0;
    let mut falls = |part: u64| {
        below += part;
        drawn < below
    };
    if falls(cuts) {
        // Both ways at once, as when a network goes away.
        world.transfer.handle_disconnected();
        if world.server.is_asked() {
            let attempt = world.server.seen.last().map(|get| get.attempt)?;
            world.server.forget();
            world.transfer.handle_lost(world.now, attempt, None, "cut");
        }
        if let Err(end) = world.settle() {
            return Some(end);
        }
        world.transfer.handle_connected();
    } else if falls(kills) {
        world.restart(dice.draw());
        world.transfer.handle_connected();
    } else if falls(losses) {
        world.sender.chunk(body);
    } else if falls(corrupt) {
        if let Some(chunk) = world.sender.chunk(body) {
            let mut payload = chunk.payload.to_vec();
            let at = dice.between(0, payload.len() as u64 - 1) as usize;
            payload[at] ^= 1 << dice.between(0, 7);
            world.transfer.handle_chunk(world.now, &Chunk { payload: &payload, ..chunk });
        } else if let Some((attempt, heard)) = world.server.next() {
            let heard = match heard {
                Heard::Body(mut bytes) => {
                    bytes[0] ^= 0x20;
                    Heard::Body(bytes)
                }
                other => other,
            };
            world.hear(attempt, heard);
        }
    } else if falls(no_session) {
        world.transfer.handle_disconnected();
        world.now = world.now + ms(dice.between(0, 30_000));
        if let Err(end) = world.settle() {
            return Some(end);
        }
        world.transfer.handle_connected();
    } else if !world.carry(body) {
        world.now = until.unwrap_or(world.now).max(world.now);
    }
    if moods && dice.between(0, 9) == 0 {
        let all = [
            Mood::Whole,
            Mood::Short(30_000),
            Mood::Status(503),
            Mood::Status(403),
            Mood::Absent,
            Mood::Stuck(9_000),
            Mood::Cut(70_000),
            Mood::Good,
        ];
        world.server.moods = vec![all[dice.between(0, 7) as usize]];
    }
    None
}

const BAD: Weather = Weather { cuts: 12, kills: 6, losses: 20, corrupt: 0, no_session: 5, moods: true };

#[test]
fn a_file_survives_a_thousand_bad_relays() {
    let body = body(2 * CHUNK + 5);
    let spec = spec(&body);
    for seed in 0..1_000 {
        let weather = Weather { moods: false, ..BAD };
        brave(seed, World::new(&spec, &[SourceSpec::Relay]), &body, weather);
    }
}

#[test]
fn a_file_survives_a_thousand_bad_servers_beside_a_bad_relay() {
    let body = body(3 * CHUNK + 5);
    let spec = spec(&body);
    let sources = [https("https://files.example/f?s3cret"), SourceSpec::Relay];
    let mut by_both = 0;
    for seed in 0..1_000 {
        let world = brave(seed, World::new(&spec, &sources), &body, BAD);
        by_both += usize::from(world.transfer.origins.len() > 1);
    }
    assert!(by_both > 50, "only {by_both} files came from both");
}

#[test]
fn a_file_survives_a_thousand_bad_servers_alone() {
    let body = body(2 * CHUNK + 5);
    let spec = spec(&body);
    for seed in 0..1_000 {
        brave(seed, World::new(&spec, &[https("https://files.example/f?s3cret")]), &body, BAD);
    }
}

#[test]
fn altered_pieces_come_again_and_never_reach_the_disk() {
    let body = body(6 * 4_096 + 5);
    let spec = spec_of_pieces(&body, 4_096);
    let sources = [https("https://files.example/f?s3cret"), SourceSpec::Relay];
    let mut refused = 0;
    for seed in 0..1_000 {
        let mut world = World::new(&spec, &sources);
        world.options.bad_pieces = (99, 999);
        world.transfer.options.bad_pieces = (99, 999);
        (world.sender.payload, world.server.at_once) = (2_000, 1_000);
        let world = brave(seed, world, &body, Weather { corrupt: 60, ..BAD });
        refused += world.transfer.bad_in_all;
        assert_eq!(world.starts_over, 0, "seed {seed}: no piece was taken that is not right");
    }
    assert!(refused > 100, "{refused}");
}
