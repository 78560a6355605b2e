//! A job with its file in one request: what goes to the agent when, and how each request ends.

use serde_json::{Value, json};
use spoolway_protocol::AgentId;
use spoolway_protocol::transfer::Chunk;

use crate::http::{Answer, Line};
use crate::world::{Client, Machine, Seen, World};

const CMD: &str = "0199c5c0-7c00-7000-8000-000000000001";
const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const CHUNK: usize = 65_536;

fn path(agent: AgentId, job: &str) -> String {
    format!("/v1/agents/{agent}/jobs/{job}?cmd_id={CMD}&seq=6&sha256={SHA}&name=part.gcode")
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// The head of a push, and no byte of its body.
async fn begin(world: &World, agent: AgentId, job: &str, len: usize, headers: &str) -> Line {
    let mut line = Line::dial(world).await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: localhost:1\r\ncontent-length: {len}\r\nauthorization: Bearer farm.secret\r\n{headers}\r\n",
        path(agent, job)
    );
    line.write(head.as_bytes()).await;
    line
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or_default())
}

async fn connected(world: &World) -> (Machine, Client) {
    let mut machine = world.add_agent(1, "farm");
    let agent = world.agent(&mut machine).await;
    (machine, agent)
}

/// Takes the offer; its arguments.
async fn offered(agent: &mut Client) -> Value {
    let frame = agent.json().await;
    assert_eq!(
        (&frame["t"], &frame["id"], &frame["body"]["kind"]),
        (&json!("cmd"), &json!(CMD), &json!("job.offer"))
    );
    let receipt = json!({"cmd_id": CMD, "seq": 6, "dup": false});
    agent.send(format!(r#"{{"v":1,"t":"cmd.recv","to":"b:farm","body":{receipt}}}"#)).await;
    frame["body"]["args"].clone()
}

async fn get(agent: &mut Client, file: &str, stream: u32, offset: usize, size: usize) {
    let body =
        json!({"file_id": file, "stream": stream, "offset": offset, "len": size - offset, "credit": 4});
    agent.send(format!(r#"{{"v":1,"t":"chunk.get","to":"b:farm","re":"{file}","body":{body}}}"#)).await;
}

async fn done(agent: &mut Client, job: &str, code: Option<&str>) {
    let mut body = json!({"file_id": job, "job_id": job});
    if let Some(code) = code {
        body["code"] = json!(code);
        body["detail"] = json!("as it came");
    }
    agent.send(format!(r#"{{"v":1,"t":"chunk.done","to":"b:farm","re":"{job}","body":{body}}}"#)).await;
}

/// The next piece: where it stands, and its bytes.
async fn piece(agent: &mut Client, stream: u32) -> (usize, Vec<u8>) {
    match agent.seen().await {
        Seen::Binary(bytes) => {
            let chunk = Chunk::decode(&bytes).unwrap();
            assert_eq!(chunk.stream, stream);
            (usize::try_from(chunk.offset).unwrap(), chunk.payload.to_vec())
        }
        other => panic!("a piece expected, not {other:?}"),
    }
}

async fn refused(agent: &mut Client, stream: u32) {
    let frame = agent.json().await;
    assert_eq!(
        (&frame["t"], &frame["body"]["stream"], &frame["body"]["code"]),
        (&json!("chunk.err"), &json!(stream), &json!("busy"))
    );
}

#[tokio::test]
async fn for_an_agent_that_is_away_nothing_is_kept() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut line = begin(&world, machine.id, "job-1", 9, "expect: 100-continue\r\n").await;
    let answer = line.answer().await;
    assert_eq!(
        (code(&answer), answer.retry_after),
        ((503, "offline"), Some(5)),
        "without asking for the body"
    );
    let mut agent = world.agent(&mut machine).await;
    agent.send(r#"{"v":1,"t":"hb","to":"relay","body":{"n":1}}"#).await;
    assert_eq!(agent.json().await["t"], "hb.ack", "nothing has waited for it");
}

#[tokio::test]
async fn a_file_goes_as_the_agent_asks_for_it_and_no_further() {
    let world = World::start(|_| {}).await;
    let (machine, mut agent) = connected(&world).await;
    let mut process = world.backend("farm").await;
    assert_eq!(process.json().await["t"], "presence");
    let file = body(6 * CHUNK + 7);
    let mut line = begin(&world, machine.id, "job-1", file.len(), "expect: 100-continue\r\n").await;
    let args = offered(&mut agent).await;
    assert_eq!(
        (&args["job_id"], &args["file"]["size"], &args["file"]["sha256"]),
        (&json!("job-1"), &json!(file.len()), &json!(SHA))
    );
    assert_eq!(
        (&args["file"]["name"], &args["sources"]),
        (&json!("part.gcode"), &json!([{"kind": "relay"}]))
    );
    assert_eq!(process.json().await["t"], "cmd.recv");
    get(&mut agent, "job-1", 3, 0, file.len()).await;
    assert_eq!(line.line().await, "HTTP/1.1 100 Continue", "the body is wanted when the agent wants it");
    assert_eq!(line.line().await, "");
    let mut has = Vec::new();
    let (send, receive) = (line.write(&file), async {
        while has.len() < file.len() {
            for _ in 0..4.min((file.len() - has.len()).div_ceil(CHUNK)) {
                let (offset, bytes) = piece(&mut agent, 3).await;
                assert_eq!(offset, has.len());
                has.extend(bytes);
            }
            // No more than the credit comes: the answer to this is next.
            agent.send(r#"{"v":1,"t":"hb","to":"relay","body":{"n":1}}"#).await;
            let next = agent.json().await;
            let is_over = has.len() == file.len() && next["t"] == "chunk.end";
            assert!(next["t"] == "hb.ack" || is_over, "{next}");
            get(&mut agent, "job-1", 3, has.len(), file.len()).await;
        }
    });
    tokio::join!(send, receive);
    assert!(has == file);
    done(&mut agent, "job-1", None).await;
    let answer = line.answer().await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"cmd_id": CMD, "job_id": "job-1", "bytes": file.len()}))
    );
    // What was said of the file went to the request alone; of another file it goes where all goes.
    get(&mut agent, "job-2", 4, 0, 5).await;
    assert_eq!(process.json().await["body"]["file_id"], "job-2");
}

#[tokio::test]
async fn what_the_agent_has_already_is_not_sent() {
    let world = World::start(|_| {}).await;
    let (machine, mut agent) = connected(&world).await;
    let mut line = begin(&world, machine.id, "job-1", 9, "expect: 100-continue\r\n").await;
    offered(&mut agent).await;
    done(&mut agent, "job-1", None).await;
    let answer = line.answer().await;
    assert_eq!((answer.status, &answer.body["bytes"]), (200, &json!(0)), "without asking for the body");
    // Who sends unasked is heard out before he is answered.
    let mut line = begin(&world, machine.id, "job-1", 9, "").await;
    offered(&mut agent).await;
    done(&mut agent, "job-1", None).await;
    line.write(b"123456789").await;
    assert_eq!(line.answer().await.status, 200);
}

#[tokio::test]
async fn what_the_agent_says_against_a_file_is_the_answer() {
    let world = World::start(|_| {}).await;
    let (machine, mut agent) = connected(&world).await;
    let mut line = begin(&world, machine.id, "job-1", 4, "").await;
    offered(&mut agent).await;
    get(&mut agent, "job-1", 1, 0, 4).await;
    line.write(b"G28\n").await;
    assert_eq!(piece(&mut agent, 1).await, (0, b"G28\n".to_vec()));
    done(&mut agent, "job-1", Some("job.file_corrupt")).await;
    let answer = line.answer().await;
    assert_eq!((code(&answer), &answer.body["detail"]), ((422, "job.file_corrupt"), &json!("as it came")));
    // A job that the agent knows with another file.
    let mut line = begin(&world, machine.id, "job-1", 4, "expect: 100-continue\r\n").await;
    for last in ["chunk.end", "chunk.err"] {
        assert_eq!(agent.json().await["t"], last);
    }
    offered(&mut agent).await;
    get(&mut agent, "job-1", 2, 0, 5).await;
    assert_eq!(code(&line.answer().await), (409, "conflict"));
}

#[tokio::test]
async fn what_has_passed_is_sent_again_by_another_request() {
    let world = World::start(|_| {}).await;
    let (machine, mut agent) = connected(&world).await;
    let file = body(9 * CHUNK);
    let mut line = begin(&world, machine.id, "job-1", file.len(), "").await;
    offered(&mut agent).await;
    get(&mut agent, "job-1", 1, 0, file.len()).await;
    let refuse = async {
        for _ in 0..4 {
            piece(&mut agent, 1).await;
        }
        // What is under way can be had again, as after a broken connection.
        get(&mut agent, "job-1", 2, CHUNK, file.len()).await;
        for at in 1..5 {
            assert_eq!(piece(&mut agent, 2).await, (at * CHUNK, file[at * CHUNK..(at + 1) * CHUNK].to_vec()));
        }
        // The agent is another process, and has nothing.
        get(&mut agent, "job-1", 9, 0, file.len()).await;
        refused(&mut agent, 2).await;
    };
    tokio::join!(line.write(&file), refuse);
    let answer = line.answer().await;
    assert_eq!((code(&answer), answer.offset), ((503, "busy"), Some(0)));

    // From where the agent stands, and from behind that.
    let rest = &file[8 * CHUNK..];
    let range = format!("content-range: bytes {}-{}/{}\r\n", 8 * CHUNK, file.len() - 1, file.len());
    let mut line = begin(&world, machine.id, "job-1", rest.len(), &range).await;
    offered(&mut agent).await;
    get(&mut agent, "job-1", 10, 8 * CHUNK, file.len()).await;
    line.write(rest).await;
    assert_eq!(piece(&mut agent, 10).await, (8 * CHUNK, rest.to_vec()));
    assert_eq!(agent.json().await["t"], "chunk.end");
    done(&mut agent, "job-1", None).await;
    assert_eq!(line.answer().await.body["bytes"], CHUNK);
    let mut line =
        begin(&world, machine.id, "job-1", rest.len(), &format!("{range}expect: 100-continue\r\n")).await;
    offered(&mut agent).await;
    get(&mut agent, "job-1", 11, 5, file.len()).await;
    let answer = line.answer().await;
    assert_eq!((code(&answer), answer.offset), ((416, "bad_range"), Some(5)));
}

#[tokio::test]
async fn the_later_of_two_requests_for_a_file_takes_over() {
    let world = World::start(|_| {}).await;
    let (machine, mut agent) = connected(&world).await;
    let mut one = begin(&world, machine.id, "job-1", 4, "expect: 100-continue\r\n").await;
    offered(&mut agent).await;
    let mut other = begin(&world, machine.id, "job-2", 4, "expect: 100-continue\r\n").await;
    offered(&mut agent).await;
    let mut two = begin(&world, machine.id, "job-1", 4, "").await;
    assert_eq!(code(&one.answer().await), (409, "conflict"));
    offered(&mut agent).await;
    get(&mut agent, "job-1", 1, 0, 4).await;
    two.write(b"G28\n").await;
    piece(&mut agent, 1).await;
    done(&mut agent, "job-1", None).await;
    assert_eq!(two.answer().await.status, 200);
    done(&mut agent, "job-2", None).await;
    assert_eq!(other.answer().await.status, 200, "it is about another file");
}

#[tokio::test]
async fn whoever_says_nothing_is_not_waited_for_and_the_agent_is_told() {
    let world = World::start(|config| config.limits.stalled_write_ms = 100).await;
    let (machine, mut agent) = connected(&world).await;
    let mut line = begin(&world, machine.id, "job-1", 4, "").await;
    offered(&mut agent).await;
    get(&mut agent, "job-1", 1, 0, 4).await;
    line.write(b"G2").await;
    refused(&mut agent, 1).await;
    assert_eq!(code(&line.answer().await), (408, "bad_field"));
    // A client that is gone.
    let mut line = begin(&world, machine.id, "job-1", 4, "").await;
    offered(&mut agent).await;
    get(&mut agent, "job-1", 2, 0, 4).await;
    line.write(b"G2").await;
    drop(line);
    refused(&mut agent, 2).await;
    // An agent that asks for nothing.
    let mut line = begin(&world, machine.id, "job-1", 4, "expect: 100-continue\r\nprefer: wait=0\r\n").await;
    offered(&mut agent).await;
    assert_eq!(code(&line.answer().await), (503, "busy"));
}

#[tokio::test]
async fn a_push_that_cannot_be_meant_is_refused() {
    let world = World::start(|_| {}).await;
    let (machine, _agent) = connected(&world).await;
    let good = path(machine.id, "job-1");
    let cases = [
        (good.replace("sha256", "digest"), 400, "digest"),
        (good.replace(&format!("&sha256={SHA}"), ""), 400, "sha256"),
        (good.replace("/job-1?", "/job%201?"), 400, "job_id"),
        (
            good.replace(&machine.id.to_string(), &AgentId::from_bytes([9; 16]).to_string()),
            404,
            "no such agent",
        ),
    ];
    for (path, status, named) in cases {
        let mut line = Line::dial(&world).await;
        let answer = line.as_backend("PUT", &path, "farm", "G28\n").await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.text.contains(named), "{path}: {}", answer.text);
    }
    let mut line = Line::dial(&world).await;
    let head = format!(
        "PUT {good} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nauthorization: Bearer farm.secret\r\n\r\n0\r\n\r\n"
    );
    line.write(head.as_bytes()).await;
    assert_eq!(code(&line.answer().await), (411, "bad_field"));
}

#[tokio::test]
async fn one_backend_pushes_no_more_files_at_a_time_than_it_may() {
    let world = World::start(|_| {}).await;
    let (machine, mut agent) = connected(&world).await;
    let expects = "expect: 100-continue\r\n";
    let mut held = Vec::new();
    for job in 0..16 {
        held.push(begin(&world, machine.id, &format!("job-{job}"), 4, expects).await);
        offered(&mut agent).await;
    }
    let mut line = begin(&world, machine.id, "job-16", 4, expects).await;
    assert_eq!(code(&line.answer().await), (503, "busy"));
    done(&mut agent, "job-0", None).await;
    assert_eq!(held[0].answer().await.status, 200);
    held.push(begin(&world, machine.id, "job-16", 4, expects).await);
    assert_eq!(offered(&mut agent).await["job_id"], "job-16", "a place was given back");
}
