//! Who takes part, by what name, and the dice that choose.

use spoolway_protocol::hello::Window;
use spoolway_protocol::{Address, AgentId, BackendId, Sha256Hex};
use spoolway_relay::session::Options;

pub(crate) const AGENTS: usize = 4;

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Who {
    Agent(usize),
    Backend(usize),
    /// A process of that agent's owner, which waits for the agent's answers only.
    Guest(usize),
}

pub(crate) fn agent_id(agent: usize) -> AgentId {
    AgentId::from_bytes([agent as u8 + 1; 16])
}

pub(crate) fn owner(agent: usize) -> usize {
    agent % 2
}

pub(crate) fn backend_id(backend: usize) -> BackendId {
    format!("b{backend}").parse().unwrap()
}

pub(crate) fn address(who: Who) -> Address {
    match who {
        Who::Agent(agent) => Address::Agent(agent_id(agent)),
        Who::Backend(backend) => Address::Backend(backend_id(backend)),
        Who::Guest(agent) => Address::Backend(backend_id(owner(agent))),
    }
}

pub(crate) fn options() -> Options {
    Options {
        relay_id: "sim".into(),
        hb_ms: 1_000,
        dead_ms: 2_500,
        hello_timeout_ms: 500,
        window: Window { events: 256, bytes: 1 },
        telem: Default::default(),
    }
}

pub(crate) fn hello(agent: usize, machine: u8) -> String {
    let (id, hash) = (agent_id(agent), Sha256Hex([machine; 32]));
    format!(
        r#"{{"v":1,"t":"hello","body":{{"agent_id":"{id}","kid":"k","proto":"spoolway.v1","hello_ctr":1,"boot_id":"b","machine_hash":"{hash}","agent":{{"ver":"","build":"","os":"","arch":"","model":""}},"outbox":{{"epoch":1,"next_seq":1,"oldest_unacked":1}},"cmd_seq":0,"sig":"AA=="}}}}"#
    )
}
