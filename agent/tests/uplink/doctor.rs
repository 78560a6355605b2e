//! `doctor` as a program: every step that can fail is named with its fault, for people and for machines.

use std::path::PathBuf;
use std::process::Output;

use rcgen::date_time_ymd;
use serde_json::Value;
use spoolway_agent::identity::Identity;

use crate::relay::{FakeRelay, in_time};
use crate::ways::saying;

const AGENT: &str = env!("CARGO_BIN_EXE_spoolway-agent");

/// A configuration that names a relay, for a machine on which no agent runs.
struct Doctor {
    dir: tempfile::TempDir,
}

impl Doctor {
    fn of(relay: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().display();
        let text = format!("state_dir = \"{folder}\"\nsocket = \"{folder}/agent.sock\"\n[relay]\n{relay}\n");
        std::fs::write(dir.path().join("agent.toml"), text).unwrap();
        Self { dir }
    }

    /// The usual one, at this port.
    fn at(relay: &FakeRelay, host: &str, port: u16) -> Self {
        let (url, ca) = (format!("wss://{host}:{port}"), relay.ca_file());
        Self::of(&format!("url = \"{url}\"\nca_file = \"{}\"", ca.display()))
    }

    async fn run(&self, words: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(AGENT);
        command.arg("--config").arg(self.dir.path().join("agent.toml")).args(["doctor", "relay"]).args(words);
        in_time(command.kill_on_drop(true).output()).await.unwrap()
    }

    /// Looks twice: the step that failed must be this one in both, with this fault, and nothing behind it was tried.
    async fn finds(&self, failing: &str, fault: &str, exit: i32) {
        let (told, json) = (self.run(&[]).await, self.run(&["--json"]).await);
        assert_eq!((told.status.code(), json.status.code()), (Some(exit), Some(exit)));
        let told = String::from_utf8(told.stdout).unwrap();
        let line = told.lines().position(|line| line.starts_with(&format!(" failed  {failing} ")));
        let rest: Vec<_> = told.lines().skip(line.unwrap_or_else(|| panic!("{told}"))).collect();
        assert!(rest.join(" ").contains(&format!("[{fault}]")), "{told}");
        assert!(rest.iter().any(|line| line.trim_start().starts_with("try: ")), "{told}");
        let fits =
            |line: &str| line.chars().count() <= 80 || line.split_whitespace().any(|word| word.len() > 59);
        assert!(told.lines().all(fits), "{told}");
        let report: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(report["verdict"], "failed");
        let steps = report["steps"].as_array().unwrap();
        let failed: Vec<_> = steps.iter().filter(|step| step["verdict"] == "failed").collect();
        assert_eq!(failed.len(), 1, "{report}");
        assert_eq!((&failed[0]["step"], &failed[0]["code"]), (&failing.into(), &fault.into()));
        assert!(failed[0]["help"].as_str().is_some_and(|help| help.len() > 20), "{report}");
        let behind = steps.iter().skip_while(|step| step["step"] != failing).skip(1);
        for step in behind.filter(|step| step["step"] != "clock") {
            assert_eq!(step["verdict"], "skipped", "{report}");
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn settings_name_and_tcp_are_told_apart() {
    let relay = FakeRelay::start().await;
    let missing = PathBuf::from("/nowhere/ca.pem");
    let broken = Doctor::of(&format!("url = \"wss://localhost\"\nca_file = \"{}\"", missing.display()));
    broken.finds("settings", "config.broken", 78).await;
    // Longer than any label of the DNS, so that no server is asked.
    Doctor::at(&relay, &"a".repeat(64), 443).finds("name", "network.dns", 69).await;
    Doctor::at(&relay, "localhost", free_port()).finds("tcp", "network.tcp", 69).await;
}

#[tokio::test]
async fn what_answers_without_tls_is_told_apart() {
    let relay = FakeRelay::start().await;
    let portal = saying("HTTP/1.1 302 Found\r\nlocation: http://login.campus/\r\n\r\n").await;
    Doctor::at(&relay, "localhost", portal).finds("tls", "network.captive_portal", 1).await;
    let other = saying("SSH-2.0-OpenSSH_9.2\r\n").await;
    Doctor::at(&relay, "localhost", other).finds("tls", "tls.failed", 1).await;
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_away_is_named() {
    let busy = saying("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    for (port, step, fault, exit) in
        [(busy, "proxy", "proxy.refused", 1), (free_port(), "tcp", "proxy.unreachable", 69)]
    {
        let proxy = format!("url = \"wss://relay.example\"\nproxy = \"http://127.0.0.1:{port}\"");
        Doctor::of(&proxy).finds(step, fault, exit).await;
    }
}

#[tokio::test]
async fn the_clock_and_the_certificate_are_told_apart() {
    let too_late = FakeRelay::start_for(|leaf| leaf.not_after = date_time_ymd(2001, 1, 1)).await;
    let (relay, stranger) = (FakeRelay::start().await, FakeRelay::start().await);
    for (relay, trusted, step, fault) in
        [(&too_late, &too_late, "clock", "tls.clock"), (&relay, &stranger, "tls", "tls.wrong_certificate")]
    {
        let doctor = Doctor::at(trusted, "localhost", relay.port);
        tokio::select! {
            () = doctor.finds(step, fault, 1) => {}
            () = relay.refuse_all() => unreachable!("it serves for ever"),
        }
    }
}

/// A clock that woke up in the past is taken to be where the last login was, as the agent itself takes it.
#[tokio::test]
async fn the_last_login_lifts_the_clock() {
    let relay = FakeRelay::start_for(|leaf| leaf.not_after = date_time_ymd(2100, 1, 1)).await;
    let doctor = Doctor::at(&relay, "localhost", relay.port);
    let in_2200 = 7_258_118_400_000;
    assert_eq!(Identity::open(doctor.dir.path()).unwrap().next_hello_ctr(in_2200), in_2200);
    tokio::select! {
        () = doctor.finds("clock", "tls.clock", 1) => {}
        () = relay.refuse_all() => unreachable!("it serves for ever"),
    }
}

#[tokio::test]
async fn the_websocket_and_the_binding_are_told_apart() {
    let relay = FakeRelay::start().await;
    let doctor = Doctor::at(&relay, "localhost", relay.port);
    tokio::select! {
        () = doctor.finds("websocket", "relay.unreachable", 69) => {}
        () = relay.answer_all("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n") => unreachable!("it serves for ever"),
    }
    let unbound = async {
        for _ in 0..2 {
            let mut peer = relay.accept().await;
            peer.challenge("none").await;
            assert!(peer.is_closed().await);
        }
    };
    tokio::join!(doctor.finds("identity", "relay.binding", 1), unbound);
}

/// The way stands, and nobody has been asked to log in: that is for the agent, which does not run.
#[tokio::test]
async fn a_machine_without_a_running_agent_is_warned_and_sends_no_hello() {
    let relay = FakeRelay::start().await;
    let doctor = Doctor::at(&relay, "localhost", relay.port);
    let serve = async {
        let mut peer = relay.accept().await;
        peer.challenge("exporter").await;
        assert!(peer.is_closed().await, "it says nothing but goodbye");
    };
    let (output, ()) = tokio::join!(doctor.run(&["--json"]), serve);
    assert!(output.status.success(), "{output:?}");
    assert!(!doctor.dir.path().join("identity").exists(), "it looks, and makes no key");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "warning", "{report}");
    let last = report["steps"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["step"], &last["code"]), (&"identity".into(), &"agent.unreachable".into()), "{report}");
}

#[tokio::test]
async fn a_machine_that_has_no_relay_is_not_ill() {
    let output = Doctor::of("").run(&[]).await;
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with("warning  settings    no relay is named"), "{told}");
}

#[tokio::test]
async fn a_relay_that_wants_a_certificate_is_named() {
    let relay = FakeRelay::start().await;
    let (url, ca) = (format!("wss://localhost:{}", relay.port), relay.ca_file());
    let doctor =
        Doctor::of(&format!("url = \"{url}\"\nca_file = \"{}\"\nclient_cert = \"off\"", ca.display()));
    let say = async {
        loop {
            let mut peer = relay.accept().await;
            peer.say("reject", serde_json::json!({"code": "cert_required", "message": "show one"})).await;
            peer.is_closed().await;
        }
    };
    tokio::select! {
        () = doctor.finds("identity", "relay.client_cert", 1) => {}
        () = say => unreachable!("it serves for ever"),
    }
}
