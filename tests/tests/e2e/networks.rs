//! Networks as they are: whole programs behind proxies, and what `doctor` says of each.

use std::ffi::OsString;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use spoolway_agent::local::Client;
use spoolway_tests::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use spoolway_tests::proxy::{Manner, Proxy};

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// A name that only a proxy can resolve here.
const HOST: &str = "relay.campus.example";
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);
const PASSWORD: &str = "pa:ss w0rd";

/// A relay that nobody finds by its name, and the folder of an agent.
struct Campus(LoneRelay);

impl Deref for Campus {
    type Target = LoneRelay;

    fn deref(&self) -> &LoneRelay {
        &self.0
    }
}

impl Campus {
    async fn start() -> Self {
        let campus = Self(LoneRelay::start(HOST).await);
        std::fs::write(campus.password(), format!("{PASSWORD}\n")).unwrap();
        rustix::fs::chmod(campus.password(), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        campus
    }

    fn password(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("agent.log")
    }

    /// What the configuration says of a proxy.
    fn through(&self, proxy: &Proxy) -> Vec<(&'static str, OsString)> {
        vec![
            ("SPOOLWAY_AGENT_RELAY_PROXY", format!("http://me@127.0.0.1:{}", proxy.port()).into()),
            ("SPOOLWAY_AGENT_RELAY_PROXY_PASSWORD_FILE", self.password().into()),
        ]
    }

    fn start_agent(&self, environment: &[(&str, OsString)]) -> AgentProcess {
        let (folder, url, ca) = (self.agent(), self.url(), self.ca());
        let mut setup = AgentSetup::new(&folder, Path::new("/dev/nowhere"), 115_200);
        setup.relay = Some((&url, &ca));
        setup.environment = environment;
        AgentProgram::within(Path::new(BENCH), "agent-program").start(&setup, &self.log()).unwrap()
    }

    /// Waits until the agent's link is as it should be.
    async fn link(
        &self,
        good: impl Fn(&spoolway_agent::view::LinkView) -> bool,
    ) -> spoolway_agent::view::LinkView {
        let socket = self.agent().join("agent.sock");
        let wait = async {
            loop {
                let status = Client::connect(&socket).ok().and_then(|mut client| client.status().ok());
                match status.filter(|status| good(&status.link)) {
                    Some(status) => return status.link,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let log = || std::fs::read_to_string(self.log()).unwrap_or_default();
        tokio::time::timeout(HANG, wait).await.unwrap_or_else(|_| panic!("{}", log()))
    }

    /// What doctor says, for people and for machines, and its exit code.
    async fn doctor(&self, environment: &[(&'static str, OsString)]) -> (String, Value, Option<i32>) {
        let config = format!("--config={}", self.agent().join("agent.toml").display());
        let run = |words: &'static [&'static str]| {
            let mut command = Command::new(BENCH);
            command.arg("agent-program").arg(&config).args(words);
            command.envs(environment.iter().map(|(name, value)| (name, value)));
            async move { tokio::task::spawn_blocking(move || waited(command)).await.unwrap().unwrap() }
        };
        let (told, json) = (run(&["doctor", "relay"]).await, run(&["doctor", "relay", "--json"]).await);
        assert_eq!(told.status.code(), json.status.code());
        let text = String::from_utf8(told.stdout).unwrap() + &String::from_utf8(told.stderr).unwrap();
        let json = serde_json::from_slice(&json.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
        (text, json, told.status.code())
    }
}

/// The end of a program that lives for as long as its standard input is open.
fn waited(mut command: Command) -> io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let input = child.stdin.take();
    let output = child.wait_with_output();
    drop(input);
    output
}

/// The verdict and the code of a step.
fn step<'a>(report: &'a Value, name: &str) -> (&'a str, Option<&'a str>) {
    let step = report["steps"].as_array().unwrap().iter().find(|step| step["step"] == name).unwrap();
    (step["verdict"].as_str().unwrap(), step["code"].as_str())
}

#[tokio::test]
async fn an_agent_logs_in_through_a_proxy_and_doctor_does_not_take_its_session() {
    let campus = Campus::start().await;
    campus.know_agent();
    let proxy = Proxy::open(Manner::Login(format!("me:{PASSWORD}"))).unwrap();
    let by_environment = vec![
        ("HTTPS_PROXY", format!("http://me:pa%3Ass%20w0rd@127.0.0.1:{}", proxy.port()).into()),
        ("NO_PROXY", OsString::from("localhost,127.0.0.0/8")),
    ];
    for environment in [campus.through(&proxy), by_environment] {
        let agent = campus.start_agent(&environment);
        let before = campus.link(|link| link.up).await;
        let (told, report, code) = campus.doctor(&environment).await;
        assert_eq!((code, &report["verdict"]), (Some(0), &Value::from("ok")), "{told}");
        for name in ["settings", "name", "tcp", "proxy", "clock", "tls", "websocket", "identity"] {
            assert_eq!(step(&report, name), ("ok", None), "{told}");
        }
        let after = campus.link(|link| link.up).await;
        assert_eq!(before.session, after.session, "doctor has taken the session away");
        agent.finish().unwrap();
        let log = std::fs::read_to_string(campus.log()).unwrap();
        for text in [log.as_str(), &told, &report.to_string()] {
            for secret in [PASSWORD, "pa%3Ass", "cGE6c3M"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    let target = format!("CONNECT {HOST}:{} HTTP/1.1", campus.bound.public.port());
    // The agent's own and two of doctor, twice.
    assert_eq!(proxy.tunnels(), vec![target; 6]);
}

#[tokio::test]
async fn doctor_names_what_a_proxy_does_and_the_agent_says_the_same() {
    let campus = Campus::start().await;
    for (manner, code, exit) in [
        (Manner::Login("me:another".into()), "proxy.auth", 1),
        (Manner::Refusing, "proxy.refused", 1),
        (Manner::Captive, "network.captive_portal", 1),
    ] {
        let proxy = Proxy::open(manner).unwrap();
        let environment = campus.through(&proxy);
        let agent = campus.start_agent(&environment);
        let link = campus.link(|link| link.fault.is_some()).await;
        assert_eq!(link.fault.unwrap().code, code);
        let (told, report, left) = campus.doctor(&environment).await;
        assert_eq!(
            (step(&report, "tcp"), step(&report, "proxy")),
            (("ok", None), ("failed", Some(code))),
            "{told}"
        );
        assert_eq!(step(&report, "tls"), ("skipped", None));
        assert_eq!((left, &report["verdict"]), (Some(exit), &Value::from("failed")));
        assert!(told.contains(&format!("[{code}]")) && told.contains("try: "), "{told}");
        assert!(proxy.tunnels().is_empty());
        agent.finish().unwrap();
    }
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_given_up() {
    let campus = Campus::start().await;
    let proxy = Proxy::open(Manner::Hanging).unwrap();
    let agent = campus.start_agent(&campus.through(&proxy));
    let fault = campus.link(|link| link.fault.is_some()).await.fault.unwrap();
    assert_eq!(fault.code, "proxy.refused");
    assert!(fault.text.contains("no answer within"), "{}", fault.text);
    agent.finish().unwrap();
}

#[tokio::test]
async fn an_agent_that_the_relay_does_not_know_hears_of_it_from_doctor() {
    let campus = Campus::start().await;
    let proxy = Proxy::open(Manner::Open).unwrap();
    let environment = campus.through(&proxy);
    let agent = campus.start_agent(&environment);
    campus.link(|link| link.fault.is_some()).await;
    let (told, report, code) = campus.doctor(&environment).await;
    assert_eq!((step(&report, "websocket"), code), (("ok", None), Some(1)), "{told}");
    assert_eq!(step(&report, "identity"), ("failed", Some("relay.unpaired")), "{told}");
    agent.finish().unwrap();
}

#[test]
fn a_part_is_printed_through_a_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    rustix::fs::chmod(&password, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let proxy = Proxy::open(Manner::Login(format!("me:{PASSWORD}"))).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode/box-reprapfirmware.gcode");
    let mut demo = Command::new(DEMO);
    demo.args(["--json", "--speed", "1000", "--file"]).arg(file);
    demo.env("SPOOLWAY_AGENT_RELAY_PROXY", format!("http://me@127.0.0.1:{}", proxy.port()));
    demo.env("SPOOLWAY_AGENT_RELAY_PROXY_PASSWORD_FILE", &password);
    let output = demo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["ok"], Value::Bool(true), "{summary}");
    assert!(proxy.tunnels()[0].starts_with("CONNECT localhost:"), "{:?}", proxy.tunnels());
}
