//! A walk over every combination of what can be found, answered and done, and what holds on each way.

use super::*;
use crate::config::{BaudChoice, PortChoice};
use crate::setup::facts::Port;

/// Far more than any way is long.
const STEPS_MAX: usize = 60;

fn printer(port: &str) -> Answering {
    Answering {
        port: port.into(),
        baud: 250_000,
        firmware: "Marlin 2.1".into(),
        machine: None,
        profile: "marlin".into(),
        is_verified: true,
    }
}

fn port(name: &str, holder: Holder) -> Port {
    Port { device: name.into(), stable: name.into(), product: None, holder }
}

fn complaint() -> Complaint {
    Complaint::of(Fault::FirmwareSilent, "nobody answers")
}

fn running(service: Service, has_printer: bool, has_job: bool) -> Agent {
    Agent::Running {
        service,
        port: "/dev/a".into(),
        printer: has_printer.then(|| printer("/dev/a")),
        complaint: (!has_printer).then(complaint),
        has_job,
    }
}

/// Everything that can be found, so far as it makes a difference.
fn surveys() -> Vec<Survey> {
    let fresh = Standing {
        port: PortChoice::Auto,
        baud: BaudChoice::Auto,
        relay: Some("wss://old.example".parse().unwrap()),
    };
    let done =
        Standing { port: PortChoice::Path("/dev/a".into()), baud: BaudChoice::Rate(250_000), relay: None };
    let mut agents = vec![Agent::Stopped(Service::Unit), Agent::Stopped(Service::Hand)];
    for service in [Service::Unit, Service::Hand] {
        for (has_printer, has_job) in [(false, false), (true, false), (true, true), (false, true)] {
            agents.push(running(service, has_printer, has_job));
        }
    }
    let other = || Holder::Other("octoprint (process 12)".into());
    let ports = [
        vec![],
        vec![port("/dev/a", Holder::Nobody)],
        vec![port("/dev/a", Holder::Agent)],
        vec![port("/dev/a", other())],
        vec![port("/dev/a", Holder::Agent), port("/dev/b", Holder::Nobody), port("/dev/c", other())],
    ];
    let mut surveys = vec![Survey {
        config: Err("line 3: not TOML".into()),
        agent: Agent::Stopped(Service::Unit),
        ports: Vec::new(),
        owner: None,
        relay: None,
        token: None,
    }];
    for agent in &agents {
        for ports in &ports {
            for standing in [&fresh, &done] {
                for (owner, token) in [(None, None), (Some("farm"), None), (None, Some("/boot/t"))] {
                    surveys.push(Survey {
                        config: Ok(standing.clone()),
                        agent: agent.clone(),
                        ports: ports.clone(),
                        owner: owner.map(str::to_owned),
                        relay: owner.map(|_| "wss://old.example".parse().unwrap()),
                        token: token.map(PathBuf::from),
                    });
                }
            }
        }
    }
    surveys
}

/// What has happened on one way.
#[derive(Clone, Default)]
struct Story {
    yes: Vec<Question>,
    answers: Vec<Answer>,
    done: Vec<Do>,
    is_stopped: bool,
    again: usize,
    paired_again: usize,
}

/// All that a person may say; trying again only so often, so that the walk ends.
fn said(question: &Question, story: &Story) -> Vec<Answer> {
    let url: RelayUrl = "wss://new.example".parse().unwrap();
    let all = [
        Answer::Yes,
        Answer::No,
        Answer::Again,
        Answer::Without,
        Answer::Take(0),
        Answer::Take(1),
        Answer::Relay(url),
        Answer::Alone,
        Answer::Test(Test::No),
        Answer::Test(Test::Line),
        Answer::Test(Test::Print),
    ];
    let may = |answer: &Answer| match (question, answer) {
        (Question::Nobody, Answer::Again) => story.again < 1,
        (Question::PairAgain(_), Answer::Yes) => story.paired_again < 1,
        _ => true,
    };
    all.into_iter().filter(|answer| question.takes(answer) && may(answer)).collect()
}

/// Each outcome of something that was done: the machine after it.
fn outcomes(machine: &Setup, done: &Do, survey: &Survey, story: &Story) -> Vec<Setup> {
    let with = |tell: &dyn Fn(&mut Setup)| {
        let mut machine = machine.clone();
        tell(&mut machine);
        machine
    };
    match done {
        Do::Survey => {
            let mut seen = survey.clone();
            // What was stopped here is seen as stopped.
            if story.is_stopped {
                seen.agent = Agent::Stopped(Service::Unit);
                for port in seen.ports.iter_mut().filter(|port| port.holder == Holder::Agent) {
                    port.holder = Holder::Nobody;
                }
            }
            vec![with(&|machine| machine.handle_survey(seen.clone()))]
        }
        Do::StopAgent => vec![
            with(&|machine| machine.handle_stopped(Ok(()))),
            with(&|machine| machine.handle_stopped(Err(complaint()))),
        ],
        Do::Probe(ports) => {
            let heard = |answers: usize| -> Vec<Heard> {
                let who = |place: usize, port: &PathBuf| {
                    if place < answers { Ok(printer(port.to_str().unwrap())) } else { Err(complaint()) }
                };
                let heard = ports.iter().enumerate();
                heard.map(|(place, port)| Heard { port: port.clone(), who: who(place, port) }).collect()
            };
            (0..=ports.len()).map(|answers| with(&|machine| machine.handle_heard(heard(answers)))).collect()
        }
        Do::Write(changes) => vec![
            with(&|machine| machine.handle_written(Ok(changes.clone()))),
            with(&|machine| machine.handle_written(Err(complaint()))),
        ],
        Do::StartAgent => vec![
            with(&|machine| machine.handle_started(Ok(()))),
            with(&|machine| machine.handle_started(Err(complaint()))),
        ],
        Do::Await => [Ready::Yes, Ready::No(complaint()), Ready::NoAgent]
            .map(|ready| with(&|machine| machine.handle_ready(ready.clone())))
            .into(),
        Do::Enrol(_) | Do::Pair { .. } => vec![
            with(&|machine| machine.handle_paired(Ok(Paired { owner: "farm".into() }))),
            with(&|machine| machine.handle_paired(Err(complaint()))),
        ],
        Do::Test(_) => vec![
            with(&|machine| machine.handle_tested(Ok(()))),
            with(&|machine| machine.handle_tested(Err(complaint()))),
        ],
    }
}

/// What has to be so when something is done.
fn may_be_done(done: &Do, answers: &Answers, survey: &Survey, story: &Story) {
    let said = |wanted: fn(&Question) -> bool| story.yes.iter().any(wanted);
    let has_job = matches!(survey.agent, Agent::Running { has_job: true, .. });
    let by = |given: bool, question: bool| given || answers.yes || question;
    let opens = |question: &Question| matches!(question, Question::Open { .. });
    match done {
        Do::Survey | Do::Await => {}
        Do::StopAgent => {
            let stops = |question: &Question| matches!(question, Question::Open { stops_agent: true, .. });
            assert!(by(answers.open == Some(true), said(stops)) && !has_job && !story.is_stopped);
        }
        Do::Probe(ports) => {
            assert!(by(answers.open == Some(true), said(opens)) && !ports.is_empty());
            for port in ports {
                let found = survey.ports.iter().find(|found| found.stable == *port).unwrap();
                let free =
                    found.holder == Holder::Nobody || (found.holder == Holder::Agent && story.is_stopped);
                assert!(free, "{port:?} is somebody else's");
            }
        }
        Do::Write(changes) => {
            let applies = |question: &Question| matches!(question, Question::Apply { .. });
            assert!(by(answers.apply == Some(true), said(applies)), "written without a yes");
            assert!(!changes.is_empty());
            assert!(!has_job || changes.iter().all(|change| !change.key.starts_with("printer.")));
        }
        Do::StartAgent => {
            let starts = |question: &Question| matches!(question, Question::Apply { starts_agent: true, .. });
            let yes = by(answers.apply == Some(true), said(starts));
            assert!(story.is_stopped || (yes && !has_job), "started without a yes");
        }
        Do::Enrol(_) => {
            let token = |question: &Question| matches!(question, Question::Token(_));
            assert!(by(answers.token == Some(true), said(token)) && survey.owner.is_none());
        }
        Do::Pair { relay, unseen, .. } => {
            let is_named = story.answers.contains(&Answer::Relay(relay.clone()));
            assert!((is_named || answers.relay.is_some()) && survey.owner.is_none());
            assert_eq!(*unseen, answers.words.is_some(), "nobody skips the words by himself");
            assert!(*unseen || !answers.yes);
        }
        Do::Test(test) => {
            assert!(story.answers.contains(&Answer::Test(*test)) || answers.test == Some(*test));
            assert!(!has_job && *test != Test::No);
        }
    }
}

fn may_end(end: &Ending, answers: &Answers, story: &Story) {
    assert!(!story.is_stopped, "the agent is left stopped at {end:?}");
    match end {
        Ending::Done(summary) => {
            let written = story.done.iter().any(|done| matches!(done, Do::Write(_)));
            assert_eq!(!summary.written.is_empty(), written);
            let tested = story.done.iter().any(|done| matches!(done, Do::Test(_)));
            match &summary.test {
                None => assert!(!tested && answers.test.is_none_or(|test| test == Test::No)),
                Some((test, came)) => assert!(tested || (came.is_err() && answers.test == Some(*test))),
            }
            assert!(summary.owner.is_none() || summary.unpaired.is_none());
        }
        Ending::Declined => assert!(!story.done.iter().any(|done| matches!(done, Do::Write(_)))),
        Ending::Unanswered { key } => {
            assert!(!key.is_empty());
            // Without questions it is known before anything is written, but for a pairing that failed.
            assert!(!answers.yes || !story.done.iter().any(|done| matches!(done, Do::Write(_))));
        }
        Ending::Failed(complaint) => assert!(!complaint.code.is_empty() && !complaint.text.is_empty()),
    }
}

/// Every way from here; how many there are.
fn walk(mut machine: Setup, answers: &Answers, survey: &Survey, mut story: Story, steps: usize) -> usize {
    assert!(steps < STEPS_MAX, "it does not end: {:?}", story.done);
    let output = machine.poll_output();
    assert_eq!(machine.poll_output(), output, "what is next stays so until it was answered");
    match output {
        Output::Over(end) => {
            may_end(&end, answers, &story);
            1
        }
        Output::Ask(question) => {
            assert!(!answers.yes, "{question:?} is asked where nothing is to be asked");
            let mut ended = machine.clone();
            ended.handle_end_of_input();
            let mut ways = walk(ended, answers, survey, story.clone(), steps + 1);
            for answer in said(&question, &story) {
                let (mut machine, mut story) = (machine.clone(), story.clone());
                story.again += usize::from(answer == Answer::Again);
                story.paired_again +=
                    usize::from(matches!(question, Question::PairAgain(_)) && answer == Answer::Yes);
                if answer == Answer::Yes {
                    story.yes.push(question.clone());
                }
                story.answers.push(answer.clone());
                machine.handle_answer(answer);
                ways += walk(machine, answers, survey, story, steps + 1);
            }
            ways
        }
        Output::Do(done) => {
            may_be_done(&done, answers, survey, &story);
            story.done.push(done.clone());
            let mut ways = 0;
            for (place, after) in outcomes(&machine, &done, survey, &story).into_iter().enumerate() {
                let mut story = story.clone();
                match done {
                    Do::StopAgent => story.is_stopped = place == 0,
                    Do::StartAgent => story.is_stopped = false,
                    _ => {}
                }
                ways += walk(after, answers, survey, story, steps + 1);
            }
            ways
        }
    }
}

#[test]
fn on_every_way_nothing_happens_without_a_yes_and_the_agent_runs_at_the_end() {
    let answers = Answers::default();
    let ways: usize = surveys()
        .iter()
        .map(|survey| walk(Setup::new(answers.clone()), &answers, survey, Story::default(), 0))
        .sum();
    assert!(ways > 10_000, "{ways}");
}

#[test]
fn without_questions_it_ends_by_itself_and_neither_moves_nor_heats() {
    let url: RelayUrl = "wss://new.example".parse().unwrap();
    let yes = Answers { yes: true, ..Answers::default() };
    let relay = Some(crate::setup::RelayAnswer::At(url));
    for answers in [
        yes.clone(),
        Answers { relay: relay.clone(), ..yes.clone() },
        Answers { relay, words: Some(Words::Unseen), ..yes.clone() },
        Answers { printer: Some(PrinterAnswer::Without), token: Some(false), ..yes.clone() },
        Answers { printer: Some(PrinterAnswer::At("/dev/b".into())), ..yes.clone() },
        Answers { apply: Some(false), open: Some(false), ..yes.clone() },
        Answers { test: Some(Test::Line), ..yes },
    ] {
        for survey in surveys() {
            let ways = walk(Setup::new(answers.clone()), &answers, &survey, Story::default(), 0);
            assert!(ways >= 1);
        }
    }
}

/// Plays to the end: the first of the person's words that fits, and everything comes about.
fn play(survey: &Survey, words: &[Answer]) -> (Vec<Do>, Ending) {
    let mut machine = Setup::new(Answers::default());
    let (mut done, mut story) = (Vec::new(), Story::default());
    loop {
        match machine.poll_output() {
            Output::Over(end) => return (done, end),
            Output::Ask(question) => {
                let word = words.iter().find(|word| question.takes(word));
                let word = word.cloned().or_else(|| question.default());
                machine.handle_answer(word.unwrap_or(Answer::Take(0)));
            }
            Output::Do(next) => {
                story.is_stopped = story.is_stopped || next == Do::StopAgent;
                let outcomes = outcomes(&machine, &next, survey, &story);
                machine = if matches!(next, Do::Probe(_)) {
                    outcomes.into_iter().nth(1)
                } else {
                    outcomes.into_iter().next()
                }
                .unwrap();
                done.push(next);
                assert!(done.len() < STEPS_MAX * 4);
            }
        }
    }
}

#[test]
fn a_printer_that_the_agent_knows_is_not_asked_again_and_what_is_so_is_not_written() {
    let survey = surveys()
        .into_iter()
        .find(|survey| {
            survey.agent == running(Service::Unit, true, false)
                && survey.owner.is_some()
                && survey.config.as_ref().is_ok_and(|standing| standing.relay.is_none())
        })
        .unwrap();
    let (done, end) = play(&survey, &[]);
    assert_eq!(done, [Do::Survey], "a second run repeats nothing");
    assert!(matches!(&end, Ending::Done(summary) if summary.ready == Ready::Yes), "{end:?}");
}

#[test]
fn an_agent_at_the_wrong_rate_is_stopped_asked_beside_and_started_again() {
    let survey = surveys()
        .into_iter()
        .find(|survey| {
            survey.agent == running(Service::Unit, false, false)
                && survey.ports == [port("/dev/a", Holder::Agent)]
                && survey.token.is_none()
                && survey.owner.is_none()
        })
        .unwrap();
    let (done, end) = play(&survey, &[Answer::Alone]);
    let names: Vec<_> =
        done.iter().map(|done| format!("{done:?}").split(['(', ' ']).next().unwrap().to_owned()).collect();
    assert_eq!(names, ["Survey", "StopAgent", "Probe", "Write", "StartAgent", "Await"]);
    let Ending::Done(summary) = end else { panic!("{end:?}") };
    let keys: Vec<_> = summary.written.iter().map(|change| change.key).collect();
    assert_eq!(keys, ["printer.port", "printer.baud"]);
}

#[test]
fn somebody_who_says_again_for_ever_is_heard_out_some_day() {
    let survey =
        surveys().into_iter().find(|survey| survey.config.is_ok() && survey.ports.is_empty()).unwrap();
    let (done, end) = play(&survey, &[Answer::Again]);
    assert_eq!(done.len(), 1 + LOOKS_MAX as usize);
    assert!(matches!(end, Ending::Failed(complaint) if complaint.code == "port.missing"));
}

#[test]
fn an_agent_that_somebody_has_started_meanwhile_is_not_stopped_again_unasked() {
    let holds = |survey: &&Survey| {
        survey.agent == running(Service::Unit, false, false)
            && survey.ports == [port("/dev/a", Holder::Agent)]
    };
    let surveys = surveys();
    let survey = surveys.iter().find(holds).unwrap();
    let mut machine = Setup::new(Answers::default());
    machine.handle_survey(survey.clone());
    machine.handle_answer(Answer::Yes);
    assert_eq!(machine.poll_output(), Output::Do(Do::StopAgent));
    machine.handle_stopped(Ok(()));
    machine.handle_heard(Vec::new());
    machine.handle_answer(Answer::Again);
    assert!(machine.has_stopped_agent());
    machine.handle_survey(survey.clone());
    assert!(!machine.has_stopped_agent());
    assert!(matches!(machine.poll_output(), Output::Ask(Question::Open { stops_agent: true, .. })));
}

#[test]
fn whoever_holds_the_only_port_is_named() {
    let held = |survey: &&Survey| {
        survey.config.is_ok()
            && survey.agent == Agent::Stopped(Service::Unit)
            && matches!(survey.ports.as_slice(), [Port { holder: Holder::Other(_), .. }])
    };
    let (_, end) = play(surveys().iter().find(held).unwrap(), &[Answer::No]);
    let Ending::Failed(complaint) = end else { panic!("{end:?}") };
    assert_eq!(complaint.code, "port.busy");
    assert!(complaint.text.contains("octoprint (process 12)"), "{}", complaint.text);
}

/// The survey of an agent that has its printer at `/dev/a`, with an owner.
fn complete(service: Service, port: &str) -> Survey {
    Survey {
        config: Ok(Standing {
            port: PortChoice::Path(port.into()),
            baud: BaudChoice::Rate(250_000),
            relay: None,
        }),
        agent: running(service, true, false),
        ports: Vec::new(),
        owner: Some("farm".into()),
        relay: Some("wss://old.example".parse().unwrap()),
        token: None,
    }
}

fn unattended(answers: Answers, survey: &Survey) -> (Vec<Do>, Ending) {
    let mut machine = Setup::new(Answers { yes: true, ..answers });
    let mut done = Vec::new();
    loop {
        match machine.poll_output() {
            Output::Over(end) => return (done, end),
            Output::Ask(question) => panic!("{question:?}"),
            Output::Do(next) => {
                machine = outcomes(&machine, &next, survey, &Story::default()).remove(0);
                done.push(next);
            }
        }
    }
}

#[test]
fn a_printer_that_was_chosen_and_waits_for_a_start_is_not_taken_back() {
    for printer in [None, Some(PrinterAnswer::Without)] {
        let answers = Answers { printer, ..Answers::default() };
        let (done, end) = unattended(answers.clone(), &complete(Service::Hand, "/dev/chosen"));
        assert_eq!(done, [Do::Survey], "nothing is written");
        assert!(matches!(&end, Ending::Done(summary) if summary.ready == Ready::NoAgent), "{end:?}");
        let (done, _) = unattended(answers, &complete(Service::Unit, "/dev/chosen"));
        assert_eq!(done, [Do::Survey, Do::StartAgent, Do::Await]);
    }
    // Two names of one port are no other printer.
    let mut survey = complete(Service::Unit, "/dev/ttyUSB0");
    survey.ports =
        vec![Port { device: "/dev/ttyUSB0".into(), stable: "/dev/a".into(), ..port("", Holder::Agent) }];
    let (done, end) = unattended(Answers::default(), &survey);
    assert!(!done.contains(&Do::Await) || matches!(done[1], Do::Write(_)), "{done:?}");
    assert!(matches!(end, Ending::Done(_)), "{end:?}");
}

#[test]
fn what_was_asked_for_and_cannot_be_done_is_told() {
    let test = Answers { test: Some(Test::Line), ..Answers::default() };
    let mut stopped = complete(Service::Hand, "/dev/a");
    stopped.agent = Agent::Stopped(Service::Hand);
    stopped.ports = vec![port("/dev/a", Holder::Nobody)];
    let (_, end) = unattended(Answers { printer: Some(PrinterAnswer::Without), ..test.clone() }, &stopped);
    let Ending::Done(summary) = end else { panic!("{end:?}") };
    assert!(matches!(&summary.test, Some((Test::Line, Err(why))) if why.code == UNREACHABLE), "{summary:?}");
    let mut printing = complete(Service::Hand, "/dev/a");
    printing.agent = running(Service::Hand, true, true);
    let Ending::Done(summary) = unattended(test, &printing).1 else { panic!("it ends") };
    assert!(matches!(&summary.test, Some((_, Err(why))) if why.code == Fault::Busy.code()), "{summary:?}");

    let at = |url: &str| Some(RelayAnswer::At(url.parse().unwrap()));
    let owned = complete(Service::Hand, "/dev/a");
    let (done, end) = unattended(Answers { relay: at("wss://new.example"), ..Answers::default() }, &owned);
    assert_eq!(done, [Do::Survey], "nothing is written");
    assert!(matches!(&end, Ending::Failed(why) if why.code == Fault::PairOwned.code()), "{end:?}");
    let (_, end) = unattended(Answers { relay: at("wss://old.example"), ..Answers::default() }, &owned);
    assert!(matches!(end, Ending::Done(_)), "{end:?}");
}
