//! Whole evenings beside a printer, in virtual time: what must be noticed, and what a real print does all the time.

mod standstill;

use spoolway_protocol::Fault;

use super::*;
use crate::temperature::parse_temperatures;

const LIMITS: TemperatureLimits = TemperatureLimits { hotend_max: 260.0, bed_max: 110.0, chamber_max: None };

/// A guard and its printer, which reports every two seconds unless it is told not to.
struct Evening {
    guard: Guard,
    now: Moment,
    report: Option<String>,
    standing: Standing,
    /// What the firmware says to `M27`.
    card: bool,
    /// Whether questions are answered with a report.
    answers: bool,
    found: Vec<Finding>,
}

impl Evening {
    fn new() -> Self {
        let options = GuardOptions {
            limits: LIMITS,
            can_ask: true,
            idle_heater_off_after: Some(Duration::from_secs(600)),
            stall_after: Some(Duration::from_secs(300)),
        };
        let standing = Standing {
            activity: Activity::Idle,
            acked: 0,
            signs: 0,
            awaits: Awaits::Nothing,
            unwritten: false,
            maintenance: false,
        };
        Self {
            guard: Guard::new(options, Moment::ZERO),
            now: Moment::ZERO,
            report: None,
            standing,
            card: false,
            answers: true,
            found: Vec::new(),
        }
    }

    fn printing() -> Self {
        let mut evening = Self::new();
        evening.standing.activity = Activity::Printing;
        evening.standing.awaits = Awaits::Reply;
        evening
    }

    fn say(&mut self, text: &str) {
        self.report = Some(text.to_owned());
    }

    fn write(&mut self, bytes: &str) {
        self.guard.handle_written(self.now, bytes.as_bytes());
    }

    /// So many seconds go by; a job that is printed gets on by a line each second.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            if let Some(text) = self.report.clone().filter(|_| self.now.as_millis().is_multiple_of(2_000)) {
                let found = parse_temperatures(text.as_bytes()).unwrap();
                self.guard.handle_temperatures(self.now, &found);
            }
            if self.standing.awaits == Awaits::Reply && self.standing.activity == Activity::Printing {
                self.standing.acked += 1;
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let wake = self.guard.look(self.now, self.standing);
        assert!(wake.is_none_or(|at| at > self.now));
        while let Some(finding) = self.guard.poll() {
            if let Finding::Ask(question) = finding
                && self.answers
            {
                self.guard.handle_answer(self.now, question, self.card);
            }
            self.found.push(finding);
        }
    }

    fn alarms(&self) -> Vec<(Wrong, Act)> {
        let alarm = |finding: &Finding| match finding {
            Finding::Alarm(alarm) => Some((alarm.wrong, alarm.act)),
            _ => None,
        };
        self.found.iter().filter_map(alarm).collect()
    }

    /// The stable codes of what was told.
    fn codes(&self) -> Vec<Fault> {
        self.alarms().iter().map(|(wrong, _)| wrong.fault()).collect()
    }

    fn overs(&self) -> Vec<Wrong> {
        let over = |finding: &Finding| match finding {
            Finding::Over(wrong) => Some(*wrong),
            _ => None,
        };
        self.found.iter().filter_map(over).collect()
    }

    fn last_words(&self) -> &str {
        let words = self.found.iter().rev().find_map(|finding| match finding {
            Finding::Alarm(alarm) => Some(alarm.text.as_str()),
            _ => None,
        });
        words.unwrap_or_default()
    }

    /// From one temperature to another in equal steps, the rest of the report as it is given.
    fn ramp(&mut self, from: f32, to: f32, seconds: u64, rest: &str) {
        for step in 0..seconds / 2 {
            let at = from + (to - from) * step as f32 / (seconds / 2) as f32;
            self.say(&format!("T:{at:.1} {rest}"));
            self.pass(2);
        }
    }
}

const HOT: Heater = Heater::HotEnd(Some(0));

#[test]
fn a_usual_print_sets_nothing_off() {
    let mut evening = Evening::printing();
    evening.write("N1 M140 S60*1\nN2 M104 S210*2\n");
    evening.say("T:21.0 /0.0 B:21.0 /60.0");
    evening.pass(120);
    evening.write("N3 M109 S210*3\n");
    evening.standing.awaits = Awaits::Command;
    // A slow heat-up, an overshoot, and a fan that takes five degrees away.
    evening.ramp(21.0, 219.0, 200, "/210.0 B:58.0 /60.0");
    evening.standing.awaits = Awaits::Reply;
    evening.ramp(219.0, 204.0, 60, "/210.0 B:60.0 /60.0");
    evening.say("T:209.8 /210.0 B:60.1 /60.0");
    evening.pass(4_000);
    // From a hot material to a cool one, then the end.
    evening.write("N9 M104 S240*3\n");
    evening.ramp(210.0, 240.0, 40, "/240.0 B:60.1 /60.0");
    evening.write("N9 M104 S180*3\n");
    evening.ramp(240.0, 180.0, 160, "/180.0 B:60.1 /60.0");
    evening.write("N9 M104 S0*3\nN10 M140 S0*3\n");
    evening.say("T:178 /0.0 B:60.1 /0.0");
    evening.standing.activity = Activity::Idle;
    evening.standing.awaits = Awaits::Nothing;
    evening.pass(4_000);
    assert_eq!(evening.found, []);
}

#[test]
fn what_is_hotter_than_the_profile_allows_is_switched_off_once() {
    let mut evening = Evening::printing();
    evening.say("T:274.9 /260.0 B:60 /60");
    evening.pass(60);
    assert_eq!(evening.alarms(), [], "an overshoot");
    evening.say("T:276.0 /260.0 B:60 /60");
    evening.pass(3);
    assert_eq!(evening.alarms(), [], "one report may be garbled");
    evening.pass(600);
    assert_eq!(evening.alarms(), [(Wrong::TooHot(HOT), Act::MakeSafe)]);
    assert_eq!(evening.codes(), [Fault::HeatTooHot]);
    assert_eq!(evening.last_words(), "the hot end is at 276 °C, and the profile allows 260 °C");
    evening.say("T:200.0 /0 B:60 /0");
    evening.pass(4);
    assert_eq!(evening.overs(), [Wrong::TooHot(HOT)]);
    evening.say("T:200.0 /0 B:121 /0");
    evening.pass(20);
    assert_eq!(evening.alarms()[1], (Wrong::TooHot(Heater::Bed), Act::MakeSafe));
}

#[test]
fn a_garbled_report_and_a_maintenance_window_are_no_reason() {
    let mut evening = Evening::printing();
    for _ in 0..50 {
        evening.say("T:2100.0 /210.0 B:60 /60");
        evening.pass(2);
        evening.say("T:210.0 /210.0 B:60 /60");
        evening.pass(2);
    }
    evening.standing.maintenance = true;
    evening.look();
    evening.say("T:290.0 /290.0 B:60 /60");
    evening.pass(60);
    assert_eq!(evening.alarms(), []);
}

#[test]
fn a_heater_that_runs_away_is_switched_off_before_it_is_too_hot() {
    let mut evening = Evening::printing();
    evening.say("T:200.0 /200.0 B:60 /60");
    evening.pass(60);
    evening.ramp(200.0, 259.0, 60, "/200.0 B:60 /60");
    assert_eq!(evening.alarms(), [(Wrong::RunsAway(HOT), Act::MakeSafe)]);
    assert_eq!(evening.codes(), [Fault::HeatRunaway]);
    evening.ramp(259.0, 230.0, 60, "/200.0 B:60 /60");
    assert_eq!(evening.overs(), [Wrong::RunsAway(HOT)]);
}

#[test]
fn what_heats_though_it_is_off_is_told_for_no_command_helps() {
    let mut evening = Evening::new();
    evening.ramp(25.0, 180.0, 120, "/0.0 B:60 /0");
    assert_eq!(evening.alarms(), [(Wrong::RunsAway(HOT), Act::Tell)]);
}

#[test]
fn a_heater_that_stays_cold_is_told_and_taken_back() {
    let mut evening = Evening::printing();
    evening.write("N1 M104 S200*1\n");
    evening.say("T:21.0 /200.0 B:60 /60");
    evening.pass(170);
    assert_eq!(evening.alarms(), []);
    evening.pass(60);
    assert_eq!(evening.alarms(), [(Wrong::StaysCold(HOT), Act::Tell)]);
    assert_eq!(evening.codes(), [Fault::HeatStaysCold]);
    evening.say("T:24.0 /200.0 B:60 /60");
    evening.pass(4);
    assert_eq!(evening.overs(), [Wrong::StaysCold(HOT)]);
    // A bed that creeps at its limit gets there in the end.
    evening.say("T:200.0 /200.0 B:102 /110");
    evening.pass(1_000);
    assert_eq!(evening.alarms().len(), 1);
}

#[test]
fn without_reports_it_asks_then_holds_then_switches_off() {
    let mut evening = Evening::printing();
    evening.write("N1 M104 S200*1\n");
    evening.pass(29);
    assert_eq!(evening.found, []);
    evening.pass(2);
    assert_eq!(evening.found, [Finding::Ask(Question::Temperatures)]);
    evening.pass(30);
    assert_eq!(evening.alarms(), [(Wrong::NoReports, Act::Pause)]);
    assert_eq!(evening.codes(), [Fault::HeatNoReports]);
    evening.standing.activity = Activity::Paused;
    evening.pass(500);
    assert_eq!(evening.alarms().len(), 1);
    evening.pass(200);
    assert_eq!(evening.alarms()[1], (Wrong::NoReports, Act::MakeSafe));
    evening.pass(2_000);
    assert_eq!(evening.alarms().len(), 2);
    evening.say("T:100 /200");
    evening.pass(2);
    assert_eq!(evening.overs(), [Wrong::NoReports]);
}

#[test]
fn reports_that_come_late_or_with_the_answer_are_enough() {
    let mut evening = Evening::printing();
    evening.write("N1 M104 S200*1\n");
    for _ in 0..100 {
        evening.report = None;
        evening.pass(40);
        evening.say("T:200 /200");
        evening.pass(2);
    }
    assert_eq!(evening.alarms(), []);
    // A wait of the firmware: the question is not acknowledged, so nothing can be said of the answer.
    evening.report = None;
    evening.answers = false;
    evening.standing.awaits = Awaits::Command;
    evening.pass(3_000);
    assert_eq!(evening.alarms(), []);
}

#[test]
fn nothing_is_asked_while_nothing_is_heated() {
    let mut evening = Evening::printing();
    evening.pass(5_000);
    evening.write("N1 M104 S200*1\nN2 M104 S0*1\n");
    evening.pass(5_000);
    assert_eq!(evening.found, []);
}

#[test]
fn a_firmware_that_began_anew_heats_nothing() {
    let mut evening = Evening::new();
    evening.say("T:200 /200");
    evening.pass(10);
    evening.report = None;
    evening.guard.handle_restart(evening.now);
    evening.pass(2_000);
    assert_eq!(evening.found, []);
}

#[test]
fn any_bytes_can_be_written() {
    let mut evening = Evening::new();
    for text in [
        "",
        "\n",
        "N",
        "N5",
        "N5*",
        "N500*999\n",
        "T\n",
        "T99999999999999999999\nM104 S200\n",
        "\u{18}",
        "T-1",
    ] {
        evening.write(text);
    }
}
