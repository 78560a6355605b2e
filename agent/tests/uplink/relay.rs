//! A relay of a few lines on loopback: TLS, websocket, and whatever the test makes it say.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::ServerConfig;
use rustls::server::NoClientAuth;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_protocol::Route;
use spoolway_protocol::hello::{EXPORTER_LABEL, signed_bytes, split_signature};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// Far longer than anything here takes; only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(120);
pub(crate) const NONCE: [u8; 32] = [9; 32];

pub(crate) struct FakeRelay {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    pub(crate) port: u16,
    dir: tempfile::TempDir,
}

/// One connection.
pub(crate) struct Peer {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    pub(crate) path: String,
    exporter: [u8; 32],
}

impl FakeRelay {
    /// A relay whose certificate is for `localhost`, issued by an authority of its own.
    pub(crate) async fn start() -> Self {
        Self::start_for(|_| {}).await
    }

    /// The same with another certificate.
    pub(crate) async fn start_for(change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::start_at("127.0.0.1:0", change).await
    }

    /// The same at another address.
    pub(crate) async fn start_at(address: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::start_keyed(address, change, KeyPair::generate().unwrap(), rustls::DEFAULT_VERSIONS).await
    }

    /// The same with another kind of key, for some versions of TLS.
    pub(crate) async fn start_keyed(
        address: &str,
        change: impl FnOnce(&mut CertificateParams),
        key: KeyPair,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        Self::start_asking(address, change, key, versions, Arc::new(NoClientAuth)).await
    }

    /// The same; it asks for client certificates as this verifier does.
    pub(crate) async fn start_asking(
        address: &str,
        change: impl FnOnce(&mut CertificateParams),
        key: KeyPair,
        versions: &[&'static rustls::SupportedProtocolVersion],
        asking: Arc<dyn ClientCertVerifier>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut leaf);
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(asking)
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), port, dir }
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Serves TLS handshakes that are meant to fail, for as long as it is polled.
    pub(crate) async fn refuse_all(&self) {
        loop {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let _refused = self.acceptor.accept(tcp).await;
        }
    }

    /// Answers every request over TLS with the same words, for as long as it is polled.
    pub(crate) async fn answer_all(&self, words: &str) {
        loop {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let mut stream = self.acceptor.accept(tcp).await.unwrap();
            let mut heard = [0; 4_096];
            assert!(stream.read(&mut heard).await.unwrap() > 0);
            stream.write_all(words.as_bytes()).await.unwrap();
            // Whoever has heard enough has hung up.
            let _ = stream.shutdown().await;
        }
    }

    /// The next agent that gets as far as a websocket.
    #[expect(clippy::result_large_err, reason = "the library's own callback type")]
    pub(crate) async fn accept(&self) -> Peer {
        in_time(async {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let stream = self.acceptor.accept(tcp).await.unwrap();
            let exporter =
                stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL.as_bytes(), None).unwrap();
            let mut path = String::new();
            let socket = tokio_tungstenite::accept_hdr_async(stream, |request: &Request, response| {
                path = request.uri().path().to_owned();
                agree(request, response)
            })
            .await
            .unwrap();
            Peer { socket, path, exporter }
        })
        .await
    }

    /// The next agent, logged in; the window is wide and the heart beats slowly.
    pub(crate) async fn welcome(&self, public_key: &[u8]) -> Peer {
        self.welcome_with(public_key, json!({})).await
    }

    /// The same with other words in the welcome.
    pub(crate) async fn welcome_with(&self, public_key: &[u8], change: Value) -> Peer {
        let mut peer = self.accept().await;
        peer.challenge("exporter").await;
        peer.hello(public_key, true).await;
        peer.say_welcome(change).await;
        peer
    }
}

#[expect(clippy::result_large_err, reason = "the library's own callback type")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    assert_eq!(request.headers()["sec-websocket-protocol"], "spoolway.v1");
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("spoolway.v1"));
    Ok(response)
}

impl Peer {
    /// The certificate that the agent has shown.
    pub(crate) fn shown(&self) -> Option<CertificateDer<'static>> {
        let chain = self.socket.get_ref().get_ref().1.peer_certificates();
        chain.and_then(|chain| chain.first()).map(|own| own.clone().into_owned())
    }

    pub(crate) async fn challenge(&mut self, binding: &str) {
        let body = json!({
            "nonce": STANDARD.encode(NONCE), "relay_id": "test", "relay_time_ms": now_ms(),
            "proto": ["spoolway.v1"], "binding": binding,
        });
        self.say("challenge", body).await;
    }

    /// Takes the hello and checks its signature with or without the exporter; returns its body.
    pub(crate) async fn hello(&mut self, public_key: &[u8], is_bound: bool) -> Value {
        self.hello_at("localhost", public_key, is_bound).await
    }

    /// The same from an agent that dialled another host.
    pub(crate) async fn hello_at(&mut self, host: &str, public_key: &[u8], is_bound: bool) -> Value {
        let text = self.text().await;
        let route = Route::parse(&text).unwrap();
        assert_eq!(route.t, "hello");
        let (unsigned, sig) = split_signature(route.body).expect("the hello is signed");
        let digest: [u8; 32] = Sha256::digest(&unsigned).into();
        let exporter = is_bound.then_some(self.exporter.as_slice());
        let signed = signed_bytes(&NONCE, host, exporter, &digest);
        UnparsedPublicKey::new(&ED25519, public_key).verify(&signed, &sig).expect("the signature fits");
        serde_json::from_str(route.body).unwrap()
    }

    pub(crate) async fn say_welcome(&mut self, change: Value) {
        let mut body = json!({
            "session_id": "s1", "owner": "b:farm", "hb_ms": 600_000, "dead_ms": 3_600_000,
            "window": {"events": 256, "bytes": 524_288},
            "telem": {"idle_ms": 100, "printing_ms": 100, "watch_ms": 100}, "relay_time_ms": now_ms(),
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.say("welcome", body).await;
    }

    /// Something of the relay itself.
    pub(crate) async fn say(&mut self, t: &str, body: Value) {
        self.send(json!({"v": 1, "t": t, "from": "relay", "body": body})).await;
    }

    /// Something of a backend.
    pub(crate) async fn say_as(&mut self, from: &str, t: &str, body: Value) {
        self.send(json!({"v": 1, "t": t, "id": "m-1", "from": from, "body": body})).await;
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        in_time(self.socket.send(Message::text(frame.to_string()))).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, frame: Vec<u8>) {
        in_time(self.socket.send(Message::binary(frame))).await.unwrap();
    }

    async fn text(&mut self) -> String {
        match in_time(self.socket.next()).await {
            Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
            other => panic!("text expected, not {other:?}"),
        }
    }

    /// The next frame, whatever it is.
    pub(crate) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The next frame of a kind; those of other kinds are passed over.
    pub(crate) async fn heard(&mut self, t: &str) -> Value {
        loop {
            let frame: Value = serde_json::from_str(&self.text().await).unwrap();
            if frame["t"] == t {
                return frame;
            }
        }
    }

    /// The next so many events, in the order in which they came.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            let frame = self.heard("events").await;
            assert_eq!(frame["to"], "b:farm");
            events.extend(frame["body"]["items"].as_array().unwrap().clone());
        }
        events
    }

    /// Whether the agent closed the websocket, and did not only vanish.
    pub(crate) async fn is_closed(&mut self) -> bool {
        matches!(in_time(self.socket.next()).await, Some(Ok(Message::Close(_))))
    }
}

pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, work).await.expect("it happens within the time limit")
}

fn now_ms() -> u64 {
    spoolway_agent::clock::wall_ms()
}
