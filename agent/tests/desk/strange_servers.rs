//! Servers of files that are not what the offer says: they want to know who the agent is, or are somebody else.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::date_time_ymd;
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use serde_json::json;
use spoolway_agent::config::{ClientCert, ClientCertChoice};
use spoolway_protocol::JobState;

use super::files::{body, https, sha256};
use super::rig::Rig;
use super::server::{Answer, Server, paper};

/// A certificate that an administrator has given the agent for its relay, and who takes it.
fn for_the_relay(folder: &std::path::Path) -> (ClientCert, RootCertStore) {
    let made = paper("agent.example", |_| {});
    let (certificate, key): (PathBuf, PathBuf) = (folder.join("agent.pem"), folder.join("agent.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (ClientCert { choice: ClientCertChoice::File(certificate), key_file: Some(key) }, roots)
}

fn asks(roots: RootCertStore, insists: bool) -> Arc<dyn ClientCertVerifier> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::new(default_provider()));
    let builder = if insists { builder } else { builder.allow_unauthenticated() };
    builder.build().unwrap()
}

#[tokio::test]
async fn a_server_that_asks_who_the_agent_is_is_shown_no_certificate() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(70_000));
    let (of_a_file, roots) = for_the_relay(dir.path());
    for (n, client) in [of_a_file, ClientCert::default()].into_iter().enumerate() {
        let asking =
            Server::start_as(paper("localhost", |_| {}), asks(roots.clone(), false), &file, Vec::new()).await;
        let way = spoolway_agent::uplink::RelaySettings { client: client.clone(), ..asking.way() };
        let folder = dir.path().join(n.to_string());
        std::fs::create_dir(&folder).unwrap();
        let mut rig = Rig::open_on_way(&folder, way);
        rig.offer("j", &file, json!([https(&asking.url("/f"))])).await;
        rig.until_job("j", JobState::Queued).await;
        assert_eq!(rig.job_file().await.0, sha256(&file).to_string());
        assert_eq!(asking.shown(), [false], "{client:?}");
    }
}

#[tokio::test]
async fn a_server_that_insists_on_a_certificate_is_told_nothing_and_the_relay_is_asked_instead() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(70_000));
    let (client, roots) = for_the_relay(dir.path());
    let insisting = Server::start_as(paper("localhost", |_| {}), asks(roots, true), &file, Vec::new()).await;
    let way = spoolway_agent::uplink::RelaySettings { client, ..insisting.way() };
    let mut rig = Rig::open_on_way(dir.path(), way);
    rig.connect().await;
    rig.offer("j", &file, json!([https(&insisting.url("/f")), {"kind": "relay"}])).await;
    rig.serve_all("j", &file).await;
    assert_eq!(rig.job_file().await.0, sha256(&file).to_string());
    assert!(insisting.shown().is_empty() && insisting.seen().is_empty(), "{:?}", insisting.seen());
}

#[tokio::test]
async fn a_server_that_does_not_prove_who_it_is_is_told_nothing_of_the_url() {
    let file = body(70_000);
    let expired = paper("localhost", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    let (foreign, elsewhere) = (paper("localhost", |_| {}), paper("other.example", |_| {}));
    for (what, paper, is_trusted) in
        [("expired", expired, true), ("of another name", elsewhere, true), ("foreign", foreign, false)]
    {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start_as(paper, Arc::new(NoClientAuth), &file, Vec::new()).await;
        let trusted = Server::start(&file, Vec::new()).await;
        let way = if is_trusted { server.way() } else { trusted.way() };
        let mut rig = Rig::open_on_way(dir.path(), way);
        rig.connect().await;
        rig.offer("j", &file, json!([https(&server.url("/f?sig=s3cret")), {"kind": "relay"}])).await;
        rig.serve_all("j", &file).await;
        assert_eq!(rig.job_file().await.0, sha256(&file).to_string(), "{what}");
        assert!(server.seen().is_empty(), "{what}: {:?}", server.seen());
    }
}

#[tokio::test]
async fn an_answer_whose_head_has_no_end_is_given_up() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(70_000));
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(300_000));
    let server = Server::start(&file, vec![Answer::Words(endless)]).await;
    let mut rig = Rig::open_by(dir.path(), &server);
    rig.connect().await;
    rig.offer("j", &file, json!([https(&server.url("/f")), {"kind": "relay"}])).await;
    rig.serve_all("j", &file).await;
    assert_eq!(rig.job_file().await.0, sha256(&file).to_string());
}
