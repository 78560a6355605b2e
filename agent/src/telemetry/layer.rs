//! From `tracing` events to log lines: message, fields, and the fields of the spans around them.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::limit::{Limit, Through};
use super::line::{MAX_FIELD_BYTES, MAX_FIELDS, MAX_TEXT_BYTES, cut};
use super::{LogLine, LogRing, Sink};
use crate::clock::Clock;

/// The number of lines of the same place that were held back before one.
const MORE: &str = "more_like_this";

/// Puts events into the ring and on their way to the output, of each place in the program no more than it may log. Clones are the same.
#[derive(Clone)]
pub struct RingLayer(Arc<Inner>);

struct Inner {
    clock: Clock,
    ring: LogRing,
    sink: Option<Sink>,
    limit: Mutex<Limit<Identifier, LogLine>>,
}

impl RingLayer {
    /// A layer that fills `ring`, and `sink` if there is one.
    #[must_use]
    pub fn new(clock: Clock, ring: LogRing, sink: Option<Sink>) -> Self {
        Self(Arc::new(Inner { clock, ring, sink, limit: Mutex::default() }))
    }

    /// Lets through what was held back of places that are quiet again; to be called again and again.
    pub(super) fn tell_late(&self) {
        let late = self.limit().late(self.0.clock.now());
        late.into_iter().for_each(|line| self.put(line));
    }

    /// Lets everything through that was held back.
    pub(super) fn tell_rest(&self) {
        let rest = self.limit().rest();
        rest.into_iter().for_each(|line| self.put(line));
    }

    fn limit(&self) -> MutexGuard<'_, Limit<Identifier, LogLine>> {
        self.0.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, Through { mut line, more }: Through<LogLine>) {
        if more > 0 {
            line.fields.truncate(MAX_FIELDS - 1);
            line.fields.push((MORE.to_owned(), more.to_string()));
        }
        let line = Arc::new(line);
        if let Some(sink) = &self.0.sink {
            sink.offer(Arc::clone(&line));
        }
        self.0.ring.push(line);
    }
}

#[derive(Default)]
struct Fields {
    text: String,
    fields: Vec<(String, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.text = cut(value, MAX_TEXT_BYTES);
        } else if self.fields.len() < MAX_FIELDS {
            self.fields.push((field.name().to_owned(), cut(value, MAX_FIELD_BYTES)));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RingLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let mut fields = Vec::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer.fields.iter().cloned());
            }
        }
        // What a line says itself need not be said by what is around it.
        fields.retain(|(name, _)| own.fields.iter().all(|(said, _)| said != name));
        fields.append(&mut own.fields);
        fields.truncate(MAX_FIELDS);
        let level = (*event.metadata().level()).into();
        let line = LogLine {
            at_ms: self.0.clock.unix_ms(),
            level,
            target: event.metadata().target().to_owned(),
            text: own.text,
            fields,
        };
        let through = self.limit().take(self.0.clock.now(), event.metadata().callsite(), level, line);
        if let Some(line) = through {
            self.put(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use spoolway_protocol::BootId;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::clock::Hands;
    use crate::telemetry::{Level, Output};

    #[test]
    fn events_become_lines_with_the_fields_of_their_spans() {
        let ring = LogRing::default();
        let layer = RingLayer::new(Clock::start().unwrap(), ring.clone(), None);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("job", job = "j1", attempt = tracing::field::Empty);
            let _inside = span.enter();
            span.record("attempt", 2);
            tracing::warn!(line = 7, cause = "noise", "refused {}", "twice");
            tracing::info!(job = "j1", "once");
        });
        let lines = ring.last(10, Level::Trace);
        let [line, once] = lines.as_slice() else { panic!("two lines, not {lines:?}") };
        assert_eq!(
            once.fields,
            [("attempt".to_owned(), "2".to_owned()), ("job".to_owned(), "j1".to_owned())]
        );
        assert_eq!((line.level, line.text.as_str()), (Level::Warn, "refused twice"));
        let fields: Vec<_> =
            line.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("job", "j1"), ("attempt", "2"), ("line", "7"), ("cause", "noise")]);
        assert_eq!(line.target, module_path!());
    }

    #[test]
    fn one_place_that_logs_without_end_is_held_back_and_no_other() {
        let hands = Arc::new(Hands::default());
        let clock = Clock::with_hands(BootId::new("boot").unwrap(), Arc::clone(&hands));
        let (ring, written) = (LogRing::default(), Arc::new(Mutex::new(Vec::new())));
        let sink = Sink::start(Output::Writer(Box::new(Shared(Arc::clone(&written)))), false).unwrap();
        let layer = RingLayer::new(clock, ring.clone(), Some(sink.clone()));
        let complain = |text: &str| tracing::warn!(%text, "the printer complains");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer.clone()), || {
            for n in 0..500 {
                complain(&format!("glitch {n}"));
                tracing::trace!(target: "wire", text = n, "<");
            }
            tracing::error!("something else");
            hands.boot_ms.store(20_000, Ordering::Relaxed);
            layer.tell_late();
            complain("once more");
            layer.tell_rest();
        });
        let of = |level: Level| {
            ring.last(usize::MAX, Level::Trace).into_iter().filter(move |line| line.level == level)
        };
        assert_eq!(
            (of(Level::Trace).count(), of(Level::Error).count()),
            (500, 1),
            "what was asked for, and the others"
        );
        let said = of(Level::Warn)
            .map(|line| line.fields.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>());
        let said: Vec<_> = said.skip(19).collect();
        assert_eq!(said, [vec!["glitch 19"], vec!["glitch 499", "479"], vec!["once more"]]);
        // The way out has the same lines.
        sink.flush(std::time::Duration::from_secs(60));
        let lines = written.lock().unwrap().iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(lines, ring.last(usize::MAX, Level::Trace).len());
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
