//! What an agent takes of a relay's TLS: every kind of key that a certificate may have, TLS 1.2 with the extended master secret, TLS 1.3, and
//! nothing below.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA512};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::relay::FakeRelay;
use crate::rig::Rig;

/// Made for this test alone: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 | openssl pkcs8 -topk8 -nocrypt -outform DER`.
const RSA: &[u8] = include_bytes!("rsa-4096.p8");

pub(crate) fn keys() -> [KeyPair; 4] {
    let rsa = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(RSA), &PKCS_RSA_SHA512);
    let others = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
    let [p256, p384, ed25519] = others.map(|kind| KeyPair::generate_for(kind).unwrap());
    [rsa.unwrap(), p256, p384, ed25519]
}

#[tokio::test]
async fn every_kind_of_key_is_taken_in_tls_1_2_and_1_3() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for key in keys() {
            let about = format!("{:?} {:?}", key.algorithm(), version.version);
            let relay = FakeRelay::start_keyed("127.0.0.1:0", |_| {}, key, &[version]).await;
            let mut rig = Rig::start_with(&relay, |settings| settings.ca_only = true);
            let _peer = relay.welcome(&rig.key()).await;
            rig.until_up().await;
            assert!(rig.view.borrow().fault.is_none(), "{about}");
        }
    }
}

/// A ServerHello (RFC 5246, section 7.4.1.3) of this version, without any extension.
fn server_hello(minor: u8) -> Vec<u8> {
    let body = [&[3, minor][..], &[7; 32], &[0], &[0xc0, 0x2b], &[0]].concat();
    let hello = [&[2, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
    [&[22, 3, minor, 0, u8::try_from(hello.len()).unwrap()][..], &hello].concat()
}

#[tokio::test]
async fn older_versions_and_a_tls_1_2_that_binds_nothing_are_refused() {
    const OLD: &str = "ServerDoesNotSupportTls12Or13";
    for (minor, word) in [(1, OLD), (2, OLD), (3, "ExtendedMasterSecret")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                assert!(tcp.read(&mut [0; 2_048]).await.unwrap() > 0);
                tcp.write_all(&server_hello(minor)).await.unwrap();
                // Whoever refuses it says so, and hangs up.
                let _ = tcp.read(&mut [0; 64]).await;
            }
        };
        let relay = FakeRelay::start().await;
        let mut rig = Rig::start_with(&relay, |settings| settings.url.port = port);
        let fault = tokio::select! {
            fault = rig.fault() => fault,
            () = serve => unreachable!("it serves for ever"),
        };
        assert_eq!(fault.code, "tls.failed", "{}", fault.text);
        assert!(fault.text.contains(word), "3.{minor}: {}", fault.text);
    }
}
