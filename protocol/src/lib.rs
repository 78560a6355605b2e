//! The words of spoolway.v1: plain serde types, limits and fault codes, and nothing that runs.
//!
//! A frame is an [`Envelope`]. Its `t` names the kind of its body, and decoding takes two steps: first the
//! envelope, whose body stays raw text, then [`Message::decode`] by kind. Commands and
//! events do the same once more with their own `kind`. A relay never takes the second step for a frame that is not addressed to it:
//! it reads a borrowed [`Route`] and passes the body on byte for byte.
//!
//! # Rules for adding a kind
//!
//! 1. A kind is never renamed, removed or given another meaning. A change that an old peer would misread is a new kind.
//! 2. A field is only ever added, and it is optional. Its type and unit never change. Every struct that may grow ends in an
//!    [`Extra`], so that a peer which does not know the field hands it on; only `sig` and `body` may follow it. `Stamp`,
//!    `Window`, `Buffers` and `Spread` are plain values and do not grow.
//! 3. A command that an old agent would carry out wrongly without the new field lists the field's name in `must`.
//! 4. Lists of words that may grow (codes, causes) have an `Unknown` variant. [`JobState`],
//!    [`Outcome`] and [`CommandStatus`] are closed: a new one is a new protocol version.
//! 5. A new kind is one line in the `kinds!` list of [`message`], [`command`] or [`event`], a struct beside it, and one golden
//!    file in `vectors/v1`. The tests fail until the file exists. A released golden file is never edited.
//! 6. The JSON Schema is written anew with `UPDATE_SCHEMA=1 cargo test -p spoolway-protocol --test schema`.

#[macro_use]
mod words;

mod scan;

pub mod audit;
pub mod bed;
pub mod command;
pub mod config;
pub mod disk;
pub mod envelope;
pub mod event;
pub mod fault;
pub mod hand;
pub mod hello;
pub mod identity;
pub mod ids;
pub mod job;
pub mod limits;
pub mod message;
pub mod offer;
pub mod pairing;
pub mod permit;
pub mod preflight;
pub mod printer;
pub mod prompt;
pub mod queue;
pub mod raw;
pub mod record;
pub mod route;
pub mod schema;
pub mod security;
pub mod sensor;
pub mod session;
pub mod start;
pub mod telemetry;
pub mod transfer;
pub mod update;
pub mod url;
pub mod usage;
pub mod version;

pub use command::{Command, CommandArgs, CommandStatus};
pub use envelope::{Envelope, Lane, Stamp};
pub use event::{Event, EventData};
pub use fault::{Fault, FaultCode};
pub use ids::{
    Address, AgentId, BackendId, BootId, CmdId, Epoch, FileId, JobId, MsgId, PermitId, PrinterId, PromptId,
    Seq, Sha256Hex,
};
pub use job::{Doubt, JobState, Outcome};
pub use message::Message;
pub use permit::{Permit, SignedPermit};
pub use raw::{B64, Extra, Raw};
pub use route::Route;
pub use url::SecretUrl;
