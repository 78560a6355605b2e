//! What a relay is shown that asks for a client certificate: one of the agent's own key, made anew for each connection, or somebody
//! else's from a file.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, PKCS_ED25519, PublicKeyData,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::{CertifiedKey, Signer};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use spoolway_protocol::AgentId;

use crate::config::{ClientCert, ClientCertChoice};
use crate::identity::{Identity, Key};

/// Most bytes of a file with a certificate or a key.
const FILE_BYTES: u64 = 1 << 20;

/// Who the agent is, for a certificate of its own making.
#[derive(Clone)]
pub(crate) struct Own {
    agent_id: AgentId,
    key: Arc<Key>,
}

impl Own {
    /// With the key that signs now.
    pub(crate) fn of(identity: &Identity) -> Self {
        Self { agent_id: identity.agent_id(), key: identity.key() }
    }

    /// The key.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// A certificate that this key has issued itself. Its dates say nothing: how long the key is good the relay knows, and the clock of
    /// a board may be years off.
    fn certified(self) -> Result<CertifiedKey, rcgen::Error> {
        let id = self.agent_id.to_string();
        let mut params = CertificateParams::new([id.clone()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, id);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = OwnKey(self.key);
        let certificate = params.self_signed(&key)?;
        Ok(CertifiedKey::new(vec![certificate.into()], Arc::new(key)))
    }
}

/// The agent's key where TLS needs one. It never leaves its place: this only has it sign.
#[derive(Clone)]
struct OwnKey(Arc<Key>);

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.kid())
    }
}

impl PublicKeyData for OwnKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl rcgen::SigningKey for OwnKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.sign(message))
    }
}

impl rustls::sign::SigningKey for OwnKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for OwnKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.0.sign(message))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// The answer to a relay that asks for a client certificate, and whether it has asked.
#[derive(Debug)]
pub(super) struct Answer {
    certified: Option<Arc<CertifiedKey>>,
    was_asked: AtomicBool,
}

impl Answer {
    /// By the settings. What is a file is read anew each time, so that a renewal needs no restart.
    ///
    /// # Errors
    /// Names the setting, the file, and what is wrong with it.
    pub(super) fn by(client: &ClientCert, own: Option<Own>) -> Result<Arc<Self>, String> {
        let certified = match (&client.choice, own) {
            (ClientCertChoice::Off, _) | (ClientCertChoice::OwnKey, None) => None,
            (ClientCertChoice::OwnKey, Some(own)) => {
                Some(own.certified().map_err(|error| format!("relay.client_cert: {error}"))?)
            }
            (ClientCertChoice::File(file), _) => Some(from_files(file, client.key_file.as_deref())?),
        };
        Ok(Arc::new(Self { certified: certified.map(Arc::new), was_asked: AtomicBool::new(false) }))
    }

    /// What has happened, for a person.
    pub(super) fn told(&self) -> &'static str {
        match (self.was_asked.load(Ordering::Relaxed), &self.certified) {
            (false, _) => "",
            (true, Some(_)) => "; it has asked for a client certificate and was shown one",
            (true, None) => "; it has asked for a client certificate, and none is shown (relay.client_cert)",
        }
    }
}

impl ResolvesClientCert for Answer {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        self.certified.clone()
    }

    /// To be asked at all.
    fn has_certs(&self) -> bool {
        true
    }
}

fn from_files(certificate: &Path, key: Option<&Path>) -> Result<CertifiedKey, String> {
    let at_certificate =
        |why: &dyn fmt::Display| format!("relay.client_cert = {}: {why}", certificate.display());
    let pem = read(certificate).map_err(|why| at_certificate(&why))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| at_certificate(&error))?;
    if chain.is_empty() {
        return Err(at_certificate(&"holds no certificate"));
    }
    let (name, key_file) = key.map_or(("relay.client_cert", certificate), |key| ("relay.client_key", key));
    let at_key = |why: &dyn fmt::Display| format!("{name} = {}: {why}", key_file.display());
    is_private(key_file).map_err(|why| at_key(&why))?;
    let pem = read(key_file).map_err(|why| at_key(&why))?;
    let private =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| at_key(&format!("holds no key: {error}")))?;
    let certified = CertifiedKey::new(chain, any_supported_type(&private).map_err(|error| at_key(&error))?);
    certified
        .keys_match()
        .map_err(|error| at_key(&format!("does not belong to the certificate: {error}")))?;
    Ok(certified)
}

/// A file as a whole: what is left of one that was cut off could still look like a certificate.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(
            "is larger than 1 MiB; name one that holds certificates or a key and nothing else".to_owned()
        );
    }
    Ok(bytes)
}

fn is_private(path: &Path) -> Result<(), String> {
    let mode = path.metadata().map_err(|error| error.to_string())?.mode() & 0o777;
    match mode & 0o007 {
        0 => Ok(()),
        _ => Err(format!("has mode {mode:04o} and is open to everybody; `chmod o= FILE`")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn client(cert: &Path, key: Option<&Path>) -> ClientCert {
        ClientCert { choice: ClientCertChoice::File(cert.to_owned()), key_file: key.map(Path::to_owned) }
    }

    #[test]
    fn the_agents_own_certificate_has_its_key_and_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::open(dir.path()).unwrap();
        let answer = Answer::by(&ClientCert::default(), Some(Own::of(&identity))).unwrap();
        assert_eq!(answer.told(), "");
        let certified = answer.resolve(&[], &[]).unwrap();
        let certificate = certified.end_entity_cert().unwrap();
        let has = |bytes: &[u8]| certificate.windows(bytes.len()).filter(|window| *window == bytes).count();
        assert_eq!(has(&identity.public_key()), 1);
        // Issuer, subject and the name that stands beside the subject.
        assert_eq!(has(identity.agent_id().to_string().as_bytes()), 3);
        assert!(answer.told().contains("was shown one"));
        assert_eq!(format!("{:?}", certified.key), identity.key().kid().to_string(), "no secret is printed");
    }

    #[test]
    fn nothing_is_shown_where_there_is_nothing() {
        let off = ClientCert { choice: ClientCertChoice::Off, key_file: None };
        for client in [off, ClientCert::default()] {
            let answer = Answer::by(&client, None).unwrap();
            assert!(answer.resolve(&[], &[]).is_none());
            assert!(answer.told().contains("none is shown"));
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_along_with_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("agent.pem"), dir.path().join("agent.key"));
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (one, other) = (made("one"), made("other"));
        let refused = |key: Option<&Path>| Answer::by(&client(&cert, key), None).unwrap_err();
        assert!(refused(Some(&key)).starts_with("relay.client_cert = "));
        std::fs::write(&cert, "nothing\n").unwrap();
        assert!(refused(Some(&key)).ends_with("holds no certificate"));
        std::fs::write(&cert, one.cert.pem()).unwrap();
        assert!(refused(Some(&key)).starts_with("relay.client_key = "));
        let write = |pem: String, mode: u32| {
            std::fs::write(&key, pem).unwrap();
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write(one.signing_key.serialize_pem(), 0o644);
        assert!(refused(Some(&key)).contains("0644"));
        write(other.signing_key.serialize_pem(), 0o640);
        assert!(refused(Some(&key)).contains("does not belong"));
        write(one.signing_key.serialize_pem(), 0o640);
        assert!(Answer::by(&client(&cert, Some(&key)), None).unwrap().resolve(&[], &[]).is_some());
        std::fs::write(&key, one.cert.pem() + &one.signing_key.serialize_pem()).unwrap();
        assert!(
            Answer::by(&client(&key, None), None).unwrap().resolve(&[], &[]).is_some(),
            "both in one file"
        );
        std::fs::set_permissions(&cert, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refused(None).contains("holds no key"));
    }

    #[test]
    fn a_file_that_is_larger_than_any_is_refused_and_not_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("agent.pem"), dir.path().join("agent.key"));
        let made = rcgen::generate_simple_self_signed(["one".to_owned()]).unwrap();
        // The certificate stands first: a file that is cut off would still have one.
        let write = |path: &Path, pem: &str, bytes: u64| {
            let rest = usize::try_from(bytes).unwrap() - pem.len();
            std::fs::write(path, pem.to_owned() + &"#".repeat(rest)).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        let answer = || Answer::by(&client(&cert, Some(&key)), None);
        write(&cert, &made.cert.pem(), FILE_BYTES);
        write(&key, &made.signing_key.serialize_pem(), FILE_BYTES);
        assert!(answer().unwrap().resolve(&[], &[]).is_some());
        write(&key, &made.signing_key.serialize_pem(), FILE_BYTES + 1);
        let refused = answer().unwrap_err();
        assert!(
            refused.starts_with("relay.client_key = ") && refused.contains("larger than 1 MiB"),
            "{refused}"
        );
        write(&cert, &made.cert.pem(), FILE_BYTES + 1);
        let refused = answer().unwrap_err();
        assert!(
            refused.starts_with("relay.client_cert = ") && refused.contains("larger than 1 MiB"),
            "{refused}"
        );
    }
}
