//! A subscriber that records every span with its fields.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

/// The recorded spans with their names and fields, in order of their start.
#[derive(Clone, Default)]
pub(crate) struct Spans(Arc<Mutex<Vec<RecordedSpan>>>);

#[derive(Debug, Clone)]
pub(crate) struct RecordedSpan {
    id: Id,
    pub(crate) name: &'static str,
    pub(crate) fields: BTreeMap<String, String>,
}

impl Spans {
    /// Returns the subscriber that records the spans.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(self.clone())
    }

    /// Returns the spans of this name that belong to a trace.
    pub(crate) fn of(&self, name: &str, trace_id: &str) -> Vec<RecordedSpan> {
        let spans = self.0.lock().unwrap();
        let of = |recorded: &&RecordedSpan| {
            recorded.name == name
                && recorded.fields.get("trace_id").is_some_and(|id| id == trace_id)
        };
        spans.iter().filter(of).cloned().collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let name = attributes.metadata().name();
        self.0.lock().unwrap().push(RecordedSpan { id: id.clone(), name, fields: fields.0 });
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        // The id of a span is reused after it has ended.
        if let Some(recorded) = spans.iter_mut().rfind(|recorded| recorded.id == *id) {
            let mut fields = Fields(std::mem::take(&mut recorded.fields));
            record.record(&mut fields);
            recorded.fields = fields.0;
        }
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
