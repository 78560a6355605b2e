//! A disk, an owner, a server and bad links around one transfer, in virtual time.

mod seeds;
mod server;
mod steps;

use sha2::{Digest, Sha256};
use spoolway_protocol::ids::Sha256Hex;
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::transfer::{Chunk, ChunkEnd, ChunkErr, ChunkErrCode, ChunkGet};

use super::*;
use server::{Heard, Server};

const CHUNK: usize = CHUNK_PAYLOAD_BYTES;

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn spec(body: &[u8]) -> FileSpec {
    FileSpec {
        file_id: FileId::new("f").unwrap(),
        size: body.len() as u64,
        sha256: Sha256Hex(Sha256::digest(body).into()),
        chunk: CHUNK as u32,
        chunks_sha256: None,
        name: "f.gcode".to_owned(),
        ptype: None,
        gtype: None,
        extra: Extra::default(),
    }
}

/// The same with a digest of every piece.
fn spec_of_pieces(body: &[u8], chunk: usize) -> FileSpec {
    let hashes = body.chunks(chunk).map(|piece| Sha256Hex(Sha256::digest(piece).into())).collect();
    FileSpec { chunk: chunk as u32, chunks_sha256: Some(hashes), ..spec(body) }
}

fn https(url: &str) -> SourceSpec {
    SourceSpec::Https { url: url.to_owned().into(), expires_at: None }
}

/// The owner's side, as the rules of `chunk.get` have it.
struct Sender {
    stream: Option<u32>,
    next: u64,
    limit: u64,
    payload: usize,
}

impl Default for Sender {
    fn default() -> Self {
        Self { stream: None, next: 0, limit: 0, payload: CHUNK }
    }
}

impl Sender {
    fn handle(&mut self, get: &ChunkGet) {
        assert!(get.credit > 0);
        if self.stream != Some(get.stream) {
            *self = Self { stream: Some(get.stream), next: get.offset, limit: 0, payload: self.payload };
        }
        self.limit = self.limit.max(get.offset + u64::from(get.credit) * CHUNK as u64);
    }

    fn chunk<'a>(&mut self, body: &'a [u8]) -> Option<Chunk<'a>> {
        let from = usize::try_from(self.next).unwrap();
        let stream = self.stream.filter(|_| self.next < self.limit && from < body.len())?;
        let payload = &body[from..body.len().min(from + self.payload)];
        self.next += payload.len() as u64;
        Some(Chunk { to: [0; 16], stream, offset: from as u64, payload })
    }
}

#[derive(Debug, PartialEq)]
enum End {
    Complete,
    Failed(Fault),
}

struct World {
    spec: FileSpec,
    sources: Vec<SourceSpec>,
    options: TransferOptions,
    transfer: Transfer,
    sender: Sender,
    server: Server,
    disk: Vec<u8>,
    durable: usize,
    durable_every: usize,
    now: Moment,
    /// URLs that the owner has left to give; without one it says nothing.
    urls: Vec<String>,
    urls_asked: usize,
    starts_over: usize,
    /// What the file has to be, where that is compared and not hashed.
    truth: Option<Vec<u8>>,
}

impl World {
    /// A file of which nothing is here.
    fn new(spec: &FileSpec, sources: &[SourceSpec]) -> Self {
        let options = TransferOptions::default();
        let mut world = Self {
            spec: spec.clone(),
            sources: sources.to_vec(),
            options,
            transfer: Transfer::new(spec, sources.to_vec(), options, 1),
            sender: Sender::default(),
            server: Server::default(),
            disk: Vec::new(),
            durable: 0,
            durable_every: 4 << 20,
            now: Moment::ZERO,
            urls: Vec::new(),
            urls_asked: 0,
            starts_over: 0,
            truth: None,
        };
        world.transfer.handle_opened(0);
        world
    }

    /// Through the relay alone.
    fn relayed(spec: &FileSpec) -> Self {
        let mut world = Self::new(spec, &[SourceSpec::Relay]);
        world.transfer.handle_connected();
        world
    }

    /// Carries out everything until the machine waits or ends.
    fn settle(&mut self) -> Result<Option<Moment>, End> {
        loop {
            match self.transfer.poll_output(self.now) {
                TransferOutput::Wait(until) => return Ok(until),
                TransferOutput::Complete => return Err(End::Complete),
                TransferOutput::Failed { fault, detail } => {
                    assert!(!detail.is_empty() && !detail.contains("s3cret"), "{detail}");
                    return Err(End::Failed(fault));
                }
                TransferOutput::Request(get) => self.sender.handle(&get),
                TransferOutput::Fetch(get) => self.server.handle(get),
                TransferOutput::Grant { attempt, bytes } => self.server.grant(attempt, bytes),
                TransferOutput::Abandon { attempt } => self.server.abandon(attempt),
                TransferOutput::AskUrl(asked) => {
                    assert_eq!(asked.file_id, self.spec.file_id);
                    self.urls_asked += 1;
                    if let Some(url) = self.urls.pop() {
                        self.transfer.handle_url(url.into(), None);
                    }
                }
                TransferOutput::Write { offset, bytes } => {
                    assert_eq!(offset, self.disk.len() as u64);
                    self.disk.extend(bytes);
                    self.durable = self.disk.len() / self.durable_every * self.durable_every;
                    self.transfer.handle_written(self.disk.len() as u64);
                }
                TransferOutput::Finish => {
                    let is_announced = match &self.truth {
                        Some(truth) => *truth == self.disk,
                        None => self.spec.sha256.0 == <[u8; 32]>::from(Sha256::digest(&self.disk)),
                    };
                    self.transfer.handle_finished(is_announced);
                }
                TransferOutput::StartOver => {
                    self.disk.clear();
                    (self.durable, self.starts_over) = (0, self.starts_over + 1);
                    self.transfer.handle_opened(0);
                }
            }
        }
    }

    /// Whatever the owner or the server has for the transfer at this moment; whether there was anything.
    fn carry(&mut self, body: &[u8]) -> bool {
        if let Some(chunk) = self.sender.chunk(body) {
            self.transfer.handle_chunk(self.now, &chunk);
            return true;
        }
        let Some((attempt, heard)) = self.server.next() else { return false };
        self.hear(attempt, heard);
        true
    }

    fn hear(&mut self, attempt: u32, heard: Heard) {
        match heard {
            Heard::Head(head) => self.transfer.handle_head(self.now, attempt, &head),
            Heard::Body(bytes) => self.transfer.handle_body(self.now, attempt, &bytes),
            Heard::End => self.transfer.handle_body_end(self.now, attempt),
            Heard::Lost => self.transfer.handle_lost(self.now, attempt, None, "cut"),
        }
    }

    /// Hands over bytes until nothing moves any more.
    fn pull(&mut self, body: &[u8]) -> Result<Option<Moment>, End> {
        let mut until = self.settle()?;
        while self.carry(body) {
            until = self.settle()?;
        }
        Ok(until)
    }

    /// The same, and waits where the machine waits, so many times.
    fn patiently(&mut self, body: &[u8], waits: usize) -> End {
        for _ in 0..waits {
            match self.pull(body) {
                Ok(until) => self.now = until.expect("it waits for something").max(self.now),
                Err(end) => return end,
            }
        }
        panic!("it never ended; {} bytes are here", self.transfer.received());
    }

    /// Small chunks, little credit and many durable points, so that a short file meets every edge.
    fn narrow(&mut self) {
        self.options.credit = 1;
        self.transfer.options.credit = 1;
        self.durable_every = 64 * 1024;
        self.sender.payload = 8 * 1024;
        self.server.at_once = 5_000;
    }

    /// The process dies: what was not durable is gone.
    fn restart(&mut self, seed: u64) {
        self.disk.truncate(self.durable);
        self.transfer = Transfer::new(&self.spec, self.sources.clone(), self.options, seed);
        self.sender = Sender { payload: self.sender.payload, ..Sender::default() };
        self.server.forget();
        self.transfer.handle_opened(self.durable as u64);
    }
}

#[test]
fn an_offer_that_comes_again_is_asked_at_once_and_from_where_the_file_stands() {
    let body = body(3 * CHUNK);
    let now = Moment::ZERO;
    let mut transfer = Transfer::new(&spec(&body), vec![SourceSpec::Relay], TransferOptions::default(), 1);
    transfer.handle_opened(0);
    transfer.handle_offered_again();
    assert_eq!(transfer.poll_output(now), TransferOutput::Wait(None), "without a session nobody is asked");
    transfer.handle_connected();
    let TransferOutput::Request(get) = transfer.poll_output(now) else { panic!("nothing is asked") };
    let chunk = Chunk { to: [0; 16], stream: get.stream, offset: 0, payload: &body[..CHUNK] };
    transfer.handle_chunk(now, &chunk);
    transfer.handle_nack(now);
    while !matches!(transfer.poll_output(now), TransferOutput::Wait(Some(_))) {}
    transfer.handle_offered_again();
    let TransferOutput::Request(again) = transfer.poll_output(now) else { panic!("it rests all the same") };
    assert_eq!((again.stream, again.offset), (get.stream.wrapping_add(1), CHUNK as u64));
}
