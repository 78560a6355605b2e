//! Whom the agent trusts: the system's roots, an operator's bundle, and the clock that certificates are judged by.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio_rustls::TlsConnector;

use super::client_cert::Answer;
use crate::clock::Clock;

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadTrustError {
    /// The bundle cannot be read or is not PEM.
    #[error("relay.ca_file = {}: {source}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls_pki_types::pem::Error,
    },
    /// The bundle holds nothing that can be trusted.
    #[error("relay.ca_file = {}: holds no certificate that can be used", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Nobody is left who could be trusted.
    #[error("relay.ca_only is set, and neither relay.ca_file nor the pairing names an authority")]
    Nobody,
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// TLS 1.2 or 1.3 by the system's roots and the operator's bundle, or by the bundle alone. It reads files, so it belongs on a blocking thread.
pub(super) fn connector(
    ca_file: Option<&Path>,
    ca_only: bool,
    answer: Arc<Answer>,
    clock: Clock,
) -> Result<TlsConnector, LoadTrustError> {
    let roots = trusted(ca_file, ca_only, || {
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!(%error, "some of the system's roots could not be read");
        }
        system.certs
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Believed(clock)))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_cert_resolver(answer);
    // Without it an exporter of TLS 1.2 does not bind to this connection (RFC 7627, section 1).
    config.require_ems = true;
    Ok(TlsConnector::from(Arc::new(config)))
}

fn trusted(
    ca_file: Option<&Path>,
    ca_only: bool,
    system: impl FnOnce() -> Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, LoadTrustError> {
    let mut roots = RootCertStore::empty();
    match (ca_only, ca_file) {
        (true, None) => return Err(LoadTrustError::Nobody),
        (true, Some(_)) => {}
        (false, _) => drop(roots.add_parsable_certificates(system())),
    }
    if let Some(path) = ca_file {
        add_bundle(&mut roots, path)?;
    }
    Ok(roots)
}

fn add_bundle(roots: &mut RootCertStore, path: &Path) -> Result<(), LoadTrustError> {
    let failed = |source| LoadTrustError::Bundle { path: path.to_owned(), source };
    let certs: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    match roots.add_parsable_certificates(certs) {
        (0, _) => Err(LoadTrustError::Empty { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// The time as well as this machine knows it: a clock that woke up in the past is lifted to what is certain.
#[derive(Debug)]
struct Believed(Clock);

impl TimeProvider for Believed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.unix_ms())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClientCert;

    #[test]
    fn a_bundle_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let clock = Clock::start().unwrap();
        let connector = |path, only, clock| {
            connector(path, only, Answer::by(&ClientCert::default(), None).unwrap(), clock)
        };
        let error = connector(Some(&path), false, clock.clone()).err().unwrap();
        assert!(error.to_string().contains("ca.pem"), "{error}");
        std::fs::write(&path, "no certificate\n").unwrap();
        let error = connector(Some(&path), true, clock.clone()).err().unwrap();
        assert!(matches!(error, LoadTrustError::Empty { .. }), "{error}");
        assert!(connector(None, false, clock.clone()).is_ok());
        assert!(connector(None, true, clock).err().unwrap().to_string().contains("relay.ca_only"));
    }

    #[test]
    fn an_authority_alone_leaves_no_place_for_the_systems() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert;
        std::fs::write(&path, made("private.example").pem()).unwrap();
        let system = vec![made("public.example").der().clone()];
        assert_eq!(trusted(Some(&path), false, || system.clone()).unwrap().len(), 2);
        let alone = trusted(Some(&path), true, || unreachable!("the system is not asked")).unwrap();
        assert_eq!(alone.len(), 1);
        assert_eq!(trusted(None, false, || system).unwrap().len(), 1);
    }
}
