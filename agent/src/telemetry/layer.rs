//! From `tracing` events to log lines: message, fields, and the fields of the spans around them.

use std::fmt::Debug;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::line::{MAX_FIELD_BYTES, MAX_FIELDS, MAX_TEXT_BYTES, cut};
use super::{LogLine, LogRing, Sink};
use crate::clock::Clock;

/// Puts every event into the ring and on its way to the output.
pub struct RingLayer {
    clock: Clock,
    ring: LogRing,
    sink: Option<Sink>,
}

impl RingLayer {
    /// A layer that fills `ring`, and `sink` if there is one.
    #[must_use]
    pub fn new(clock: Clock, ring: LogRing, sink: Option<Sink>) -> Self {
        Self { clock, ring, sink }
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
        let line = Arc::new(LogLine {
            at_ms: self.clock.unix_ms(),
            level: (*event.metadata().level()).into(),
            target: event.metadata().target().to_owned(),
            text: own.text,
            fields,
        });
        if let Some(sink) = &self.sink {
            sink.offer(Arc::clone(&line));
        }
        self.ring.push(line);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::Level;

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
}
