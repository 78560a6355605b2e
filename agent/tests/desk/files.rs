//! A job's file on its way to the spool: from a server, through the relay, by both, and over the end of the process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_agent::bus::{Inbound, Outbound};
use spoolway_agent::clock::Hands;
use spoolway_agent::config::BedConfirm;
use spoolway_agent::printer::RunPhase;
use spoolway_protocol::transfer::{ChunkGet, FileUrl, FileUrlRequest};
use spoolway_protocol::{JobState, Sha256Hex};

use super::rig::Rig;
use super::server::{Answer, Server};

const MIB: usize = 1024 * 1024;

pub(crate) fn body(len: usize) -> Vec<u8> {
    let lines = (0..).map(|n| format!("G1 X{} Y{}\n", n % 211, n % 199));
    let mut body = String::with_capacity(len + 32);
    lines.take_while(|line| (body.len() < len).then(|| body.push_str(line)).is_some()).for_each(drop);
    body.truncate(len);
    body.into_bytes()
}

pub(crate) fn sha256(file: &[u8]) -> Sha256Hex {
    Sha256Hex(Sha256::digest(file).into())
}

fn offer(id: &str, file: &[u8], sources: Value) -> Value {
    json!({
        "job_id": id, "rev": 1, "owner": "anna", "start": "manual", "sources": sources,
        "file": {
            "file_id": format!("file-{id}"), "size": file.len(), "sha256": sha256(file), "chunk": 65_536,
            "name": "part.gcode",
        },
    })
}

pub(crate) fn https(url: &str) -> Value {
    json!({"kind": "https", "url": url})
}

impl Rig {
    pub(crate) async fn offer(&mut self, id: &str, file: &[u8], sources: Value) {
        let taken = self.result("job.offer", offer(id, file, sources)).await;
        assert_eq!(taken.0, "done", "{taken:?}");
    }

    /// The next request for chunks.
    pub(crate) async fn next_get(&mut self) -> ChunkGet {
        loop {
            if let Some(get) = self.asked() {
                return get;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Sends what a request grants, as the owner would; gives the end of what was sent.
    async fn serve(&self, file: &[u8], get: &ChunkGet, from: u64) -> u64 {
        let border = (get.offset + u64::from(get.credit) * 65_536).min(file.len() as u64);
        let mut next = from.max(get.offset);
        while next < border {
            let end = (next + 65_536).min(border);
            let payload = file[next as usize..end as usize].to_vec();
            self.inbound.send(Inbound::Chunk { stream: get.stream, offset: next, payload }).await.unwrap();
            next = end;
        }
        next
    }

    /// Serves until the job waits for its turn.
    pub(crate) async fn serve_all(&mut self, id: &str, file: &[u8]) {
        let (mut stream, mut sent) = (None, 0);
        while self.job(id).await.state != JobState::Queued {
            if let Some(get) = self.asked() {
                sent = if stream == Some(get.stream) { sent } else { 0 };
                stream = Some(get.stream);
                sent = self.serve(file, &get, sent).await;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn url_asked(&mut self) -> FileUrlRequest {
        loop {
            if let Outbound::FileUrlRequest(asked) = self.outbound.recv().await.unwrap() {
                return asked;
            }
        }
    }
}

#[tokio::test]
async fn a_server_has_the_file_and_nobody_else_is_asked() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(300_000));
    let server = Server::start(&file, Vec::new()).await;
    let mut rig = Rig::open_by(dir.path(), &server);
    rig.connect().await;
    rig.offer("j", &file, json!([https(&server.url("/a/b?sig=s3cret")), {"kind": "relay"}])).await;
    rig.until_job("j", JobState::Queued).await;
    assert_eq!(rig.job_file().await, (sha256(&file).to_string(), 300_000));
    let [head] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert!(head.starts_with("get /a/b?sig=s3cret http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: localhost:{}\r\n", server.port)));
    assert!(head.contains("\r\naccept-encoding: identity\r\n") && !head.contains("range"));
    assert!(rig.asked().is_none());
    // The same content is not fetched twice, whatever it is called.
    rig.offer("k", &file, json!([https(&server.url("/c"))])).await;
    rig.until_job("k", JobState::Queued).await;
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn what_broke_off_is_gone_on_with_and_a_server_without_ranges_is_borne() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(400_000));
    let server = Server::start(&file, vec![Answer::Cut(200_000), Answer::Cut(50_000), Answer::Whole]).await;
    let mut rig = Rig::open_by(dir.path(), &server);
    rig.offer("j", &file, json!([https(&server.url("/f"))])).await;
    rig.until_job("j", JobState::Queued).await;
    assert_eq!(rig.job_file().await.0, sha256(&file).to_string());
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[1].contains("\r\nrange: bytes=200000-\r\n") && seen[1].contains("\r\nif-range: \"v1\"\r\n"));
    assert!(seen[2].contains("\r\nrange: bytes=250000-\r\n"), "{}", seen[2]);
}

#[tokio::test]
async fn a_url_that_has_expired_is_renewed_by_the_owner() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(100_000));
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned();
    let server = Server::start(&file, vec![Answer::Words(refused)]).await;
    let mut rig = Rig::open_by(dir.path(), &server);
    rig.connect().await;
    rig.offer("j", &file, json!([https(&server.url("/old?s3cret"))])).await;
    assert_eq!(rig.url_asked().await.file_id.as_str(), "file-j");
    let given = |file_id: &str, path| {
        let (file_id, url) = (file_id.parse().unwrap(), server.url(path).into());
        Inbound::FileUrl(FileUrl { file_id, url, expires_ms: None, extra: Default::default() })
    };
    rig.inbound.send(given("another-file", "/wrong")).await.unwrap();
    rig.inbound.send(given("file-j", "/new?s3cret")).await.unwrap();
    rig.until_job("j", JobState::Queued).await;
    let paths: Vec<_> = server.seen().iter().map(|head| head[..9].to_owned()).collect();
    assert_eq!(paths, ["get /old?", "get /new?"]);
}

#[tokio::test]
async fn a_url_that_is_known_to_have_expired_is_not_tried() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(100_000));
    let server = Server::start(&file, Vec::new()).await;
    let mut rig = Rig::open_by(dir.path(), &server);
    let now_ms = 1_900_000_000_000;
    rig.clock.learn_relay_time(now_ms);
    rig.connect().await;
    let source = json!({"kind": "https", "url": server.url("/old"), "expires_ms": now_ms - 1});
    rig.offer("j", &file, json!([source])).await;
    rig.url_asked().await;
    let url = server.url("/new").into();
    let (file_id, expires_ms) = ("file-j".parse().unwrap(), Some(now_ms + 60_000));
    let given = FileUrl { file_id, url, expires_ms, extra: Default::default() };
    rig.inbound.send(Inbound::FileUrl(given)).await.unwrap();
    rig.until_job("j", JobState::Queued).await;
    assert_eq!(server.seen().len(), 1);
    assert!(server.seen()[0].starts_with("get /new "));
}

#[tokio::test]
async fn without_a_server_that_serves_the_relay_does() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(200_000));
    let packed = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc".to_owned();
    for (answer, id, bytes) in [(Answer::Words(packed), "packed", 0), (Answer::Cut(70_000), "cut", 70_000)] {
        let mut file = file.clone();
        file.extend(id.bytes());
        let server = Server::start(&file, vec![answer]).await;
        let mut rig = Rig::open_by(dir.path(), &server);
        rig.connect().await;
        rig.offer(id, &file, json!([https(&server.url("/f")), {"kind": "relay"}])).await;
        let get = rig.next_get().await;
        assert_eq!(get.offset, bytes, "what the server gave is not asked for again");
        rig.serve(&file, &get, 0).await;
        rig.until_job(id, JobState::Queued).await;
        assert_eq!(server.seen().len(), 1);
        rig.kill().await;
    }
}

#[tokio::test]
async fn where_the_agent_does_not_go_and_what_it_does_not_take_is_said_without_the_secret() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(9));
    let answer = |words: &str| Answer::Words(words.to_owned());
    let leads =
        |to: &str| answer(&format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
    let server = Server::start(
        &file,
        vec![
            leads("http://localhost/s3cret"),
            answer("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
            answer("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n12345678"),
            answer("HTTP/1.1 206 Partial Content\r\nContent-Length: 9\r\n\r\n123456789"),
            answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789"),
            leads("/s3cret"),
            leads("/s3cret"),
            leads("/s3cret"),
            leads("/s3cret"),
            leads("/s3cret"),
            leads("/s3cret"),
        ],
    )
    .await;
    let mut rig = Rig::open_by(dir.path(), &server);
    let good = server.url("/f?s3cret");
    for (n, url, code, word) in [
        (0, "http://localhost/s3cret".to_owned(), "job.file_unavailable", "https://"),
        (1, "https://me:s3cret@localhost/".to_owned(), "job.file_unavailable", "user"),
        (2, good.clone(), "job.file_unavailable", "does not go"),
        (3, good.clone(), "job.file_unavailable", "HTTP 302"),
        (4, good.clone(), "job.file_truncated", "8 bytes there, announced were 9"),
        (5, good.clone(), "job.file_unavailable", "Content-Range"),
        (6, good.clone(), "job.file_corrupt", "SHA-256"),
        (7, good.clone(), "job.file_unavailable", "6 redirections"),
    ] {
        let id = format!("j{n}");
        rig.offer(&id, &file, json!([https(&url)])).await;
        let job = rig.until_job(&id, JobState::Failed).await;
        let reason = job.reason.unwrap();
        assert!(reason.contains(word) && !reason.contains("s3cret"), "{reason}");
        let told = rig.told("job.state").await;
        assert_eq!(told.last().unwrap()["reason"], code, "{reason}");
    }
    for event in rig.events().await {
        assert!(!event.event.data_json.contains("s3cret"), "{}", event.event.data_json);
    }
}

#[tokio::test]
async fn a_redirection_is_followed() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(70_000));
    let leads = "HTTP/1.1 307 Temporary Redirect\r\nLocation: there?sig=2\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(&file, vec![Answer::Words(leads.to_owned())]).await;
    let mut rig = Rig::open_by(dir.path(), &server);
    rig.offer("j", &file, json!([https(&server.url("/a/here"))])).await;
    rig.until_job("j", JobState::Queued).await;
    assert!(server.seen()[1].starts_with("get /a/there?sig=2 "));
}

/// The process is gone in the middle, and the next one begins behind the last durable point, by whichever source.
#[tokio::test]
async fn the_next_process_goes_on_behind_what_is_durable() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(9 * MIB / 2));
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    rig.connect().await;
    rig.offer("j", &file, json!([{"kind": "relay"}])).await;
    let (mut sent, mut stream) = (0, None);
    while sent < 17 * MIB as u64 / 4 {
        let get = rig.next_get().await;
        assert!(stream.is_none_or(|stream| stream == get.stream));
        stream = Some(get.stream);
        sent = rig.serve(&file, &get, sent).await;
    }
    rig.kill().await;
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    rig.connect().await;
    let get = rig.next_get().await;
    assert!((4 * MIB as u64..=9 * MIB as u64 / 2).contains(&get.offset), "{}", get.offset);
    rig.kill().await;
    let server = Server::start(&file, Vec::new()).await;
    let mut rig = Rig::open_by(dir.path(), &server);
    rig.connect().await;
    let get = rig.next_get().await;
    rig.inbound.send(Inbound::Disconnected).await.unwrap();
    rig.connect().await;
    let again = rig.next_get().await;
    assert_eq!((get.offset, get.len), (again.offset, again.len));
    rig.serve(&file, &again, 0).await;
    rig.serve_all("j", &file).await;
    assert_eq!(rig.job_file().await, (sha256(&file).to_string(), 9 * MIB as u64 / 2));
}

/// A part whose job is over does not stay, and neither does one that no job knows.
#[tokio::test]
async fn parts_that_nobody_waits_for_go() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(2 * MIB));
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    rig.connect().await;
    rig.offer("j", &file, json!([{"kind": "relay"}])).await;
    let get = rig.next_get().await;
    rig.serve(&file, &get, 0).await;
    let parts = || {
        let spool = std::fs::read_dir(dir.path().join("spool")).unwrap();
        spool.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().contains(".part.")).count()
    };
    assert!(parts() > 0);
    assert_eq!(rig.result("job.cancel", json!({"job_id": "j"})).await.0, "done");
    rig.until("the part to go", async |_| (parts() == 0).then_some(())).await;
    rig.kill().await;
    std::fs::write(dir.path().join("spool").join(format!("{}.part.db", "a".repeat(64))), "").unwrap();
    let rig = Rig::open(dir.path(), BedConfirm::Required);
    rig.desk_is_there().await;
    assert_eq!(parts(), 0);
}

#[tokio::test]
async fn a_bad_piece_comes_again_and_a_list_that_does_not_fit_is_refused() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(150_000));
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    rig.connect().await;
    let mut args = offer("j", &file, json!([{"kind": "relay"}]));
    let hashes: Vec<_> = file.chunks(65_536).map(sha256).collect();
    args["file"]["chunks_sha256"] = json!(hashes[..2]);
    let refused = rig.result("job.offer", args.clone()).await;
    assert_eq!(refused, ("rejected".to_owned(), Some("command.bad_args".to_owned())));
    args["file"]["chunks_sha256"] = json!(hashes);
    rig.command("job.offer", args).await;
    let get = rig.next_get().await;
    let mut altered = file.clone();
    altered[70_000] ^= 1;
    rig.serve(&altered, &get, 0).await;
    let again = loop {
        let next = rig.next_get().await;
        if next.stream != get.stream {
            break next;
        }
    };
    assert_eq!(again.offset, 65_536, "only the bad piece and what follows it comes again");
    rig.serve(&file, &again, 0).await;
    rig.until_job("j", JobState::Queued).await;
}

/// While something is printed, nothing is asked for that the cap has no room for.
#[tokio::test]
async fn a_print_leaves_a_file_no_more_than_the_cap() {
    let (dir, file) = (tempfile::tempdir().unwrap(), body(900_000));
    let hands = Arc::new(Hands::default());
    hands.boot_ms.store(1_000, Ordering::Relaxed);
    let mut rig = Rig::open_with_hands(dir.path(), &hands, None);
    rig.connect().await;
    let print = rig.print(dir.path()).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.until_job(&print, JobState::Printing).await;
    rig.offer("j", &file, json!([{"kind": "relay"}])).await;
    rig.until_job("j", JobState::Fetching).await;
    rig.desk_is_there().await;
    assert!(rig.asked().is_none(), "no time has passed, so nothing can be paid for");
    // 200 ms at 2 MB/s pay for six chunks, of which five may be saved up and four be under way.
    hands.boot_ms.fetch_add(200, Ordering::Relaxed);
    let get = rig.next_get().await;
    assert_eq!((get.offset, get.credit), (0, 4));
    rig.serve(&file, &get, 0).await;
    rig.until("the chunks to be taken", async |rig| {
        rig.desk_is_there().await;
        (rig.inbound.capacity() == rig.inbound.max_capacity()).then_some(())
    })
    .await;
    assert!(rig.asked().is_none(), "it waits for the time to pass");
    rig.run(run, RunPhase::Ended(spoolway_agent::printer::RunEnd::Completed));
    rig.serve_all("j", &file).await;
}
