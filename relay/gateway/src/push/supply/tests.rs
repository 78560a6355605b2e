//! Tests of a body on its way: an agent that loses, comes back and grants as it likes, over many seeds.

use spoolway_protocol::raw::Extra;

use super::*;

const AGENT: AgentId = AgentId::from_bytes([7; 16]);

fn file_id() -> FileId {
    "f".parse().unwrap()
}

fn get(stream: u32, offset: u64, size: u64, credit: u32) -> ChunkGet {
    ChunkGet { file_id: file_id(), stream, offset, len: size - offset, credit, extra: Extra::default() }
}

fn body(size: u64) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// xorshift
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Carries a whole file; the agent loses chunks and begins again where it stands. Returns what the agent has and the most that was kept.
fn carry(seed: u64, size: u64, begin: u64) -> (Vec<u8>, usize) {
    let (file, mut rng) = (body(size), Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
    let mut supply = Supply::new(AGENT, file_id(), size, begin);
    let mut has = file[..usize::try_from(begin).unwrap()].to_vec();
    let (mut from, mut stream, mut most) = (usize::try_from(begin).unwrap(), 1, 0);
    supply.handle_get(&get(stream, begin, size, 4)).unwrap();
    loop {
        let kept: usize = supply.kept.iter().map(|(_, chunk)| chunk.len()).sum();
        most = most.max(kept + supply.partial.len());
        match supply.poll() {
            Want::Body => {
                let piece = usize::try_from(1 + rng.below(9_000)).unwrap().min(file.len() - from);
                assert!(piece > 0, "nothing is wanted beyond the end");
                supply.handle_body(&file[from..from + piece]);
                from += piece;
            }
            Want::Send(frame) => {
                let chunk = Chunk::decode(&frame).unwrap();
                assert_eq!((chunk.to, chunk.stream), ([7; 16], stream));
                if chunk.offset == has.len() as u64 && rng.below(4) > 0 {
                    has.extend_from_slice(chunk.payload);
                }
                if has.len() as u64 == size {
                    return (has, most);
                }
                if rng.below(3) == 0 {
                    supply.handle_get(&get(stream, has.len() as u64, size, 4)).unwrap();
                }
            }
            // The agent waits for what was lost, and begins anew.
            Want::Agent | Want::End(_) => {
                stream += 1;
                if rng.below(2) == 0 {
                    supply.handle_lost();
                }
                supply.handle_get(&get(stream, has.len() as u64, size, 4)).unwrap();
            }
        }
    }
}

#[test]
fn whatever_is_lost_on_the_way_the_file_arrives_and_no_more_than_the_credit_is_kept() {
    for seed in 0..300 {
        let size = 1 + Rng(seed + 99).below(20 * CHUNK);
        for begin in [0, size / 3] {
            let (has, most) = carry(seed, size, begin);
            assert!(has == body(size), "seed {seed}, {size} bytes from {begin}");
            // Chunks that begin before the border, and the one that the agent has a part of.
            assert!(most <= 5 * CHUNK_PAYLOAD_BYTES, "seed {seed}: {most} bytes");
        }
    }
}

#[test]
fn nothing_is_read_before_the_agent_asks_nor_beyond_its_credit() {
    let size = 10 * CHUNK;
    let mut supply = Supply::new(AGENT, file_id(), size, 0);
    assert_eq!(supply.poll(), Want::Agent);
    supply.handle_get(&get(1, 0, size, 2)).unwrap();
    for _ in 0..2 {
        assert_eq!(supply.poll(), Want::Body);
        supply.handle_body(&vec![1; CHUNK_PAYLOAD_BYTES]);
        assert!(matches!(supply.poll(), Want::Send(_)));
    }
    assert_eq!((supply.poll(), supply.sent()), (Want::Agent, 2 * CHUNK));
    supply.handle_get(&get(1, CHUNK, size, 2)).unwrap();
    assert_eq!(supply.poll(), Want::Body);
}

#[test]
fn an_agent_that_grants_more_than_any_needs_gets_no_more_kept_for_it() {
    let size = 100 * CHUNK;
    let mut supply = Supply::new(AGENT, file_id(), size, 0);
    supply.handle_get(&get(1, 0, size, u32::MAX)).unwrap();
    let mut sent = 0;
    loop {
        match supply.poll() {
            Want::Body => supply.handle_body(&vec![1; CHUNK_PAYLOAD_BYTES]),
            Want::Send(_) => sent += 1,
            other => break assert_eq!(other, Want::Agent),
        }
    }
    assert_eq!(sent, MOST_CREDIT);
}

#[test]
fn what_the_agent_has_is_passed_over_and_what_has_passed_is_not_had_again() {
    let (size, file) = (3 * CHUNK, body(3 * CHUNK));
    let mut supply = Supply::new(AGENT, file_id(), size, 0);
    supply.handle_get(&get(1, 2 * CHUNK, size, 4)).unwrap();
    let (mut from, mut frames) = (0, Vec::new());
    loop {
        match supply.poll() {
            Want::Body => {
                supply.handle_body(&file[from..from + 1_024]);
                from += 1_024;
                assert!(supply.kept.len() <= 1, "what is passed over is not kept");
            }
            Want::Send(frame) => frames.push(frame),
            other => break assert_eq!(other, Want::End(1)),
        }
    }
    assert_eq!(frames.len(), 1);
    let chunk = Chunk::decode(&frames[0]).unwrap();
    assert_eq!((chunk.offset, chunk.payload), (2 * CHUNK, &file[2 * CHUNK_PAYLOAD_BYTES..]));
    assert_eq!(supply.sent(), CHUNK);
    assert_eq!(supply.handle_get(&get(2, CHUNK, size, 4)), Err(Unfit::Passed(CHUNK)));
    assert_eq!(supply.handle_get(&get(3, 0, size + 1, 4)), Err(Unfit::Size(size + 1)));
    let other = ChunkGet { file_id: "g".parse().unwrap(), ..get(3, 0, 5, 4) };
    assert_eq!(supply.handle_get(&other), Ok(()), "it is about another file");
}

#[test]
fn a_body_that_begins_behind_what_the_agent_has_is_of_no_use() {
    let mut supply = Supply::new(AGENT, file_id(), 3 * CHUNK, 2 * CHUNK);
    assert_eq!(supply.handle_get(&get(1, CHUNK, 3 * CHUNK, 4)), Err(Unfit::Passed(CHUNK)));
    assert_eq!(supply.poll(), Want::Agent);
}
