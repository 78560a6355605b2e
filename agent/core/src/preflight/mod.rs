//! Holds a file against the printer it is for, ahead of its first line: told the bytes in pieces of any size, in constant memory.

mod arc;
mod checks;
pub mod code;
mod commands;
mod heat;
mod judge;
mod lines;
mod motion;
pub mod number;
mod objects;
pub mod printer;
mod rate;
pub mod report;
mod slicer;
pub mod tally;
mod values;
mod words;

pub use code::{Code, Severity};
pub use motion::Bounds;
pub use printer::{Printer, Tools, Volume};
pub use report::Report;
pub use slicer::Slicer;
pub use tally::Finding;

use crate::gcode::line::{Cleaned, Problem, clean};
use crate::gcode::reader::marks_layer;
use crate::gcode::scan::longest_frame;
use heat::{Heat, Heater};
use lines::{Carry, Parts, TEXT_BYTES};
use motion::{Motion, Site};
use objects::Objects;
use rate::Rate;
use tally::{Detail, Tally, shown};
use words::{QuickMove, Word, Words, quick_move};

/// The check of one file.
#[derive(Debug)]
pub struct Preflight {
    printer: Printer,
    carry: Carry,
    /// The command of the line at hand, cleaned.
    command: Vec<u8>,
    line: u64,
    bytes: u64,
    commands: u64,
    layer: u32,
    /// Of the last move, for lines that name no command.
    kind: u8,
    mixes: bool,
    motion: Motion,
    heat: Heat,
    rate: Rate,
    slicer: Slicer,
    objects: Objects,
    tally: Tally,
}

impl Preflight {
    /// A check against this printer.
    #[must_use]
    pub fn new(printer: Printer) -> Self {
        Self {
            carry: Carry::default(),
            command: Vec::with_capacity(TEXT_BYTES),
            line: 1,
            bytes: 0,
            commands: 0,
            layer: 0,
            kind: 1,
            mixes: false,
            motion: Motion::new(printer.volume),
            heat: Heat::new(printer.limits),
            rate: Rate::new(printer.link_bytes_per_s),
            slicer: Slicer::default(),
            objects: Objects::default(),
            tally: Tally::default(),
            printer,
        }
    }

    /// Takes the next piece of the file.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let line = &bytes[..end];
            bytes = &bytes[end + 1..];
            if self.carry.is_empty() {
                self.take_line(line);
            } else {
                self.carry.extend(line);
                self.take_carried();
            }
        }
        self.carry.extend(bytes);
    }

    /// The file has ended.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if !self.carry.is_empty() {
            self.take_carried();
        }
        judge::finish(self)
    }

    #[inline]
    fn take_line(&mut self, line: &[u8]) {
        let mut words = Words::default();
        let quick = quick_move(line, &mut words);
        let parts = Parts::of(line, quick.map_or(0, |quick| quick.stop));
        match quick {
            Some(quick) => self.take_quick(quick, &words),
            None => self.take_text(&parts),
        }
        self.end_line(&parts);
    }

    fn take_carried(&mut self) {
        let carry = std::mem::take(&mut self.carry);
        let parts = carry.parts();
        let is_whole = parts.text_bytes == parts.text.len();
        let mut words = Words::default();
        match quick_move(parts.text, &mut words).filter(|_| is_whole) {
            Some(quick) => self.take_quick(quick, &words),
            None => self.take_text(&parts),
        }
        self.end_line(&parts);
        self.carry = carry;
        self.carry.clear();
    }

    #[inline]
    fn end_line(&mut self, parts: &Parts) {
        if let Some(comment) = parts.comment {
            if marks_layer(comment) {
                self.layer += 1;
            }
            self.slicer.take(comment);
        }
        self.line += 1;
    }

    #[inline]
    fn take_quick(&mut self, quick: QuickMove, words: &Words) {
        let wire_bytes = self.count(quick.length);
        self.take_move(quick.kind, words, wire_bytes);
    }

    /// Counts a command; gives its length on the wire.
    #[inline]
    fn count(&mut self, length: usize) -> usize {
        self.commands += 1;
        let framing = &self.printer.framing;
        let on_wire = longest_frame(framing, self.commands, length);
        if on_wire > framing.max_line_bytes {
            let limit = framing.max_line_bytes;
            self.refuse(&Problem::TooLong { length: on_wire, limit });
        }
        // The line feed.
        on_wire + 1
    }

    fn take_text(&mut self, parts: &Parts) {
        if parts.text_bytes > TEXT_BYTES {
            return self.refuse(&Problem::TooLong { length: parts.text_bytes, limit: TEXT_BYTES });
        }
        let mut command = std::mem::take(&mut self.command);
        command.clear();
        command.extend_from_slice(parts.text);
        if matches!(command.trim_ascii_start(), [b'N', b'0'..=b'9', ..]) {
            self.tally
                .add(Code::NumberedLines, "", self.line, || Detail::text("a line with a number of its own"));
        }
        match clean(&mut command) {
            Ok(Cleaned::Command) => {
                let wire_bytes = self.count(command.len());
                self.objects.take(&command);
                self.take_command(&command, wire_bytes);
            }
            Ok(Cleaned::Nothing) => {}
            Err(problem) => self.refuse(&problem),
        }
        self.command = command;
    }

    /// A line that this firmware can never take.
    #[cold]
    fn refuse(&mut self, problem: &Problem) {
        let code = match problem {
            Problem::TooLong { .. } => Code::LineTooLong,
            Problem::NotText(_) => Code::NotText,
            Problem::NotACommand(_) => Code::NotACommand,
            Problem::HiddenLineReset => Code::HiddenLineReset,
            Problem::Empty => Code::NoCommands,
        };
        self.tally.add(code, "", self.line, || {
            let told = Detail::text(problem.to_string());
            match problem {
                Problem::TooLong { length, limit } => {
                    told.value(format!("{length} bytes")).limit(format!("{limit} bytes"))
                }
                _ => told,
            }
        });
    }

    #[inline]
    fn take_move(&mut self, kind: u8, words: &Words, wire_bytes: usize) {
        self.kind = kind;
        let mut site = Site { line: self.line, in_layers: self.layer > 0, tally: &mut self.tally };
        let moved = self.motion.travel(kind, words, &mut site);
        if moved.feeds {
            self.heat.feed(&mut site);
        }
        self.rate.take(self.line, wire_bytes, moved.seconds);
    }

    fn take_command(&mut self, command: &[u8], wire_bytes: usize) {
        let Some(word) = Word::of(command) else {
            self.rate.take(self.line, wire_bytes, 0.0);
            return self.take_name(command);
        };
        let rest = &command[word.length..];
        match (word.letter, word.number) {
            (b'G', kind @ 0..=3) if word.point.is_none() => {
                return self.take_move(kind as u8, &Words::of(rest), wire_bytes);
            }
            // A line of words alone goes on with the move before.
            (b'X' | b'Y' | b'Z' | b'E' | b'F' | b'I' | b'J', _) => {
                return self.take_move(self.kind, &Words::of(command), wire_bytes);
            }
            (b'G', number) => self.take_g(number, rest),
            (b'M', number) => self.take_m(word, number, rest),
            (b'T', number) => self.choose_tool(number),
            _ => self.take_name(command),
        }
        if matches!((word.letter, word.number), (b'G', 0..=3 | 10 | 11 | 17..=21 | 90..=92)) {
            // They take no time.
        } else if word.letter == b'G' || self.is_waited_for(word) {
            return self.rate.rest();
        }
        self.rate.take(self.line, wire_bytes, 0.0);
    }

    /// Commands during which the link has time to spare.
    fn is_waited_for(&self, word: Word) -> bool {
        word.letter == b'T'
            || matches!(word.number, 0 | 1 | 109 | 190 | 191 | 226 | 400 | 600..=603 | 701 | 702)
    }

    fn take_g(&mut self, number: u32, rest: &[u8]) {
        let words = Words::of(rest);
        let mut site = Site { line: self.line, in_layers: self.layer > 0, tally: &mut self.tally };
        match number {
            // RepRapFirmware: offsets of a coordinate system, or temperatures of a tool; elsewhere a retraction.
            10 if rest.contains(&b'L') => self.motion.shift(),
            10 => self.heat.set_tool(&words, &mut site),
            20 | 21 => {
                self.motion.set_inches(number == 20);
                if number == 20 {
                    site.tally.add(Code::Inches, "", site.line, || Detail::text("G20"));
                }
            }
            28 => self.motion.home(&words),
            // They leave the head at a place of the firmware's own choice.
            12 | 26 | 27 | 29..=35 | 38 | 53 | 60 | 61 | 75 | 76 | 80 | 81 | 425 | 427 => self.motion.lose(),
            55..=59 => self.motion.shift(),
            90 | 91 => self.motion.set_relative(number == 91),
            92 => self.motion.set_position(&words),
            _ => self.check_known(b'G', number),
        }
    }

    fn take_m(&mut self, word: Word, number: u32, rest: &[u8]) {
        let words = Words::of(rest);
        let mut site = Site { line: self.line, in_layers: self.layer > 0, tally: &mut self.tally };
        let heat = &mut self.heat;
        match number {
            82 | 83 => self.motion.set_relative_e(number == 83),
            104 | 109 => heat.set(Heater::HotEnd, &words, tool_of(rest), &mut site),
            140 | 190 => heat.set(Heater::Bed, &words, None, &mut site),
            141 | 191 => heat.set(Heater::Chamber, &words, None, &mut site),
            568 => heat.set_tool(&words, &mut site),
            302 => heat.allow_cold(),
            // A macro of the firmware's card may do anything.
            98 => {
                heat.lose();
                self.motion.lose();
            }
            115 => checks::check_update(rest, &self.printer, &mut site),
            163..=166 => self.mixes = true,
            605 => self.motion.shift(),
            862 => checks::judge(word.point.unwrap_or(0), rest, &self.printer, &mut site),
            _ => self.check_known(b'M', number),
        }
        if matches!(number, 104 | 109)
            && let Some(tool) = tool_of(rest)
            && words.get(words::S).is_some_and(|celsius| celsius > 0.0)
        {
            self.check_tool(tool);
        }
        self.check_policy(number, rest);
    }

    /// Commands that a job must not hold, and those that wait for a person.
    fn check_policy(&mut self, number: u32, rest: &[u8]) {
        let has_argument = !rest.trim_ascii().is_empty();
        if let Some(why) = commands::why_forbidden(number, has_argument) {
            let told = || Detail::text(format!("M{number}: {why}")).value(format!("M{number}"));
            self.tally.add(Code::ForbiddenCommand, &format!("M{number}"), self.line, told);
        } else if let Some(what) = commands::needs_person(number) {
            let told = || Detail::text(format!("M{number} waits until {what}")).value(format!("M{number}"));
            self.tally.add(Code::NeedsPerson, &format!("M{number}"), self.line, told);
        }
    }

    fn check_known(&mut self, letter: u8, number: u32) {
        if !commands::is_known(letter, number) {
            self.warn_unknown(&format!("{}{number}", char::from(letter)));
        }
    }

    fn warn_unknown(&mut self, name: &str) {
        let is_own = self.printer.commands.iter().any(|own| own.eq_ignore_ascii_case(name));
        if !is_own && !self.printer.has_macros {
            let told = || Detail::text(format!("{name} is not known")).value(name);
            self.tally.add(Code::UnknownCommand, name, self.line, told);
        }
    }

    /// A command that is a name: a macro, or nothing this firmware knows.
    fn take_name(&mut self, command: &[u8]) {
        // `T?`, `Tx`, `Tc` let the printer or a person choose (Prusa), `T-1` puts all tools away (RepRapFirmware).
        if matches!(command, [b'T', b'?' | b'x' | b'c' | b'X' | b'C' | b'-', ..] | [b'T' | b'%']) {
            return;
        }
        self.motion.lose();
        self.heat.lose();
        let end = command.iter().position(u8::is_ascii_whitespace).unwrap_or(command.len());
        self.warn_unknown(&shown(&command[..end]));
    }

    fn choose_tool(&mut self, tool: u32) {
        self.heat.choose(tool);
        self.check_tool(tool);
    }

    fn check_tool(&mut self, tool: u32) {
        let (count, who) = match self.printer.tools {
            Some(Tools::Configured(count)) => (count, "configured"),
            Some(Tools::Reported(count)) if !self.printer.has_virtual_tools => {
                (count, "reported by the firmware")
            }
            _ => return,
        };
        if tool >= count {
            self.tally.add(Code::ToolMissing, &format!("T{tool}"), self.line, || {
                Detail::text(format!("T{tool} is used, and {count} tools are {who}"))
                    .value(format!("T{tool}"))
                    .limit(format!("{count} tools"))
            });
        }
    }
}

/// The `T` of a temperature.
fn tool_of(rest: &[u8]) -> Option<u32> {
    let at = rest.iter().position(|byte| byte.eq_ignore_ascii_case(&b'T'))?;
    let (tool, _) = number::number(&rest[at + 1..])?;
    (0.0..1_000.0).contains(&tool).then_some(tool as u32)
}

#[cfg(test)]
mod tests;
