//! What an agent shows a relay that asks for a client certificate, and what it says when that is refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::json;
use spoolway_agent::config::{ClientCert, ClientCertChoice};

use crate::relay::{FakeRelay, in_time};
use crate::rig::Rig;
use crate::tls::keys;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Asks, and takes whatever is signed with the key that the certificate names.
#[derive(Debug)]
struct TakesAll;

impl ClientCertVerifier for TakesAll {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signed, &default_provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signed, &default_provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A relay that asks so.
async fn asking(version: &'static SupportedProtocolVersion, how: Arc<dyn ClientCertVerifier>) -> FakeRelay {
    FakeRelay::start_asking("127.0.0.1:0", |_| {}, KeyPair::generate().unwrap(), &[version], how).await
}

/// A relay that takes none, and insists.
async fn refusing(version: &'static SupportedProtocolVersion) -> FakeRelay {
    let mut roots = RootCertStore::empty();
    roots.add(rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap().cert.into()).unwrap();
    let provider = Arc::new(default_provider());
    asking(version, WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap())
        .await
}

fn has(certificate: &[u8], bytes: &[u8]) -> bool {
    certificate.windows(bytes.len()).any(|window| window == bytes)
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn its_own_key_has_a_certificate_wherever_one_is_asked_for() {
    for version in VERSIONS {
        let relay = asking(version, Arc::new(TakesAll)).await;
        let mut rig = Rig::start(&relay);
        let peer = relay.welcome(&rig.key()).await;
        let shown = peer.shown().expect("a certificate");
        assert!(has(&shown, &rig.key()) && has(&shown, rig.identity.agent_id().to_string().as_bytes()));
        rig.until_up().await;
    }
}

#[tokio::test]
async fn after_a_change_of_the_key_the_next_connection_shows_the_new_one() {
    let relay = asking(&TLS13, Arc::new(TakesAll)).await;
    let mut rig = Rig::start(&relay);
    let old = rig.key();
    let peer = relay.welcome(&old).await;
    assert!(has(&peer.shown().unwrap(), &old));
    rig.until_up().await;
    rig.identity.prepare().unwrap();
    rig.identity.switch(1).unwrap();
    rig.identity.adopt().unwrap();
    drop(peer);
    let peer = relay.welcome(&rig.key()).await;
    let shown = peer.shown().unwrap();
    assert_ne!(rig.key(), old);
    assert!(has(&shown, &rig.key()) && !has(&shown, &old));
}

#[tokio::test]
async fn another_certificate_is_shown_when_it_is_set_and_none_when_that_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let (cert_file, key_file) = (dir.path().join("agent.pem"), dir.path().join("agent.key"));
    for version in VERSIONS {
        let relay = asking(version, Arc::new(TakesAll)).await;
        for key in keys() {
            let made =
                CertificateParams::new(["agent.example".to_owned()]).unwrap().self_signed(&key).unwrap();
            std::fs::write(&cert_file, made.pem()).unwrap();
            write_private(&key_file, &key.serialize_pem());
            let choice = ClientCertChoice::File(cert_file.clone());
            let client = ClientCert { choice, key_file: Some(key_file.clone()) };
            let rig = Rig::start_with(&relay, |settings| settings.client = client);
            let peer = relay.welcome(&rig.key()).await;
            assert_eq!(
                peer.shown().as_ref(),
                Some(made.der()),
                "{:?} {:?}",
                key.algorithm(),
                version.version
            );
            rig.stopped().await;
        }
        let off = ClientCert { choice: ClientCertChoice::Off, key_file: None };
        let rig = Rig::start_with(&relay, |settings| settings.client = off);
        assert_eq!(relay.welcome(&rig.key()).await.shown(), None);
        rig.stopped().await;
    }
}

#[tokio::test]
async fn what_a_relay_does_not_take_in_the_handshake_is_told_apart() {
    for version in VERSIONS {
        let relay = refusing(version).await;
        let mut rig = Rig::start(&relay);
        let is_told = |code: &str| code == "relay.client_cert";
        let told = rig.view.wait_for(|view| view.fault.as_ref().is_some_and(|fault| is_told(&fault.code)));
        tokio::select! {
            told = in_time(told) => assert!(told.unwrap().fault.as_ref().unwrap().text.contains("client certificate")),
            () = relay.refuse_all() => unreachable!("it serves for ever"),
        }
    }
}

#[tokio::test]
async fn a_relay_that_misses_one_at_the_login_is_understood() {
    for code in ["cert_required", "bad_cert"] {
        let relay = asking(&TLS13, Arc::new(TakesAll)).await;
        let mut rig = Rig::start(&relay);
        let mut peer = relay.accept().await;
        peer.say("reject", json!({"code": code, "message": "no"})).await;
        let fault = rig.fault().await;
        assert_eq!(fault.code, "relay.client_cert", "{}", fault.text);
        assert!(fault.text.contains(code), "{}", fault.text);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_a_fault_of_the_settings() {
    let relay = FakeRelay::start().await;
    let choice = ClientCertChoice::File("/nowhere/agent.pem".into());
    let client = ClientCert { choice, key_file: None };
    let mut rig = Rig::start_with(&relay, |settings| settings.client = client);
    let fault = rig.fault().await;
    assert_eq!(fault.code, "config.broken");
    assert!(fault.text.contains("relay.client_cert = /nowhere/agent.pem"), "{}", fault.text);
}
