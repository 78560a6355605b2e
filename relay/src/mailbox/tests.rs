//! The mailbox: what is kept, what is lost, what leaves first.

use super::*;

fn bounds() -> Bounds {
    [(3, 100), (2, 100), (2, 50), (3, 60)].map(|(frames, bytes)| Bound { frames, bytes })
}

fn mailbox() -> Mailbox {
    Mailbox::new(bounds())
}

/// A letter of this class from somebody.
fn letter(class: Class, text: &str) -> Letter {
    Letter { class, sender: Some(ConnId(1)), ..Letter::own(text, 0) }
}

fn latest(sender: u64, key: u64, text: &str) -> Letter {
    Letter { slot: Some(sender * 100 + key), ..letter(Class::Telemetry, text) }
}

fn drain(mailbox: &mut Mailbox) -> Vec<String> {
    let text = |letter: Letter| match letter.frame {
        Frame::Own(text) => text,
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| mailbox.pop()).map(text).collect()
}

fn is_full(mailbox: &mut Mailbox, letter: Letter) -> bool {
    mailbox.push(letter.clone()) == Err(Refused::Full(letter))
}

#[test]
fn reliable_is_bounded_by_count_and_bytes_and_loses_nothing() {
    let mut mailbox = mailbox();
    mailbox.push(letter(Class::Reliable, &"x".repeat(500))).unwrap();
    assert!(is_full(&mut mailbox, letter(Class::Reliable, "y")), "bytes");
    assert_eq!(drain(&mut mailbox).len(), 1);
    for word in ["a", "b", "c"] {
        mailbox.push(letter(Class::Reliable, word)).unwrap();
    }
    assert!(is_full(&mut mailbox, letter(Class::Reliable, "d")), "count");
    for word in ["answer", "answer", "answer"] {
        mailbox.push(Letter::own(word, 0)).unwrap();
    }
    assert!(is_full(&mut mailbox, Letter::own("one too many", 0)), "the relay's own words are bounded, too");
    assert_eq!(drain(&mut mailbox), ["a", "b", "c", "answer", "answer", "answer"]);
}

#[test]
fn telemetry_keeps_the_latest_per_slot_and_drops_the_oldest() {
    let mut mailbox = mailbox();
    mailbox.push(latest(1, 0, "1a")).unwrap();
    mailbox.push(latest(2, 0, "2a")).unwrap();
    let again = mailbox.push(latest(1, 0, "1b")).unwrap();
    assert_eq!(again, Displaced { coalesced: true, dropped: 0 });
    let third = mailbox.push(latest(1, 1, "1c")).unwrap();
    assert_eq!(third, Displaced { coalesced: false, dropped: 1 });
    assert!(mailbox.push(latest(2, 0, "2b")).unwrap().coalesced, "places have moved up");
    assert_eq!(drain(&mut mailbox), ["2b", "1c"]);
    mailbox.push(latest(1, 0, "small")).unwrap();
    assert_eq!(mailbox.push(latest(2, 0, &"x".repeat(60))).unwrap().dropped, 1);
    assert_eq!(drain(&mut mailbox).len(), 1);
    assert_eq!((mailbox.queues[2].bytes, mailbox.slots.len()), (0, 0));
}

#[test]
fn log_lines_drop_the_oldest_by_count_and_bytes() {
    let mut mailbox = mailbox();
    let dropped = ["1", "2", "3", "4"].map(|line| mailbox.push(letter(Class::Log, line)).unwrap().dropped);
    assert_eq!(dropped, [0, 0, 0, 1]);
    assert_eq!(mailbox.push(letter(Class::Log, &"x".repeat(59))).unwrap().dropped, 2);
    assert_eq!(mailbox.push(letter(Class::Log, &"y".repeat(500))).unwrap().dropped, 2);
    assert_eq!(drain(&mut mailbox), ["y".repeat(500)], "one line is always taken");
}

#[test]
fn the_latest_is_that_of_one_sender_and_key() {
    let of = |sender, text: &str| {
        let text = ByteString::from(text);
        let head = Route::parse(&text).unwrap();
        Letter::of(&head, &text, &Address::Relay, ConnId(sender), 0).slot.unwrap()
    };
    let p0 = r#"{"v":1,"t":"telem","key":"p0","body":1}"#;
    assert_eq!(of(1, p0), of(1, &p0.replace("body\":1", "body\":2")));
    assert_ne!(of(1, p0), of(2, p0));
    assert_ne!(of(1, p0), of(1, &p0.replace("p0", "p1")));
    assert_ne!(of(1, p0), of(1, &p0.replace(r#""key":"p0","#, "")));
}

#[test]
fn reliable_leaves_first_and_what_may_be_lost_last() {
    let mut mailbox = mailbox();
    mailbox.push(latest(1, 0, "telemetry")).unwrap();
    mailbox.push(letter(Class::Bulk, "bulk")).unwrap();
    mailbox.push(letter(Class::Log, "log")).unwrap();
    mailbox.push(letter(Class::Reliable, "reliable")).unwrap();
    assert_eq!(mailbox.depth(), [1, 1, 1, 1]);
    assert_eq!(drain(&mut mailbox), ["reliable", "bulk", "telemetry", "log"]);
}

#[test]
fn a_farewell_ends_the_taking() {
    let farewell = Farewell { code: 4010, reason: "drain" };
    let mut first = mailbox();
    first.push(letter(Class::Reliable, "last words")).unwrap();
    first.close(farewell, true);
    first.close(Farewell { code: 4000, reason: "other" }, false);
    assert_eq!(first.farewell(), Some(farewell));
    assert_eq!(first.push(letter(Class::Reliable, "x")), Err(Refused::Closed));
    assert_eq!(drain(&mut first), ["last words"]);
    let mut second = mailbox();
    second.push(letter(Class::Reliable, "gone")).unwrap();
    second.close(farewell, false);
    assert!(drain(&mut second).is_empty());
}

#[test]
fn an_emptied_mailbox_keeps_memory_only_while_it_is_busy() {
    let bounds = [Bound { frames: 1000, bytes: 1_000_000 }; Class::ALL.len()];
    let mut mailbox = Mailbox::new(bounds);
    let mut kept = |letters| {
        for _ in 0..letters {
            mailbox.push(letter(Class::Reliable, "x")).unwrap();
        }
        drain(&mut mailbox);
        mailbox.queues[0].letters.capacity()
    };
    assert_eq!((kept(1), kept(1000)), (0, 0));
    assert!(kept(16) >= 16);
}

#[test]
fn classes_come_from_the_head() {
    let class = |text: &str| Class::of(&Route::parse(text).unwrap());
    assert_eq!(class(r#"{"v":1,"t":"telem","body":1}"#), Class::Telemetry);
    assert_eq!(class(r#"{"v":1,"t":"new.kind","key":"k","body":1}"#), Class::Telemetry);
    assert_eq!(class(r#"{"v":1,"t":"chunk.end","body":1}"#), Class::Bulk);
    assert_eq!(class(r#"{"v":1,"t":"log.lines","body":1}"#), Class::Log);
    assert_eq!(class(r#"{"v":1,"t":"new.kind","body":1}"#), Class::Reliable);
}
