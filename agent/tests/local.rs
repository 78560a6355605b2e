//! The local socket with a desk behind it that only writes down what it is asked.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use spoolway_agent::local::words::{Answer, MAX_LINE_BYTES, MaintenanceAction, PrintWishes, Request, Spot};
use spoolway_agent::local::{Client, Counter, Counterpart, TalkError, bind, serve};
use spoolway_agent::printer::{Tap, Watcher};
use spoolway_agent::telemetry::{Level, LogLine, LogRing};
use spoolway_agent::view::recovery::{PlanView, RecoverHow};
use spoolway_agent::view::{BedView, JobView, LinkView, MaintenanceView, PrinterView, Refusal, Status};
use spoolway_agent_core::job::Place;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{AgentId, Doubt, Fault, JobId, JobState, PromptId};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
struct FakeDesk {
    asked: Arc<Mutex<Vec<String>>>,
    jobs: usize,
    tap: Tap,
}

impl FakeDesk {
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }

    fn moved(&self, verb: &str, job: Option<JobId>, state: JobState) -> Result<JobView, Refusal> {
        self.note(format!("{verb} {job:?}"));
        let Some(id) = job else {
            return Err(Refusal::new(Fault::JobNotReady, "no job holds the printer"));
        };
        Ok(view(id.as_str(), state))
    }
}

fn view(id: &str, state: JobState) -> JobView {
    JobView {
        job_id: JobId::new(id).unwrap(),
        name: format!("{id}.gcode"),
        state,
        attempt: 1,
        commands_acked: 5,
        commands_total: 10,
        line: 5,
        layer: 0,
        layers_total: 0,
        bytes: 50,
        size: 100,
        reason: None,
        loss: None,
        findings: Vec::new(),
        created_ms: 0,
        rev: 1,
        priority: 0,
        copies: 1,
        copies_done: 0,
        held: false,
    }
}

impl Counter for FakeDesk {
    async fn status(&self) -> Result<Status, Refusal> {
        Ok(Status {
            agent_id: agent_id().to_string(),
            version: "0.1.0".into(),
            uptime_ms: 5,
            printer: PrinterView {
                state: PrinterState::Idle,
                port: "/dev/x".into(),
                baud: 115_200,
                profile: None,
                profile_verified: false,
                firmware: None,
                window: None,
                wire: None,
                prompt: None,
                note: None,
                ready: None,
                tools: vec![(20.5, None)],
                bed: Some((21.0, Some(60.0))),
                link_use: 0.25,
                lines_per_s: 1.5,
                refusals: 0,
                fault: None,
                alarms: Vec::new(),
            },
            job: None,
            link: LinkView::default(),
            bed: None,
            permits: Default::default(),
            storage: None,
            jobs_waiting: 0,
            events_unacked: 3,
            maintenance: None,
        })
    }

    async fn jobs(&self) -> Result<Vec<JobView>, Refusal> {
        Ok((0..self.jobs).map(|number| view(&format!("job-{number}"), JobState::Queued)).collect())
    }

    async fn print_file(&self, path: PathBuf, wishes: PrintWishes) -> Result<JobView, Refusal> {
        self.note(format!("print {} as {:?} {} times", path.display(), wishes.name, wishes.copies));
        Ok(view("job-1", JobState::Queued))
    }

    async fn place(&self, job: JobId, place: Place) -> Result<JobView, Refusal> {
        self.note(format!("{job} {place:?}"));
        Ok(view(job.as_str(), JobState::Queued))
    }

    async fn hold(&self, job: JobId) -> Result<JobView, Refusal> {
        self.moved("hold", Some(job), JobState::Queued)
    }

    async fn release(&self, job: JobId) -> Result<JobView, Refusal> {
        self.moved("release", Some(job), JobState::Queued)
    }

    async fn pause(&self, job: Option<JobId>) -> Result<JobView, Refusal> {
        self.moved("pause", job, JobState::Paused)
    }

    async fn resume(&self, job: Option<JobId>, doubt: Option<Doubt>) -> Result<JobView, Refusal> {
        if doubt.is_none() {
            return Err(Refusal::new(Fault::CommUncertain, "lines 4 to 7 are in doubt"));
        }
        self.moved("resume", job, JobState::Printing)
    }

    async fn maintenance(
        &self,
        action: MaintenanceAction,
        by: String,
    ) -> Result<Option<MaintenanceView>, Refusal> {
        self.note(format!("maintenance {action:?} by {by}"));
        match action {
            MaintenanceAction::Open { minutes, reason } => {
                Ok(Some(MaintenanceView { left_s: u64::from(minutes) * 60, by, reason }))
            }
            MaintenanceAction::Close | MaintenanceAction::Show => Ok(None),
        }
    }

    async fn answer(&self, prompt: Option<PromptId>, choice: u32) -> Result<(), Refusal> {
        self.note(format!("answer {prompt:?} {choice}"));
        Ok(())
    }

    async fn send(&self, command: String) -> Result<Vec<String>, Refusal> {
        Ok(vec![format!("echo:{command}")])
    }

    fn watch(&self) -> Watcher {
        self.tap.watch()
    }

    async fn cancel(&self, job: Option<JobId>) -> Result<JobView, Refusal> {
        self.moved("cancel", job, JobState::Cancelled)
    }

    async fn clear_bed(&self, epoch: u64) -> Result<BedView, Refusal> {
        if epoch != 3 {
            return Err(Refusal::new(Fault::BedStale, "the bed epoch is 3"));
        }
        self.note("bed clear 3");
        Ok(BedView { epoch, clear: true, confirm_required: true, part: None, interrupted: Vec::new() })
    }

    async fn plan_recovery(&self, job: JobId, how: RecoverHow) -> Result<PlanView, Refusal> {
        self.note(format!("plan {job} {how:?}"));
        Err(Refusal::new(Fault::JobNotReady, "it is printing"))
    }

    async fn recover(&self, job: JobId, _: RecoverHow, plan_id: String) -> Result<JobView, Refusal> {
        self.moved(&format!("recover by {plan_id}"), Some(job), JobState::Recovering)
    }

    async fn abandon(&self, job: JobId) -> Result<JobView, Refusal> {
        self.moved("abandon", Some(job), JobState::Cancelled)
    }

    async fn override_findings(
        &self,
        job: JobId,
        codes: Option<Vec<String>>,
        actor: String,
    ) -> Result<JobView, Refusal> {
        assert!(actor.starts_with("uid "), "the system says who it is");
        self.moved(&format!("override {codes:?}"), Some(job), JobState::Queued)
    }

    async fn accept_printer(&self) -> Result<String, Refusal> {
        self.note("accept");
        Ok("firmware=marlin".into())
    }

    async fn emergency_stop(&self) -> Result<(), Refusal> {
        self.note("estop");
        Ok(())
    }
}

fn agent_id() -> AgentId {
    AgentId::from_bytes(*b"0123456789abcdef")
}

/// Serves a fake desk while `talk` runs on a thread of its own, as a command would.
async fn with_server<T: Send + 'static>(
    desk: FakeDesk,
    logs: LogRing,
    talk: impl FnOnce(&Path) -> T + Send + 'static,
) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let door = bind(&path).unwrap();
    let counterpart = Counterpart { counter: desk, agent_id: agent_id(), public_key: "a2V5".into(), logs };
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
