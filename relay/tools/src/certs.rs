//! A private certificate authority and one server certificate, for relays without a public name.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use crate::host;

const CA_YEARS: i32 = 20;
const SERVER_YEARS: i32 = 10;

/// The four files that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Certificate of the authority: agents and backends trust this one.
    pub ca: PathBuf,
    /// Key of the authority, mode 0600: keep it off the relay once the server certificate exists.
    pub ca_key: PathBuf,
    /// Server certificate.
    pub server: PathBuf,
    /// Server key, mode 0600; made by root in a folder of another group, 0640 and of that group.
    pub server_key: PathBuf,
}

/// Why no certificates were made.
#[derive(Debug, thiserror::Error)]
pub enum InitCertsError {
    /// One of the files is there already; nothing was touched.
    #[error("{} exists already; nothing was written (move it away to start anew)", .0.display())]
    Exists(PathBuf),
    /// No host name was given.
    #[error("at least one host name is needed")]
    NoHost,
    /// Something else than a DNS name or an IP address.
    #[error("{host}: {why}")]
    Host {
        /// What was said.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key or the certificate could not be made.
    #[error("cannot make the certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A file or the folder cannot be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Writes a new authority and a server certificate for `hosts` (DNS names or IP addresses) into `dir`.
///
/// # Errors
/// Refuses to overwrite; see [`InitCertsError`].
pub fn init(dir: &Path, hosts: &[String]) -> Result<CertificateFiles, InitCertsError> {
    if hosts.is_empty() {
        return Err(InitCertsError::NoHost);
    }
    for host in hosts {
        host::name(host).map_err(|why| InitCertsError::Host { host: host.clone(), why })?;
    }
    let files = CertificateFiles {
        ca: dir.join("ca.pem"),
        ca_key: dir.join("ca.key"),
        server: dir.join("server.pem"),
        server_key: dir.join("server.key"),
    };
    for file in [&files.ca, &files.ca_key, &files.server, &files.server_key] {
        if file.exists() {
            return Err(InitCertsError::Exists(file.clone()));
        }
    }
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let ca_params = ca_params();
    let ca = ca_params.self_signed(&ca_key)?;
    let ca_key_pem = ca_key.serialize_pem();
    let server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let server = server_params(hosts)?.signed_by(&server_key, &Issuer::new(ca_params, ca_key))?;
    let write_dir = |source| InitCertsError::Write { file: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(write_dir)?;
    write_new(&files.ca_key, &ca_key_pem, 0o600)?;
    write_new(&files.ca, &ca.pem(), 0o644)?;
    write_new(&files.server_key, &server_key.serialize_pem(), 0o600)?;
    write_new(&files.server, &server.pem(), 0o644)?;
    let folder = dir.metadata().map_err(write_dir)?;
    if rustix::process::geteuid().is_root() && folder.gid() != 0 {
        share(&files.server_key, folder.gid())?;
    }
    Ok(files)
}

/// Begins a configuration with the names that a new certificate is for, unless there is one: a person's file is left alone. Says whether it
/// was begun.
///
/// # Errors
/// The file or its folder cannot be written.
pub fn begin_config(file: &Path, hosts: &[String]) -> Result<bool, InitCertsError> {
    let dir = file.parent().unwrap_or(Path::new("."));
    let write_dir = |source| InitCertsError::Write { file: dir.to_owned(), source };
    if file.exists() {
        return Ok(false);
    }
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(write_dir)?;
    write_new(file, &format!("[relay]\nhosts = {hosts:?}\n"), 0o640)?;
    let folder = dir.metadata().map_err(write_dir)?;
    if rustix::process::geteuid().is_root() && folder.gid() != 0 {
        share(file, folder.gid())?;
    }
    Ok(true)
}

/// Root makes a file for a relay that runs as somebody else: the folder's group may read it.
fn share(file: &Path, group: u32) -> Result<(), InitCertsError> {
    let write = |source| InitCertsError::Write { file: file.to_owned(), source };
    std::os::unix::fs::chown(file, None, Some(group)).map_err(write)?;
    std::fs::set_permissions(file, Permissions::from_mode(0o640)).map_err(write)
}

fn ca_params() -> CertificateParams {
    let mut params = params_for(CA_YEARS);
    params.distinguished_name.push(DnType::CommonName, "Spoolway private authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(hosts: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params_for(SERVER_YEARS);
    let hosts: Vec<_> = hosts.iter().map(|host| host::certified(host).to_owned()).collect();
    params.distinguished_name.push(DnType::CommonName, hosts[0].as_str());
    params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Valid from a fixed day in the past: a board without a battery may boot with an old clock, and
/// a certificate that is "not yet valid" would lock it out for no gain.
fn params_for(years: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(this_year() + years, 1, 1);
    params
}

fn this_year() -> i32 {
    const SECONDS_PER_YEAR: u64 = 31_556_952;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    1970 + i32::try_from(since_epoch.as_secs() / SECONDS_PER_YEAR).unwrap_or(0)
}

fn write_new(file: &Path, text: &str, mode: u32) -> Result<(), InitCertsError> {
    let write = |source| InitCertsError::Write { file: file.to_owned(), source };
    let mut open = OpenOptions::new().write(true).create_new(true).mode(mode).open(file).map_err(write)?;
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).map_err(write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_private_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tls");
        let files = init(&folder, &["relay.example".into(), "127.0.0.1".into()]).unwrap();
        for key in [&files.ca_key, &files.server_key] {
            assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let before = std::fs::read(&files.server).unwrap();
        std::fs::remove_file(&files.ca).unwrap();
        assert!(matches!(init(&folder, &["x".into()]), Err(InitCertsError::Exists(_))));
        assert_eq!(std::fs::read(&files.server).unwrap(), before);
        assert!(!files.ca.exists());
    }

    #[test]
    fn a_name_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(init(dir.path(), &[]), Err(InitCertsError::NoHost)));
        let said = init(dir.path(), &["localhost".into(), "bad host!".into()]);
        assert!(matches!(said, Err(InitCertsError::Host { host, .. }) if host == "bad host!"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_ip6_address_is_one_in_the_certificate_with_and_without_brackets() {
        let names = ["[2001:db8::7]", "2001:db8::7", "relay.example."].map(str::to_owned);
        let params = server_params(&names).unwrap();
        let address = || rcgen::SanType::IpAddress("2001:db8::7".parse().unwrap());
        let name = rcgen::SanType::DnsName("relay.example".try_into().unwrap());
        assert_eq!(params.subject_alt_names, [address(), address(), name]);
    }
}
