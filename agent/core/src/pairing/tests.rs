use super::*;

const NOW: Moment = Moment::from_micros(0);

fn begun() -> Pairing {
    let info = PairInfo { host: "pi".into(), ..PairInfo::default() };
    Pairing::new(NOW, PairingOptions { public_key: [1; 32], nonce: [2; 32], info, lineage: None })
}

fn at(ms: u64) -> Moment {
    NOW + Duration::from_millis(ms)
}

fn posted(pairing: &mut Pairing, now: Moment) -> PairRequest {
    match pairing.poll_output(now) {
        PairingOutput::Post(request) => request,
        other => panic!("a request is expected, not {other:?}"),
    }
}

fn said(pairing: &mut Pairing, now: Moment) -> PairSay {
    match posted(pairing, now) {
        PairRequest::Step(step) => step.say,
        PairRequest::Start(_) => panic!("a step is expected"),
    }
}

fn failed(pairing: &mut Pairing, now: Moment) -> Fault {
    let fault = match pairing.poll_output(now) {
        PairingOutput::Failed(failure) => failure.fault,
        other => panic!("a failure is expected, not {other:?}"),
    };
    assert_eq!(pairing.poll_output(now), PairingOutput::Over);
    fault
}

fn waiting() -> Pairing {
    let mut pairing = begun();
    let PairRequest::Start(start) = posted(&mut pairing, NOW) else { panic!("a start is expected") };
    assert_eq!(start.commit.0, <[u8; 32]>::from(Sha256::digest([2; 32])));
    let started = PairStarted {
        pair_id: "p1".into(),
        code: "K7QX-M4TD".parse().unwrap(),
        expires_s: 900,
        poll_ms: 2_000,
        link: "https://relay.example/pair/K7QX-M4TD".into(),
        extra: Default::default(),
    };
    pairing.handle_answer(NOW, PairAnswer::Started(started.clone()));
    assert_eq!(pairing.poll_output(NOW), PairingOutput::ShowCode(started));
    assert_eq!(pairing.poll_output(NOW), PairingOutput::Wait(Some(at(2_000))));
    pairing
}

fn view(state: PairState, key: Option<u8>) -> PairAnswer {
    let owner = key.map(|key| PairOwner {
        backend: "farm".parse().unwrap(),
        organisation: "lab".into(),
        nonce: B64(vec![3; 32]),
        keys: vec![B64(vec![key; 32])],
    });
    PairAnswer::Seen(PairView { state, owner, extra: Default::default() })
}

/// The words are shown; the next step is due at 4 s.
fn comparing() -> Pairing {
    let mut pairing = waiting();
    assert_eq!(said(&mut pairing, at(2_000)), PairSay::Look);
    pairing.handle_answer(at(2_000), view(PairState::Claimed, Some(7)));
    let PairRequest::Step(step) = posted(&mut pairing, at(2_000)) else { panic!("a step is expected") };
    assert_eq!((step.say, step.nonce), (PairSay::Reveal, Some(B64(vec![2; 32]))));
    pairing.handle_answer(at(2_000), view(PairState::Shown, Some(7)));
    let bytes = fingerprint_bytes((&[1; 32], &[2; 32]), (&"farm".parse().unwrap(), &[3; 32]), &[[7; 32]]);
    let words = words_of(&Sha256::digest(bytes).into());
    let (owner, organisation) = ("farm".parse().unwrap(), "lab".to_owned());
    assert_eq!(pairing.poll_output(at(2_000)), PairingOutput::Compare { owner, organisation, words });
    pairing
}

#[test]
fn code_words_and_a_yes_make_a_pairing() {
    let mut pairing = comparing();
    assert_eq!(said(&mut pairing, at(4_000)), PairSay::Look, "the person takes time");
    pairing.handle_word(at(4_000), true);
    pairing.handle_answer(at(4_000), view(PairState::Shown, Some(7)));
    assert_eq!(said(&mut pairing, at(6_000)), PairSay::Yes);
    pairing.handle_answer(at(6_000), view(PairState::Shown, Some(7)));
    assert_eq!(said(&mut pairing, at(8_000)), PairSay::Yes, "until the other end has said it, too");
    pairing.handle_answer(at(8_000), view(PairState::Paired, Some(7)));
    let with = PairedWith { owner: "farm".parse().unwrap(), organisation: "lab".into(), keys: vec![[7; 32]] };
    assert_eq!(pairing.poll_output(at(8_000)), PairingOutput::Paired(with));
    assert_eq!(pairing.poll_output(at(8_000)), PairingOutput::Over);
}

#[test]
fn the_number_is_shown_to_nobody_before_a_backend_is_pinned() {
    let mut pairing = waiting();
    for ms in [2_000, 4_000, 6_000] {
        assert_eq!(said(&mut pairing, at(ms)), PairSay::Look);
        pairing.handle_answer(at(ms), view(PairState::Open, None));
    }
    said(&mut pairing, at(8_000));
    pairing.handle_answer(at(8_000), view(PairState::Shown, Some(7)));
    assert_eq!(failed(&mut pairing, at(8_000)), Fault::PairRefused);
}

#[test]
fn another_backend_cannot_take_the_place_of_the_first() {
    let mut pairing = waiting();
    said(&mut pairing, at(2_000));
    pairing.handle_answer(at(2_000), view(PairState::Claimed, Some(7)));
    said(&mut pairing, at(2_000));
    pairing.handle_answer(at(2_000), view(PairState::Shown, Some(8)));
    assert_eq!(failed(&mut pairing, at(2_000)), Fault::PairRefused, "between the numbers");
    let mut pairing = comparing();
    pairing.handle_word(at(2_000), true);
    said(&mut pairing, at(4_000));
    pairing.handle_answer(at(4_000), view(PairState::Paired, Some(8)));
    assert_eq!(failed(&mut pairing, at(4_000)), Fault::PairRefused, "after the yes");
}

#[test]
fn nothing_is_paired_without_a_yes_of_the_person_here() {
    let mut pairing = comparing();
    said(&mut pairing, at(4_000));
    pairing.handle_answer(at(4_000), view(PairState::Paired, Some(7)));
    assert_eq!(failed(&mut pairing, at(4_000)), Fault::PairRefused);
}

#[test]
fn a_no_is_told_and_is_the_end_whatever_is_answered() {
    for answer in [
        view(PairState::Denied, Some(7)),
        view(PairState::Paired, Some(7)),
        PairAnswer::Lost { fault: Fault::RelayUnreachable, detail: "gone".into() },
    ] {
        let mut pairing = comparing();
        said(&mut pairing, at(4_000));
        pairing.handle_word(at(4_000), false);
        pairing.handle_word(at(4_000), true);
        pairing.handle_answer(at(4_000), view(PairState::Shown, Some(7)));
        assert_eq!(said(&mut pairing, at(6_000)), PairSay::No);
        pairing.handle_answer(at(6_000), answer);
        assert_eq!(failed(&mut pairing, at(6_000)), Fault::PairWordsDiffer);
    }
}

#[test]
fn the_end_of_the_time_and_a_no_of_the_other_end_are_told_apart() {
    let mut pairing = waiting();
    said(&mut pairing, at(2_000));
    assert_eq!(failed(&mut pairing, at(900_000)), Fault::PairExpired, "the relay does not answer");
    for (state, fault) in [(PairState::Denied, Fault::PairDenied), (PairState::Expired, Fault::PairExpired)] {
        let mut pairing = waiting();
        said(&mut pairing, at(2_000));
        pairing.handle_answer(at(2_000), view(state, None));
        assert_eq!(failed(&mut pairing, at(2_000)), fault);
    }
}

#[test]
fn what_does_not_get_through_is_tried_again_and_a_busy_relay_is_left_alone() {
    let mut pairing = waiting();
    said(&mut pairing, at(2_000));
    pairing
        .handle_answer(at(2_000), PairAnswer::Lost { fault: Fault::RelayUnreachable, detail: String::new() });
    assert_eq!(pairing.poll_output(at(2_000)), PairingOutput::Wait(Some(at(5_000))));
    said(&mut pairing, at(5_000));
    let busy =
        |retry_after_ms| PairAnswer::Refused { code: "busy".into(), detail: String::new(), retry_after_ms };
    pairing.handle_answer(at(5_000), busy(Some(20_000)));
    assert_eq!(pairing.poll_output(at(5_000)), PairingOutput::Wait(Some(at(25_000))));
    let mut pairing = begun();
    posted(&mut pairing, NOW);
    let lost = PairAnswer::Lost { fault: Fault::TlsClock, detail: "the clock".into() };
    pairing.handle_answer(NOW, lost);
    assert_eq!(failed(&mut pairing, NOW), Fault::TlsClock, "whoever cannot begin is told at once");
}

#[test]
fn a_relays_refusals_have_faults() {
    for (code, fault) in [
        ("revoked", Fault::RelayRevoked),
        ("quarantined", Fault::RelayCloneSuspected),
        ("bad_sig", Fault::RelayBadSignature),
        ("retired", Fault::RelayKeyRetired),
        ("unknown", Fault::PairExpired),
        ("something_new", Fault::PairRefused),
    ] {
        let mut pairing = begun();
        posted(&mut pairing, NOW);
        let refused = PairAnswer::Refused { code: code.into(), detail: String::new(), retry_after_ms: None };
        pairing.handle_answer(NOW, refused);
        assert_eq!(failed(&mut pairing, NOW), fault);
    }
}
