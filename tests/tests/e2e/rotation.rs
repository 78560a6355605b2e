//! A whole agent replaces its key at a relay over TLS: by a command of its owner and by a person, and whoever dies goes on.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use spoolway_agent::identity::Identity;
use spoolway_agent::local::Client;
use spoolway_protocol::identity::link_bytes;
use spoolway_protocol::{AgentId, CmdId};
use spoolway_relay::config::{ClientCerts, Config};
use spoolway_relay_registry::{AgentKeys, Registry};
use spoolway_tests::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use spoolway_tests::dial::{Dialler, Frame, Relay, Socket};
use tokio::time::timeout;

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);

fn start(relay: &LoneRelay) -> AgentProcess {
    let folder = relay.agent();
    let setup = AgentSetup::new(&folder, Path::new("/dev/nowhere"), 115_200);
    let program = AgentProgram::within(Path::new(BENCH), "agent-program");
    program.start(&setup, &relay.dir.path().join("agent.log")).unwrap()
}

async fn until_up(relay: &LoneRelay) {
    let socket = relay.agent().join("agent.sock");
    let up = async {
        let is_up = || {
            Client::connect(&socket).ok().and_then(|mut agent| agent.status().ok()).is_some_and(|s| s.link.up)
        };
        while !is_up() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let log = || std::fs::read_to_string(relay.dir.path().join("agent.log")).unwrap_or_default();
    timeout(HANG, up).await.unwrap_or_else(|_| panic!("{}", log()));
}

/// The owner's socket. It acknowledges nothing, so that it is told everything after each login.
async fn owner(relay: &LoneRelay) -> Socket {
    let port = relay.bound.public.port();
    let relay = Relay { host: "localhost".into(), port, token: "farm.secret".into(), ca_file: relay.ca() };
    Dialler::new(relay).unwrap().dial().await.unwrap()
}

async fn rotate(socket: &mut Socket, agent: AgentId, seq: u64) {
    let cmd_id = CmdId::from_parts(1_760_000_000_000 + seq, &[1; 10]);
    let frame = format!(
        r#"{{"v":1,"t":"cmd","to":"a:{agent}","ttl_ms":60000,"body":{{"cmd_id":"{cmd_id}","seq":{seq},"kind":"identity.rotate","args":{{}},"actor":{{"id":"anna","role":"admin"}}}}}}"#
    );
    socket.send(vec![Frame::text(frame)]).await.unwrap();
}

/// The next event of this kind.
async fn event(socket: &mut Socket, kind: &str) -> Value {
    let found = async {
        loop {
            let frame: Value = serde_json::from_str(&socket.next_text().await.unwrap()).unwrap();
            let items = frame["body"]["items"].as_array().cloned().unwrap_or_default();
            if let Some(event) = items.into_iter().find(|item| item["kind"] == kind) {
                return event["data"].clone();
            }
        }
    };
    timeout(HANG, found).await.unwrap_or_else(|_| panic!("waited for {kind}"))
}

/// The new key, for an owner that knows the old one and believes nobody.
fn followed(agent: AgentId, known: &[u8; 32], changed: &Value) -> [u8; 32] {
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let new: [u8; 32] = bytes(&changed["link"]["pubkey"]).try_into().unwrap();
    let statement = link_bytes(&agent, known, &new);
    for (key, sig) in [(known, "sig_old"), (&new, "sig_new")] {
        UnparsedPublicKey::new(&ED25519, key).verify(&statement, &bytes(&changed["link"][sig])).unwrap();
    }
    new
}

#[tokio::test]
async fn the_owner_has_the_key_replaced_and_can_follow_it_and_not_again_within_a_week() {
    is_replaced_and_followed(LoneRelay::start("localhost").await).await;
}

#[tokio::test]
async fn the_same_where_the_relay_requires_a_certificate_of_the_agents_key() {
    let require = |config: &mut Config| config.tls.client_certs = ClientCerts::Require;
    is_replaced_and_followed(LoneRelay::start_with("localhost", require).await).await;
}

async fn is_replaced_and_followed(relay: LoneRelay) {
    let identity = relay.pair_agent();
    let (agent, first) = (identity.agent_id(), identity.public_key());
    let mut farm = owner(&relay).await;
    let process = start(&relay);
    until_up(&relay).await;
    rotate(&mut farm, agent, 57).await;
    let changed = event(&mut farm, "identity.changed").await;
    let new = followed(agent, &first, &changed);
    let result = event(&mut farm, "cmd.result").await;
    assert_eq!(result["status"], "done", "{result}");
    let keys = relay.registry().keys(&agent).unwrap().unwrap();
    assert_eq!((keys.current, keys.old[0].key), (new, first));
    rotate(&mut farm, agent, 58).await;
    let refused = loop {
        let result = event(&mut farm, "cmd.result").await;
        if result["status"] != "done" {
            break result;
        }
    };
    assert_eq!((&refused["status"], &refused["code"]), (&"rejected".into(), &"identity.rotating".into()));
    drop(process);
    // The next process logs in with it, and is the same agent.
    let _process = start(&relay);
    until_up(&relay).await;
    let again = Identity::open(&relay.agent()).unwrap();
    assert_eq!((again.agent_id(), again.public_key()), (agent, new));
    assert!(relay.registry().agent(&agent).unwrap().unwrap().hello_ctr > 0);
}

#[tokio::test]
async fn a_person_has_the_key_replaced() {
    let relay = LoneRelay::start("localhost").await;
    let identity = relay.pair_agent();
    let mut farm = owner(&relay).await;
    let _process = start(&relay);
    until_up(&relay).await;
    let mut command = Command::new(BENCH);
    command.arg("agent-program").arg(format!("--config={}", relay.agent().join("agent.toml").display()));
    command.args(["identity", "rotate"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The program ends when its parent closes this.
    let stdin = child.stdin.take();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    drop(stdin);
    let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    assert!(ended.status.success() && said.contains("has a new key"), "{said}");
    let current = relay.registry().keys(&identity.agent_id()).unwrap().unwrap().current;
    assert!(current != identity.public_key() && said.contains(&STANDARD.encode(current)), "{said}");
    let audit = event(&mut farm, "audit").await;
    assert_eq!((&audit["action"], &audit["via"]), (&"identity.rotate".into(), &"cli".into()), "{audit}");
    assert!(audit["actor"].as_str().unwrap().starts_with("uid "));
}

#[tokio::test]
async fn a_power_cut_behind_the_relays_commit_is_made_up_for_and_so_is_a_relay_from_a_backup() {
    let relay = LoneRelay::start("localhost").await;
    let identity = relay.pair_agent();
    let (agent, first) = (identity.agent_id(), identity.public_key());
    // The relay has taken the next key, and nobody has heard its answer; the key before is retired meanwhile.
    identity.prepare().unwrap();
    let next = *identity.offer_next().unwrap().0.public();
    relay.registry().take_key(&agent, 1, &first, &next).unwrap();
    let mut farm = owner(&relay).await;
    let process = start(&relay);
    until_up(&relay).await;
    let changed = event(&mut farm, "identity.changed").await;
    assert_eq!(followed(agent, &first, &changed), next);
    drop(process);
    let again = Identity::open(&relay.agent()).unwrap();
    assert_eq!((again.agent_id(), again.public_key()), (agent, next));
    // The registry of before the change: the agent shows what its old key has signed.
    let file = rusqlite::Connection::open(relay.dir.path().join("relay/registry.db")).unwrap();
    file.execute("UPDATE agent SET public_key = ?1", [first]).unwrap();
    file.execute("DELETE FROM old_key", []).unwrap();
    let _process = start(&relay);
    until_up(&relay).await;
    assert_eq!(relay.registry().keys(&agent).unwrap().unwrap().current, next);
}
