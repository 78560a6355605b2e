use std::sync::Mutex;

use spoolway_protocol::envelope::{ClockSource, Stamp};
use spoolway_protocol::event::{CmdResult, EventClass, Gap, JobStateChanged, LinkSession};
use spoolway_protocol::session::{Heartbeat, PresenceState};
use spoolway_protocol::{CommandArgs, Extra, JobState};

use super::*;

const AGENT: AgentId = AgentId::from_bytes([7; 16]);
const OTHER: AgentId = AgentId::from_bytes([8; 16]);
const NOTHING: [u64; 0] = [];
const SIZE: u64 = 200_000;

type Seen = Arc<Mutex<Vec<(u64, u64)>>>;

/// A backend, and the epochs and numbers of the events that it takes.
fn backend() -> (Backend<impl FnMut(Progress)>, Seen) {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&ca_file, authority.cert.pem()).unwrap();
    let relay = Relay { host: "localhost".to_owned(), port: 1, token: String::new(), ca_file };
    let bytes: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    let print = Print { agent: AGENT, name: "part".to_owned(), bytes: bytes.into() };
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let progress = move |progress| {
        if let Progress::Event(event) = progress {
            told.lock().unwrap().push((event.epoch.0, event.seq.0));
        }
    };
    (Backend::new(relay, print, progress).unwrap(), seen)
}

fn hear(backend: &mut Backend<impl FnMut(Progress)>, from: Address, message: impl Into<Message>) {
    let mut envelope = Envelope::new(&message.into());
    envelope.from = Some(from);
    backend.handle(&envelope.encode()).unwrap();
}

/// What the backend is about to send; every text must be a message that the protocol knows.
fn said(backend: &mut Backend<impl FnMut(Progress)>) -> Vec<Message> {
    let said = |frame: Frame| {
        let envelope = Envelope::parse(frame.to_text().unwrap()).unwrap();
        let message = envelope.message().unwrap();
        assert!(!matches!(message, Message::Unknown { .. }), "{message:?}");
        let to = if matches!(message, Message::HbAck(_)) { Address::Relay } else { Address::Agent(AGENT) };
        assert_eq!(envelope.to, Some(to));
        message
    };
    backend.out.drain(..).map(said).collect()
}

fn presence(agent: AgentId, state: PresenceState, cmd_seq: u64) -> Box<Presence> {
    let session_id = "s1".parse().unwrap();
    let (outbox, info, printers, extra) = Default::default();
    Box::new(Presence {
        agent,
        state,
        session_id,
        since_ms: 1,
        outbox,
        cmd_seq: Some(Seq(cmd_seq)),
        info,
        printers,
        extra,
    })
}

/// The numbers of the offers that it says to an agent which has come, or to one that has been there for a while.
fn offers(backend: &mut Backend<impl FnMut(Progress)>, has_come: Option<u64>) -> Vec<u64> {
    match has_come {
        Some(cmd_seq) => hear(backend, Address::Relay, presence(AGENT, PresenceState::Up, cmd_seq)),
        None => backend.send_offer(),
    }
    let seq = |message| if let Message::Cmd(command) = message { Some(command.seq.0) } else { None };
    said(backend).into_iter().filter_map(seq).collect()
}

fn event(epoch: u64, seq: u64, data: &EventData) -> Event {
    let ts = Stamp { w: 1, m: 1, b: "boot".parse().unwrap(), c: ClockSource::None };
    Event::new(Epoch(epoch), Seq(seq), ts, data)
}

fn plain(epoch: u64, seq: u64) -> Event {
    let reason = "test".to_owned();
    let session = LinkSession { down_ms: 0, reason, attempts: 1, extra: Extra::default() };
    event(epoch, seq, &session.into())
}

fn gap(epoch: u64, seq: u64, dropped: u64) -> Event {
    event(epoch, seq, &Gap { dropped, cls: EventClass::Info, extra: Extra::default() }.into())
}

/// The acks after a batch.
fn acked(backend: &mut Backend<impl FnMut(Progress)>, items: Vec<Event>) -> Vec<(u64, u64)> {
    let events = spoolway_protocol::event::Events { items, extra: Extra::default() };
    hear(backend, Address::Agent(AGENT), events);
    let ack = |message| if let Message::Ack(ack) = message { Some((ack.epoch.0, ack.seq.0)) } else { None };
    said(backend).into_iter().filter_map(ack).collect()
}

#[test]
fn an_event_is_taken_once_and_never_over_a_hole() {
    let (mut backend, seen) = backend();
    assert_eq!(acked(&mut backend, vec![plain(3, 7), plain(3, 8), plain(3, 8), plain(3, 7)]), [(3, 8)]);
    assert_eq!(acked(&mut backend, vec![plain(3, 10)]), [(3, 8)]);
    assert_eq!(acked(&mut backend, vec![plain(3, 9), plain(3, 10)]), [(3, 10)]);
    assert_eq!(acked(&mut backend, vec![plain(3, 9)]), [(3, 10)]);
    assert_eq!(*seen.lock().unwrap(), [(3, 7), (3, 8), (3, 9), (3, 10)]);
}

#[test]
fn every_epoch_counts_by_itself() {
    let (mut backend, seen) = backend();
    assert_eq!(acked(&mut backend, vec![plain(1, 5)]), [(1, 5)]);
    assert_eq!(acked(&mut backend, vec![plain(2, 1)]), [(1, 5), (2, 1)]);
    assert_eq!(acked(&mut backend, vec![plain(1, 6)]), [(1, 6), (2, 1)]);
    assert_eq!(*seen.lock().unwrap(), [(1, 5), (2, 1), (1, 6)]);
}

#[test]
fn a_gap_closes_the_hole_that_it_stands_for_and_no_larger_one() {
    let (mut backend, seen) = backend();
    assert_eq!(acked(&mut backend, vec![plain(1, 1), gap(1, 5, 3)]), [(1, 1)]);
    assert_eq!(acked(&mut backend, vec![gap(1, 5, 4), plain(1, 6), gap(1, 7, 0)]), [(1, 7)]);
    assert_eq!(*seen.lock().unwrap(), [(1, 1), (1, 5), (1, 6), (1, 7)]);
}

#[test]
fn what_cannot_be_read_is_stored_and_acknowledged() {
    let (mut backend, seen) = backend();
    let mut unreadable = plain(1, 1);
    unreadable.data = spoolway_protocol::Raw::of(&7);
    assert_eq!(acked(&mut backend, vec![unreadable]), [(1, 1)]);
    assert_eq!(*seen.lock().unwrap(), [(1, 1)]);
}

#[test]
fn the_offer_is_sent_until_its_receipt_and_again_when_the_agent_lacks_it() {
    let (mut backend, _) = backend();
    assert_eq!(offers(&mut backend, None), NOTHING);
    assert_eq!(offers(&mut backend, Some(4)), [5]);
    assert_eq!(offers(&mut backend, None), [5]);
    let (cmd_id, seq, extra) = (backend.id, Seq(5), Extra::default());
    let receipt = spoolway_protocol::command::CommandReceipt { cmd_id, seq, dup: false, extra };
    hear(&mut backend, Address::Agent(OTHER), receipt.clone());
    assert_eq!(offers(&mut backend, None), [5]);
    hear(&mut backend, Address::Agent(AGENT), receipt);
    assert_eq!(offers(&mut backend, None), NOTHING);
    assert_eq!(offers(&mut backend, Some(5)), NOTHING);
    assert_eq!(offers(&mut backend, Some(4)), [5]);
    hear(&mut backend, Address::Relay, presence(AGENT, PresenceState::Down, 4));
    assert_eq!(offers(&mut backend, None), NOTHING);
    // A job that events tell of is not offered again.
    assert_eq!(offers(&mut backend, Some(4)), [5]);
    let mut told = state(1, JobState::Offered);
    told.job_id = Some(backend.id.to_string().parse().unwrap());
    acked(&mut backend, vec![told]);
    assert_eq!(offers(&mut backend, Some(4)), NOTHING);
}

#[test]
fn an_offer_has_everything_that_an_agent_needs() {
    let (mut backend, _) = backend();
    hear(&mut backend, Address::Relay, presence(OTHER, PresenceState::Up, 0));
    assert_eq!(said(&mut backend), []);
    hear(&mut backend, Address::Relay, presence(AGENT, PresenceState::Up, 0));
    let [Message::Cmd(command)] = &said(&mut backend)[..] else { panic!() };
    let CommandArgs::JobOffer(offer) = command.decode().unwrap() else { panic!() };
    assert!(command.extra.0.is_empty() && offer.extra.0.is_empty() && offer.file.extra.0.is_empty());
    assert_eq!((offer.file.size, offer.file.name.as_str(), offer.copies), (SIZE, "part", 1));
    assert_eq!(offer.file.sha256, Sha256Hex(Sha256::digest(&backend.print.bytes).into()));
}

fn state(seq: u64, to: JobState) -> Event {
    event(
        1,
        seq,
        &JobStateChanged {
            from: None,
            to,
            rev: 1,
            reason: None,
            doubt: None,
            loss: None,
            extra: Extra::default(),
        }
        .into(),
    )
}

#[test]
fn the_end_is_a_result_or_whatever_comes_instead_of_one() {
    let (mut backend, _) = backend();
    let job_id = Some(backend.id.to_string().parse().unwrap());
    let begun = Event { job_id: job_id.clone(), attempt: Some(1), ..state(2, JobState::Cancelled) };
    acked(&mut backend, vec![state(1, JobState::Cancelled), begun]);
    assert!(backend.ending.is_none());
    acked(&mut backend, vec![Event { job_id, ..state(3, JobState::Cancelled) }, plain(1, 4)]);
    assert!(matches!(&backend.ending, Some(Ending::NotPrinted(event)) if event.seq == Seq(3)));

    let (mut backend, _) = self::backend();
    let result = |status, cmd_id| {
        let (code, detail, data, extra) = Default::default();
        CmdResult { cmd_id, status, code, detail, data, extra }.into()
    };
    let (id, rejected) = (backend.id, spoolway_protocol::CommandStatus::Rejected);
    let other = CmdId::from_parts(1, &[0; 10]);
    acked(&mut backend, vec![event(1, 1, &result(Done, id)), event(1, 2, &result(rejected, other))]);
    assert!(backend.ending.is_none());
    acked(&mut backend, vec![event(1, 3, &result(rejected, id))]);
    assert!(matches!(&backend.ending, Some(Ending::NotPrinted(event)) if event.seq == Seq(3)));
}

#[test]
fn a_heartbeat_is_answered_with_its_number() {
    let (mut backend, _) = backend();
    let (relay_time_ms, rtt_ms, extra) = Default::default();
    hear(&mut backend, Address::Relay, Heartbeat { n: 4, relay_time_ms, rtt_ms, extra });
    let [Message::HbAck(ack)] = &said(&mut backend)[..] else { panic!() };
    assert_eq!(ack.n, 4);
}

fn get(backend: &Backend<impl FnMut(Progress)>, stream: u32, offset: u64, credit: u32) -> ChunkGet {
    let (file_id, len) = (backend.id.to_string().parse().unwrap(), SIZE.saturating_sub(offset));
    ChunkGet { file_id, stream, offset, len, credit, extra: Extra::default() }
}

/// Offset and length of the chunks that answer a request; an end is its stream and the size, a refusal two zeros.
fn served(backend: &mut Backend<impl FnMut(Progress)>, get: &ChunkGet) -> Vec<(u64, u64)> {
    backend.send_file(get);
    let seen = |frame: Frame| match frame {
        Frame::Binary(bytes) => {
            let chunk = Chunk::decode(&bytes).unwrap();
            let at = chunk.offset as usize;
            assert!(chunk.payload.iter().zip(at..).all(|(&byte, at)| byte == (at % 251) as u8));
            (chunk.offset, chunk.payload.len() as u64)
        }
        frame => match Envelope::parse(frame.to_text().unwrap()).unwrap().message().unwrap() {
            Message::ChunkEnd(end) => (u64::from(end.stream), end.size),
            Message::ChunkErr(_) => (0, 0),
            other => panic!("{other:?}"),
        },
    };
    backend.out.drain(..).map(seen).collect()
}

#[test]
fn credit_moves_the_border_and_nothing_is_sent_twice() {
    let (mut backend, _) = backend();
    let steps: [(u64, &[(u64, u64)]); 5] = [
        (0, &[(0, 65_536), (65_536, 65_536)]),
        (0, &[]),
        (65_536, &[(131_072, 65_536)]),
        (131_072, &[(196_608, 3_392), (1, SIZE)]),
        (SIZE, &[]),
    ];
    for (offset, expected) in steps {
        let get = get(&backend, 1, offset, 2);
        assert_eq!(served(&mut backend, &get), expected, "from {offset}");
    }
}

#[test]
fn a_new_stream_goes_back() {
    let (mut backend, _) = backend();
    let whole = get(&backend, 1, 0, 4);
    assert_eq!(served(&mut backend, &whole).len(), 5);
    let tail = get(&backend, 2, 150_000, 4);
    assert_eq!(served(&mut backend, &tail), [(150_000, 50_000), (2, SIZE)]);
    // A new session numbers its streams anew.
    hear(&mut backend, Address::Relay, presence(AGENT, PresenceState::Up, 0));
    backend.out.clear();
    assert_eq!(served(&mut backend, &tail), [(150_000, 50_000), (2, SIZE)]);
}

#[test]
fn what_cannot_be_had_is_refused() {
    let (mut backend, _) = backend();
    let other = ChunkGet { file_id: "g".parse().unwrap(), ..get(&backend, 1, 0, 4) };
    let behind = get(&backend, 1, SIZE + 1, 4);
    for refused in [other, behind] {
        assert_eq!(served(&mut backend, &refused), [(0, 0)]);
    }
}
