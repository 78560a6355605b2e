//! What routing alone costs, for a small body and for a large one: the relay's own code, without socket, TLS and websocket.
//!
//! A frame of a backend to one of its agents is looked at by the session, looked up in the table, given its sender's name, put
//! into the receiver's mailbox and taken out again. Before that each frame is read once, from its first byte to its last:
//! nobody is sent what is no JSON, and what stands behind a body that seems to end early cannot pass for a head. That is
//! shown apart. Looking at the UTF-8 of a frame and copying it from the read buffer belong to the websocket and are in neither.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytestring::ByteString;
use serde::Serialize;
use spoolway_protocol::hello::Window;
use spoolway_protocol::ids::SessionId;
use spoolway_protocol::telemetry::TelemConfig;
use spoolway_protocol::{Address, AgentId, BackendId, Route};
use spoolway_relay::clock::{Clock, Now};
use spoolway_relay::config::Config;
use spoolway_relay::mailbox::{Bound, Class, Letter, Mailbox};
use spoolway_relay::router::{AgentLogin, ConnId, Router};
use spoolway_relay::session::{Heard, Options, Session};

use super::super::message::Template;

/// Agents in the table.
const AGENTS: u32 = 10_000;
const SMALL: usize = 300;
const LARGE: usize = 36 * 1024;
/// How long one turn takes, and how many there are of each; the best counts.
const TURN: Duration = Duration::from_millis(200);
const TURNS: usize = 5;

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench::relay) struct Routing {
    pub(in crate::bench::relay) small_bytes: usize,
    pub(in crate::bench::relay) large_bytes: usize,
    pub(in crate::bench::relay) small_ns: f64,
    pub(in crate::bench::relay) large_ns: f64,
    /// What reading the two costs.
    pub(in crate::bench::relay) read_ns: [f64; 2],
    /// The second for each of the first.
    pub(in crate::bench::relay) ratio: f64,
}

impl Routing {
    /// Measures both, in turn.
    pub(in crate::bench::relay) fn measure() -> anyhow::Result<Self> {
        let mut table = Table::build()?;
        let frames = [SMALL, LARGE].map(|bytes| table.frame(bytes));
        let (mut best, mut read_ns) = ([f64::INFINITY; 2], [f64::INFINITY; 2]);
        for _ in 0..TURNS {
            for ((best, read), frame) in best.iter_mut().zip(&mut read_ns).zip(&frames) {
                let head = Route::parse(frame)?;
                *best = best.min(turn(|| table.route(black_box(&head), frame))?);
                *read = read.min(turn(|| {
                    black_box(Route::parse(black_box(frame))?);
                    Ok(())
                })?);
            }
        }
        let [small_ns, large_ns] = best;
        let (small_bytes, large_bytes) = (SMALL, LARGE);
        Ok(Self { small_bytes, large_bytes, small_ns, large_ns, read_ns, ratio: large_ns / small_ns })
    }
}

struct Table {
    session: Session,
    router: Router<u32>,
    mailbox: Mailbox,
    backend: BackendId,
    conn: ConnId,
    from: Address,
    now: Now,
}

impl Table {
    fn build() -> anyhow::Result<Self> {
        let (config, now) = (Config::default(), Clock::start().now());
        let backend: BackendId = "bench".parse()?;
        let mut router = Router::default();
        let conn = ConnId(u64::from(AGENTS));
        router.join_backend(conn, AGENTS, &backend, "bench");
        for agent in 0..AGENTS {
            router.join_agent(ConnId(agent.into()), agent, login(agent, &backend)?);
        }
        let bound = Bound { frames: config.limits.mailbox_frames, bytes: config.limits.mailbox_bytes };
        let session = Session::backend(now, &options(&config), SessionId::new("bench").context("a name")?);
        let from = Address::Backend(backend.clone());
        Ok(Self {
            session,
            router,
            mailbox: Mailbox::new([bound; Class::ALL.len()]),
            backend,
            conn,
            from,
            now,
        })
    }

    /// A command to an agent in the middle.
    fn frame(&self, bytes: usize) -> ByteString {
        let to = Address::Agent(agent_id(AGENTS / 2)).to_string();
        let text = Template::command(&to, 0, bytes)
            .stamp(super::super::message::Mark { agent: 0, number: 0, sent_ns: 0 })
            .to_vec();
        text.try_into().expect("a template is text")
    }

    fn route(&mut self, head: &Route<'_>, frame: &ByteString) -> anyhow::Result<()> {
        let Heard::Forward(head, to) = self.session.handle_frame(self.now, Ok(head.clone())) else {
            bail!("the session does not pass the frame on");
        };
        let routed = self.router.route_backend(&self.backend, self.conn, &to);
        black_box(routed.ok().context("nobody is there")?);
        let letter = Letter::of(&head, frame, &self.from, self.conn, self.now.ms);
        self.mailbox.push(letter).ok().context("the mailbox is full")?;
        black_box(self.mailbox.pop());
        Ok(())
    }
}

/// Nanoseconds each time.
fn turn(mut once: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < TURN {
        for _ in 0..64 {
            once()?;
        }
        count += 64;
    }
    Ok(began.elapsed().as_nanos() as f64 / f64::from(count))
}

fn agent_id(agent: u32) -> AgentId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&agent.to_be_bytes());
    AgentId::from_bytes(id)
}

fn login(agent: u32, backend: &BackendId) -> anyhow::Result<AgentLogin> {
    Ok(AgentLogin {
        agent: agent_id(agent),
        owner: backend.clone(),
        organisation: "bench".to_owned(),
        boot_id: "boot-1".parse()?,
        machine_hash: "ab".repeat(32).parse()?,
        up: "{}".into(),
    })
}

fn options(config: &Config) -> Options {
    let Config { session, telemetry, .. } = config;
    Options {
        relay_id: config.relay.id.clone(),
        hb_ms: session.hb_ms,
        dead_ms: session.dead_ms,
        hello_timeout_ms: session.hello_timeout_ms,
        window: Window { events: session.window_events, bytes: session.window_bytes },
        telem: TelemConfig {
            idle_ms: telemetry.idle_ms,
            printing_ms: telemetry.printing_ms,
            watch_ms: telemetry.watch_ms,
            watch_ttl_ms: Some(telemetry.watch_ttl_ms),
            extra: Default::default(),
        },
    }
}
