//! Client certificates: who is asked for one, which are taken, and what they say of whoever shows them.
//!
//! A certificate is good here in two ways. It was made from an agent's own key: then it is as good as that key, and the login looks
//! whose it is. Or an authority of `tls.client_ca` has issued it. Everything else is refused in the handshake.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

use serde::{Deserialize, Serialize};

use crate::LoadTlsError;

/// What stands ahead of the 32 bytes of an Ed25519 key in a certificate (RFC 8410, section 4).
const ED25519: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Whether whoever connects is asked for a certificate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCerts {
    /// No.
    Off,
    /// Yes; one that is shown has to fit.
    Ask,
    /// Yes, and nobody logs in without.
    Require,
}

/// What a client certificate says of whoever has shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// One of the authorities knows him.
    Authority,
    /// He has this Ed25519 key.
    Key([u8; 32]),
}

/// The rule in force; other settings bring another one.
#[derive(Debug)]
pub struct Clients {
    provider: Arc<CryptoProvider>,
    rule: RwLock<Arc<Rule>>,
}

#[derive(Debug)]
struct Rule {
    wanted: ClientCerts,
    authorities: Option<Arc<dyn ClientCertVerifier>>,
}

impl Clients {
    /// By this setting, and the PEM file of the authorities unless its name is empty.
    ///
    /// # Errors
    /// The file of the authorities cannot be used.
    pub fn load(wanted: ClientCerts, authorities: &str) -> Result<Arc<Self>, LoadTlsError> {
        let provider = Arc::new(default_provider());
        let rule = RwLock::new(Rule::read(wanted, authorities, &provider)?);
        Ok(Arc::new(Self { provider, rule }))
    }

    /// The same from now on; when it cannot be used, the rule before stays.
    ///
    /// # Errors
    /// The file of the authorities cannot be used.
    pub fn reload(&self, wanted: ClientCerts, authorities: &str) -> Result<(), LoadTlsError> {
        let rule = Rule::read(wanted, authorities, &self.provider)?;
        *self.rule.write().unwrap_or_else(PoisonError::into_inner) = rule;
        Ok(())
    }

    /// What was shown in a handshake. It is judged once more: a session that is resumed brings along what it was begun with.
    ///
    /// # Errors
    /// It is not good, or not any more.
    pub fn shown(&self, chain: Option<&[CertificateDer<'_>]>) -> Result<Option<Shown>, Error> {
        let chain = chain.filter(|_| self.offer_client_auth());
        let Some((own, rest)) = chain.and_then(<[_]>::split_first) else { return Ok(None) };
        self.judge(own, rest, UnixTime::now()).map(Some)
    }

    /// Whether an agent has to show one, and has not.
    pub fn misses_agents(&self, shown: Option<Shown>) -> bool {
        self.rule().wanted == ClientCerts::Require && shown.is_none()
    }

    /// The same of a backend, of which no key is known here: where there are no authorities it can show nothing.
    pub fn misses_backends(&self, shown: Option<Shown>) -> bool {
        let rule = self.rule();
        rule.wanted == ClientCerts::Require && rule.authorities.is_some() && shown != Some(Shown::Authority)
    }

    fn rule(&self) -> Arc<Rule> {
        Arc::clone(&self.rule.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn judge(
        &self,
        own: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Shown, Error> {
        let refused = match &self.rule().authorities {
            None => CertificateError::UnknownIssuer.into(),
            Some(authorities) => match authorities.verify_client_cert(own, rest, now) {
                Ok(_) => return Ok(Shown::Authority),
                Err(error) => error,
            },
        };
        let itself = roots([own.clone().into_owned()])?;
        let key = itself.roots.first().and_then(|root| root.subject_public_key_info.strip_prefix(&ED25519));
        let Some(key) = key.and_then(|key| key.try_into().ok()) else { return Err(refused) };
        // Issued by itself, for clients, and within its dates.
        verifier(itself, &self.provider)?.verify_client_cert(own, &[], now)?;
        Ok(Shown::Key(key))
    }
}

impl Rule {
    fn read(
        wanted: ClientCerts,
        authorities: &str,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, LoadTlsError> {
        if authorities.is_empty() || wanted == ClientCerts::Off {
            return Ok(Arc::new(Self { wanted, authorities: None }));
        }
        let file = Path::new(authorities);
        let failed = |why: String| LoadTlsError::Authorities { file: file.to_owned(), why };
        let pem = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let pem = pem.map_err(|error| failed(error.to_string()))?;
        let trusted = roots(pem).and_then(|roots| verifier(roots, provider));
        let authorities = Some(trusted.map_err(|error| failed(error.to_string()))?);
        Ok(Arc::new(Self { wanted, authorities }))
    }
}

fn roots(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    certificates.into_iter().try_for_each(|certificate| roots.add(certificate))?;
    Ok(roots)
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let built = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider)).build();
    built.map_err(|error| Error::General(error.to_string()))
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.rule().wanted != ClientCerts::Off
    }

    /// Pairing needs none. Whoever has to show one is told so by name, at the login.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(own, rest, now).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
