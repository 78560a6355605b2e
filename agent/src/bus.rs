//! Every channel between the tasks: what goes through, how much may wait, and what happens when it is full.
//!
//! | channel | bound | when it is full |
//! |---|---|---|
//! | uplink to desk ([`Inbound`]) | [`INBOUND`], and [`HELD`] before it | a command is refused as `busy` and sent again by its backend, a piece of a file is dropped and asked for again |
//! | desk to uplink ([`Outbound`]) | [`OUTBOUND`] | the message is dropped: receipts are repeated with the next copy of their command, chunk requests by their machine's time-out |
//! | desk to uplink ([`HelloState`], [`Readings`], [`Wishes`]) | latest wins | never full |
//! | uplink to desk ([`LinkView`](crate::view::LinkView)) | latest wins | never full |
//! | anybody to printer ([`EmergencyStop`](crate::printer::EmergencyStop)) | a flag | never full; the printer thread looks at it before anything else |
//! | desk to printer ([`Order`](crate::printer::Order)) | [`ORDERS`] | the desk waits; the printer thread takes orders before any line |
//! | printer to desk ([`Snapshot`](crate::printer::Snapshot)) | latest wins | never full; how a run ended stays in it until the next run |
//! | printer to consoles ([`Tap`](crate::printer::Tap)) | 512 pieces | a slow watcher misses the oldest and is told how many |
//! | printer to its dump | 4 conversations | the file misses one, the log has its end |
//! | desk to [`rotation`](crate::rotation) | 4 wishes | the wish is refused |
//! | feeder to printer | 8 batches of 128 commands | the feeder waits |

use spoolway_agent_core::Moment;
use spoolway_protocol::Address;
use spoolway_protocol::command::{Command, CommandReceipt};
use spoolway_protocol::envelope::Lane;
use spoolway_protocol::printer::PrinterSummary;
use spoolway_protocol::session::Nack;
use spoolway_protocol::telemetry::{Readings, TelemConfigArgs};
use spoolway_protocol::transfer::{ChunkDone, ChunkEnd, ChunkErr, ChunkGet, FileUrl, FileUrlRequest};
use tokio::sync::oneshot;

/// Messages of the relay that may wait for the desk.
pub const INBOUND: usize = 64;
/// Messages of the relay that are held for the desk when [`INBOUND`] are waiting, so that a stop behind them is still read.
pub const HELD: usize = 32;
/// Messages that may wait for the relay.
pub const OUTBOUND: usize = 256;
/// Orders that may wait for the printer thread.
pub const ORDERS: usize = 16;

/// A command's body as it came, without its signature, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBody {
    /// The text.
    pub text: String,
    /// The signature.
    pub sig: Vec<u8>,
}

/// What the uplink hands to the desk.
#[derive(Debug)]
pub enum Inbound {
    /// A session stands.
    Connected,
    /// It is gone.
    Disconnected,
    /// Another backend owns this agent now. It is answered once nothing of the one before is left; until then there is no session.
    Owner {
        /// Its address.
        owner: Address,
        /// The answer.
        done: oneshot::Sender<()>,
    },
    /// A command of the owning backend.
    Command {
        /// The command as it came.
        command: Box<Command>,
        /// The envelope's lane.
        lane: Option<Lane>,
        /// How long it is worth anything, in milliseconds from when it was given.
        ttl_ms: Option<u64>,
        /// How old it was when it arrived, in milliseconds.
        age_ms: u64,
        /// What its signature is over, and the signature, if it has one.
        signed: Option<Box<SignedBody>>,
        /// It is an emergency stop, and the uplink has stopped the machine already.
        has_stopped: bool,
    },
    /// A piece of a job file.
    Chunk {
        /// Stream that was asked for.
        stream: u32,
        /// Where in the file it stands.
        offset: u64,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// The backend has sent everything.
    ChunkEnd(ChunkEnd),
    /// The backend cannot send.
    ChunkErr(ChunkErr),
    /// Where a job's file can be had from now on.
    FileUrl(FileUrl),
    /// The relay or the backend refused a message.
    Nack(Nack),
}

/// What the desk says to the owning backend.
#[derive(Debug, Clone)]
pub enum Outbound {
    /// A command is stored.
    Receipt(CommandReceipt),
    /// A command cannot be taken.
    Nack(Nack),
    /// A piece of a job file is wanted.
    ChunkGet(ChunkGet),
    /// No more of a job file is wanted.
    ChunkDone(ChunkDone),
    /// Another URL of a file is wanted.
    FileUrlRequest(FileUrlRequest),
}

/// What a hello says of the desk.
#[derive(Debug, Clone, Default)]
pub struct HelloState {
    /// Highest command number with none missing below it.
    pub cmd_seq: u64,
    /// The printer.
    pub printers: Vec<PrinterSummary>,
}

/// What telemetry is made of.
#[derive(Debug, Clone, Default)]
pub struct Telemetered {
    /// The values.
    pub readings: Readings,
    /// Whether a job holds the printer, so that telemetry is wanted more often.
    pub printing: bool,
}

/// How often the owner wishes telemetry.
#[derive(Debug, Clone, PartialEq)]
pub struct Wishes {
    /// The rates it has named.
    pub rates: TelemConfigArgs,
    /// Somebody watches until then.
    pub watched_until: Moment,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { rates: TelemConfigArgs::default(), watched_until: Moment::ZERO }
    }
}
