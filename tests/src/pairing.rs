//! How a backend pairs with an agent, as somebody else would write it: HTTPS with its token, and the same four words.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_protocol::pairing::{CLAIM_PATH, PAIRINGS_PATH, PairSeen, fingerprint_bytes, words_of};
use spoolway_protocol::{BackendId, Sha256Hex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A backend that says yes or no to agents with a code.
pub struct Approver {
    host: String,
    port: u16,
    token: String,
    tls: TlsConnector,
    /// The keys it signs permits with.
    keys: Vec<[u8; 32]>,
}

/// A pairing that it has claimed.
pub struct Claimed {
    /// How it stands.
    pub seen: PairSeen,
    nonce: [u8; 32],
}

impl Approver {
    /// A backend with its token, at the relay whose authority lies in a file.
    ///
    /// # Errors
    /// The authority cannot be read.
    pub fn new(host: &str, port: u16, token: &str, ca: &Path, keys: Vec<[u8; 32]>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(tls));
        Ok(Self { host: host.to_owned(), port, token: token.to_owned(), tls, keys })
    }

    /// Takes a code.
    ///
    /// # Errors
    /// The relay does not know it.
    pub async fn claim(&self, code: &str, nonce: [u8; 32]) -> anyhow::Result<Claimed> {
        let keys: Vec<_> = self.keys.iter().map(|key| STANDARD.encode(key)).collect();
        let body = json!({"code": code, "nonce": STANDARD.encode(nonce), "keys": keys});
        let seen = serde_json::from_value(self.ask("POST", CLAIM_PATH, &body.to_string()).await?)?;
        Ok(Claimed { seen, nonce })
    }

    /// The words, once the agent has shown its random number.
    ///
    /// # Errors
    /// The agent gave up, or what it has shown does not fit what it was committed to.
    pub async fn words(&self, claimed: &mut Claimed) -> anyhow::Result<[&'static str; 4]> {
        let nonce = loop {
            let path = format!("{PAIRINGS_PATH}/{}", claimed.seen.pair_id);
            claimed.seen = serde_json::from_value(self.ask("GET", &path, "").await?)?;
            match (&claimed.seen.nonce, claimed.seen.state.as_str()) {
                (Some(nonce), "shown" | "paired") => break nonce.0.clone(),
                (_, "claimed") => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
                (_, state) => bail!("the pairing is {state}"),
            }
        };
        // Without this a relay in between could choose the number when it knows everything else.
        if Sha256Hex(Sha256::digest(&nonce).into()) != claimed.seen.commit {
            bail!("the agent's random number is not the one that it was committed to");
        }
        let bytes32 = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).context("32 bytes");
        let agent = (&bytes32(&claimed.seen.pubkey.0)?, &bytes32(&nonce)?);
        let id: BackendId = self.token.rsplit_once('.').context("a token")?.0.parse()?;
        let bytes = fingerprint_bytes(agent, (&id, &claimed.nonce), &self.keys);
        Ok(words_of(&Sha256::digest(bytes).into()))
    }

    /// Says yes (`approve`) or no (`deny`).
    ///
    /// # Errors
    /// It is too late.
    pub async fn say(&self, claimed: &Claimed, word: &str) -> anyhow::Result<PairSeen> {
        let path = format!("{PAIRINGS_PATH}/{}/{word}", claimed.seen.pair_id);
        Ok(serde_json::from_value(self.ask("POST", &path, "{}").await?)?)
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let mut stream = self.tls.connect(ServerName::try_from(self.host.clone())?, tcp).await?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}:{}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.host,
            self.port,
            self.token,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        if head.split(' ').nth(1) != Some("200") {
            bail!("{}: {body}", head.lines().next().unwrap_or_default());
        }
        Ok(serde_json::from_str(body)?)
    }
}
