//! The person beside the printer: pauses, goes on, gives up, and knows what really became of lines in doubt.

use spoolway_agent_core::Moment;
use spoolway_agent_core::stream::{Doubt, Event};

use super::{Scenario, World};
use crate::printer::survivors;
use crate::rng::Rng;

/// How long a person looks at the printer before saying anything about lines in doubt.
const LOOK_US: u64 = 30_000_000;
/// Looks at a printer that is still at work, before the person gives the job up.
const LOOKS_MAX: u32 = 200;

/// What a person is about to do.
#[derive(Debug)]
pub(super) struct Person {
    pause_after: Option<u64>,
    cancel_after: Option<u64>,
    resume_at_us: Option<u64>,
    /// Lines of the job in doubt, counted from 0: the first, and the one behind the last.
    in_doubt: Option<(usize, usize)>,
    looks: u32,
    /// The job was given up.
    pub(super) cancelled: bool,
    /// The job was paused at some time.
    pub(super) paused: bool,
    /// A line was carried out ahead of one in doubt before it.
    pub(super) saw_disorder: bool,
    /// How often lines were in doubt.
    pub(super) doubts: u64,
}

impl Person {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            pause_after: scenario.pause_after,
            cancel_after: scenario.cancel_after,
            resume_at_us: None,
            in_doubt: None,
            looks: 0,
            cancelled: false,
            paused: false,
            saw_disorder: false,
            doubts: 0,
        }
    }

    pub(super) fn next_us(&self) -> Option<u64> {
        self.resume_at_us
    }

    /// Takes notice of what the streamer says.
    pub(super) fn hear(&mut self, now_us: u64, rng: &mut Rng, event: &Event) {
        match event {
            Event::Paused => {
                self.paused = true;
                self.resume_at_us = Some(now_us + rng.range(0..=3_000_000));
            }
            Event::InDoubt { from, to, .. } => {
                self.paused = true;
                self.doubts += 1;
                self.looks = 0;
                // A line of the file is a line of the job here, counted from 1.
                self.in_doubt = Some((from.line.saturating_sub(1) as usize, to.line as usize));
                self.resume_at_us = Some(now_us + LOOK_US);
            }
            Event::DoubtResolved => {
                self.in_doubt = None;
                self.resume_at_us = Some(now_us + rng.range(0..=3_000_000));
            }
            _ => {}
        }
    }
}

impl World {
    /// Does what is due.
    pub(super) fn act_as_person(&mut self) {
        let done = self.streamer.progress().commands;
        if self.person.pause_after.is_some_and(|after| done >= after) {
            self.person.pause_after = None;
            let _late = self.streamer.pause();
        }
        if self.person.resume_at_us.is_some_and(|at| self.now_us >= at) {
            self.person.resume_at_us = None;
            self.go_on();
        }
        if self.person.cancel_after.is_some_and(|after| done >= after) {
            self.person.cancel_after = None;
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.person.in_doubt = None;
        self.person.cancelled |= self.streamer.cancel().is_ok();
    }

    /// Goes on with a paused job. Of lines in doubt a person says what the printer really did, once it has come to rest;
    /// when it did some of them and others not, there is no true answer and the job is given up.
    fn go_on(&mut self) {
        let now = Moment::from_micros(self.now_us);
        let Some((first, behind)) = self.person.in_doubt else {
            let _cancelled_meanwhile = self.streamer.resume(now, None);
            return;
        };
        let under_way = self.wire.to_printer.pending() > 0;
        if (under_way || !self.printer.is_idle(self.now_us)) && self.person.looks < LOOKS_MAX {
            self.person.looks += 1;
            self.person.resume_at_us = Some(self.now_us + LOOK_US);
            return;
        }
        self.person.in_doubt = None;
        let executed = self.printer.executed().to_vec();
        let found = survivors(self.frames.iter().map(Vec::as_slice), &executed);
        let course = self.course(&executed, &found);
        if !course.faults.is_empty() && !self.scenario.printer.dialect.verifies_sequence() {
            self.person.saw_disorder = true;
            return self.give_up();
        }
        let done = course.done;
        let truth = match done {
            done if done >= behind => Doubt::Executed,
            done if done <= first => Doubt::Lost,
            _ => return self.give_up(),
        };
        self.say('?', format!("{truth:?}: {done} lines are done, {first}..{behind} in doubt").as_bytes());
        let _cancelled_meanwhile = self.streamer.resume(now, Some(truth));
    }
}
