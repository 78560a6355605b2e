use super::*;
use crate::backoff::Jitter;

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

/// A disk, an owner and a bad link around one transfer.
struct World {
    transfer: Transfer,
    sender: Sender,
    disk: Vec<u8>,
    durable: usize,
    syncs: Vec<u64>,
    now: Moment,
}

impl World {
    fn new(spec: &FileSpec) -> Self {
        let transfer = Transfer::new(spec, 0, TransferOptions::default(), 1);
        Self {
            transfer,
            sender: Sender::default(),
            disk: Vec::new(),
            durable: 0,
            syncs: Vec::new(),
            now: Moment::ZERO,
        }
    }

    /// Carries out everything until the machine waits or ends.
    fn settle(&mut self) -> Result<Option<Moment>, End> {
        loop {
            match self.transfer.poll_output(self.now) {
                TransferOutput::Wait(until) => return Ok(until),
                TransferOutput::Complete => return Err(End::Complete),
                TransferOutput::Failed { fault, detail } => {
                    assert!(!detail.is_empty());
                    return Err(End::Failed(fault));
                }
                TransferOutput::Request(get) => self.sender.handle(&get),
                TransferOutput::Write { offset, bytes } => {
                    assert_eq!(offset, self.disk.len() as u64);
                    self.disk.extend(bytes);
                }
                TransferOutput::Sync { offset } => {
                    assert_eq!(offset, self.disk.len() as u64);
                    self.durable = self.disk.len();
                    self.syncs.push(offset);
                    self.transfer.handle_durable(offset);
                }
                TransferOutput::ReadBack { offset, len } => {
                    let from = usize::try_from(offset).unwrap();
                    let bytes = self.disk[from..self.disk.len().min(from + len)].to_vec();
                    self.transfer.handle_read_back(self.now, &bytes);
                }
            }
        }
    }

    /// Hands over chunks until nothing moves any more.
    fn pull(&mut self, body: &[u8]) -> Result<Option<Moment>, End> {
        let mut until = self.settle()?;
        while let Some(chunk) = self.sender.chunk(body) {
            self.transfer.handle_chunk(self.now, &chunk);
            until = self.settle()?;
        }
        Ok(until)
    }

    fn connect(&mut self) {
        self.transfer.handle_connected(self.now);
    }

    /// Small chunks, little credit and many durable points, so that a short file meets every edge.
    fn narrow(&mut self) {
        self.transfer.options.credit = 1;
        self.transfer.options.durable_every_bytes = 32 * 1024;
        self.sender.payload = 8 * 1024;
    }

    /// The process dies: what was not durable is gone.
    fn restart(&mut self, spec: &FileSpec, seed: u64) {
        self.disk.truncate(self.durable);
        self.transfer = Transfer::new(spec, self.durable as u64, TransferOptions::default(), seed);
        self.sender = Sender::default();
    }
}

#[test]
fn a_file_arrives_whole_with_durable_points_every_four_mib() {
    let body = body(9 * 1024 * 1024 + 77);
    let mut world = World::new(&spec(&body));
    world.connect();
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert!(world.disk == body);
    assert_eq!(world.syncs, [4 << 20, 8 << 20, body.len() as u64]);
    assert_eq!(world.settle(), Ok(None));
}

#[test]
fn no_more_than_the_credit_is_ever_under_way() {
    let body = body(20 * CHUNK);
    let mut world = World::new(&spec(&body));
    world.connect();
    world.settle().unwrap();
    let mut waiting = Vec::new();
    while let Some(chunk) = world.sender.chunk(&body) {
        waiting.push(chunk);
    }
    assert_eq!(waiting.len(), 4);
    for chunk in waiting {
        world.transfer.handle_chunk(world.now, &chunk);
    }
    world.settle().unwrap();
    assert!(world.sender.limit - world.sender.next <= 4 * CHUNK as u64);
    assert!(world.sender.limit > world.sender.next, "the credit was renewed");
}

#[test]
fn an_empty_file_is_complete_at_once() {
    let mut world = World::new(&spec(&[]));
    assert_eq!(world.settle(), Err(End::Complete));
}

#[test]
fn another_process_goes_on_behind_the_durable_point() {
    let body = body(6 * 1024 * 1024);
    let spec = spec(&body);
    let mut world = World::new(&spec);
    world.connect();
    world.settle().unwrap();
    for _ in 0..70 {
        let chunk = world.sender.chunk(&body).unwrap();
        world.transfer.handle_chunk(world.now, &chunk);
        world.settle().unwrap();
    }
    world.restart(&spec, 2);
    assert_eq!(world.disk.len(), 4 << 20);
    world.settle().unwrap();
    world.connect();
    world.settle().unwrap();
    assert_eq!(world.sender.next, 4 << 20);
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert!(world.disk == body);
}

#[test]
fn an_altered_file_is_named() {
    let body = body(3 * CHUNK - 9);
    let mut altered = body.clone();
    altered[CHUNK] ^= 1;
    let mut world = World::new(&spec(&body));
    world.connect();
    assert_eq!(world.pull(&altered), Err(End::Failed(Fault::JobFileCorrupt)));
    let longer = [body.as_slice(), b"M112"].concat();
    let mut world = World::new(&spec(&body));
    world.connect();
    assert_eq!(world.pull(&longer), Err(End::Failed(Fault::JobFileCorrupt)));
}

#[test]
fn what_the_sender_says_of_its_file_counts() {
    let body = body(3 * CHUNK);
    let good = spec(&body);
    for (size, sha256, fault) in [
        (good.size - 1, None, Fault::JobFileTruncated),
        (good.size + 1, None, Fault::JobFileCorrupt),
        (good.size, Some(Sha256Hex([0; 32])), Fault::JobFileCorrupt),
    ] {
        let mut world = World::new(&good);
        world.connect();
        world.settle().unwrap();
        let end = ChunkEnd { stream: world.transfer.stream, size, sha256, extra: Extra::default() };
        world.transfer.handle_end(world.now, &end);
        assert_eq!(world.settle(), Err(End::Failed(fault)));
    }
}

#[test]
fn errors_of_the_sender_end_it_or_are_waited_out() {
    let body = body(3 * CHUNK);
    for (code, fault) in [
        (ChunkErrCode::NotFound, Some(Fault::JobFileUnavailable)),
        (ChunkErrCode::Changed, Some(Fault::JobFileCorrupt)),
        (ChunkErrCode::BadRange, Some(Fault::JobFileTruncated)),
        (ChunkErrCode::Busy, None),
        (ChunkErrCode::Unknown("tired".to_owned()), None),
    ] {
        let mut world = World::new(&spec(&body));
        world.connect();
        world.settle().unwrap();
        let err =
            ChunkErr { stream: world.transfer.stream, code, detail: String::new(), extra: Extra::default() };
        world.transfer.handle_err(world.now, &err);
        match (world.settle(), fault) {
            (Err(End::Failed(found)), Some(fault)) => assert_eq!(found, fault),
            (Ok(Some(until)), None) => {
                world.now = until;
                assert_eq!(world.pull(&body), Err(End::Complete));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_owner_that_never_answers_is_given_up() {
    let mut world = World::new(&spec(&body(CHUNK)));
    world.connect();
    for round in 0..100 {
        match world.settle() {
            Ok(until) => world.now = until.unwrap(),
            Err(end) => {
                assert_eq!(end, End::Failed(Fault::JobFileUnavailable));
                assert!(round > 20);
                return;
            }
        }
    }
    panic!("it never gave up");
}

/// Chunks lost, doubled and late, links cut, processes killed: the file is whole in the end.
#[test]
fn a_file_survives_500_bad_links() {
    let body = body(2 * CHUNK + 5);
    let spec = spec(&body);
    for seed in 0..500 {
        let mut world = World::new(&spec);
        let mut dice = Jitter::new(seed);
        world.narrow();
        world.connect();
        let mut late = None;
        let end = (0..5_000).find_map(|_| bad_step(&mut world, &mut dice, &mut late, &spec, &body));
        assert_eq!(end, Some(End::Complete), "seed {seed}: stuck at {}", world.transfer.received());
        assert!(world.disk == body, "seed {seed}");
    }
}

fn bad_step<'a>(
    world: &mut World,
    dice: &mut Jitter,
    late: &mut Option<Chunk<'a>>,
    spec: &FileSpec,
    body: &'a [u8],
) -> Option<End> {
    let until = match world.settle() {
        Ok(until) => until,
        Err(end) => return Some(end),
    };
    let chunk = world.sender.chunk(body);
    if chunk.is_none() {
        world.now = until.unwrap_or(world.now);
    }
    match (chunk, dice.between(0, 99)) {
        (_, 0..=2) => {
            world.transfer.handle_disconnected();
            world.connect();
        }
        (_, 3) => {
            world.restart(spec, dice.draw());
            world.narrow();
            world.connect();
        }
        (Some(_), 4..=9) | (None, _) => {}
        (Some(chunk), 10..=14) => *late = Some(chunk),
        (Some(chunk), draw) => {
            world.transfer.handle_chunk(world.now, &chunk);
            if draw < 25 {
                world.transfer.handle_chunk(world.now, &chunk);
            }
            late.take_if(|_| draw > 80)
                .into_iter()
                .for_each(|chunk| world.transfer.handle_chunk(world.now, &chunk));
        }
    }
    None
}

#[test]
fn an_offer_that_comes_again_is_asked_at_once_and_from_where_the_file_stands() {
    let body = body(3 * CHUNK);
    let mut transfer = Transfer::new(&spec(&body), 0, TransferOptions::default(), 1);
    let now = Moment::ZERO;
    transfer.handle_offered_again(now);
    assert_eq!(transfer.poll_output(now), TransferOutput::Wait(None), "without a session nobody is asked");
    transfer.handle_connected(now);
    let TransferOutput::Request(get) = transfer.poll_output(now) else { panic!("nothing is asked") };
    let chunk = Chunk { to: [0; 16], stream: get.stream, offset: 0, payload: &body[..CHUNK] };
    transfer.handle_chunk(now, &chunk);
    transfer.handle_nack(now);
    while !matches!(transfer.poll_output(now), TransferOutput::Wait(Some(_))) {}
    transfer.handle_offered_again(now);
    let TransferOutput::Request(again) = transfer.poll_output(now) else { panic!("it rests all the same") };
    assert_eq!((again.stream, again.offset), (get.stream.wrapping_add(1), CHUNK as u64));
}
