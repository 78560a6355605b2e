//! A job with its file by HTTP to a real agent: whole, cut and repeated, two at a time, another file than was announced, an agent that dies.

use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_agent::local::Client;
use spoolway_protocol::{AgentId, JobState};
use spoolway_tests::agent_program::AgentProcess;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::http_backend::{Backend, HANG};

const GUIDE: &str = include_str!("../../../docs/backend-guide.md");

/// A file that does not shrink to nothing.
fn gcode(seed: u64, lines: u64) -> Vec<u8> {
    let line =
        |n: u64| format!("G1 X{}.{:03} Y{}.{:03} E{n}\n", n % 200, n * seed % 997, n * 7 % 200, n % 991);
    (0..lines).map(line).collect::<String>().into_bytes()
}

fn sha256(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A backend that speaks HTTP alone, and the agent of that name.
struct House {
    backend: Backend,
    agent: AgentId,
    running: AgentProcess,
}

impl House {
    /// An agent without a printer, and connected.
    async fn start() -> Self {
        let backend = Backend::start().await;
        let agent = backend.relay.know_agent().agent_id();
        let running = backend.start_agent();
        let house = Self { backend, agent, running };
        house.connected().await;
        house
    }

    /// Something harmless reaches the agent.
    async fn connected(&self) {
        let _ = self.backend.command(&self.agent.to_string()).await;
    }

    /// The head of a push; job and command have this number.
    async fn begin(&self, job: u64, len: usize, sha256: &str) -> TlsStream<TcpStream> {
        let cmd_id = format!("0199c5c0-7c00-7000-8000-0000000001{job:02}");
        let path = format!(
            "/v1/agents/{}/jobs/job-{job}?cmd_id={cmd_id}&seq={}&sha256={sha256}",
            self.agent,
            job + 10
        );
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer farm.secret\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n"
        );
        let mut stream = self.backend.dial().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    async fn push(&self, job: u64, body: &[u8], sha256: &str) -> (u16, Value) {
        let mut stream = self.begin(job, body.len(), sha256).await;
        stream.write_all(body).await.unwrap();
        answer(stream).await
    }

    /// How many of its jobs the agent has in this state.
    fn jobs_in(&self, state: JobState) -> usize {
        let jobs = Client::connect(self.running.socket()).unwrap().jobs().unwrap();
        jobs.iter().filter(|job| job.state == state).count()
    }

    /// An agent whose file is whole queues the job in the next moment.
    async fn queued(&self, count: usize) {
        while self.jobs_in(JobState::Queued) < count {
            tokio::task::yield_now().await;
        }
    }
}

async fn answer(stream: TlsStream<TcpStream>) -> (u16, Value) {
    let mut answer = String::new();
    // A relay that closes without a goodbye of TLS has said all the same.
    let _ = BufReader::new(stream).read_to_string(&mut answer).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn a_file_that_is_cut_and_sent_again_arrives_once_and_is_not_sent_to_who_has_it() {
    let test = async {
        let house = House::start().await;
        let body = gcode(31, 60_000);
        let sha256 = sha256(&body);
        let mut cut = house.begin(1, body.len(), &sha256).await;
        cut.write_all(&body[..body.len() / 2]).await.unwrap();
        drop(cut);
        let (status, said) = house.push(1, &body, &sha256).await;
        assert_eq!((status, &said["job_id"]), (200, &json!("job-1")), "{said}");
        let bytes = said["bytes"].as_u64().unwrap();
        assert!(0 < bytes && bytes <= body.len() as u64, "{said}");
        house.queued(1).await;
        for job in [1, 2] {
            let (status, said) = house.push(job, &body, &sha256).await;
            assert_eq!((status, &said["bytes"]), (200, &json!(0)), "job {job}: {said}");
        }
        house.queued(2).await;
    };
    tokio::time::timeout(HANG, test).await.unwrap();
}

#[tokio::test]
async fn two_files_at_once_arrive_both_and_one_that_is_another_does_not() {
    let test = async {
        let house = House::start().await;
        let (one, two, other) = (gcode(3, 30_000), gcode(5, 20_000), gcode(7, 100));
        let (sha_one, sha_two, wrong) = (sha256(&one), sha256(&two), sha256(b"another"));
        let pushes =
            [(1, &one, &sha_one), (2, &two, &sha_two)].map(|(job, body, sha)| house.push(job, body, sha));
        let [first, second] = pushes;
        for ((status, said), body) in
            <[_; 2]>::from(tokio::join!(first, second)).into_iter().zip([&one, &two])
        {
            assert_eq!((status, &said["bytes"]), (200, &json!(body.len())), "{said}");
        }
        house.queued(2).await;
        let (status, said) = house.push(3, &other, &wrong).await;
        assert_eq!((status, &said["code"]), (422, &json!("job.file_corrupt")), "{said}");
        // Said again it is no better; it is another job, and no further one is touched.
        let (status, said) = house.push(3, &other, &wrong).await;
        assert_eq!((status, &said["code"]), (422, &json!("job.file_unavailable")), "{said}");
        assert_eq!((house.jobs_in(JobState::Queued), house.jobs_in(JobState::Failed)), (2, 1));
    };
    tokio::time::timeout(HANG, test).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_dies_in_the_middle_gets_the_file_by_the_same_request_again() {
    let test = async {
        let mut house = House::start().await;
        let body = gcode(11, 120_000);
        let sha256 = sha256(&body);
        let mut stream = house.begin(1, body.len(), &sha256).await;
        let (early, late) = body.split_at(body.len() / 2);
        stream.write_all(early).await.unwrap();
        while house.jobs_in(JobState::Fetching) == 0 {
            tokio::task::yield_now().await;
        }
        let died = house.running;
        died.kill().unwrap();
        house.running = house.backend.start_agent();
        house.connected().await;
        let _ = stream.write_all(late).await;
        // Either all could still be had, or what has passed is wanted again.
        let (status, said) = answer(stream).await;
        assert!(status == 200 || (status, &said["code"]) == (503, &json!("busy")), "{status} {said}");
        let (status, said) = house.push(1, &body, &sha256).await;
        assert_eq!(status, 200, "{said}");
        house.queued(1).await;
    };
    tokio::time::timeout(HANG, test).await.unwrap();
}

#[tokio::test]
#[ignore = "needs curl"]
async fn curl_pushes_a_file_as_the_guide_says() {
    let test = async {
        let house = House::start().await;
        let dir = tempfile::tempdir().unwrap();
        let body = gcode(13, 50_000);
        std::fs::write(dir.path().join("part.gcode"), &body).unwrap();
        std::fs::copy(house.backend.relay.ca(), dir.path().join("ca.pem")).unwrap();
        let script = GUIDE.split("```sh\n").find(|block| block.starts_with("curl ")).unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script.split("```").next().unwrap()).current_dir(dir.path());
        shell.env("RELAY", house.backend.relay.url().replace("wss://", ""));
        shell.env("AGENT", house.agent.to_string()).env("TOKEN", "farm.secret");
        let ended = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
        let said: Value =
            serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        assert_eq!((ended.status.success(), &said["bytes"]), (true, &json!(body.len())), "{ended:?}");
        house.queued(1).await;
    };
    tokio::time::timeout(HANG, test).await.unwrap();
}
