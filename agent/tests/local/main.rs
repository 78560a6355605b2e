//! The local socket with a desk behind it that only writes down what it is asked.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod desk;
mod figures;

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use spoolway_agent::local::words::{Answer, MAX_LINE_BYTES, PrintWishes, Request, Spot};
use spoolway_agent::local::{Client, Counterpart, TalkError, bind, serve};
use spoolway_agent::post_mortem::{Record, Shelf};
use spoolway_agent::telemetry::{Level, LogLine, LogRing};
use spoolway_protocol::{Doubt, JobId, JobState};
use tokio_util::sync::CancellationToken;

use desk::{FakeDesk, agent_id};

/// Serves a fake desk while `talk` runs on a thread of its own, as a command would.
async fn with_server<T: Send + 'static>(
    desk: FakeDesk,
    logs: LogRing,
    talk: impl FnOnce(&Path) -> T + Send + 'static,
) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let door = bind(&path).unwrap();
    let shelf = Shelf::of(dir.path());
    let public_key = Arc::new(|| "a2V5".into());
    let counterpart = Counterpart { counter: desk, agent_id: agent_id(), public_key, logs, shelf };
    let stop = CancellationToken::new();
    let socket = path.clone();
    let talking = tokio::task::spawn_blocking(move || talk(&socket));
    tokio::select! {
        () = serve(door, counterpart, stop.clone()) => panic!("nobody told the server to stop"),
        said = talking => {
            stop.cancel();
            said.unwrap()
        }
    }
}

fn log_line(number: usize, level: Level) -> Arc<LogLine> {
    Arc::new(LogLine { at_ms: 0, level, target: "t".into(), text: number.to_string(), fields: Vec::new() })
}

#[tokio::test]
async fn every_request_reaches_the_desk_and_is_answered() {
    let desk = FakeDesk { jobs: 100, ..FakeDesk::default() };
    let asked = Arc::clone(&desk.asked);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    let (print, again) = (path.clone(), path.clone());
    with_server(desk, LogRing::default(), move |socket| {
        let mut client = Client::connect(socket).unwrap();
        let status = client.status().unwrap();
        assert_eq!((status.events_unacked, status.printer.bed), (3, Some((21.0, Some(60.0)))));
        let jobs = client.jobs().unwrap();
        assert_eq!((jobs.len(), jobs[99].job_id.as_str()), (100, "job-99"));
        assert_eq!(client.identity().unwrap(), (agent_id(), "a2V5".to_owned()));
        let job = client.job(&Request::Print { path: print, name: Some("n".into()) }).unwrap();
        assert_eq!(job.state, JobState::Queued);
        let wishes = PrintWishes { copies: 3, ..PrintWishes::default() };
        client.job(&Request::Enqueue { path: again, wishes }).unwrap();
        let id = JobId::new("j-7").unwrap();
        for request in [
            Request::Place { job_id: id.clone(), at: Spot::First },
            Request::Hold { job_id: id.clone() },
            Request::Release { job_id: id.clone() },
        ] {
            assert_eq!(client.job(&request).unwrap().state, JobState::Queued);
        }
        let job = client.job(&Request::Pause { job_id: Some(id.clone()) }).unwrap();
        assert_eq!(job.state, JobState::Paused);
        assert_eq!(
            client
                .job(&Request::Resume { job_id: Some(id.clone()), doubt: Some(Doubt::Lost) })
                .unwrap()
                .state,
            JobState::Printing
        );
        assert_eq!(client.job(&Request::Cancel { job_id: Some(id) }).unwrap().state, JobState::Cancelled);
        let Err(TalkError::Refused(fault)) = client.job(&Request::Resume { job_id: None, doubt: None })
        else {
            panic!("refused")
        };
        assert_eq!(fault.code, "comm.uncertain");
        assert!(client.clear_bed(3).unwrap().clear);
        assert!(matches!(client.clear_bed(2), Err(TalkError::Refused(fault)) if fault.code == "bed.stale"));
        client.answer(Some("q-1".parse().unwrap()), 2).unwrap();
        assert_eq!(client.send("M503").unwrap(), ["echo:M503"]);
        client.emergency_stop().unwrap();
        let Err(TalkError::Refused(fault)) = client.job(&Request::Cancel { job_id: None }) else {
            panic!("refused")
        };
        assert_eq!((fault.code.as_str(), fault.text.as_str()), ("job.not_ready", "no job holds the printer"));
    })
    .await;
    let expected = [
        format!("print {} as Some(\"n\") 1 times", path.display()),
        format!("print {} as None 3 times", path.display()),
        "j-7 First".into(),
        "hold Some(JobId(\"j-7\"))".into(),
        "release Some(JobId(\"j-7\"))".into(),
        "pause Some(JobId(\"j-7\"))".into(),
        "resume Some(JobId(\"j-7\"))".into(),
        "cancel Some(JobId(\"j-7\"))".into(),
        "bed clear 3".into(),
        "answer Some(PromptId(\"q-1\")) 2".into(),
        "estop".into(),
        "cancel None".into(),
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[tokio::test]
async fn files_that_the_agent_cannot_read_never_reach_the_desk() {
    let desk = FakeDesk::default();
    let asked = Arc::clone(&desk.asked);
    with_server(desk, LogRing::default(), |socket| {
        let mut client = Client::connect(socket).unwrap();
        for path in ["/nowhere/a.gcode", "relative.gcode", "/", "/dev/null"] {
            let Err(TalkError::Refused(fault)) =
                client.job(&Request::Print { path: path.into(), name: None })
            else {
                panic!("{path} is refused")
            };
            assert_eq!(fault.code, "job.file_unavailable");
            assert!(fault.text.contains(path) && fault.text.contains("cannot read"), "{}", fault.text);
        }
    })
    .await;
    assert!(asked.lock().unwrap().is_empty());
}

/// A service may be shut off from where the file lies; here its folder is gone as soon as the person has opened it.
#[tokio::test]
async fn a_file_that_is_held_out_is_printed_where_its_path_leads_nowhere() {
    let desk = FakeDesk::default();
    let asked = Arc::clone(&desk.asked);
    with_server(desk, LogRing::default(), |socket| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part.gcode");
        std::fs::write(&path, "G28\n").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        let line = format!("{{\"ask\":\"print\",\"path\":\"{}\"}}\n", path.display());
        let stream = UnixStream::connect(socket).unwrap();
        let files = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
        let words = [IoSlice::new(line.as_bytes())];
        let sent = rustix::net::sendmsg(&stream, &words, &mut control, SendFlags::empty()).unwrap();
        assert_eq!(sent, line.len());
        let answer = read_lines(&stream, 1).concat();
        assert!(answer.contains("\"queued\""), "{answer}");
        // It goes with one line, and not with the next.
        (&stream).write_all(line.as_bytes()).unwrap();
        let answer = read_lines(&stream, 1).concat();
        assert!(answer.contains("job.file_unavailable") && answer.contains("part.gcode"), "{answer}");
    })
    .await;
    let asked = asked.lock().unwrap();
    assert!(asked.len() == 1 && asked[0].starts_with("print /proc/self/fd/"), "{asked:?}");
    assert!(asked[0].ends_with("as Some(\"part.gcode\") 1 times"), "{asked:?}");
}

#[tokio::test]
async fn strange_lines_are_refused_and_endless_ones_end_the_connection() {
    with_server(FakeDesk::default(), LogRing::default(), |socket| {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(b"{\"ask\":\"dance\"}\nnot json\n{\"ask\":\"identity\"}\n").unwrap();
        let lines: Vec<String> = read_lines(&stream, 3);
        assert!(lines[0].contains("command.bad_args") && lines[0].contains("dance"), "{}", lines[0]);
        assert!(lines[1].contains("command.bad_args"), "{}", lines[1]);
        assert!(lines[2].contains("\"answer\":\"identity\""), "{}", lines[2]);

        // Exactly as long as is read, so that the end does not race with bytes that nobody took.
        stream.write_all(&vec![b'x'; MAX_LINE_BYTES + 1]).unwrap();
        let lines = read_lines(&stream, 2);
        assert_eq!(lines.len(), 1, "the connection is closed");
        assert!(lines[0].contains("longer than 65536 bytes"), "{}", lines[0]);
    })
    .await;
}

fn read_lines(stream: &UnixStream, most: usize) -> Vec<String> {
    use std::io::{BufRead, BufReader};
    BufReader::new(stream).lines().take(most).map(|line| line.unwrap()).collect()
}

#[tokio::test]
async fn logs_are_filtered_counted_and_followed() {
    let logs = LogRing::default();
    for number in 0..10 {
        logs.push(log_line(number, if number % 2 == 0 { Level::Info } else { Level::Debug }));
    }
    let writer = logs.clone();
    with_server(FakeDesk::default(), logs, move |socket| {
        let text = |answer| match answer {
            Answer::Log { line } => line.text,
            other => panic!("not a line: {other:?}"),
        };
        let mut client = Client::connect(socket).unwrap();
        let first = client.ask(&Request::Logs { lines: 2, follow: false, level: Level::Info }).unwrap();
        assert_eq!(text(first), "6");
        assert_eq!(text(client.read().unwrap()), "8");
        assert!(matches!(client.read().unwrap(), Answer::Done));

        let first = client.ask(&Request::Logs { lines: 1, follow: true, level: Level::Info }).unwrap();
        assert_eq!(text(first), "8");
        writer.push(log_line(10, Level::Trace));
        writer.push(log_line(11, Level::Error));
        assert_eq!(text(client.read().unwrap()), "11");
    })
    .await;
}

#[tokio::test]
async fn followers_leave_room_for_an_emergency_stop() {
    let desk = FakeDesk::default();
    let asked = Arc::clone(&desk.asked);
    let logs = LogRing::default();
    logs.push(log_line(0, Level::Info));
    with_server(desk, logs, |socket| {
        let follow = Request::Logs { lines: 1, follow: true, level: Level::Info };
        let mut followers: Vec<Client> = Vec::new();
        let refused = loop {
            let mut client = Client::connect(socket).unwrap();
            match client.ask(&follow) {
                Ok(_) => followers.push(client),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, TalkError::Refused(fault) if fault.code == "printer.busy"));
        assert_eq!(followers.len(), 8);
        Client::connect(socket).unwrap().emergency_stop().unwrap();
    })
    .await;
    assert_eq!(*asked.lock().unwrap(), ["estop"]);
}

#[tokio::test]
async fn what_became_of_a_job_and_the_words_on_the_wire_are_told() {
    with_server(FakeDesk::default(), LogRing::default(), move |socket| {
        let mut client = Client::connect(socket).unwrap();
        let id = JobId::new("j-7").unwrap();
        assert_eq!(client.record(id.clone(), None).unwrap(), None, "there is none");
        assert!(client.history(id.clone()).unwrap().attempts.iter().all(|attempt| !attempt.record));

        // More words than one line of the socket may have.
        let record: Record = serde_json::from_value(serde_json::json!({
            "v": 1, "job_id": "j-7", "attempt": 2, "outcome": "failed", "line": 3, "commands_acked": 3,
            "commands_total": 9, "layer": 0, "usage": {"printing_ms": 1, "paused_ms": 0},
            "ended": {"w": 9, "m": 8, "b": "boot-1", "c": "none"}, "versions": {"agent": "0.1.0"},
            "wire": {"lines": vec![serde_json::json!({"at_ms": 5, "from": "agent", "text": "x".repeat(500)}); 300]},
        }))
        .unwrap();
        let shelf = Shelf::of(socket.parent().unwrap());
        assert!(shelf.put(&record, None).unwrap().unwrap() > 2 * MAX_LINE_BYTES as u64);
        assert_eq!(client.record(id.clone(), None).unwrap().as_ref(), Some(&record));
        assert_eq!(client.record(id.clone(), Some(1)).unwrap(), None);
        let records: Vec<bool> =
            client.history(id).unwrap().attempts.iter().map(|attempt| attempt.record).collect();
        assert_eq!(records, [false, true]);

        let lines = client.wire().unwrap();
        assert_eq!((lines.len(), lines[699].text.as_str(), lines[699].at_ms), (700, "ok 699", 699));
        assert_eq!(client.wire().unwrap().len(), 700, "the connection is in step");
    })
    .await;
}

/// Whoever looks after several agents asks them for a while, and not for as long as one of them likes.
#[test]
fn an_agent_that_dribbles_or_says_nothing_or_takes_no_calls_is_asked_for_a_while_only() {
    let folder = tempfile::tempdir().unwrap();
    let a_while = Duration::from_millis(200);
    let path = folder.path().join("dribbles.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let dribbles = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Longer than anybody would wait who only hears that something comes; then there is an end of the line.
        for byte in std::iter::repeat_n(b' ', 3_000).chain([b'\n']) {
            std::thread::sleep(Duration::from_millis(20));
            if stream.write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    let said = Client::connect_for(&path, a_while).unwrap().status().unwrap_err();
    assert!(matches!(said, TalkError::Broken { .. }), "{said}");
    dribbles.join().unwrap();

    let path = folder.path().join("silent.sock");
    let silent = UnixListener::bind(&path).unwrap();
    let said = Client::connect_for(&path, a_while).unwrap().status().unwrap_err();
    assert!(matches!(said, TalkError::Broken { .. }), "{said}");
    // Nobody is called by it who waits for ever to be heard: the kernel lets so many wait.
    rustix::net::listen(&silent, 1).unwrap();
    let mut calls = Vec::new();
    let full = loop {
        match Client::connect_for(&path, a_while) {
            Ok(call) => calls.push(call),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, TalkError::Unreachable { .. }), "{full}");
}
