//! A file that is pushed passes through the relay: its memory grows by what an agent's credit covers, and not by the file.

use serde_json::json;
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::transfer::Chunk;

use crate::http::Line;
use crate::program::Program;
use crate::world::{Client, Seen, World};

const MIB: usize = 1024 * 1024;
const FILE_BYTES: usize = 48 * MIB;
const CMD: &str = "0199c5c0-7c00-7000-8000-000000000001";
const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// What a process of this size allocates anyway for a connection more, code that runs for the first time, and what an allocator keeps
/// back: a sixth of the file.
const MARGIN_BYTES: u64 = 8 * MIB as u64;

/// The agent says that it wants the file from here on, and how much of it may come.
async fn get(agent: &mut Client, offset: usize, credit: u32) {
    let body = json!({"file_id": "job-1", "stream": 1, "offset": offset, "len": FILE_BYTES - offset, "credit": credit});
    agent.send(format!(r#"{{"v":1,"t":"chunk.get","to":"b:farm","re":"job-1","body":{body}}}"#)).await;
}

/// Pushes a file to an agent that grants so many chunks at a time, and before each piece that it reads lets the relay do all that it
/// can: what the relay has read by then of the body, it has to keep. Gives by how much its memory has grown.
async fn growth(credit: u32) -> u64 {
    let (world, program): (World, Program) = World::start_program();
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent(&mut machine).await;
    let head = format!(
        "PUT /v1/agents/{}/jobs/job-1?cmd_id={CMD}&seq=6&sha256={SHA} HTTP/1.1\r\nhost: localhost:1\r\n\
         content-length: {FILE_BYTES}\r\nauthorization: Bearer farm.secret\r\n\r\n",
        machine.id
    );
    let mut line = Line::dial(&world).await;
    line.write(head.as_bytes()).await;
    assert_eq!(agent.json().await["body"]["kind"], "job.offer");
    world.metric("spoolway_relay_open_sockets").await;
    let before = program.peak_bytes();
    let file = vec![b'G'; FILE_BYTES];
    let read = async {
        let mut has = 0;
        get(&mut agent, has, credit).await;
        while has < FILE_BYTES {
            for _ in 0..2 {
                world.metric("spoolway_relay_open_sockets").await;
            }
            match agent.seen().await {
                Seen::Binary(bytes) => {
                    let chunk = Chunk::decode(&bytes).unwrap();
                    assert_eq!(chunk.offset, has as u64);
                    has += chunk.payload.len();
                }
                other => panic!("a piece expected, not {other:?}"),
            }
            if credit <= 4 || has % (16 * CHUNK_PAYLOAD_BYTES) == 0 {
                get(&mut agent, has, credit).await;
            }
        }
    };
    tokio::join!(line.write(&file), read);
    assert_eq!(agent.json().await["t"], "chunk.end");
    agent.send(r#"{"v":1,"t":"chunk.done","to":"b:farm","re":"job-1","body":{"file_id":"job-1","job_id":"job-1"}}"#).await;
    assert_eq!(line.answer().await.body["bytes"], FILE_BYTES);
    program.peak_bytes() - before
}

#[tokio::test]
async fn a_file_on_its_way_to_a_slow_agent_is_not_held_in_memory() {
    let grown = growth(4).await;
    assert!(grown < MARGIN_BYTES, "{grown} bytes for a file of {FILE_BYTES}");
}

#[tokio::test]
async fn an_agent_that_grants_all_and_reads_slowly_does_not_make_the_relay_hold_more() {
    let grown = growth(u32::MAX).await;
    assert!(grown < MARGIN_BYTES, "{grown} bytes for a file of {FILE_BYTES}");
}
