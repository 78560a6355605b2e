//! Client certificates: which are asked for, which are taken, and what they have to fit.

use std::io::ErrorKind;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, SupportedProtocolVersion};
use serde_json::json;
use spoolway_relay::config::{ClientCerts, Config};
use spoolway_relay_registry::AgentKeys;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::Line;
use crate::papers::{Authority, Paper, any_key, expired, for_clients, key_of, keys, own};
use crate::world::{Client, HANG, Machine, World};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// The certificate of the agent whose key comes from this seed.
fn paper(seed: u8) -> Option<Paper> {
    Some(own(&for_clients(), &key_of(seed)))
}

fn wants(certs: ClientCerts) -> impl FnOnce(&mut Config) {
    move |config| config.tls.client_certs = certs
}

/// A relay that trusts an authority for its clients.
async fn trusting(certs: ClientCerts) -> (World, Authority, tempfile::TempDir) {
    let (authority, dir) = (Authority::new("campus"), tempfile::tempdir().unwrap());
    let file = dir.path().join("clients.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let world = World::start(|config| {
        config.tls.client_certs = certs;
        config.tls.client_ca = file.to_str().unwrap().to_owned();
    });
    (world.await, authority, dir)
}

/// The verdict on a login, and what it is closed with.
async fn login(world: &World, machine: &mut Machine) -> String {
    let mut client = world.agent_socket().await;
    let said = client.hello(machine).await;
    match said["t"].as_str().unwrap() {
        "reject" => format!("{} {}", said["body"]["code"].as_str().unwrap(), client.close_code().await),
        kind => kind.to_owned(),
    }
}

/// What an agent hears that has to show a certificate and does not: it is not even asked who it is.
async fn turned_away(world: &World) -> String {
    let mut client = world.agent_socket().await;
    let said = client.json().await;
    assert_eq!(said["t"], "reject", "{said}");
    format!("{} {}", said["body"]["code"].as_str().unwrap(), client.close_code().await)
}

/// With what the relay ends a handshake; in TLS 1.3 that is heard only behind it.
async fn alert(world: &World) -> AlertDescription {
    let error = match world.try_tls("127.0.0.1").await {
        Err(error) => error,
        Ok(mut stream) => stream.read(&mut [0; 1]).await.unwrap_err(),
    };
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        _ => panic!("{error:?}"),
    }
}

async fn backend(world: &World) -> Result<Client, u16> {
    let headers = [("sec-websocket-protocol", "spoolway.v1"), ("authorization", "Bearer farm.secret")];
    world.dial("/backend/v1", &headers).await
}

#[tokio::test]
async fn an_agents_own_certificate_is_taken_and_that_of_another_key_is_refused_by_name() {
    let mut world = World::start(wants(ClientCerts::Ask)).await;
    let (mut one, mut two) = (world.add_agent(1, "farm"), world.add_agent(2, "farm"));
    for version in VERSIONS {
        world.show(version, paper(1));
        assert_eq!(login(&world, &mut one).await, "welcome");
        assert_eq!(login(&world, &mut two).await, "bad_cert 4000", "{:?}", version.version);
        world.show(version, None);
        assert_eq!(login(&world, &mut two).await, "welcome", "asked for, and not required");
    }
    assert_eq!(world.metric(r#"spoolway_relay_rejects_total{code="bad_cert"}"#).await, 2);
}

#[tokio::test]
async fn where_nobody_is_asked_a_certificate_is_never_shown() {
    let mut world = World::start(wants(ClientCerts::Off)).await;
    let mut one = world.add_agent(1, "farm");
    for version in VERSIONS {
        world.show(version, paper(2));
        assert_eq!(login(&world, &mut one).await, "welcome");
    }
}

#[tokio::test]
async fn an_agent_without_one_is_turned_away_by_name_but_pairs_where_one_is_required() {
    let mut world = World::start(wants(ClientCerts::Require)).await;
    let mut one = world.add_agent(1, "farm");
    for version in VERSIONS {
        world.show(version, None);
        assert_eq!(turned_away(&world).await, "cert_required 4000");
        let stranger = Machine::new(7);
        let start =
            json!({"pubkey": STANDARD.encode(stranger.public_key()), "info": {}, "commit": "ab".repeat(32)});
        let begun = Line::dial(&world).await.signed("/pair/v1/start", &stranger, &start).await;
        assert_eq!(begun.status, 201, "{begun:?}");
        assert!(backend(&world).await.is_ok(), "a backend has nothing that it could show");
        world.show(version, paper(1));
        assert_eq!(login(&world, &mut one).await, "welcome");
        let begun = Line::dial(&world).await.signed("/pair/v1/start", &stranger, &start).await;
        assert_eq!(begun.status, 201, "{begun:?}");
    }
    assert_eq!(world.metric(r#"spoolway_relay_rejects_total{code="cert_required"}"#).await, 2);
}

#[tokio::test]
async fn every_kind_of_key_is_taken_from_an_authority_that_is_trusted() {
    let (mut world, authority, _dir) = trusting(ClientCerts::Require).await;
    let mut one = world.add_agent(1, "farm");
    for version in VERSIONS {
        for key in keys() {
            let about = format!("{:?} {:?}", key.algorithm(), version.version);
            world.show(version, Some(authority.issue(&for_clients(), &key)));
            assert_eq!(login(&world, &mut one).await, "welcome", "{about}");
            assert!(backend(&world).await.is_ok(), "{about}");
        }
        world.show(version, paper(1));
        assert_eq!(login(&world, &mut one).await, "welcome", "its own key's is as good");
    }
}

#[tokio::test]
async fn a_backend_shows_one_of_the_authority_where_there_is_one() {
    let (mut world, authority, _dir) = trusting(ClientCerts::Require).await;
    let request = async |world: &World| {
        let answer = Line::dial(world).await.as_backend("POST", "/v1/pairings/claim", "farm", "{}").await;
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    for shown in [None, paper(1)] {
        world.show(&TLS13, shown);
        assert_eq!(backend(&world).await.err(), Some(403));
        assert_eq!(request(&world).await, (403, "cert_required".to_owned()));
    }
    world.show(&TLS13, Some(authority.issue(&for_clients(), &any_key())));
    assert!(backend(&world).await.is_ok());
    assert_eq!(request(&world).await, (400, "bad_field".to_owned()), "it was heard");
}

#[tokio::test]
async fn what_proves_nothing_is_refused_in_the_handshake() {
    let (mut trusts, authority, _dir) = trusting(ClientCerts::Ask).await;
    let mut knows_nobody = World::start(wants(ClientCerts::Ask)).await;
    let foreign = Authority::new("elsewhere");
    let mut for_servers = for_clients();
    for_servers.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let mut not_yet = for_clients();
    not_yet.not_before = rcgen::date_time_ymd(2095, 1, 1);
    let own_key = key_of(1);
    for version in VERSIONS {
        for (paper, expected) in [
            (authority.issue(&expired(), &any_key()), AlertDescription::CertificateExpired),
            (authority.issue(&not_yet, &any_key()), AlertDescription::CertificateExpired),
            (authority.issue(&for_servers, &any_key()), AlertDescription::UnsupportedCertificate),
            (foreign.issue(&for_clients(), &any_key()), AlertDescription::UnknownCA),
            (foreign.issue(&for_clients(), &own_key), AlertDescription::UnknownCA),
            (Authority::new("campus").issue(&for_clients(), &any_key()), AlertDescription::DecryptError),
            (own(&for_clients(), &any_key()), AlertDescription::UnknownCA),
            (own(&expired(), &own_key), AlertDescription::CertificateExpired),
            (own(&for_servers, &own_key), AlertDescription::UnsupportedCertificate),
        ] {
            trusts.show(version, Some(paper));
            assert_eq!(alert(&trusts).await, expected, "{:?}", version.version);
        }
        knows_nobody.show(version, Some(authority.issue(&for_clients(), &any_key())));
        assert_eq!(alert(&knows_nobody).await, AlertDescription::UnknownCA);
    }
    assert_eq!(trusts.metric(r#"spoolway_relay_handshake_failures_total{why="tls"}"#).await, 18);
}

#[tokio::test]
async fn a_certificate_without_its_key_is_worth_nothing() {
    let mut world = World::start(wants(ClientCerts::Ask)).await;
    for version in VERSIONS {
        // The certificate of one, and the key of another: what the handshake is signed with does not fit.
        let stolen = Paper { key: paper(2).unwrap().key, ..paper(1).unwrap() };
        world.show(version, Some(stolen));
        assert_eq!(alert(&world).await, AlertDescription::DecryptError, "{:?}", version.version);
    }
}

#[tokio::test]
async fn after_a_change_of_the_key_both_certificates_are_good_for_as_long_as_their_keys() {
    let mut world = World::start(wants(ClientCerts::Require)).await;
    let mut machine = world.add_agent(1, "farm");
    let (old, new) = (Machine::new(1), Machine::new(2));
    let now_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap();
    world.registry().take_key(&machine.id, now_ms, &old.public_key(), &new.public_key()).unwrap();
    let mut changed = Machine::new(2);
    changed.id = machine.id;
    let mut verdicts = async |world: &mut World| {
        let mut verdicts = Vec::new();
        for (seed, signs_new) in [(1, false), (1, true), (2, false), (2, true)] {
            world.show(&TLS13, paper(seed));
            let by = if signs_new { &mut changed } else { &mut machine };
            by.hello_ctr += 1_000;
            verdicts.push(login(world, by).await);
            let ctr = by.hello_ctr;
            (changed.hello_ctr, machine.hello_ctr) = (ctr, ctr);
        }
        verdicts
    };
    assert_eq!(verdicts(&mut world).await, ["welcome"; 4]);
    let registry = rusqlite::Connection::open(world.dir.path().join("registry.db")).unwrap();
    registry.execute("UPDATE old_key SET until_ms = 1", []).unwrap();
    let expected = ["key_retired 4003", "bad_cert 4000", "key_retired 4003", "welcome"];
    assert_eq!(verdicts(&mut world).await, expected);
}

#[tokio::test]
async fn what_is_wanted_changes_while_the_relay_runs_and_sessions_go_on() {
    let (mut world, authority, dir) = trusting(ClientCerts::Ask).await;
    let (mut one, mut two) = (world.add_agent(1, "farm"), world.add_agent(2, "farm"));
    world.show(&TLS13, None);
    let mut session = world.agent(&mut one).await;
    let mut config = world.config.clone();
    config.tls.client_certs = ClientCerts::Require;
    world.reloads.send(config.clone()).await.unwrap();
    until(async || turned_away_or_asked(&world).await == "cert_required").await;
    session.send(r#"{"v":1,"t":"hb","body":{"n":1}}"#).await;
    assert_eq!(session.json().await["t"], "hb.ack");
    // Another authority stands in the file: what the old one has issued is worth nothing, and a session that is resumed neither.
    world.show(&TLS13, Some(authority.issue(&for_clients(), &any_key())));
    assert_eq!(login(&world, &mut two).await, "welcome");
    std::fs::write(dir.path().join("clients.pem"), Authority::new("next").pem).unwrap();
    world.reloads.send(config.clone()).await.unwrap();
    until(async || !lets_in(&world).await).await;
    // A file that cannot be used changes nothing.
    std::fs::write(dir.path().join("clients.pem"), "nothing\n").unwrap();
    world.reloads.send(config.clone()).await.unwrap();
    config.tls.client_certs = ClientCerts::Off;
    world.reloads.send(config).await.unwrap();
    until(async || lets_in(&world).await).await;
    assert_eq!(login(&world, &mut two).await, "welcome");
}

/// Waits for something that a reload brings.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let turns = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, turns).await.expect("a reload within the time limit");
}

/// The code of a refusal, or the kind of what is said instead.
async fn turned_away_or_asked(world: &World) -> String {
    let said = world.agent_socket().await.json().await;
    said["body"]["code"].as_str().or(said["t"].as_str()).unwrap().to_owned()
}

/// Whether a connection comes as far as an answer.
async fn lets_in(world: &World) -> bool {
    let Ok(mut stream) = world.try_tls("127.0.0.1").await else { return false };
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    match asked {
        Ok(()) => matches!(stream.read(&mut [0; 64]).await, Ok(1..)),
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::TimedOut);
            false
        }
    }
}
