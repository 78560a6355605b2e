//! A file as the body of HTTP answers, each from the next byte on.

use spoolway_protocol::fault::Fault;
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::url::SecretUrl;

use super::answer::{self, HttpHead, Verdict};
use super::credit::Run;
use super::{HttpGet, State, Transfer, TransferOutput, ms};
use crate::moment::Moment;

impl Transfer {
    pub(super) fn begin_https(&mut self, now: Moment, source: usize, url: SecretUrl) {
        let offset = self.pieces.next();
        let if_range = self.sources.get(source).etag.clone().filter(|_| offset > 0);
        let due = now + ms(self.options.head_ms);
        self.state = State::Receiving(Run::new(source, true, offset, Some(due)));
        self.outputs.push_back(TransferOutput::Fetch(HttpGet {
            attempt: self.stream,
            url,
            offset,
            if_range,
        }));
    }

    /// The answer has begun.
    pub fn handle_head(&mut self, now: Moment, attempt: u32, head: &HttpHead) {
        let Some(run) = self.fetched(attempt).filter(|run| run.body_from.is_none()) else { return };
        match answer::judge(head, run.at, self.size) {
            Verdict::Body { from } => self.begin_body(now, run, from, head.strong_etag()),
            Verdict::Renew(why) => {
                self.leave_run(run);
                // The first one is asked for at once: a URL may well have expired.
                if self.sources.get(run.source).renewals > 0 {
                    self.sources.rest(run.source, now, head.retry_after_ms, &why);
                }
                self.sources.get(run.source).needs_url = true;
            }
            Verdict::Rest(wish_ms, why) => self.fail_run(now, run, wish_ms, &why),
            Verdict::Useless(fault, why) => self.bury_run(run, fault, why),
        }
    }

    /// A server that knows no ranges, or has another version than before, begins at the front: what is here is skipped, and the
    /// digest of the file says whether it was right to.
    fn begin_body(&mut self, now: Moment, mut run: Run, from: u64, etag: Option<&str>) {
        let source = self.sources.get(run.source);
        let before = std::mem::replace(&mut source.etag, etag.map(str::to_owned));
        self.is_mixed |= before.is_some() && run.at > 0 && before.as_deref() != etag;
        (run.body_from, run.at, run.granted) = (Some(from), from, from);
        run.due = Some(now + ms(self.options.timeout_ms));
        self.state = State::Receiving(run);
    }

    /// The next bytes of the body.
    pub fn handle_body(&mut self, now: Moment, attempt: u32, bytes: &[u8]) {
        if let Some(run) = self.fetched(attempt).filter(|run| run.body_from.is_some()) {
            self.take(now, run, bytes);
        }
    }

    /// The body has ended as a whole. A server may give less than it was asked for, and is asked on.
    pub fn handle_body_end(&mut self, now: Moment, attempt: u32) {
        let Some(run) = self.fetched(attempt) else { return };
        if run.given >= CHUNK_PAYLOAD_BYTES as u64 {
            self.leave_run(run);
        } else {
            self.fail_run(now, run, None, "the answer ended before the file");
        }
    }

    /// There is no answer, or it broke off; the other end may have said how long it wants to be left alone.
    pub fn handle_lost(&mut self, now: Moment, attempt: u32, wish_ms: Option<u64>, why: &str) {
        if let Some(run) = self.fetched(attempt) {
            self.fail_run(now, run, wish_ms, why);
        }
    }

    /// This URL leads to where the agent does not go.
    pub fn handle_unusable(&mut self, attempt: u32, why: String) {
        if let Some(run) = self.fetched(attempt) {
            self.bury_run(run, Fault::JobFileUnavailable, why);
        }
    }

    fn fetched(&self, attempt: u32) -> Option<Run> {
        match self.state {
            State::Receiving(run) if run.is_https && attempt == self.stream => Some(run),
            _ => None,
        }
    }
}
