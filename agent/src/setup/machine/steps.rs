//! The steps in their order: each gives what it stands for, or says what has to come first.

use super::*;

impl Setup {
    /// All that has to stand at the end; the first thing that does not is what comes next.
    pub(super) fn walk(&self) -> Next<Summary> {
        let survey = self.survey.as_ref().ok_or(Output::Do(Do::Survey))?;
        let standing =
            survey.config.as_ref().map_err(|why| failed(Complaint::of(Fault::ConfigBroken, why.clone())))?;
        let printer = self.printer(survey, standing)?;
        let way = self.way(survey, standing)?;
        let written = self.written(survey, standing, printer, &way)?;
        let ready = self.ready(survey, standing, printer, &written)?;
        let (owner, unpaired) = self.owner(survey, &way)?;
        let test = self.test(survey, &ready)?;
        let service = match survey.agent {
            Agent::Stopped(service) | Agent::Running { service, .. } => service,
        };
        let relay = match way {
            Way::Relay(url) => Some(url),
            Way::Token(_) | Way::None => None,
        };
        Ok(Summary { printer: printer.cloned(), ready, written, owner, relay, unpaired, test, service })
    }

    /// The printer that is set up; none when it stays as it is.
    fn printer<'a>(&'a self, survey: &'a Survey, standing: &Standing) -> Next<Option<&'a Answering>> {
        if let Some(choice) = &self.choice {
            return Ok(match choice {
                Choice::Printer(printer) => Some(printer),
                Choice::Without => None,
            });
        }
        let named = match &self.answers.printer {
            Some(PrinterAnswer::At(port)) => Some(port),
            _ => None,
        };
        if let Agent::Running { printer, has_job, port, .. } = &survey.agent {
            let is_meant = |printer: &&Answering| named.is_none_or(|named| *named == printer.port);
            // Whoever speaks with a printer knows best who it is, and is not disturbed. Another one that stands in the configuration was
            // chosen since, and waits for a start.
            if let Some(printer) = printer.as_ref().filter(is_meant) {
                let waits = named.is_none() && another_stands(survey, standing);
                return Ok(Some(printer).filter(|_| !waits));
            }
            if *has_job {
                let text = format!("a job is under way at {}; its printer is not changed", port.display());
                return if named.is_some() {
                    Err(failed(Complaint::of(Fault::PortBusy, text)))
                } else {
                    Ok(None)
                };
            }
        }
        let heard = self.heard(survey, named)?;
        let answering: Vec<_> = heard.iter().filter_map(|heard| heard.who.as_ref().ok()).collect();
        match answering.as_slice() {
            [] => Err(Output::Ask(Question::Nobody)),
            [only] => Ok(Some(only)),
            _ => Err(Output::Ask(Question::Which(answering.into_iter().cloned().collect()))),
        }
    }

    /// Everybody who answers, at the one port that was named or at each that nobody else has.
    fn heard(&self, survey: &Survey, named: Option<&PathBuf>) -> Next<&[Heard]> {
        if let Some(heard) = &self.heard {
            return Ok(heard);
        }
        if let Some(named) = named
            && !survey.ports.iter().any(|port| port.stable == *named || port.device == *named)
        {
            let text = format!("{} is not there", named.display());
            return Err(failed(Complaint::of(Fault::PortMissing, text)));
        }
        let can_stop = matches!(
            &survey.agent,
            Agent::Running { service: Service::Unit, has_job: false, .. } if !self.is_stopped
        );
        let meant = survey
            .ports
            .iter()
            .filter(|port| named.is_none_or(|named| port.stable == *named || port.device == *named));
        let (mut ports, mut stops_agent) = (Vec::new(), false);
        for port in meant {
            match port.holder {
                Holder::Nobody => ports.push(port.stable.clone()),
                Holder::Agent if self.is_stopped => ports.push(port.stable.clone()),
                Holder::Agent if can_stop => {
                    stops_agent = true;
                    ports.push(port.stable.clone());
                }
                Holder::Agent | Holder::Other(_) => {}
            }
        }
        if ports.is_empty() {
            return Ok(&[]);
        }
        if !self.may_open {
            return Err(Output::Ask(Question::Open { ports, stops_agent }));
        }
        Err(Output::Do(if stops_agent { Do::StopAgent } else { Do::Probe(ports) }))
    }

    /// How the agent gets an owner. Who has one keeps it.
    fn way(&self, survey: &Survey, standing: &Standing) -> Next<Way> {
        if let Some(owner) = &survey.owner {
            return match (&self.answers.relay, &survey.relay) {
                (Some(RelayAnswer::At(wanted)), Some(relay)) if wanted != relay => {
                    let text = format!("{owner} owns this agent over {relay}, and not over {wanted}");
                    Err(failed(Complaint::of(Fault::PairOwned, text)))
                }
                _ => Ok(Way::None),
            };
        }
        let way = match (&self.way, &survey.token, self.uses_token) {
            (Some(way), ..) => way.clone(),
            (None, Some(token), Some(true)) => Way::Token(token.clone()),
            (None, Some(token), None) => return Err(Output::Ask(Question::Token(token.clone()))),
            (None, ..) => return Err(Output::Ask(Question::Relay(standing.relay.clone()))),
        };
        // Known before anything is written: nobody will be there to compare.
        if matches!(way, Way::Relay(_)) && self.answers.yes && self.answers.words.is_none() {
            return Err(Output::Over(Ending::Unanswered { key: "words" }));
        }
        Ok(way)
    }

    /// What was written, once it is.
    fn written(
        &self,
        survey: &Survey,
        standing: &Standing,
        printer: Option<&Answering>,
        way: &Way,
    ) -> Next<Vec<Change>> {
        if let Some(written) = &self.written {
            return Ok(written.clone());
        }
        let relay = match way {
            Way::Relay(url) => Some(url),
            Way::Token(_) | Way::None => None,
        };
        let printer = printer.filter(|_| !has_job(survey));
        let changes = changes(standing, Chosen { printer, relay });
        let starts_agent = match survey.agent {
            // It was stopped here, and is started again in any case.
            _ if self.is_stopped => false,
            Agent::Stopped(service) => service == Service::Unit,
            Agent::Running { service, has_job, .. } => {
                let is_old = !changes.is_empty() || another_stands(survey, standing);
                service == Service::Unit && !has_job && is_old
            }
        };
        if changes.is_empty() && (!starts_agent || self.may_apply) {
            return Ok(changes);
        }
        if !self.may_apply {
            return Err(Output::Ask(Question::Apply { changes, starts_agent }));
        }
        Err(Output::Do(Do::Write(changes)))
    }

    /// Whether the agent has its printer, once it runs with what was written.
    fn ready(
        &self,
        survey: &Survey,
        standing: &Standing,
        printer: Option<&Answering>,
        written: &[Change],
    ) -> Next<Ready> {
        if let Some(ready) = &self.ready {
            return Ok(ready.clone());
        }
        if !self.is_started {
            let is_old = !written.is_empty() || another_stands(survey, standing);
            match &survey.agent {
                Agent::Stopped(Service::Hand) => return Ok(Ready::NoAgent),
                Agent::Stopped(Service::Unit) => return Err(Output::Do(Do::StartAgent)),
                Agent::Running { has_job: true, printer: Some(_), .. } => return Ok(Ready::Yes),
                Agent::Running { service: Service::Unit, has_job: false, .. }
                    if self.is_stopped || is_old =>
                {
                    return Err(Output::Do(Do::StartAgent));
                }
                // It goes by what was written when somebody starts it anew.
                Agent::Running { service: Service::Hand, .. } if is_old => {
                    return Ok(Ready::NoAgent);
                }
                Agent::Running { printer: Some(_), .. } => return Ok(Ready::Yes),
                Agent::Running { complaint, .. } if printer.is_none() => {
                    let silent = || Complaint::of(Fault::FirmwareSilent, "the agent has no printer yet");
                    return Ok(Ready::No(complaint.clone().unwrap_or_else(silent)));
                }
                Agent::Running { .. } => {}
            }
        }
        Err(Output::Do(Do::Await))
    }

    /// Who owns the agent, or why nobody does.
    fn owner(&self, survey: &Survey, way: &Way) -> Next<(Option<String>, Option<Complaint>)> {
        let next = match way {
            Way::None => return Ok((survey.owner.clone(), None)),
            Way::Token(token) => Do::Enrol(token.clone()),
            Way::Relay(relay) => Do::Pair {
                relay: relay.clone(),
                ca: self.answers.ca.clone(),
                unseen: self.answers.words == Some(Words::Unseen),
            },
        };
        match &self.paired {
            None => Err(Output::Do(next)),
            Some(Ok(paired)) => Ok((Some(paired.owner.clone()), None)),
            Some(Err(complaint)) if self.gave_up_pairing() => Ok((None, Some(complaint.clone()))),
            Some(Err(complaint)) => Err(Output::Ask(Question::PairAgain(complaint.clone()))),
        }
    }

    fn gave_up_pairing(&self) -> bool {
        self.pairings >= PAIRINGS_MAX
    }

    /// What became of the test, if there was one. It is offered where it can be begun.
    fn test(&self, survey: &Survey, ready: &Ready) -> Next<Option<(Test, Attempt<()>)>> {
        let cannot = match ready {
            Ready::Yes if has_job(survey) => {
                Some(Complaint::of(Fault::Busy, "a job is under way, so nothing was tested"))
            }
            Ready::Yes => None,
            Ready::No(complaint) => Some(complaint.clone()),
            Ready::NoAgent => {
                let text = "no agent runs with what is configured, so nothing was tested";
                Some(Complaint { code: UNREACHABLE.to_owned(), text: text.to_owned() })
            }
        };
        if let Some(complaint) = cannot {
            // What was asked for beforehand is not passed over in silence.
            let wanted = self.answers.test.filter(|test| *test != Test::No);
            return Ok(wanted.map(|test| (test, Err(complaint))));
        }
        match (self.test, &self.tested) {
            (None, _) => Err(Output::Ask(Question::Test)),
            (Some(Test::No), _) => Ok(None),
            (Some(test), None) => Err(Output::Do(Do::Test(test))),
            (Some(test), Some(tested)) => Ok(Some((test, tested.clone()))),
        }
    }

    /// Takes an answer to a question.
    pub(super) fn take(&mut self, question: &Question, answer: Answer) {
        match (question, answer) {
            (Question::Open { .. }, Answer::Yes) => self.may_open = true,
            (Question::Open { .. }, _) => self.choice = Some(Choice::Without),
            (Question::Nobody, Answer::Again) if self.looks < LOOKS_MAX => self.look_again(),
            (Question::Nobody, Answer::Without) => self.choice = Some(Choice::Without),
            (Question::Nobody, _) => self.end = Some(Ending::Failed(self.why_nobody())),
            (Question::Which(list), Answer::Take(place)) => {
                self.choice = list.get(place).cloned().map(Choice::Printer);
            }
            (Question::Which(_), _) => self.end = Some(Ending::Declined),
            (Question::Token(_), answer) => self.uses_token = Some(answer == Answer::Yes),
            (Question::Relay(_), Answer::Relay(url)) => self.way = Some(Way::Relay(url)),
            (Question::Relay(_), _) => self.way = Some(Way::None),
            (Question::Apply { .. }, Answer::Yes) => self.may_apply = true,
            (Question::Apply { .. }, _) => self.end = Some(Ending::Declined),
            (Question::PairAgain(_), Answer::Yes) => self.paired = None,
            (Question::PairAgain(_), _) => self.pairings = PAIRINGS_MAX,
            (Question::Test, Answer::Test(test)) => self.test = Some(test),
            (Question::Test, _) => self.test = Some(Test::No),
        }
    }

    /// Everything is looked at anew: somebody has plugged something in, or has stopped a program.
    fn look_again(&mut self) {
        // What is opened or stopped the next time may be something else.
        self.may_open = false;
        self.looks += 1;
        self.heard = None;
        self.survey = None;
    }

    /// The nearest that was heard, else what stands in the way.
    fn why_nobody(&self) -> Complaint {
        let complaints = self.heard.iter().flatten().filter_map(|heard| heard.who.as_ref().err());
        let silent = |complaint: &&Complaint| complaint.code == Fault::FirmwareSilent.code();
        let mut complaints: Vec<_> = complaints.collect();
        complaints.sort_by_key(silent);
        if let Some(first) = complaints.first() {
            return (*first).clone();
        }
        let ports = self.survey.iter().flat_map(|survey| &survey.ports);
        let held = ports.clone().find_map(|port| match &port.holder {
            Holder::Other(who) => Some(format!("{} is held by {who}", port.device.display())),
            Holder::Agent => {
                Some(format!("{} is held by an agent that was started by hand", port.device.display()))
            }
            Holder::Nobody => None,
        });
        match held {
            Some(text) => Complaint::of(Fault::PortBusy, text),
            None => Complaint::of(
                Fault::PortMissing,
                "no serial port is plugged in (a UART on pins has to be named with --printer)",
            ),
        }
    }
}

/// Whether the configuration names another port than the one at which the agent has its printer.
fn another_stands(survey: &Survey, standing: &Standing) -> bool {
    let (Agent::Running { printer: Some(printer), .. }, PortChoice::Path(path)) =
        (&survey.agent, &standing.port)
    else {
        return false;
    };
    let is_one = |port: &Port| {
        let names = [&port.stable, &port.device];
        names.contains(&path) && names.contains(&&printer.port)
    };
    *path != printer.port && !survey.ports.iter().any(is_one)
}

fn has_job(survey: &Survey) -> bool {
    matches!(survey.agent, Agent::Running { has_job: true, .. })
}

fn failed(complaint: Complaint) -> Output {
    Output::Over(Ending::Failed(complaint))
}
