//! Getting in, and saying why not.

use std::time::Duration;

use rcgen::date_time_ymd;
use serde_json::json;
use spoolway_agent::bus::{Inbound, Outbound};
use spoolway_agent::store::{Durability, Write};
use spoolway_protocol::transfer::ChunkGet;

use crate::relay::{FakeRelay, in_time};
use crate::rig::Rig;

/// Less than the uplink gives a relay for each step of a login, and more than a busy machine takes to stop at once.
const NO_WAIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_hello_is_signed_and_says_where_everything_stands() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let mut peer = relay.accept().await;
    assert_eq!(peer.path, "/agent/v1");
    peer.challenge("exporter").await;
    let hello = peer.hello(&rig.key(), true).await;
    assert_eq!(hello["agent_id"], json!(rig.identity.agent_id()));
    assert_eq!((&hello["cmd_seq"], &hello["printers"][0]["printer_id"]), (&json!(5), &json!("p0")));
    assert_eq!(hello["outbox"]["next_seq"], hello["outbox"]["oldest_unacked"]);
    assert!(hello["hello_ctr"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(hello["agent"]["os"], "linux");
    assert!(!rig.view.borrow().up);
    peer.say_welcome(json!({})).await;
    rig.until_up().await;
    assert_eq!(rig.view.borrow().session.as_deref(), Some("s1"));
    assert!(matches!(rig.inbound().await, Inbound::Connected));
}

#[tokio::test]
async fn every_login_counts_higher() {
    let relay = FakeRelay::start().await;
    let rig = Rig::start(&relay);
    let mut last = 0;
    for _ in 0..3 {
        let mut peer = relay.accept().await;
        peer.challenge("exporter").await;
        let counter = peer.hello(&rig.key(), true).await["hello_ctr"].as_u64().unwrap();
        assert!(counter > last);
        last = counter;
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_by_name() {
    let (relay, stranger) = (FakeRelay::start().await, FakeRelay::start().await);
    let mut rig = Rig::start_with(&relay, |settings| settings.ca_file = Some(stranger.ca_file()));
    let fault = tokio::select! {
        fault = rig.fault() => fault,
        () = relay.refuse_all() => unreachable!("it serves for ever"),
    };
    assert_eq!(fault.code, "tls.wrong_certificate");
    assert!(fault.text.starts_with("localhost: its certificate"), "{}", fault.text);
    assert!(!rig.view.borrow().up);
}

#[tokio::test]
async fn a_certificate_of_another_name_or_another_time_is_told_apart() {
    let other_name = FakeRelay::start_for(|leaf| {
        leaf.subject_alt_names = vec![rcgen::SanType::DnsName("other.example".try_into().unwrap())];
    });
    let too_early = FakeRelay::start_for(|leaf| leaf.not_before = date_time_ymd(4000, 1, 1));
    let too_late = FakeRelay::start_for(|leaf| leaf.not_after = date_time_ymd(2001, 1, 1));
    for (relay, code, word) in [
        (other_name.await, "tls.wrong_certificate", "other.example"),
        (too_early.await, "tls.clock", "not valid yet"),
        (too_late.await, "tls.clock", "expired"),
    ] {
        let mut rig = Rig::start(&relay);
        let fault = tokio::select! {
            fault = rig.fault() => fault,
            () = relay.refuse_all() => unreachable!("it serves for ever"),
        };
        assert_eq!(fault.code, code, "{}", fault.text);
        assert!(fault.text.contains(word), "{}", fault.text);
    }
}

#[tokio::test]
async fn a_relay_that_is_away_is_named_with_its_address() {
    let relay = FakeRelay::start().await;
    let port = relay.port;
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut rig = Rig::start_with(&relay, |settings| settings.url.port = away);
    let fault = rig.fault().await;
    assert_eq!(fault.code, "network.tcp");
    assert!(fault.text.contains("127.0.0.1") && fault.text.contains("refused"), "{} {port}", fault.text);
    assert!(rig.stopped().await.borrow().fault.is_none());
}

#[tokio::test]
async fn a_rejected_agent_says_so_and_asks_again_only_slowly() {
    for (code, fault, is_slow) in [
        ("unpaired", "relay.unpaired", true),
        ("revoked", "relay.revoked", true),
        ("clone_suspected", "relay.clone_suspected", true),
        ("bad_sig", "relay.bad_sig", false),
        ("key_retired", "relay.key_retired", false),
        ("proto_unsupported", "relay.proto", false),
        ("update_required", "relay.proto", false),
        ("draining", "relay.unreachable", false),
        ("rate_limited", "relay.unreachable", false),
    ] {
        let relay = FakeRelay::start().await;
        let mut rig = Rig::start(&relay);
        let mut peer = relay.accept().await;
        peer.challenge("exporter").await;
        peer.hello(&rig.key(), true).await;
        peer.say("reject", json!({"code": code, "message": "no"})).await;
        let shown = rig.fault().await;
        assert_eq!(shown.code, fault);
        assert!(shown.text.starts_with("localhost: "), "{}", shown.text);
        assert_eq!(shown.text.contains("every 5 minutes"), is_slow, "{}", shown.text);
        rig.stopped().await;
    }
}

#[tokio::test]
async fn a_login_that_is_not_bound_is_refused_unless_it_is_allowed() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let mut peer = relay.accept().await;
    peer.challenge("none").await;
    assert_eq!(rig.fault().await.code, "relay.binding");
    rig.stopped().await;

    let mut rig = Rig::start_with(&relay, |settings| settings.allow_unbound = true);
    let mut peer = relay.accept().await;
    peer.challenge("none").await;
    peer.hello(&rig.key(), false).await;
    peer.say_welcome(json!({})).await;
    rig.until_up().await;
}

#[tokio::test]
async fn a_stop_says_goodbye_and_does_not_wait() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let mut peer = relay.welcome(&rig.key()).await;
    rig.until_up().await;
    let began = std::time::Instant::now();
    let view = rig.stopped().await;
    assert!(began.elapsed() < NO_WAIT);
    assert!(!view.borrow().up && view.borrow().session.is_none());
    assert_eq!(peer.heard("bye").await["to"], "relay");
    assert!(peer.is_closed().await);

    // A relay that takes the connection and says nothing holds up nobody either.
    let rig = Rig::start(&relay);
    let _silent = relay.accept().await;
    let began = std::time::Instant::now();
    in_time(rig.stopped()).await;
    assert!(began.elapsed() < NO_WAIT);
}

fn wants(file: &str) -> Outbound {
    Outbound::ChunkGet(ChunkGet {
        file_id: file.parse().unwrap(),
        stream: 1,
        offset: 0,
        len: 1,
        credit: 1,
        extra: Default::default(),
    })
}

#[tokio::test]
async fn another_owner_waits_until_the_desk_has_dropped_what_is_not_its_own() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let mut farm = relay.welcome(&rig.key()).await;
    rig.until_up().await;
    rig.event(1).await;
    farm.events(1).await;
    drop(farm);
    let lab = relay.welcome_with(&rig.key(), json!({"owner": "b:lab"})).await;
    let (owner, done) = loop {
        match rig.inbound().await {
            Inbound::Owner { owner, done } => break (owner, done),
            other => assert!(matches!(other, Inbound::Connected | Inbound::Disconnected), "{other:?}"),
        }
    };
    assert_eq!((owner.to_string().as_str(), rig.fault().await.code.as_str()), ("b:lab", "owner.changes"));
    drop(lab);
    let change = vec![Write::ChangeOwner { owner: owner.to_string() }];
    rig.store.commit(change, Durability::Promise).await.unwrap();
    rig.outbound.send(wants("file-of-farm")).await.unwrap();
    done.send(()).unwrap();
    let mut lab = relay.accept().await;
    lab.challenge("exporter").await;
    let hello = lab.hello(&rig.key(), true).await;
    assert_eq!(hello["outbox"], json!({"epoch": 2, "next_seq": 1, "oldest_unacked": 1}));
    lab.say_welcome(json!({"owner": "b:lab"})).await;
    rig.until_up().await;
    rig.event(2).await;
    let rev = loop {
        let frame = lab.heard("events").await;
        assert_eq!(frame["to"], "b:lab");
        let items = frame["body"]["items"].as_array().unwrap();
        if let Some(event) = items.iter().find(|event| event["kind"] == "job.state") {
            break event["data"]["rev"].clone();
        }
    };
    assert_eq!(rev, 2, "and no older one");
    rig.outbound.send(wants("file-of-lab")).await.unwrap();
    assert_eq!(
        lab.heard("chunk.get").await["body"]["file_id"],
        "file-of-lab",
        "nor what the desk had to say to farm"
    );
    rig.stopped().await;
}
