//! Backends that hold no websocket: a command by HTTP is heard by the agent, and its receipt by whoever waits for it.

use serde_json::json;
use spoolway_protocol::AgentId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::{Answer, Line};
use crate::world::{Client, Seen, World, without_rates};

const CMD: &str = "0199c5c0-7c00-7000-8000-000000000001";
const OTHER_CMD: &str = "0199c5c0-7c00-7000-8000-000000000002";

fn path(agent: AgentId, cmd_id: &str) -> String {
    format!("/v1/agents/{agent}/commands/{cmd_id}")
}

/// As a backend may write it: with spaces, and a member that nobody knows.
fn command(cmd_id: &str) -> String {
    format!(
        r#"{{ "cmd_id": "{cmd_id}", "seq": 6, "kind": "job.pause", "args": {{"job_id":"job-1","z":1.50}}, "actor": {{"id":"anna","role":"operator"}} }}"#
    )
}

async fn receive(agent: &mut Client, owner: &str, cmd_id: &str, dup: bool) {
    let body = json!({"cmd_id": cmd_id, "seq": 6, "dup": dup});
    agent.send(format!(r#"{{"v":1,"t":"cmd.recv","to":"b:{owner}","body":{body}}}"#)).await;
}

/// The agent is told nothing but what it asks for now.
async fn hears_nothing_else(agent: &mut Client) {
    agent.send(r#"{"v":1,"t":"hb","body":{"n":77}}"#).await;
    let next = agent.json().await;
    assert_eq!((&next["t"], &next["body"]["n"]), (&json!("hb.ack"), &json!(77)), "{next}");
}

async fn put(world: &World, path: &str, body: &str) -> Answer {
    Line::dial(world).await.as_backend("PUT", path, "farm", body).await
}

/// A request that waits for what the agent says; its status comes later.
async fn begin(world: &World, backend: &str, path: &str, body: &str) -> Line {
    let mut line = Line::dial(world).await;
    let headers = [("authorization", format!("Bearer {backend}.secret")), ("prefer", "wait=30".to_owned())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    line.begin("PUT", path, &headers, body).await;
    line
}

#[tokio::test]
async fn a_command_may_be_given_again_and_again_and_is_answered_by_its_receipt() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let path = path(machine.id, CMD);
    for dup in [false, true] {
        let mut waits =
            begin(&world, "farm", &format!("{path}?ttl_ms=60000&lane=urgent"), &command(CMD)).await;
        let frame = agent.text().await;
        let head = spoolway_protocol::Route::parse(&frame).unwrap();
        assert_eq!((head.t, head.from, head.id), ("cmd", Some("b:farm"), Some(CMD)));
        assert_eq!((head.ttl_ms, head.is_urgent(), head.body), (Some(60_000), true, command(CMD).as_str()));
        receive(&mut agent, "farm", CMD, dup).await;
        let answer = waits.answer().await;
        assert_eq!((answer.status, answer.body), (200, json!({"cmd_id": CMD, "seq": 6, "dup": dup})));
    }
    hears_nothing_else(&mut agent).await;
}

#[tokio::test]
async fn a_receipt_that_another_process_gets_is_heard_by_the_request_too() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let mut process = world.backend("farm").await;
    assert_eq!(process.json().await["t"], "presence");
    let [mut one, mut two] = [
        begin(&world, "farm", &path(machine.id, CMD), &command(CMD)).await,
        begin(&world, "farm", &path(machine.id, OTHER_CMD), &command(OTHER_CMD)).await,
    ];
    assert_eq!(
        (agent.json().await["t"].clone(), agent.json().await["t"].clone()),
        (json!("cmd"), json!("cmd"))
    );
    for (line, cmd_id) in [(&mut two, OTHER_CMD), (&mut one, CMD)] {
        receive(&mut agent, "farm", cmd_id, false).await;
        let (answer, copy) = (line.answer().await, process.json().await);
        assert_eq!((answer.status, &answer.body["cmd_id"]), (200, &json!(cmd_id)));
        assert_eq!((&copy["t"], &copy["body"]), (&json!("cmd.recv"), &answer.body));
    }
    // Requests that come and go serve nobody: what the agent says still goes where it went.
    agent.send(r#"{"v":1,"t":"x","to":"b:farm","body":1}"#).await;
    assert_eq!(process.json().await["t"], "x");
}

#[tokio::test]
async fn a_request_that_waits_serves_no_agent() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let mut waits = begin(&world, "farm", &path(machine.id, CMD), &command(CMD)).await;
    assert_eq!(agent.json().await["t"], "cmd");
    agent.send(r#"{"v":1,"t":"events","to":"b:farm","id":"m1","body":{}}"#).await;
    let nack = agent.json().await;
    assert_eq!((&nack["t"], &nack["body"]["code"]), (&json!("nack"), &json!("offline")));
    let mut process = world.backend("farm").await;
    assert_eq!(process.json().await["body"]["state"], "up");
    receive(&mut agent, "farm", CMD, false).await;
    assert_eq!(waits.answer().await.status, 200);
}

#[tokio::test]
async fn who_is_away_is_asked_for_later_and_nobody_learns_of_others_agents() {
    let world = World::start(|_| {}).await;
    let away = world.add_agent(1, "farm");
    let mut foreign = world.add_agent(2, "other");
    let foreign_away = world.add_agent(3, "other");
    let mut agent = world.agent(&mut foreign).await;
    let answer = put(&world, &path(away.id, CMD), &command(CMD)).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (503, Some("offline")));
    assert_eq!(answer.retry_after, Some(5));
    let unknown = AgentId::from_bytes([9; 16]);
    for id in [foreign.id, foreign_away.id, unknown] {
        let answer = put(&world, &path(id, CMD), &command(CMD)).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (404, Some("unknown")), "{}", answer.text);
    }
    hears_nothing_else(&mut agent).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let (good, body) = (path(machine.id, CMD), command(CMD));
    let large = body.replace("1.50", &format!("\"{}\"", "x".repeat(70_000)));
    let nearly = body.replace("1.50", &format!("\"{}\"", "x".repeat(65_480 - body.len())));
    let cases: [(String, &str, u16, &str); 10] = [
        (path(machine.id, "job-1"), &body, 400, "bad_field"),
        (good.replace("/agents/", "/agents/x"), &body, 400, "bad_field"),
        ("/v1/agents/%ff/commands/x".to_owned(), &body, 400, "bad_field"),
        (format!("{good}?ttl=5"), &body, 400, "bad_field"),
        (path(machine.id, OTHER_CMD), &body, 400, "bad_field"),
        (good.clone(), "", 400, "bad_field"),
        (good.clone(), r#"{"cmd_id":"x"}"#, 400, "bad_field"),
        (good.clone(), &format!("{body},\"to\":\"relay\""), 400, "bad_field"),
        (good.clone(), &large, 413, "too_large"),
        (good.clone(), &nearly, 413, "too_large"),
    ];
    for (path, body, status, code) in cases {
        let answer = put(&world, &path, body).await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "{path} {}",
            answer.text
        );
    }
    let stranger = Line::dial(&world).await.send("PUT", &good, &[], &body).await;
    assert_eq!((stranger.status, stranger.body["code"].as_str()), (401, Some("unauthorised")));
    let wrong = [("authorization", "Bearer farm.wrong")];
    assert_eq!(Line::dial(&world).await.send("PUT", &good, &wrong, &body).await.status, 401);
    hears_nothing_else(&mut agent).await;
}

#[tokio::test]
async fn every_request_that_is_described_is_answered_and_wants_a_credential() {
    let world = World::start(|_| {}).await;
    let mut line = Line::dial(&world).await;
    let described = line.as_backend("GET", "/v1/openapi.json", "farm", "").await;
    assert_eq!((described.status, described.body["openapi"].as_str()), (200, Some("3.1.0")));
    let mut count = 0;
    for (path, methods) in described.body["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let (method, path) = (method.to_uppercase(), path.replace(['{', '}'], ""));
            let stranger = Line::dial(&world).await.send(&method, &path, &[], "").await;
            assert_eq!(
                (stranger.status, stranger.body["code"].as_str()),
                (401, Some("unauthorised")),
                "{method} {path}"
            );
            let answer = Line::dial(&world).await.as_backend(&method, &path, "farm", "").await;
            let statuses = operation["responses"].as_object().unwrap();
            assert!(statuses.contains_key(&answer.status.to_string()), "{method} {path}: {}", answer.text);
            count += 1;
        }
    }
    assert_eq!(count, 9);
}

#[tokio::test]
async fn a_refusal_on_the_way_and_one_of_the_agent_are_told() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let late = put(&world, &format!("{}?ttl_ms=5&age_ms=6", path(machine.id, CMD)), &command(CMD)).await;
    assert_eq!((late.status, late.body["code"].as_str()), (410, Some("expired")));
    for (code, status, told) in
        [("busy", 503, "busy"), ("unknown_type", 400, "unknown_type"), ("odd", 400, "bad_field")]
    {
        let mut waits = begin(&world, "farm", &path(machine.id, CMD), &command(CMD)).await;
        assert_eq!(agent.json().await["t"], "cmd");
        let body = json!({"code": code});
        agent.send(format!(r#"{{"v":1,"t":"nack","to":"b:farm","re":"{CMD}","body":{body}}}"#)).await;
        let answer = waits.answer().await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(told)));
    }
}

#[tokio::test]
async fn an_agent_that_says_nothing_leaves_the_command_forwarded() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let headers = [("authorization", "Bearer farm.secret"), ("prefer", "wait=0")];
    let path = path(machine.id, CMD);
    let answer = Line::dial(&world).await.send("PUT", &path, &headers, &command(CMD)).await;
    assert_eq!((answer.status, answer.body), (202, json!({"cmd_id": CMD})));
    assert_eq!(agent.json().await["body"]["cmd_id"], CMD);
    let mut waits = begin(&world, "farm", &path, &command(CMD)).await;
    assert_eq!(agent.json().await["body"]["cmd_id"], CMD);
    world.stop.cancel();
    assert_eq!(waits.answer().await.status, 202, "the relay goes, and holds nobody");
}

#[tokio::test]
async fn one_backend_takes_no_more_places_than_its_own_and_gives_them_back() {
    let world = World::start(without_rates).await;
    let (mut machine, mut other) = (world.add_agent(1, "farm"), world.add_agent(2, "other"));
    let mut agent = world.agent(&mut machine).await;
    let mut other_agent = world.agent(&mut other).await;
    let path_of_farm = path(machine.id, CMD);
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(begin(&world, "farm", &path_of_farm, &command(CMD)).await);
        assert_eq!(agent.json().await["t"], "cmd");
    }
    let answer = put(&world, &path_of_farm, &command(CMD)).await;
    assert_eq!(
        (answer.status, answer.body["code"].as_str(), answer.retry_after),
        (503, Some("busy"), Some(5))
    );
    let mut waits = begin(&world, "other", &path(other.id, OTHER_CMD), &command(OTHER_CMD)).await;
    assert_eq!(other_agent.json().await["t"], "cmd");
    receive(&mut other_agent, "other", OTHER_CMD, false).await;
    assert_eq!(waits.answer().await.status, 200, "another backend does not notice");
    // Whoever hangs up gives his place back.
    drop(held.pop());
    let headers = [("authorization", "Bearer farm.secret"), ("prefer", "wait=0")];
    while Line::dial(&world).await.send("PUT", &path_of_farm, &headers, &command(CMD)).await.status == 503 {}
    receive(&mut agent, "farm", CMD, false).await;
    for line in &mut held {
        assert_eq!(line.answer().await.status, 200, "all who wait hear the one receipt");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_has_an_end() {
    let world = World::start(|config| config.limits.handshake_timeout_ms = 500).await;
    let machine = world.add_agent(1, "farm");
    let mut stream = world.tls().await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer farm.secret\r\ncontent-length: 100\r\n\r\n{{",
        path(machine.id, CMD)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn commands_by_http_count_like_all_others() {
    let world = World::start(|config| config.limits.agent_commands_per_s = 1).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let headers = [("authorization", "Bearer farm.secret"), ("prefer", "wait=0")];
    let (path, mut line) = (path(machine.id, CMD), Line::dial(&world).await);
    let mut last = line.send("PUT", &path, &headers, &command(CMD)).await;
    let mut taken = 0;
    while last.status == 202 {
        taken += 1;
        last = line.send("PUT", &path, &headers, &command(CMD)).await;
    }
    assert!(taken >= 5, "{taken}");
    assert_eq!(
        (last.status, last.body["code"].as_str(), last.retry_after),
        (429, Some("rate_limited"), Some(1))
    );
    let urgent = line.send("PUT", &format!("{path}?lane=urgent"), &headers, &command(CMD)).await;
    assert_eq!(urgent.status, 202, "a stop is never one command too many");
    for _ in 0..=taken {
        assert!(matches!(agent.seen().await, Seen::Text(_)));
    }
    assert_eq!(world.metric(r#"spoolway_relay_security_events_total{kind="rate_trip"}"#).await, 1);
}
