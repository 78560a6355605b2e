//! One thing at a time.

use super::server::Mood;
use super::*;

const URL: &str = "https://files.example/f?sig=s3cret";

/// A file that only the server has.
fn served(body: &[u8], moods: &[Mood]) -> World {
    let mut world = World::new(&spec(body), &[https(URL)]);
    world.server.file = body.to_vec();
    world.server.etag = Some("\"v1\"".to_owned());
    world.server.moods = moods.iter().rev().copied().collect();
    world.transfer.handle_connected();
    world
}

/// The same, and the owner has it, too.
fn both(body: &[u8], moods: &[Mood]) -> World {
    let mut world = World::new(&spec(body), &[https(URL), SourceSpec::Relay]);
    world.server.file = body.to_vec();
    world.server.moods = moods.iter().rev().copied().collect();
    world.transfer.handle_connected();
    world
}

#[test]
fn a_file_arrives_whole_from_either_source() {
    let body = body(9 * 1024 * 1024 + 77);
    let mut world = World::relayed(&spec(&body));
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert!(world.disk == body);
    assert_eq!(world.settle(), Ok(None));
    let mut world = served(&body, &[]);
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert!(world.disk == body);
    assert_eq!((world.server.seen.len(), world.server.given), (1, body.len() as u64));
}

#[test]
fn no_more_than_the_credit_is_ever_under_way() {
    let body = body(20 * CHUNK);
    let mut world = World::relayed(&spec(&body));
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

/// A disk that takes nothing holds the sender up, whichever it is.
#[test]
fn a_slow_disk_is_not_buried_in_bytes() {
    let body = body(40 * CHUNK);
    for source in [SourceSpec::Relay, https(URL)] {
        let mut world = World::new(&spec(&body), &[source]);
        world.server.file = body.clone();
        world.transfer.handle_connected();
        let mut written = 0;
        loop {
            match world.transfer.poll_output(world.now) {
                TransferOutput::Request(get) => world.sender.handle(&get),
                TransferOutput::Fetch(get) => world.server.handle(get),
                TransferOutput::Grant { attempt, bytes } => world.server.grant(attempt, bytes),
                TransferOutput::Write { bytes, .. } => written += bytes.len(),
                TransferOutput::Wait(_) if world.carry(&body) => {}
                TransferOutput::Wait(until) => {
                    assert_eq!(until, None, "a sender that may not send is not late");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!((6 * CHUNK..=8 * CHUNK).contains(&written), "{written}");
        world.disk = body[..written].to_vec();
        world.transfer.handle_written(written as u64);
        assert_eq!(world.pull(&body), Err(End::Complete));
        assert!(world.disk == body);
    }
}

#[test]
fn an_empty_file_is_complete_at_once() {
    let mut world = World::new(&spec(&[]), &[]);
    assert_eq!(world.settle(), Err(End::Complete));
}

#[test]
fn another_process_goes_on_behind_the_durable_point() {
    let body = body(6 * 1024 * 1024);
    let mut world = World::relayed(&spec(&body));
    world.settle().unwrap();
    for _ in 0..70 {
        assert!(world.carry(&body));
        world.settle().unwrap();
    }
    world.restart(2);
    assert_eq!(world.disk.len(), 4 << 20);
    world.transfer.handle_connected();
    world.settle().unwrap();
    assert_eq!(world.sender.next, 4 << 20);
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert!(world.disk == body);
}

#[test]
fn a_cut_answer_is_gone_on_with_from_the_next_byte() {
    let body = body(3 * CHUNK);
    let mut world = served(&body, &[Mood::Cut(100_000), Mood::Cut(50_000)]);
    assert_eq!(world.patiently(&body, 9), End::Complete);
    let offsets: Vec<_> = world.server.seen.iter().map(|get| (get.offset, get.if_range.as_deref())).collect();
    assert_eq!(offsets[0], (0, None));
    assert_eq!(offsets.len(), 3);
    assert!(offsets[1].0 >= 100_000 && offsets[1].1 == Some("\"v1\""), "{offsets:?}");
    assert_eq!(world.server.given, body.len() as u64, "no byte came twice");
}

#[test]
fn a_server_without_ranges_is_read_from_the_front_and_what_is_here_is_skipped() {
    let body = body(3 * CHUNK);
    let mut world = served(&body, &[Mood::Cut(100_000), Mood::Whole]);
    assert_eq!(world.patiently(&body, 9), End::Complete);
    assert!(world.disk == body && world.starts_over == 0);
    assert!(world.server.given >= body.len() as u64 + 100_000);
}

#[test]
fn short_answers_are_asked_on_and_empty_ones_are_given_up() {
    let body = body(5 * CHUNK);
    let mut world = served(&body, &[Mood::Cut(70_000), Mood::Short(70_000), Mood::Short(70_000)]);
    assert_eq!(world.patiently(&body, 9), End::Complete);
    let mut world = served(&body, &[]);
    world.server.moods = vec![Mood::Short(1); 99];
    world.transfer.handle_opened(0);
    world.server.moods.push(Mood::Cut(10));
    assert_eq!(world.patiently(&body, 99), End::Failed(Fault::JobFileUnavailable));
}

#[test]
fn without_a_server_the_relay_goes_on_where_it_stopped() {
    let body = body(6 * CHUNK);
    for mood in [Mood::Absent, Mood::Cut(150_000), Mood::Stuck(150_000), Mood::Status(503), Mood::Status(302)]
    {
        let mut world = both(&body, &[mood]);
        assert_eq!(world.patiently(&body, 9), End::Complete, "{mood:?}");
        assert!(world.disk == body);
        assert_eq!(world.server.seen.len(), 1, "{mood:?}: what works is kept");
        assert!(world.server.given < 200_000);
    }
}

#[test]
fn without_a_session_the_server_is_enough() {
    let body = body(2 * CHUNK);
    let mut world = both(&body, &[]);
    world.transfer.handle_disconnected();
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert!(world.sender.stream.is_none());
    // And it takes over when the session goes away in the middle.
    let mut world = both(&body, &[Mood::Absent]);
    world.settle().unwrap();
    assert!(world.carry(&body));
    world.settle().unwrap();
    assert!(world.carry(&body), "a chunk of the relay");
    world.transfer.handle_disconnected();
    assert_eq!(world.patiently(&[], 9), End::Complete);
    assert!(world.disk == body);
    assert_eq!(world.server.seen.last().unwrap().offset, CHUNK as u64);
}

#[test]
fn an_expired_url_is_renewed_before_it_is_used_and_after_it_was_refused() {
    let body = body(2 * CHUNK);
    let mut world = served(&body, &[Mood::Status(403)]);
    world.urls = vec!["https://files.example/new?s3cret".to_owned()];
    assert_eq!(world.patiently(&body, 9), End::Complete);
    assert_eq!((world.urls_asked, world.server.seen.len()), (1, 2));
    assert_eq!(world.server.seen[1].url.reveal(), "https://files.example/new?s3cret");
    let soon = SourceSpec::Https { url: URL.to_owned().into(), expires_at: Some(Moment::from_millis(4_000)) };
    let mut world = World::new(&spec(&body), &[soon]);
    world.server.file = body.clone();
    world.urls = vec!["https://files.example/new?s3cret".to_owned()];
    // Nobody can be asked without a session.
    assert_eq!(world.settle(), Ok(None));
    world.transfer.handle_connected();
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert_eq!((world.urls_asked, world.server.seen.len()), (1, 1));
}

#[test]
fn urls_are_not_asked_for_without_end() {
    let body = body(2 * CHUNK);
    for answers in [0, 99] {
        let mut world = served(&body, &[]);
        world.server.moods = vec![Mood::Status(403); 99];
        world.urls = vec![URL.to_owned(); answers];
        assert_eq!(world.patiently(&body, 99), End::Failed(Fault::JobFileUnavailable));
        assert_eq!(world.urls_asked, 5);
    }
    // An owner that does not know the question answers with a refusal, and the relay is there.
    let mut world = both(&body, &[Mood::Status(401)]);
    world.settle().unwrap();
    assert!(world.carry(&body));
    world.settle().unwrap();
    assert_eq!(world.urls_asked, 1);
    world.transfer.handle_nack(world.now);
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert_eq!(world.now, Moment::ZERO, "nothing was waited for");
}

#[test]
fn a_server_is_left_alone_as_long_as_it_asks() {
    let body = body(CHUNK);
    let mut world = served(&body, &[Mood::Stuck(0)]);
    world.settle().unwrap();
    let attempt = world.server.seen[0].attempt;
    let head = HttpHead { status: 429, retry_after_ms: Some(60_000), ..HttpHead::default() };
    world.transfer.handle_head(world.now, attempt, &head);
    let until = world.settle().unwrap().unwrap();
    assert!(until >= Moment::from_millis(60_000), "{until:?}");
    world.now = until;
    assert_eq!(world.pull(&body), Err(End::Complete));
}

#[test]
fn where_the_agent_does_not_go_is_not_tried_again() {
    let body = body(CHUNK);
    let mut world = both(&body, &[Mood::Stuck(0)]);
    world.settle().unwrap();
    let attempt = world.server.seen[0].attempt;
    world.transfer.handle_unusable(attempt, "it leads to http".to_owned());
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert_eq!(world.server.seen.len(), 1);
    let mut world = served(&body, &[Mood::Stuck(0)]);
    world.settle().unwrap();
    let attempt = world.server.seen[0].attempt;
    world.transfer.handle_unusable(attempt, "it leads to http".to_owned());
    assert_eq!(world.pull(&body), Err(End::Failed(Fault::JobFileUnavailable)));
}

/// A server that trickles is left, but not one that is held up by the cap.
#[test]
fn a_server_that_trickles_is_left() {
    let body = body(4 * CHUNK);
    let mut world = both(&body, &[Mood::Good]);
    world.server.at_once = 100;
    for round in 0..100_000 {
        world.settle().unwrap();
        if world.sender.stream.is_some() {
            assert!(world.server.given < CHUNK as u64 && round > 2);
            return;
        }
        assert!(world.carry(&body));
        world.now = world.now + ms(100);
    }
    panic!("it was never left");
}

#[test]
fn an_altered_file_is_named() {
    let body = body(3 * CHUNK - 9);
    let mut altered = body.clone();
    altered[CHUNK] ^= 1;
    let longer = [body.as_slice(), b"M112"].concat();
    for (wrong, fault) in [
        (&altered, Fault::JobFileCorrupt),
        (&longer, Fault::JobFileCorrupt),
        (&body[..9].to_vec(), Fault::JobFileTruncated),
    ] {
        let mut world = served(wrong, &[]);
        world.spec = spec(&body);
        world.transfer = Transfer::new(&world.spec, vec![https(URL)], TransferOptions::default(), 1);
        world.transfer.handle_opened(0);
        assert_eq!(world.pull(&body), Err(End::Failed(fault)));
        assert_eq!(world.starts_over, 0, "the only source would give the same again");
    }
    for wrong in [&altered, &longer] {
        let mut world = World::relayed(&spec(&body));
        assert_eq!(world.pull(wrong), Err(End::Failed(Fault::JobFileCorrupt)));
    }
}

#[test]
fn a_mixture_of_two_files_is_fetched_anew_from_the_owner() {
    let body = body(4 * CHUNK);
    let mut other = body.clone();
    other[9] ^= 1;
    let mut world = both(&body, &[Mood::Cut(100_000)]);
    world.server.file = other;
    assert_eq!(world.patiently(&body, 9), End::Complete);
    assert_eq!((world.starts_over, world.server.seen.len()), (1, 1));
    assert!(world.disk == body);
    // So is what an earlier process had of another file; but only once.
    let mut world = World::relayed(&spec(&body));
    world.disk = vec![0; CHUNK];
    world.durable = CHUNK;
    world.restart(3);
    world.transfer.handle_connected();
    assert_eq!(world.pull(&body), Err(End::Complete));
    assert_eq!(world.starts_over, 1);
}

#[test]
fn a_piece_that_is_always_wrong_ends_it() {
    let body = body(3 * CHUNK);
    let mut altered = body.clone();
    altered[CHUNK + 1] ^= 1;
    let mut world = World::relayed(&spec_of_pieces(&body, CHUNK));
    assert_eq!(world.patiently(&altered, 9), End::Failed(Fault::JobFileCorrupt));
    assert_eq!(world.disk.len(), CHUNK, "nothing of it was written");
    // From the other source it is right, and only it was asked for again.
    let sources = [https(URL), SourceSpec::Relay];
    let mut world = World::new(&spec_of_pieces(&body, CHUNK), &sources);
    world.server.file = altered;
    world.transfer.handle_connected();
    assert_eq!(world.patiently(&body, 9), End::Complete);
    assert_eq!(world.starts_over, 0);
    assert!(world.disk == body && world.server.given <= 2 * CHUNK as u64 + 16_384);
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
        let mut world = World::relayed(&good);
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
        let mut world = World::relayed(&spec(&body));
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
    let mut world = World::relayed(&spec(&body(CHUNK)));
    assert_eq!(world.patiently(&[], 100), End::Failed(Fault::JobFileUnavailable));
    assert!(world.now > Moment::from_millis(20 * 15_000));
}

/// At 1 MB/s no more comes than that, from either source, and as fast as it can when the cap is gone.
#[test]
fn a_cap_holds_whichever_the_source() {
    let body = body(60 * CHUNK);
    for source in [SourceSpec::Relay, https(URL)] {
        let mut world = World::new(&spec(&body), &[source]);
        world.server.file = body.clone();
        world.transfer.handle_connected();
        world.transfer.handle_rate(world.now, Some(1_000_000));
        while world.transfer.received() < 30 * CHUNK as u64 {
            let until = world.pull(&body).unwrap().expect("it waits for the cap");
            assert!(until > world.now);
            let most = world.now.as_millis() * 1_000 + 5 * CHUNK as u64;
            assert!(world.transfer.received() <= most, "{} at {:?}", world.transfer.received(), world.now);
            world.now = until;
        }
        let fair = 30 * CHUNK as u64 / 1_000;
        assert!(world.now.as_millis() <= fair + 250, "{:?}, and not much more than {fair} ms", world.now);
        world.transfer.handle_rate(world.now, None);
        assert_eq!(world.pull(&body), Err(End::Complete));
        assert!(world.disk == body);
    }
}
