use spoolway_protocol::hello::{AgentInfo, OutboxCursor, Window, split_signature};
use spoolway_protocol::ids::{AgentId, BootId, Epoch, KeyId, Seq, SessionId, Sha256Hex};
use spoolway_protocol::raw::{B64, Extra};
use spoolway_protocol::telemetry::TelemConfig;

use super::*;

fn hello() -> Hello {
    let word = || "x".to_owned();
    let agent = AgentInfo {
        ver: word(),
        build: word(),
        os: word(),
        arch: word(),
        model: word(),
        extra: Extra::default(),
    };
    Hello {
        agent_id: AgentId::from_bytes([1; 16]),
        kid: KeyId::new("k1").unwrap(),
        proto: String::new(),
        hello_ctr: 9,
        boot_id: BootId::new("b").unwrap(),
        machine_hash: Sha256Hex([2; 32]),
        agent,
        caps: Vec::new(),
        outbox: OutboxCursor {
            epoch: Epoch(1),
            next_seq: Seq(1),
            oldest_unacked: Seq(1),
            extra: Extra::default(),
        },
        cmd_seq: Seq(0),
        printers: Vec::new(),
        extra: Extra::default(),
        sig: None,
    }
}

fn challenge(binding: Binding) -> Envelope {
    let mut envelope = Envelope::new(&Message::Challenge(Challenge {
        nonce: B64(vec![7; 32]),
        relay_id: "r".to_owned(),
        relay_time_ms: 1,
        proto: vec!["spoolway.v2".to_owned(), PROTO.to_owned()],
        binding,
        extra: Extra::default(),
    }));
    envelope.id = Some(MsgId::new("m1").unwrap());
    envelope
}

fn welcome(owner: Address) -> Envelope {
    Envelope::new(&Message::Welcome(Box::new(Welcome {
        session_id: SessionId::new("s").unwrap(),
        owner,
        hb_ms: 0,
        dead_ms: 0,
        window: Window { events: 0, bytes: u64::MAX },
        telem: TelemConfig { idle_ms: 0, ..TelemConfig::default() },
        relay_time_ms: 5,
        extra: Extra::default(),
    })))
}

fn handshake(exporter: Option<[u8; 32]>, allow_unbound: bool) -> Handshake {
    let options =
        HandshakeOptions { allow_unbound, ..HandshakeOptions::new("relay.example".to_owned(), exporter) };
    Handshake::new(Moment::ZERO, options, hello())
}

fn failure(machine: &mut Handshake) -> HandshakeFailure {
    match machine.poll_output(Moment::ZERO) {
        HandshakeOutput::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_login_signs_what_the_relay_will_check() {
    let mut machine = handshake(Some([3; 32]), false);
    machine.handle_frame(Moment::ZERO, &challenge(Binding::Exporter));
    let HandshakeOutput::Sign(bytes) = machine.poll_output(Moment::ZERO) else { panic!() };
    machine.handle_signature(Moment::ZERO, &[5; 64]);
    let HandshakeOutput::Send(frame) = machine.poll_output(Moment::ZERO) else { panic!() };
    assert_eq!(frame.re.as_ref().map(MsgId::as_str), Some("m1"));

    let (unsigned, sig) = split_signature(frame.body.get()).unwrap();
    let digest: [u8; 32] = Sha256::digest(&unsigned).into();
    assert_eq!(bytes, signed_bytes(&[7; 32], "relay.example", Some(&[3; 32]), &digest));
    assert_eq!(sig, [5; 64]);
    let Message::Hello(sent) = frame.message().unwrap() else { panic!() };
    assert_eq!(sent.proto, PROTO);

    machine.handle_frame(Moment::ZERO, &welcome("b:farm".parse().unwrap()));
    let HandshakeOutput::Welcome(welcome) = machine.poll_output(Moment::ZERO) else { panic!() };
    assert!(welcome.hb_ms >= 1_000 && welcome.dead_ms >= 2 * welcome.hb_ms && welcome.telem.idle_ms >= 100);
    assert_eq!((welcome.window.events, welcome.window.bytes), (1, EVENT_WINDOW_BYTES));
    assert_eq!(machine.poll_output(Moment::ZERO), HandshakeOutput::Over);
}

#[test]
fn an_unbound_login_needs_permission() {
    for (binding, exporter, allowed, fault) in [
        (Binding::None, Some([3; 32]), false, Some(Fault::RelayBinding)),
        (Binding::None, None, true, None),
        (Binding::Exporter, None, true, Some(Fault::RelayBinding)),
        (Binding::Unknown("hope".to_owned()), Some([3; 32]), true, Some(Fault::RelayBinding)),
    ] {
        let mut machine = handshake(exporter, allowed);
        machine.handle_frame(Moment::ZERO, &challenge(binding));
        match machine.poll_output(Moment::ZERO) {
            HandshakeOutput::Sign(_) => assert_eq!(fault, None),
            HandshakeOutput::Failed(failure) => assert_eq!(Some(failure.fault), fault),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reject_keeps_its_reason_and_its_delay() {
    let mut machine = handshake(None, true);
    let reject = Reject {
        code: RejectCode::RateLimited,
        retry_after_ms: Some(7_000),
        message: "slow down".to_owned(),
        extra: Extra::default(),
    };
    machine.handle_frame(Moment::ZERO, &Envelope::new(&Message::Reject(reject)));
    let failure = failure(&mut machine);
    assert_eq!((failure.fault, failure.retry_after_ms), (Fault::RelayUnreachable, Some(7_000)));
    assert!(failure.detail.contains("slow down"));
}

#[test]
fn silence_ends_the_login() {
    let mut machine = handshake(None, true);
    let HandshakeOutput::Wait(deadline) = machine.poll_output(Moment::ZERO) else { panic!() };
    assert_eq!(deadline, Moment::from_millis(HANDSHAKE_MS));
    assert!(matches!(machine.poll_output(deadline), HandshakeOutput::Failed(_)));
    assert_eq!(machine.poll_output(deadline), HandshakeOutput::Over);
}

#[test]
fn a_challenge_that_is_too_short_to_be_new_each_time_is_not_answered() {
    for bytes in [0, NONCE_BYTES - 1, NONCE_BYTES + 1] {
        let mut machine = handshake(None, true);
        let mut frame = challenge(Binding::None);
        let Message::Challenge(mut body) = frame.message().unwrap() else { panic!() };
        body.nonce = B64(vec![7; bytes]);
        frame.body = Envelope::new(&Message::Challenge(body)).body;
        machine.handle_frame(Moment::ZERO, &frame);
        assert_eq!(failure(&mut machine).fault, Fault::RelayProto, "{bytes}");
    }
}

#[test]
fn a_welcome_without_an_owner_or_before_its_time_is_not_taken() {
    let mut machine = handshake(None, true);
    machine.handle_frame(Moment::ZERO, &welcome(Address::Relay));
    assert!(matches!(machine.poll_output(Moment::ZERO), HandshakeOutput::Wait(_)));
    machine.handle_frame(Moment::ZERO, &challenge(Binding::None));
    machine.poll_output(Moment::ZERO);
    machine.handle_signature(Moment::ZERO, &[1]);
    machine.poll_output(Moment::ZERO);
    machine.handle_frame(Moment::ZERO, &welcome(Address::Relay));
    assert_eq!(failure(&mut machine).fault, Fault::RelayProto);
}
