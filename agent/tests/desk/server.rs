//! A server of files by HTTPS that answers as the test wants it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use spoolway_agent::config::{Proxy, ProxyChoice};
use spoolway_agent::uplink::RelaySettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// One answer; when none is left, ranges of the file are served.
pub(crate) enum Answer {
    /// These very words, and the end of the connection.
    Words(String),
    /// As it should be, but the connection is gone after so many bytes of the body.
    Cut(usize),
    /// The whole file, whatever was asked for.
    Whole,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    seen: Arc<Mutex<Vec<String>>>,
    shown: Arc<Mutex<Vec<bool>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(file: &[u8], answers: Vec<Answer>) -> Self {
        Self::start_as(paper("localhost", |_| {}), Arc::new(NoClientAuth), file, answers).await
    }

    /// One with this certificate, that asks for client certificates so.
    pub(crate) async fn start_as(
        paper: CertifiedKey<KeyPair>,
        asks: Arc<dyn ClientCertVerifier>,
        file: &[u8],
        answers: Vec<Answer>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), paper.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(paper.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(asks)
            .with_single_cert(vec![paper.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, file) = (Arc::<Mutex<Vec<String>>>::default(), file.to_vec());
        let shown = Arc::<Mutex<Vec<bool>>>::default();
        let (told, noted, mut answers) = (Arc::clone(&seen), Arc::clone(&shown), VecDeque::from(answers));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                noted.lock().unwrap().push(stream.get_ref().1.peer_certificates().is_some());
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                let words = words_of(&file, &head, answers.pop_front());
                told.lock().unwrap().push(head);
                // Whoever has heard enough has hung up.
                let _ = stream.write_all(&words).await;
                let _ = stream.flush().await;
            }
        });
        Self { port, dir, seen, shown, task }
    }

    /// How an agent goes there that trusts this server and nobody else.
    pub(crate) fn way(&self) -> RelaySettings {
        RelaySettings {
            url: "wss://localhost:1".parse().unwrap(),
            ca_file: Some(self.ca_file()),
            ca_only: true,
            allow_unbound: false,
            client: Default::default(),
            proxy: Proxy { choice: ProxyChoice::Straight, password_file: None },
        }
    }

    fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// The head of every request that came, in small letters.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Of every handshake that came to its end: whether a client certificate was shown in it.
    pub(crate) fn shown(&self) -> Vec<bool> {
        self.shown.lock().unwrap().clone()
    }
}

/// A certificate of this name that vouches for itself.
pub(crate) fn paper(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertifiedKey<KeyPair> {
    let signing_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

fn words_of(file: &[u8], head: &str, answer: Option<Answer>) -> Vec<u8> {
    let size = file.len();
    let from = head.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next());
    let from = from.map_or(0, |from| from.parse().unwrap());
    let etag = "ETag: \"v1\"\r\nContent-Type: text/plain";
    let whole = format!("HTTP/1.1 200 OK\r\n{etag}\r\nContent-Length: {size}\r\n\r\n");
    let good = if from == 0 {
        whole.clone()
    } else {
        let range =
            format!("Content-Range: bytes {from}-{}/{size}\r\nContent-Length: {}", size - 1, size - from);
        format!("HTTP/1.1 206 Partial Content\r\n{etag}\r\n{range}\r\n\r\n")
    };
    match answer {
        None => [good.as_bytes(), &file[from..]].concat(),
        Some(Answer::Words(words)) => words.into_bytes(),
        Some(Answer::Cut(bytes)) => [good.as_bytes(), &file[from..from + bytes]].concat(),
        Some(Answer::Whole) => [whole.as_bytes(), file].concat(),
    }
}
