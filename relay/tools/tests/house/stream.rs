//! Live streams: a backend without a websocket hears its agents by server-sent events, and acknowledges by HTTP.

use serde_json::{Value, json};
use spoolway_protocol::AgentId;

use crate::http::{Answer, Line};
use crate::world::{Client, World, without_rates};

/// One server-sent event.
#[derive(Debug, Default)]
struct Event {
    id: Option<String>,
    kind: String,
    data: Value,
}

/// A stream that is open.
struct Stream {
    line: Line,
    rest: String,
}

impl Stream {
    async fn open(world: &World, backend: &str) -> Self {
        let mut line = Line::dial(world).await;
        let token = format!("Bearer {backend}.secret");
        line.begin("GET", "/v1/events", &[("authorization", &token)], "").await;
        let answer = line.answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut stream = Self { line, rest: String::new() };
        assert_eq!(stream.block().await.as_deref(), Some("retry: 5000"));
        stream
    }

    /// Lines up to an empty one; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let block = block.to_owned();
                self.rest = rest.to_owned();
                return Some(block);
            }
            self.rest += &self.line.chunk().await?;
        }
    }

    async fn event(&mut self) -> Option<Event> {
        let (mut event, mut data) = (Event::default(), String::new());
        for line in self.block().await?.lines() {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("id", id) => event.id = Some(id.to_owned()),
                ("event", kind) => event.kind = kind.to_owned(),
                ("data", line) => data += line,
                _ => panic!("{line}"),
            }
        }
        event.data = serde_json::from_str(&data).unwrap();
        Some(event)
    }

    async fn kind(&mut self) -> String {
        self.event().await.expect("an event").kind
    }
}

fn events(seq: u64) -> String {
    let ts = json!({"w": 1, "m": 1, "b": "boot-1", "c": "ntp"});
    let item = |seq| json!({"epoch": 3, "seq": seq, "cls": "info", "kind": "x", "ts": ts, "data": {}});
    let body = json!({"items": [item(seq), item(seq + 1)]});
    format!(r#"{{"v":1,"t":"events","to":"b:farm","id":"m{seq}","body":{body}}}"#)
}

async fn acknowledge(world: &World, agent: AgentId, body: &str) -> Answer {
    Line::dial(world).await.as_backend("POST", &format!("/v1/agents/{agent}/ack"), "farm", body).await
}

/// The next frame of a kind.
async fn next(agent: &mut Client, kind: &str) -> Value {
    loop {
        let frame = agent.json().await;
        if frame["t"] == kind {
            return frame;
        }
    }
}

#[tokio::test]
async fn a_stream_hears_what_a_websocket_would_and_acknowledges_by_its_ids() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let mut stream = Stream::open(&world, "farm").await;
    let up = stream.event().await.unwrap();
    assert_eq!((up.kind.as_str(), up.id, &up.data["body"]["state"]), ("presence", None, &json!("up")));
    agent.send(events(7)).await;
    let heard = stream.event().await.unwrap();
    assert_eq!((heard.kind.as_str(), heard.id.as_deref()), ("events", Some("3-8")));
    assert_eq!(heard.data["from"], format!("a:{}", machine.id));
    assert_eq!(heard.data["body"], serde_json::from_str::<Value>(&events(7)).unwrap()["body"]);
    let answer = acknowledge(&world, machine.id, r#"{"epoch":3,"seq":8}"#).await;
    assert_eq!((answer.status, answer.body), (202, json!({"epoch": 3, "seq": 8})));
    let ack = agent.json().await;
    assert_eq!((&ack["t"], &ack["from"]), (&json!("ack"), &json!("b:farm")));
    assert_eq!(ack["body"], json!({"epoch": 3, "seq": 8}));
    let telem = r#"{"v":1,"t":"telem","to":"b:farm","key":"p0","body":{"n":1}}"#;
    agent.send(telem).await;
    assert_eq!(stream.kind().await, "telem");
    drop(agent);
    assert_eq!(stream.event().await.unwrap().data["body"]["state"], "down");
}

#[tokio::test]
async fn agents_move_to_another_process_when_a_stream_breaks() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let mut stream = Stream::open(&world, "farm").await;
    assert_eq!(stream.kind().await, "presence");
    let mut process = world.backend("farm").await;
    agent.send(events(7)).await;
    assert_eq!(stream.kind().await, "events");
    drop(stream);
    assert_eq!(process.json().await["body"]["state"], "up", "it is told as soon as the client is gone");
    agent.send(events(7)).await;
    assert_eq!(process.json().await["t"], "events");
    let mut again = Stream::open(&world, "farm").await;
    drop(process);
    assert_eq!(again.kind().await, "presence");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_its_agents_go_on() {
    let world = World::start(|config| {
        without_rates(config);
        config.limits.stalled_write_ms = 300;
    })
    .await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let mut stream = Stream::open(&world, "farm").await;
    assert_eq!(stream.kind().await, "presence");
    let fill = "x".repeat(60_000);
    while world.metric("spoolway_relay_slow_peers_total").await == 0 {
        agent.send(format!(r#"{{"v":1,"t":"x","to":"b:farm","body":"{fill}"}}"#)).await;
    }
    agent.send(r#"{"v":1,"t":"x","to":"b:farm","id":"last","body":1}"#).await;
    let nack = loop {
        let nack = next(&mut agent, "nack").await;
        if nack["re"] == "last" {
            break nack;
        }
    };
    assert_eq!(nack["body"]["code"], "offline", "nobody is there any more");
    while stream.line.chunk().await.is_some() {}
    let mut process = world.backend("farm").await;
    assert_eq!(process.json().await["body"]["state"], "up");
}

#[tokio::test]
async fn a_backend_opens_no_more_streams_than_its_own() {
    let world = World::start(|_| {}).await;
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(Stream::open(&world, "farm").await);
    }
    let answer = Line::dial(&world).await.as_backend("GET", "/v1/events", "farm", "").await;
    assert_eq!(
        (answer.status, answer.body["code"].as_str(), answer.retry_after),
        (503, Some("busy"), Some(5))
    );
    let other = Stream::open(&world, "other").await;
    drop((held.pop(), other));
    while Line::dial(&world).await.as_backend("GET", "/v1/events", "farm", "").await.status == 503 {}
}

#[tokio::test]
async fn a_stream_lives_while_nothing_is_said_and_ends_with_relay_or_credential() {
    let world = World::start(|config| (config.session.hb_ms, config.session.dead_ms) = (50, 60_000)).await;
    let (mut farm, mut other) = (Stream::open(&world, "farm").await, Stream::open(&world, "other").await);
    assert_eq!(farm.block().await.as_deref(), Some(":"), "a comment");
    let (code, text) = world.cli(&["backend", "revoke", "farm"]);
    assert_eq!(code, 0, "{text}");
    while farm.block().await.is_some() {}
    world.stop.cancel();
    let mut kinds = Vec::new();
    while let Some(block) = other.block().await {
        kinds.extend(block.lines().find_map(|line| Some(line.strip_prefix("event: ")?.to_owned())));
    }
    assert_eq!(kinds, ["drain"]);
}

#[tokio::test]
async fn what_is_wrong_with_an_acknowledgement_is_said() {
    let world = World::start(|_| {}).await;
    let (mut machine, mut foreign) = (world.add_agent(1, "farm"), world.add_agent(2, "other"));
    let away = world.add_agent(3, "farm");
    let (mut agent, _foreign) = (world.agent(&mut machine).await, world.agent(&mut foreign).await);
    let good = r#"{"epoch":3,"seq":8}"#;
    for (id, body, status, code) in [
        (machine.id, "", 400, "bad_field"),
        (machine.id, r#"{"epoch":3}"#, 400, "bad_field"),
        (machine.id, r#"{"epoch":3,"seq":8},"to":"relay""#, 400, "bad_field"),
        (foreign.id, good, 404, "unknown"),
        (away.id, good, 503, "offline"),
    ] {
        let answer = acknowledge(&world, id, body).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{body}");
    }
    let mut line = Line::dial(&world).await;
    for (method, path) in [("GET", "/v1/events"), ("POST", &*format!("/v1/agents/{}/ack", machine.id))] {
        assert_eq!(line.send(method, path, &[], good).await.status, 401, "{path}");
    }
    agent.send(r#"{"v":1,"t":"hb","body":{"n":1}}"#).await;
    assert_eq!(agent.json().await["t"], "hb.ack", "it was told nothing of all this");
}
