//! One JSON Schema (draft 2020-12) of the whole protocol, for people who write a peer in another language.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::command::{Command, CommandArgs};
use crate::envelope::Envelope;
use crate::event::{Event, EventData};
use crate::identity::{Rotate, Rotated};
use crate::message::Message;
use crate::pairing::{
    Enrol, Enrolled, Forget, PairApprove, PairClaim, PairSeen, PairStart, PairStarted, PairStep, PairView,
    Problem,
};
use crate::permit::Permit;

/// The schema: an envelope, whose body, command arguments and event data depend on their kinds.
#[must_use]
pub fn document() -> Value {
    let mut generator = SchemaGenerator::default();
    let mut envelope = generator.root_schema_for::<Envelope>().to_value();
    let _ = (generator.subschema_for::<Command>(), generator.subschema_for::<Event>());
    // It stands in base64 in `job.start`, where no reference leads to it.
    let _ = generator.subschema_for::<Permit>();
    pairing(&mut generator);
    let messages = by_kind("t", "body", Message::schemas(&mut generator));
    let commands = by_kind("kind", "args", CommandArgs::schemas(&mut generator));
    let events = by_kind("kind", "data", EventData::schemas(&mut generator));
    let mut definitions = generator.take_definitions(true);
    for (name, cases) in [("Command", commands), ("Event", events)] {
        if let Some(definition) = definitions.get_mut(name).and_then(Value::as_object_mut) {
            definition.insert("allOf".to_owned(), cases);
        }
    }
    envelope["title"] = json!("spoolway.v1");
    envelope["description"] =
        json!("A text frame of the protocol spoolway.v1. Unknown fields and kinds are lawful everywhere.");
    envelope["allOf"] = messages;
    envelope["$defs"] = Value::Object(definitions);
    envelope
}

/// Bodies of HTTP, to which no frame leads.
fn pairing(generator: &mut SchemaGenerator) {
    let _ = (generator.subschema_for::<PairStart>(), generator.subschema_for::<PairStarted>());
    let _ = (generator.subschema_for::<PairStep>(), generator.subschema_for::<PairView>());
    let _ = (generator.subschema_for::<PairClaim>(), generator.subschema_for::<PairSeen>());
    let _ = (generator.subschema_for::<PairApprove>(), generator.subschema_for::<Problem>());
    let _ = (generator.subschema_for::<Enrol>(), generator.subschema_for::<Enrolled>());
    let _ = generator.subschema_for::<Forget>();
    let _ = (generator.subschema_for::<Rotate>(), generator.subschema_for::<Rotated>());
}

/// For each kind: if the discriminator says so, the body has this schema.
fn by_kind(discriminator: &str, body: &str, schemas: Vec<(&'static str, Schema)>) -> Value {
    let case = |(kind, schema): (&str, Schema)| {
        json!({
            "if": {"properties": {discriminator: {"const": kind}}},
            "then": {"properties": {body: schema}},
        })
    };
    schemas.into_iter().map(case).collect()
}
