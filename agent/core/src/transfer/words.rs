//! What a transfer is told at its beginning, and what it has the shell do.

use spoolway_protocol::fault::Fault;
use spoolway_protocol::limits::CHUNK_CREDIT;
use spoolway_protocol::transfer::{ChunkGet, FileUrlRequest};
use spoolway_protocol::url::SecretUrl;

#[cfg(doc)]
use super::Transfer;
use crate::backoff::BackoffOptions;
use crate::moment::Moment;

/// Bounds of a [`Transfer`].
#[derive(Debug, Clone, Copy)]
pub struct TransferOptions {
    /// Chunks that may be under way, and as many again that wait for the disk.
    pub credit: u32,
    /// How long the next chunk of a relay, or as much of a body, may take, in ms.
    pub timeout_ms: u64,
    /// How long the head of an HTTP answer may take from the first packet on, in ms.
    pub head_ms: u64,
    /// Attempts at a source without a single new piece before it counts as useless.
    pub attempts: u32,
    /// URLs that are asked for without a single new piece in between.
    pub renewals: u32,
    /// A URL is renewed before it is used when it works for less than this, in ms.
    pub margin_ms: u64,
    /// How often one piece may come with another digest, and how often that may happen in all.
    pub bad_pieces: (u32, u32),
    /// Waits between attempts.
    pub backoff: BackoffOptions,
}

impl Default for TransferOptions {
    fn default() -> Self {
        let backoff = BackoffOptions { floor_ms: 250, first_ms: 1_000, ..BackoffOptions::RECONNECT };
        Self {
            credit: CHUNK_CREDIT,
            timeout_ms: 15_000,
            head_ms: 60_000,
            attempts: 20,
            renewals: 5,
            margin_ms: 5_000,
            bad_pieces: (4, 64),
            backoff,
        }
    }
}

/// A request for the rest of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGet {
    /// Names the request in everything that is said about it.
    pub attempt: u32,
    /// From where.
    pub url: SecretUrl,
    /// The first byte that is wanted; with 0 no range is asked for.
    pub offset: u64,
    /// `If-Range`.
    pub if_range: Option<String>,
}

/// What the shell has to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum TransferOutput {
    /// Send this to the owner.
    Request(ChunkGet),
    /// Send this request; answer with [`Transfer::handle_head`], or say why there is no answer.
    Fetch(HttpGet),
    /// So many bytes of the body may be read from its beginning on.
    Grant {
        /// Of this request.
        attempt: u32,
        /// In all.
        bytes: u64,
    },
    /// This request is of no interest any more.
    Abandon {
        /// Its name.
        attempt: u32,
    },
    /// Send this to the owner; answer with [`Transfer::handle_url`].
    AskUrl(FileUrlRequest),
    /// Append these bytes, and answer with [`Transfer::handle_written`].
    Write {
        /// Where they stand in the file.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Hold the whole against what was announced, make it durable, and answer with [`Transfer::handle_finished`].
    Finish,
    /// Throw away what was written, and answer with [`Transfer::handle_opened`].
    StartOver,
    /// The file is complete, durable and the one that was announced.
    Complete,
    /// It cannot be had, or it is another one; what was written is worthless.
    Failed {
        /// The stable fault.
        fault: Fault,
        /// For a person.
        detail: String,
    },
    /// Nothing until then; `None` means until something is handled.
    Wait(Option<Moment>),
}
