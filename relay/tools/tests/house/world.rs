//! A relay on loopback with its registry, and clients that speak as agents and backends do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_protocol::AgentId;
use spoolway_protocol::hello::{EXPORTER_LABEL, attach_signature, signed_bytes};
use spoolway_relay::auth;
use spoolway_relay::config::Config;
use spoolway_relay::paths::Directories;
use spoolway_relay::run::{Bound, Outside, run_from};
use spoolway_relay::tail::Tail;
use spoolway_relay_registry::keys::kid_of;
use spoolway_relay_registry::{AgentRecord, BackendRecord, Registry, SqliteRegistry};
use spoolway_relay_tools::certs;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use crate::papers::Paper;
use crate::program::Program;

/// Far longer than anything here takes; only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(120);

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) bound: Bound,
    pub(crate) stop: CancellationToken,
    pub(crate) relay: JoinHandle<anyhow::Result<()>>,
    /// Other settings for the relay that runs.
    pub(crate) reloads: tokio::sync::mpsc::Sender<Config>,
    /// Those that it was started with.
    pub(crate) config: Config,
    roots: RootCertStore,
    tls: TlsConnector,
}

/// Whoever is tested may send as much as it can.
pub(crate) fn without_rates(config: &mut Config) {
    let limits = &mut config.limits;
    (limits.agent_frames_per_s, limits.agent_bytes_per_s) = (0, 0);
    (limits.backend_commands_per_s, limits.agent_commands_per_s) = (0, 0);
}

/// What came to a client.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Close(u16),
    Gone,
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TlsStream<TcpStream>>,
    exporter: [u8; 32],
}

impl World {
    /// A relay with the backends `farm` and `other` (secret: `secret`) of the organisation `org`.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let (dir, config, ca) = prepared(change);
        let directories = Directories::at(dir.path());
        let (ready, bound) = tokio::sync::oneshot::channel();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let (reloads_in, reloads) = tokio::sync::mpsc::channel(1);
        let settings = config.clone();
        let relay = tokio::spawn(async move {
            let outside =
                Outside { reloads, tail: Tail::default(), more: Some(spoolway_relay_gateway::routes) };
            run_from(config, &directories, token, Some(ready), outside).await
        });
        let bound = bound.await.expect("the relay is up");
        let (roots, tls) = trusting(&ca);
        Self { dir, bound, stop, relay, reloads: reloads_in, config: settings, roots, tls }
    }

    /// The program itself, as it ships, in a process of its own.
    pub(crate) fn start_program() -> (Self, Program) {
        let (dir, config, ca) = prepared(|_| {});
        let program = Program::start(dir.path());
        let (bound, stop) = (program.bound, CancellationToken::new());
        let relay = tokio::spawn(async { Ok(()) });
        let (reloads, (roots, tls)) = (tokio::sync::mpsc::channel(1).0, trusting(&ca));
        (Self { dir, bound, stop, relay, reloads, config, roots, tls }, program)
    }

    /// From now on whoever connects speaks this version of TLS, and shows this certificate where it is asked for one.
    pub(crate) fn show(&mut self, version: &'static SupportedProtocolVersion, paper: Option<Paper>) {
        self.tls = connector(&self.roots, &[version], paper);
    }

    pub(crate) fn registry(&self) -> SqliteRegistry {
        SqliteRegistry::open(&self.registry_file()).unwrap()
    }

    /// No agent can be looked up any more.
    pub(crate) fn spoil_registry(&self) {
        let file = rusqlite::Connection::open(self.registry_file()).unwrap();
        file.execute_batch("ALTER TABLE agent RENAME TO lost").unwrap();
    }

    fn registry_file(&self) -> PathBuf {
        self.dir.path().join("registry.db")
    }

    /// Registers an agent of `backend`, whose key comes from `seed`.
    pub(crate) fn add_agent(&self, seed: u8, backend: &str) -> Machine {
        let machine = Machine::new(seed);
        let agent = AgentRecord {
            id: machine.id,
            public_key: machine.public_key(),
            backend: backend.parse().unwrap(),
            name: String::new(),
            hello_ctr: 0,
            revoked_ms: None,
            quarantined_ms: None,
        };
        self.registry().add_agent(&agent).unwrap();
        machine
    }

    /// Runs the command line in a process of its own, on this relay's registry.
    pub(crate) fn cli(&self, args: &[&str]) -> (i32, String) {
        let output = self.command().args(args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// The program, for this relay.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spoolway-relay"));
        command.arg("--folder").arg(self.dir.path());
        command
    }

    /// A bare connection from one of loopback's many addresses.
    pub(crate) async fn tcp_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        socket.connect(self.bound.public).await.unwrap()
    }

    pub(crate) async fn tls(&self) -> TlsStream<TcpStream> {
        self.try_tls("127.0.0.1").await.unwrap()
    }

    pub(crate) async fn try_tls(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = self.tcp_from(address).await;
        self.tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await
    }

    /// Dials; an HTTP refusal is its status.
    pub(crate) async fn dial(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Client, u16> {
        let stream = self.tls().await;
        let exporter =
            stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL.as_bytes(), None).unwrap();
        let mut request =
            format!("wss://localhost:{}{path}", self.bound.public.port()).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Client { socket, exporter }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn backend(&self, id: &str) -> Client {
        let token = format!("Bearer {id}.secret");
        let headers = [("sec-websocket-protocol", "spoolway.v1"), ("authorization", token.as_str())];
        self.dial("/backend/v1", &headers).await.unwrap()
    }

    pub(crate) async fn agent_socket(&self) -> Client {
        self.dial("/agent/v1", &[("sec-websocket-protocol", "spoolway.v1")]).await.unwrap()
    }

    /// An agent that was welcomed.
    pub(crate) async fn agent(&self, machine: &mut Machine) -> Client {
        let mut client = self.agent_socket().await;
        let welcome = client.hello(machine).await;
        assert_eq!(welcome["t"], "welcome", "{welcome}");
        client
    }

    pub(crate) async fn admin(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut tcp = TcpStream::connect(self.bound.admin.unwrap()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub(crate) async fn metric(&self, line: &str) -> u64 {
        let page = self.admin("/metrics").await;
        let value = page.lines().find_map(|have| have.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("{line} in {page}"))
    }
}

/// A folder with certificates and the backends, and settings for a relay in it; its authority.
fn prepared(change: impl FnOnce(&mut Config)) -> (tempfile::TempDir, Config, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let directories = Directories::at(dir.path());
    let files = certs::init(&directories.tls(), &["localhost".into()]).unwrap();
    let mut config = Config::default();
    config.listen.address = "127.0.0.1:0".into();
    config.admin.address = "127.0.0.1:0".into();
    change(&mut config);
    let mut registry = SqliteRegistry::open(&config.registry_file(&directories)).unwrap();
    for id in ["farm", "other"] {
        let backend = BackendRecord {
            id: id.parse().unwrap(),
            organisation: "org".into(),
            name: String::new(),
            secret_hash: auth::hash_of_secret("secret"),
            revoked_ms: None,
        };
        registry.add_backend(&backend).unwrap();
    }
    (dir, config, files.ca)
}

fn trusting(ca: &Path) -> (RootCertStore, TlsConnector) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let tls = connector(&roots, rustls::DEFAULT_VERSIONS, None);
    (roots, tls)
}

fn connector(
    roots: &RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
    paper: Option<Paper>,
) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots.clone());
    let tls = match paper {
        Some(Paper { chain, key }) => {
            let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
            // It is not looked at whether the two belong together.
            tls.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))))
        }
        None => tls.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(tls))
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An agent's key and machine.
pub(crate) struct Machine {
    key: Ed25519KeyPair,
    pub(crate) id: AgentId,
    pub(crate) boot_id: String,
    pub(crate) machine_hash: String,
    pub(crate) hello_ctr: u64,
}

impl Machine {
    pub(crate) fn new(seed: u8) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public: [u8; 32] = key.public_key().as_ref().try_into().unwrap();
        let id = auth::agent_id_of(&public);
        Self { key, id, boot_id: "boot-1".into(), machine_hash: "ab".repeat(32), hello_ctr: 0 }
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.key.public_key().as_ref().try_into().unwrap()
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.key.sign(bytes).as_ref().to_vec()
    }

    /// A signed hello frame.
    pub(crate) fn hello(&mut self, nonce: &[u8], host: &str, exporter: &[u8]) -> String {
        self.hello_ctr += 1;
        let body = json!({
            "agent_id": self.id, "kid": kid_of(&self.public_key()), "proto": "spoolway.v1", "hello_ctr": self.hello_ctr,
            "boot_id": self.boot_id, "machine_hash": self.machine_hash,
            "agent": {"ver": "1.0.0", "build": "b", "os": "linux", "arch": "aarch64", "model": "Pi"},
            "caps": [], "outbox": {"epoch": 3, "next_seq": 9, "oldest_unacked": 7}, "cmd_seq": 5, "printers": [],
        });
        let body = body.to_string();
        let digest: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        let sig = self.key.sign(&signed_bytes(nonce, host, Some(exporter), &digest));
        let body = attach_signature(&body, sig.as_ref()).unwrap();
        format!(r#"{{"v":1,"t":"hello","to":"relay","body":{body}}}"#)
    }
}

impl Client {
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::Text(text.into().into())).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::Binary(bytes.into())).await.unwrap();
    }

    pub(crate) async fn seen(&mut self) -> Seen {
        loop {
            let next = tokio::time::timeout(HANG, self.socket.next())
                .await
                .expect("something within the time limit");
            return match next {
                Some(Ok(Message::Text(text))) => Seen::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(bytes))) => Seen::Binary(bytes.to_vec()),
                Some(Ok(Message::Close(frame))) => Seen::Close(frame.map_or(0, |frame| frame.code.into())),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Seen::Gone,
            };
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.seen().await {
            Seen::Text(text) => text,
            other => panic!("text expected, not {other:?}"),
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The code of the close frame, whatever comes before it.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match self.seen().await {
                Seen::Close(code) => return code,
                Seen::Gone => panic!("closed without a code"),
                Seen::Text(_) | Seen::Binary(_) => {}
            }
        }
    }

    /// Takes the challenge: nonce and exporter.
    pub(crate) async fn challenge(&mut self) -> (Vec<u8>, [u8; 32]) {
        use base64::Engine as _;
        let challenge = self.json().await;
        assert_eq!(
            (&challenge["t"], &challenge["body"]["binding"]),
            (&json!("challenge"), &json!("exporter"))
        );
        let nonce = challenge["body"]["nonce"].as_str().unwrap();
        (base64::engine::general_purpose::STANDARD.decode(nonce).unwrap(), self.exporter)
    }

    /// Answers the challenge; returns the relay's verdict.
    pub(crate) async fn hello(&mut self, machine: &mut Machine) -> Value {
        let (nonce, exporter) = self.challenge().await;
        self.send(machine.hello(&nonce, "localhost", &exporter)).await;
        self.json().await
    }
}
