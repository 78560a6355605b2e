//! Pulling one file from wherever it can be had: which source, from which byte on, how fast, and whether every piece is the one
//! that was announced.

mod answer;
mod credit;
mod https;
mod pace;
mod pieces;
mod relayed;
mod sources;
mod words;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use spoolway_protocol::fault::Fault;
use spoolway_protocol::ids::{FileId, Sha256Hex};
use spoolway_protocol::offer::FileSpec;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::transfer::FileUrlRequest;
use spoolway_protocol::url::SecretUrl;

use crate::moment::Moment;

pub use answer::HttpHead;
pub use pace::Pace;
pub use pieces::check_manifest;
pub use sources::SourceSpec;
pub use words::{HttpGet, TransferOptions, TransferOutput};

use credit::Run;
use pieces::{Piece, Pieces};
use sources::{Choice, Sources};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is not known yet how much lies on the disk.
    Opening,
    /// The next source that is ready is used.
    Choosing,
    /// Another URL is asked for.
    Asking { source: usize, until: Moment },
    /// Bytes come, or are waited for.
    Receiving(Run),
    /// All bytes are here, and are held against what was announced.
    Finishing,
    /// It is over.
    Over,
}

/// The pull of one file.
#[derive(Debug)]
pub struct Transfer {
    options: TransferOptions,
    file_id: FileId,
    size: u64,
    sha256: Sha256Hex,
    state: State,
    is_connected: bool,
    sources: Sources,
    pieces: Pieces,
    pace: Pace,
    /// The number of the stream, or of the request.
    stream: u32,
    /// The disk has taken everything up to here.
    written: u64,
    /// What bytes came from: by more than one of them, a file whose digest is wrong may be a mixture.
    origins: BTreeSet<usize>,
    is_mixed: bool,
    bad_here: u32,
    bad_in_all: u32,
    has_started_over: bool,
    outputs: VecDeque<TransferOutput>,
}

impl Transfer {
    /// The transfer of a file that can be had from these sources; it begins with [`Self::handle_opened`].
    #[must_use]
    pub fn new(file: &FileSpec, sources: Vec<SourceSpec>, options: TransferOptions, seed: u64) -> Self {
        let bounds = (options.attempts, options.renewals, options.margin_ms);
        Self {
            file_id: file.file_id.clone(),
            size: file.size,
            sha256: file.sha256,
            state: State::Opening,
            is_connected: false,
            sources: Sources::new(sources, bounds, options.backoff, seed),
            pieces: Pieces::new(file),
            pace: Pace::new(credit::saved_bytes(options.credit)),
            // Streams of an earlier process must not be taken for those of this one.
            stream: crate::backoff::Jitter::new(seed).draw() as u32,
            written: 0,
            origins: BTreeSet::new(),
            is_mixed: false,
            bad_here: 0,
            bad_in_all: 0,
            has_started_over: false,
            outputs: VecDeque::new(),
            options,
        }
    }

    /// So many bytes lie on the disk, and are what they were when they were written.
    pub fn handle_opened(&mut self, durable: u64) {
        if self.state != State::Opening {
            return;
        }
        self.is_mixed |= durable > 0;
        self.pieces.go_to(durable);
        self.written = self.pieces.next();
        self.state = State::Choosing;
        self.finish_if_whole();
    }

    /// A session stands.
    pub fn handle_connected(&mut self) {
        self.is_connected = true;
        self.sources.handle_connected();
    }

    /// The session is over.
    pub fn handle_disconnected(&mut self) {
        self.is_connected = false;
        match self.state {
            State::Receiving(run) if !run.is_https => self.leave_run(run),
            State::Asking { .. } => self.state = State::Choosing,
            _ => {}
        }
    }

    /// No more than this from now on, `None` for no cap.
    pub fn handle_rate(&mut self, now: Moment, bytes_per_s: Option<u64>) {
        self.pace.set_rate(now, bytes_per_s);
    }

    /// The disk has taken everything up to here.
    pub fn handle_written(&mut self, offset: u64) {
        if self.state != State::Opening {
            self.written = self.written.max(offset).min(self.size);
        }
    }

    /// A message did not reach the owner.
    pub fn handle_nack(&mut self, now: Moment) {
        let why = "the owner cannot be reached, or does not know this request";
        match self.state {
            State::Receiving(run) if !run.is_https => self.fail_run(now, run, None, why),
            State::Asking { source, .. } => self.fail_renewal(now, source, why),
            _ => {}
        }
    }

    /// The owner offers the job again: whoever has the file now need not wait until the relay's next attempt is due.
    pub fn handle_offered_again(&mut self) {
        if let State::Receiving(run) = self.state
            && !run.is_https
        {
            self.leave_run(run);
        }
        self.sources.handle_connected();
    }

    /// The owner has given another URL, which works until then as far as that is known.
    pub fn handle_url(&mut self, url: SecretUrl, expires_at: Option<Moment>) {
        let asked = if let State::Asking { source, .. } = self.state { Some(source) } else { None };
        if self.sources.renew(asked, SourceSpec::Https { url, expires_at }) && asked.is_some() {
            self.state = State::Choosing;
        }
    }

    /// The whole is durable and the one that was announced, or has another digest.
    pub fn handle_finished(&mut self, is_announced: bool) {
        if self.state != State::Finishing {
            return;
        }
        if is_announced {
            self.state = State::Over;
            self.outputs.push_back(TransferOutput::Complete);
        } else if !self.has_started_over && self.may_do_better() {
            self.start_over();
        } else {
            let detail = "its SHA-256 is not the one that was announced".to_owned();
            self.fail(Fault::JobFileCorrupt, detail);
        }
    }

    /// What came may be a mixture of two files, or another source may have the right one. What gave a wrong file is not asked
    /// again, and of a mixture the owner's own word is taken, if it can be had.
    fn may_do_better(&mut self) -> bool {
        let wrong = "it may have given another file";
        match self.origins.first() {
            Some(only) if !self.is_mixed => {
                let has_other = self.sources.has_other(*only);
                self.sources.bury(*only, Fault::JobFileCorrupt, wrong.to_owned());
                has_other
            }
            _ => {
                self.sources.prefer_relay(Fault::JobFileCorrupt, wrong);
                self.is_mixed
            }
        }
    }

    fn start_over(&mut self) {
        self.has_started_over = true;
        self.origins.clear();
        self.is_mixed = false;
        self.pieces.go_to(0);
        self.written = 0;
        self.state = State::Opening;
        self.outputs.push_back(TransferOutput::StartOver);
    }

    /// How many bytes are here.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.pieces.next()
    }

    /// What to do now.
    pub fn poll_output(&mut self, now: Moment) -> TransferOutput {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let wake = match self.state {
            State::Receiving(run) if run.due.is_some_and(|due| now >= due) => {
                self.fail_run(now, run, None, "nothing came in time");
                None
            }
            State::Receiving(run) => self.extend(now, run),
            State::Asking { source, until } if now >= until => {
                self.fail_renewal(now, source, "the owner gave no other URL in time");
                None
            }
            State::Asking { until, .. } => Some(until),
            State::Choosing => self.choose(now),
            State::Opening | State::Finishing | State::Over => None,
        };
        match self.outputs.pop_front() {
            Some(output) => output,
            // A source that failed may have made way for another one.
            None if wake.is_none() && self.state == State::Choosing => {
                let wake = self.choose(now);
                self.outputs.pop_front().unwrap_or(TransferOutput::Wait(wake))
            }
            None => TransferOutput::Wait(wake),
        }
    }

    fn choose(&mut self, now: Moment) -> Option<Moment> {
        match self.sources.choose(now, self.is_connected) {
            Choice::Wait(wake) => return wake,
            Choice::Nothing(fault, detail) => self.fail(fault, detail),
            Choice::Renew(source) => {
                self.sources.get(source).renewals += 1;
                self.state = State::Asking { source, until: now + ms(self.options.timeout_ms) };
                let request = FileUrlRequest { file_id: self.file_id.clone(), extra: Extra::default() };
                self.outputs.push_back(TransferOutput::AskUrl(request));
            }
            Choice::Use(source) => {
                self.stream = self.stream.wrapping_add(1);
                match self.sources.get(source).spec.clone() {
                    SourceSpec::Relay => self.begin_relayed(source),
                    SourceSpec::Https { url, .. } => self.begin_https(now, source, url),
                }
                if let State::Receiving(run) = self.state {
                    return self.extend(now, run);
                }
            }
        }
        None
    }

    fn fail_renewal(&mut self, now: Moment, source: usize, why: &str) {
        self.state = State::Choosing;
        self.sources.rest(source, now, None, why);
    }

    /// Bytes of the stream, which begin at `run.at`.
    fn take(&mut self, now: Moment, mut run: Run, bytes: &[u8]) {
        let known = usize::try_from(self.pieces.next().saturating_sub(run.at)).unwrap_or(usize::MAX);
        let mut rest = &bytes[known.min(bytes.len())..];
        run.count(now, (bytes.len(), rest.len()), self.options.timeout_ms);
        self.state = State::Receiving(run);
        if run.at > self.size {
            let why = format!("it sends more than the {} bytes that were announced", self.size);
            return self.bury_run(run, Fault::JobFileCorrupt, why);
        }
        while !rest.is_empty() {
            match self.pieces.take(&mut rest) {
                None => {}
                Some(Piece::Good { offset, bytes }) => {
                    self.outputs.push_back(TransferOutput::Write { offset, bytes });
                    self.sources.praise(run.source);
                    self.origins.insert(run.source);
                    self.is_mixed |= self.origins.len() > 1;
                    self.bad_here = 0;
                }
                Some(Piece::Bad { offset }) => return self.refuse_piece(now, run, offset),
            }
        }
        self.finish_if_whole();
    }

    /// The piece is asked for again, from another source if one is ready.
    fn refuse_piece(&mut self, now: Moment, run: Run, offset: u64) {
        self.bad_here += 1;
        self.bad_in_all += 1;
        let (here, in_all) = self.options.bad_pieces;
        if self.bad_here >= here || self.bad_in_all >= in_all {
            self.leave_run(run);
            let detail =
                format!("the piece at byte {offset} came {} times with another digest", self.bad_here);
            return self.fail(Fault::JobFileCorrupt, detail);
        }
        self.fail_run(now, run, None, "a piece came with another digest");
    }

    fn finish_if_whole(&mut self) {
        if !self.pieces.is_whole() {
            return;
        }
        if let State::Receiving(run) = self.state {
            self.leave_run(run);
        }
        self.state = State::Finishing;
        self.outputs.push_back(TransferOutput::Finish);
    }

    /// It failed and may do better later.
    fn fail_run(&mut self, now: Moment, run: Run, wish_ms: Option<u64>, why: &str) {
        self.leave_run(run);
        self.sources.rest(run.source, now, wish_ms, why);
    }

    /// It is of no use any more.
    fn bury_run(&mut self, run: Run, fault: Fault, why: String) {
        self.leave_run(run);
        self.sources.bury(run.source, fault, why);
    }

    fn leave_run(&mut self, run: Run) {
        self.state = State::Choosing;
        self.pace.give_back(run.granted.saturating_sub(run.at));
        if run.is_https {
            self.outputs.push_back(TransferOutput::Abandon { attempt: self.stream });
        }
    }

    fn fail(&mut self, fault: Fault, detail: String) {
        self.state = State::Over;
        self.outputs.push_back(TransferOutput::Failed { fault, detail });
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests;
