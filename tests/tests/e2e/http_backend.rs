//! A backend without a websocket and a real agent: a command by HTTP, its receipt, its result on a stream, an acknowledgement.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use spoolway_tests::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// Only something that hangs reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(120);
const CMD_ID: &str = "0199c5c0-7c00-7000-8000-000000000001";

type Stream = Lines<BufReader<TlsStream<TcpStream>>>;

pub(crate) struct Backend {
    pub(crate) relay: LoneRelay,
    tls: TlsConnector,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let relay = LoneRelay::start("localhost").await;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(relay.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        Self { relay, tls: TlsConnector::from(Arc::new(tls)) }
    }

    pub(crate) fn start_agent(&self) -> AgentProcess {
        let (folder, url, ca) = (self.relay.agent(), self.relay.url(), self.relay.ca());
        let mut setup = AgentSetup::new(&folder, Path::new("/dev/nowhere"), 115_200);
        setup.relay = Some((&url, &ca));
        let log = self.relay.dir.path().join("agent.log");
        AgentProgram::within(Path::new(BENCH), "agent-program").start(&setup, &log).unwrap()
    }

    pub(crate) async fn dial(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.relay.bound.public).await.unwrap();
        self.tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> BufReader<TlsStream<TcpStream>> {
        let mut stream = self.dial().await;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer farm.secret\r\nprefer: wait=1\r\n"
        );
        let rest = format!("connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all((head + &rest).as_bytes()).await.unwrap();
        BufReader::new(stream)
    }

    /// Status and body.
    async fn say(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut answer = String::new();
        // A relay that closes without a goodbye of TLS has said all the same.
        let _ = self.ask(method, path, &body.to_string()).await.read_to_string(&mut answer).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }

    /// The command, once the agent is connected.
    pub(crate) async fn command(&self, agent: &str) -> Value {
        let body = json!({
            "cmd_id": CMD_ID, "seq": 1, "kind": "job.pause", "args": {"job_id": "job-1"},
            "actor": {"id": "anna", "role": "operator"},
        });
        loop {
            match self.say("PUT", &format!("/v1/agents/{agent}/commands/{CMD_ID}"), &body).await {
                (200, receipt) => return receipt,
                // It is not connected yet, or only just.
                (202 | 503, _) => tokio::time::sleep(Duration::from_millis(20)).await,
                other => panic!("{other:?}"),
            }
        }
    }

    /// A stream of all that agents say.
    async fn stream(&self) -> Stream {
        self.ask("GET", "/v1/events", "").await.lines()
    }

    /// The next event that fits. All are acknowledged as they come: an agent that hears nothing goes no further.
    async fn event(&self, lines: &mut Stream, agent: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = lines.next_line().await.unwrap().expect("the stream goes on");
            let Some(frame) = line.strip_prefix("data: ") else { continue };
            let frame: Value = serde_json::from_str(frame).unwrap();
            let items = frame["body"]["items"].as_array().cloned().unwrap_or_default();
            if let Some(last) = items.last() {
                let ack = json!({"epoch": last["epoch"], "seq": last["seq"]});
                let answer = self.say("POST", &format!("/v1/agents/{agent}/ack"), &ack).await;
                assert_eq!(answer, (202, ack));
            }
            if let Some(item) = items.into_iter().find(&fits) {
                return item;
            }
        }
    }
}

#[tokio::test]
async fn a_backend_without_a_websocket_commands_a_real_agent_and_hears_what_became_of_it() {
    let backend = Backend::start().await;
    let agent = backend.relay.know_agent().agent_id().to_string();
    let running = backend.start_agent();
    let test = async {
        let mut stream = backend.stream().await;
        assert_eq!(backend.command(&agent).await["dup"], false);
        assert_eq!(backend.command(&agent).await["dup"], true, "it is on the agent's disk");
        let result = backend.event(&mut stream, &agent, |item| item["kind"] == "cmd.result").await;
        assert_eq!(
            (&result["data"]["cmd_id"], &result["data"]["status"]),
            (&json!(CMD_ID), &json!("rejected"))
        );
        running.kill().unwrap();
        let _running = backend.start_agent();
        assert_eq!(backend.command(&agent).await["dup"], true, "it still is after a kill");
        let is_told =
            |item: &Value| item["kind"] == "agent.started" && item["data"]["prev_exit"] == "unclean";
        backend.event(&mut stream, &agent, is_told).await;
    };
    tokio::time::timeout(HANG, test).await.unwrap();
}
