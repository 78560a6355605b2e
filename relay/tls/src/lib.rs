//! The server side of TLS: 1.3, or 1.2 with the extended master secret; the certificate is renewed without a restart.

mod clients;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use rustls::ServerConfig;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use clients::{ClientCerts, Clients, Shown};

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadTlsError {
    /// A file cannot be read or holds no PEM of the right kind.
    #[error("cannot read {}: {source} (`spoolway-relay certs init` makes a private set)", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What the reader said.
        source: rustls_pki_types::pem::Error,
    },
    /// The key is of no supported kind, or does not belong to the certificate.
    #[error("certificate {} and key {} cannot be used together: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The authorities of client certificates cannot be used.
    #[error("tls.client_ca = {}: {why}", file.display())]
    Authorities {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS set-up failed: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificate in use, and the files it came from.
#[derive(Debug)]
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, LoadTlsError> {
        let current = RwLock::new(read_pair(certificate, key)?);
        Ok(Arc::new(Self { certificate: certificate.to_owned(), key: key.to_owned(), current }))
    }

    /// Reads both files again; when they cannot be used, the old pair stays.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn reload(&self) -> Result<(), LoadTlsError> {
        let pair = read_pair(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    /// When the certificate in use ends, unix ms; `None` when that cannot be read from it.
    pub fn ends_ms(&self) -> Option<u64> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let ends = not_after(current.end_entity_cert().ok()?).ok()?;
        u64::try_from(ends.as_millis()).ok()
    }

    /// When the two files were last written; `None` while one of them is missing.
    pub fn written_at(&self) -> Option<(SystemTime, SystemTime)> {
        written_at(&self.certificate).zip(written_at(&self.key))
    }
}

/// When a certificate ends that is good for so long from now on, in a person's words.
pub fn ends(left: Duration) -> String {
    match (left, left.as_secs() / 86_400) {
        (Duration::ZERO, _) => "has ended".to_owned(),
        (_, 0) => "ends within a day".to_owned(),
        (_, 1) => "ends in 1 day".to_owned(),
        (_, days) => format!("ends in {days} days"),
    }
}

/// When a file was last written; `None` while it is missing.
pub fn written_at(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|meta| meta.modified()).ok()
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Session tickets and the session cache are rustls' defaults: a resumed handshake costs a Pi less than half.
///
/// # Errors
/// Only when the library refuses its own defaults.
pub fn server_config(
    certificate: Arc<Certificate>,
    clients: Arc<Clients>,
) -> Result<ServerConfig, LoadTlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(certificate);
    // Without it a TLS 1.2 exporter does not bind the channel (RFC 7627, section 1).
    config.require_ems = true;
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The end of a certificate's validity (RFC 5280, section 4.1), from 1970 on.
fn not_after(certificate: &[u8]) -> der::Result<Duration> {
    let mut whole = SliceReader::new(AnyRef::from_der(certificate)?.value())?;
    let mut to_be_signed = SliceReader::new(AnyRef::decode(&mut whole)?.value())?;
    // A version may stand before serial number, algorithm and issuer.
    let has_version = to_be_signed.peek_tag()?.is_context_specific();
    for _ in 0..3 + usize::from(has_version) {
        AnyRef::decode(&mut to_be_signed)?;
    }
    let mut validity = SliceReader::new(AnyRef::decode(&mut to_be_signed)?.value())?;
    AnyRef::decode(&mut validity)?;
    let end = AnyRef::decode(&mut validity)?;
    match end.tag() {
        Tag::UtcTime => Ok(end.decode_as::<UtcTime>()?.to_unix_duration()),
        _ => Ok(end.decode_as::<GeneralizedTime>()?.to_unix_duration()),
    }
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, LoadTlsError> {
    let pem = |file: &Path| {
        let file = file.to_owned();
        move |source| LoadTlsError::Pem { file, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(pem(certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
    let pair = || -> Result<CertifiedKey, rustls::Error> {
        let pair = CertifiedKey::new(chain, any_supported_type(&private)?);
        pair.keys_match()?;
        Ok(pair)
    };
    pair().map(Arc::new).map_err(|source| LoadTlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_days_until_it_is_near() {
        const DAY: u64 = 86_400;
        let told = [0, 1, DAY - 1, DAY, 2 * DAY, 15 * DAY + 1].map(|left| ends(Duration::from_secs(left)));
        let words = [
            "has ended",
            "ends within a day",
            "ends within a day",
            "ends in 1 day",
            "ends in 2 days",
            "ends in 15 days",
        ];
        assert_eq!(told, words);
    }

    #[test]
    fn a_certificate_loads_and_a_renewal_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let (file, key) = (dir.path().join("server.pem"), dir.path().join("server.key"));
        let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let made = make();
        std::fs::write(&file, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let certificate = Certificate::load(&file, &key).unwrap();
        let before = certificate.current.read().unwrap().cert.clone();
        let renewed = make();
        std::fs::write(&file, renewed.cert.pem()).unwrap();
        assert!(matches!(certificate.reload(), Err(LoadTlsError::Pair { .. })));
        assert_eq!(certificate.current.read().unwrap().cert, before);
        std::fs::write(&key, renewed.signing_key.serialize_pem()).unwrap();
        certificate.reload().unwrap();
        assert_ne!(certificate.current.read().unwrap().cert, before);
    }

    #[test]
    fn the_end_of_a_certificate_is_read_from_it() {
        let ends = |year: i32| {
            let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 3, 1);
            let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            not_after(made.der()).unwrap().as_secs()
        };
        // The first is written as UTCTime, the second as GeneralizedTime; `date -u +%s -d 2049-03-01`.
        assert_eq!(ends(2049), 2_498_169_600);
        assert_eq!(ends(2051), 2_561_241_600);
        for wrong in [&[][..], &[0x30, 0], &[0x30, 2, 0x30, 0], &[0xff; 40]] {
            assert!(not_after(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Certificate::load(Path::new("nowhere/server.pem"), Path::new("x")).unwrap_err();
        assert!(error.to_string().contains("nowhere/server.pem"));
    }
}
