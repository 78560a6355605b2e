//! Where a file can be had: which source is next, which rest after a failure, which are of no use any more.

use spoolway_protocol::fault::Fault;
use spoolway_protocol::url::SecretUrl;

use crate::backoff::{Backoff, BackoffOptions};
use crate::moment::Moment;

/// A source as the shell hands it over, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// An HTTPS URL.
    Https {
        /// The URL.
        url: SecretUrl,
        /// When it stops working, as far as that is known on the machine's own clock.
        expires_at: Option<Moment>,
    },
    /// Chunks through the relay.
    Relay,
}

/// One source and what was seen of it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) spec: SourceSpec,
    /// A strong validator of what it has given.
    pub(super) etag: Option<String>,
    /// Its URL was refused, so that another one is wanted.
    pub(super) needs_url: bool,
    /// URLs that were asked for since the last new piece.
    pub(super) renewals: u32,
    backoff: Backoff,
    not_before: Moment,
    /// Why it is of no use any more.
    dead: Option<(Fault, String)>,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Use this source.
    Use(usize),
    /// Ask the owner for another URL of this one.
    Renew(usize),
    /// None is ready before then; `None` until a session stands.
    Wait(Option<Moment>),
    /// None is of any use.
    Nothing(Fault, String),
}

#[derive(Debug)]
pub(super) struct Sources {
    all: Vec<Source>,
    attempts: u32,
    most_renewals: u32,
    /// An URL that works for less than this is renewed first.
    margin_ms: u64,
}

impl Sources {
    /// A file without a source that is known here is asked for through the relay.
    pub(super) fn new(
        specs: Vec<SourceSpec>,
        (attempts, most_renewals, margin_ms): (u32, u32, u64),
        backoff: BackoffOptions,
        seed: u64,
    ) -> Self {
        let specs = if specs.is_empty() { vec![SourceSpec::Relay] } else { specs };
        let source = |(n, spec): (usize, SourceSpec)| Source {
            spec,
            etag: None,
            needs_url: false,
            renewals: 0,
            backoff: Backoff::new(backoff, seed.wrapping_add(n as u64)),
            not_before: Moment::ZERO,
            dead: None,
        };
        let all = specs.into_iter().enumerate().map(source).collect();
        Self { all, attempts, most_renewals, margin_ms }
    }

    pub(super) fn get(&mut self, at: usize) -> &mut Source {
        &mut self.all[at]
    }

    /// The first source that is ready.
    pub(super) fn choose(&mut self, now: Moment, is_connected: bool) -> Choice {
        let (mut wake, mut last) = (None::<Moment>, None);
        let mut waits_for_session = false;
        for at in 0..self.all.len() {
            let soon = now + std::time::Duration::from_millis(self.margin_ms);
            let most_renewals = self.most_renewals;
            let source = &mut self.all[at];
            let wants_url = match &source.spec {
                SourceSpec::Https { expires_at, .. } => {
                    source.needs_url || expires_at.is_some_and(|expires| expires <= soon)
                }
                SourceSpec::Relay => false,
            };
            if wants_url && source.renewals >= most_renewals && source.dead.is_none() {
                let why = format!("its URL has expired, and {most_renewals} others did not work either");
                source.dead = Some((Fault::JobFileUnavailable, why));
            }
            if let Some(dead) = &source.dead {
                last = Some(dead.clone());
            } else if !is_connected && (wants_url || source.spec == SourceSpec::Relay) {
                waits_for_session = true;
            } else if source.not_before > now {
                wake = Some(wake.map_or(source.not_before, |wake| wake.min(source.not_before)));
            } else {
                return if wants_url { Choice::Renew(at) } else { Choice::Use(at) };
            }
        }
        match last {
            Some((fault, why)) if wake.is_none() && !waits_for_session => Choice::Nothing(fault, why),
            _ => Choice::Wait(wake),
        }
    }

    /// It failed and may do better later, after its own wish if it has one.
    pub(super) fn rest(&mut self, at: usize, now: Moment, wish_ms: Option<u64>, why: &str) {
        let attempts = self.attempts;
        let source = &mut self.all[at];
        source.not_before = now + source.backoff.fail(now, wish_ms);
        if source.backoff.attempts() > attempts {
            let why = format!("{why}; {attempts} attempts without a new byte");
            source.dead = Some((Fault::JobFileUnavailable, why));
        }
    }

    /// It is of no use any more.
    pub(super) fn bury(&mut self, at: usize, fault: Fault, why: String) {
        self.all[at].dead = Some((fault, why));
    }

    /// It has given something new.
    pub(super) fn praise(&mut self, at: usize) {
        let source = &mut self.all[at];
        source.backoff.reset();
        source.renewals = 0;
    }

    /// A new session: the relay is asked at once.
    pub(super) fn handle_connected(&mut self) {
        for source in self.all.iter_mut().filter(|source| source.spec == SourceSpec::Relay) {
            source.not_before = Moment::ZERO;
        }
    }

    /// Another URL takes the place of the one that was asked for, or of the first.
    pub(super) fn renew(&mut self, asked: Option<usize>, new: SourceSpec) -> bool {
        let is_https = |source: &Source| matches!(source.spec, SourceSpec::Https { .. });
        let Some(at) = asked.or_else(|| self.all.iter().position(is_https)) else { return false };
        let source = &mut self.all[at];
        (source.spec, source.needs_url, source.not_before) = (new, false, Moment::ZERO);
        true
    }

    /// Whether any other than this one may still be of use.
    pub(super) fn has_other(&self, than: usize) -> bool {
        self.all.iter().enumerate().any(|(at, source)| at != than && source.dead.is_none())
    }

    /// Only the owner's own word counts any more, if it can be had.
    pub(super) fn prefer_relay(&mut self, fault: Fault, why: &str) {
        let is_relay = |source: &Source| source.spec == SourceSpec::Relay;
        if !self.all.iter().any(|source| is_relay(source) && source.dead.is_none()) {
            return;
        }
        for source in self.all.iter_mut().filter(|source| !is_relay(source)) {
            source.dead = Some((fault, why.to_owned()));
        }
    }
}
