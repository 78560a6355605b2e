//! An HTTP server with its moods, as far as its answers matter.

use super::super::{HttpGet, HttpHead};

/// What a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// It serves ranges.
    Good,
    /// It knows no ranges.
    Whole,
    /// It serves ranges of at most so many bytes.
    Short(u64),
    /// It answers with this status.
    Status(u16),
    /// Nobody answers.
    Absent,
    /// It says nothing any more after so many bytes.
    Stuck(u64),
    /// It breaks off after so many bytes.
    Cut(u64),
}

/// What the transfer hears of it.
#[derive(Debug)]
pub(super) enum Heard {
    Head(HttpHead),
    Body(Vec<u8>),
    End,
    Lost,
}

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) file: Vec<u8>,
    pub(super) etag: Option<String>,
    /// One for each request to come; then it is good.
    pub(super) moods: Vec<Mood>,
    pub(super) at_once: usize,
    /// Every request that came.
    pub(super) seen: Vec<HttpGet>,
    /// Bytes that were given in all.
    pub(super) given: u64,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    attempt: u32,
    mood: Mood,
    head: Option<HttpHead>,
    next: usize,
    end: usize,
    granted: u64,
    given: u64,
}

impl Server {
    pub(super) fn handle(&mut self, get: HttpGet) {
        assert!(self.answer.is_none(), "one request at a time");
        let mood = self.moods.pop().unwrap_or(Mood::Good);
        let size = self.file.len();
        let is_same = get.if_range.is_none() || get.if_range == self.etag;
        let from = usize::try_from(get.offset).unwrap();
        let plain = |status| HttpHead { status, etag: self.etag.clone(), ..HttpHead::default() };
        let (head, next, end) = match mood {
            Mood::Status(status) => (plain(status), 0, 0),
            _ if from > 0 && from >= size => (plain(416), 0, 0),
            Mood::Whole => (HttpHead { content_length: Some(size as u64), ..plain(200) }, 0, size),
            _ if from == 0 || !is_same => {
                (HttpHead { content_length: Some(size as u64), ..plain(200) }, 0, size)
            }
            _ => {
                let end = if let Mood::Short(most) = mood { size.min(from + most as usize) } else { size };
                let range = format!("bytes {from}-{}/{size}", end - 1);
                (HttpHead { content_range: Some(range), ..plain(206) }, from, end)
            }
        };
        let attempt = get.attempt;
        self.seen.push(get);
        self.answer = Some(Answer { attempt, mood, head: Some(head), next, end, granted: 0, given: 0 });
    }

    pub(super) fn grant(&mut self, attempt: u32, bytes: u64) {
        let answer = self.answer.as_mut().filter(|answer| answer.attempt == attempt);
        let answer = answer.expect("the grant is for this answer");
        assert!(bytes >= answer.granted);
        answer.granted = bytes;
    }

    pub(super) fn abandon(&mut self, attempt: u32) {
        self.answer.take_if(|answer| answer.attempt == attempt);
    }

    pub(super) fn forget(&mut self) {
        self.answer = None;
    }

    pub(super) fn is_asked(&self) -> bool {
        self.answer.is_some()
    }

    pub(super) fn next(&mut self) -> Option<(u32, Heard)> {
        let answer = self.answer.as_mut()?;
        let attempt = answer.attempt;
        if answer.mood == Mood::Absent {
            self.answer = None;
            return Some((attempt, Heard::Lost));
        }
        if let Some(head) = answer.head.take() {
            return Some((attempt, Heard::Head(head)));
        }
        match answer.mood {
            Mood::Stuck(after) if answer.given >= after => return None,
            Mood::Cut(after) if answer.given >= after => {
                self.answer = None;
                return Some((attempt, Heard::Lost));
            }
            _ => {}
        }
        if answer.next == answer.end {
            self.answer = None;
            return Some((attempt, Heard::End));
        }
        let at_once = if self.at_once == 0 { 16_384 } else { self.at_once };
        let most = at_once.min(usize::try_from(answer.granted - answer.given).unwrap());
        let len = most.min(answer.end - answer.next);
        let bytes = self.file[answer.next..answer.next + len].to_vec();
        answer.next += len;
        answer.given += len as u64;
        self.given += len as u64;
        (len > 0).then_some((attempt, Heard::Body(bytes)))
    }
}
