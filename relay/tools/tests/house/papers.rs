//! Client certificates for tests: an agent's own, and those of an authority for every kind of key.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA512,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Made for tests alone; see the agent's test that it belongs to.
const RSA: &[u8] = include_bytes!("../../../../agent/tests/uplink/rsa-4096.p8");

/// A certificate with its key.
pub(crate) struct Paper {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Clone for Paper {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// What is written in a certificate.
pub(crate) fn for_clients() -> CertificateParams {
    let mut params = CertificateParams::new(["client.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// The same, and its time is over.
pub(crate) fn expired() -> CertificateParams {
    let mut params = for_clients();
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

/// One key of each kind.
pub(crate) fn keys() -> [KeyPair; 4] {
    let rsa = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(RSA), &PKCS_RSA_SHA512);
    let others = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
    let [p256, p384, ed25519] = others.map(|kind| KeyPair::generate_for(kind).unwrap());
    [rsa.unwrap(), p256, p384, ed25519]
}

pub(crate) fn any_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

/// An Ed25519 key from its seed.
pub(crate) fn key_of(seed: u8) -> KeyPair {
    // RFC 8410, section 7, without the public key.
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pkcs8 = [&head[..], &[seed; 32]].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519).unwrap()
}

/// A certificate that a key has issued itself.
pub(crate) fn own(params: &CertificateParams, key: &KeyPair) -> Paper {
    Paper { chain: vec![params.self_signed(key).unwrap().into()], key: private(key) }
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = any_key();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn issue(&self, params: &CertificateParams, key: &KeyPair) -> Paper {
        Paper { chain: vec![params.signed_by(key, &self.issuer).unwrap().into()], key: private(key) }
    }
}
