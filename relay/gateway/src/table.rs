//! Every request by which a backend does without a websocket: where it goes, and what is said of it. What is not in this table is not
//! answered here.

use axum::routing::{MethodRouter, get, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use spoolway_protocol::command::{Command, CommandReceipt};
use spoolway_protocol::envelope::Lane;
use spoolway_protocol::event::EventAck;
use spoolway_protocol::offer::{Retain, StartRule};
use spoolway_protocol::pairing::{PairApprove, PairClaim, PairSeen};
use spoolway_protocol::{AgentId, CmdId, FileId, JobId, Sha256Hex};

use crate::pairing::backend;
use crate::{Gateway, ack, command, events, openapi, push};

/// The schema of a type.
pub(crate) type Form = fn(&mut SchemaGenerator) -> Schema;

/// What an answer holds.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// JSON of this form.
    Json(Form),
    /// Server-sent events.
    Stream,
}

/// What a request holds.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// Nothing.
    None,
    /// JSON of this form.
    Json(Form),
    /// The bytes of a file.
    File,
}

/// One kind of request.
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) query: &'static [&'static str],
    pub(crate) body: Body,
    /// Statuses, when each is given, and what it holds.
    pub(crate) good: &'static [(u16, &'static str, Content)],
    /// Statuses with a `Problem`, besides 401 and 403, which a relay that requires client certificates answers to any.
    pub(crate) bad: &'static [u16],
    /// Who answers.
    pub(crate) handler: fn() -> MethodRouter<Gateway>,
}

/// What can stand in a path or a query, and its form.
pub(crate) const PARAMETERS: &[(&str, &str, Form)] = &[
    ("agent", "The agent.", form::<AgentId>),
    ("cmd_id", "The command; the same as in the body, if that is one.", form::<CmdId>),
    ("pair_id", "The pairing, as the claim has named it.", form::<String>),
    ("lane", "`urgent` overtakes what waits: emergency stop, cancel, pause.", form::<Lane>),
    ("ttl_ms", "How long the command is worth anything.", form::<u64>),
    ("age_ms", "How old it was when it was sent.", form::<u64>),
    ("job_id", "The job; another file is another job.", form::<JobId>),
    ("seq", "The command's place among the owner's commands to this agent. Needed.", form::<u64>),
    ("sha256", "The digest of the whole file. Needed.", form::<Sha256Hex>),
    ("file_id", "The file; the job's id unless it is said.", form::<FileId>),
    ("name", "The file's name for people.", form::<String>),
    ("owner", "Whose job it is, in the backend's words; the backend unless it is said.", form::<String>),
    ("actor", "On whose behalf; the backend unless it is said.", form::<String>),
    ("start", "When it starts; `manual` unless it is said.", form::<StartRule>),
    ("priority", "Higher goes first.", form::<i32>),
    ("retain", "What becomes of the file afterwards; `delete` unless it is said.", form::<Retain>),
];

const SEEN: &[(u16, &str, Content)] = &[(200, "How the pairing stands.", Content::Json(form::<PairSeen>))];

/// See the module.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "put",
        path: "/v1/agents/{agent}/commands/{cmd_id}",
        summary: "Gives a command to an agent. May be repeated until the receipt has come. `Prefer: wait=SECONDS` says how long to wait for it.",
        query: &["lane", "ttl_ms", "age_ms"],
        body: Body::Json(form::<Command>),
        good: &[
            (200, "The agent has it on its disk.", Content::Json(form::<CommandReceipt>)),
            (
                202,
                "It went to the agent, which has said nothing yet.",
                Content::Json(form::<command::Forwarded>),
            ),
        ],
        bad: &[400, 404, 408, 410, 413, 429, 503],
        handler: || put(command::give),
    },
    Endpoint {
        method: "put",
        path: "/v1/agents/{agent}/jobs/{job_id}",
        summary: "Offers a job and brings its file. May be repeated until it is answered with 200; `Content-Range` leaves out what the agent has. `Prefer: wait=SECONDS` says how long the agent may say nothing.",
        query: push::QUERY,
        body: Body::File,
        good: &[(200, "The agent has the file whole.", Content::Json(form::<push::Pushed>))],
        bad: &[400, 404, 408, 409, 411, 416, 422, 429, 503],
        handler: || put(push::give),
    },
    Endpoint {
        method: "post",
        path: "/v1/agents/{agent}/ack",
        summary: "Says that all events of an epoch up to one are stored.",
        query: &[],
        body: Body::Json(form::<EventAck>),
        good: &[(202, "It went to the agent.", Content::Json(form::<EventAck>))],
        bad: &[400, 404, 408, 413, 503],
        handler: || post(ack::give),
    },
    Endpoint {
        method: "get",
        path: "/v1/events",
        summary: "All that agents say, live: one frame in each event, which has the frame's `t` as its name. The id of `events` is epoch-seq of the last one in it.",
        query: &[],
        body: Body::None,
        good: &[(200, "Until one of both ends goes.", Content::Stream)],
        bad: &[503],
        handler: || get(events::watch),
    },
    Endpoint {
        method: "get",
        path: "/v1/openapi.json",
        summary: "This description.",
        query: &[],
        body: Body::None,
        good: &[(200, "OpenAPI 3.1.", Content::Json(form::<serde_json::Map<String, serde_json::Value>>))],
        bad: &[],
        handler: || get(openapi::show),
    },
    Endpoint {
        method: "post",
        path: "/v1/pairings/claim",
        summary: "Takes the code of an agent.",
        query: &[],
        body: Body::Json(form::<PairClaim>),
        good: SEEN,
        bad: &[400, 404, 408, 409, 429, 503],
        handler: || post(backend::claim),
    },
    Endpoint {
        method: "get",
        path: "/v1/pairings/{pair_id}",
        summary: "How a pairing stands.",
        query: &[],
        body: Body::None,
        good: SEEN,
        bad: &[404, 410, 503],
        handler: || get(backend::look),
    },
    Endpoint {
        method: "post",
        path: "/v1/pairings/{pair_id}/approve",
        summary: "Says yes to an agent whose four words are the same.",
        query: &[],
        body: Body::Json(form::<PairApprove>),
        good: SEEN,
        bad: &[400, 404, 408, 409, 410, 503],
        handler: || post(backend::approve),
    },
    Endpoint {
        method: "post",
        path: "/v1/pairings/{pair_id}/deny",
        summary: "Says no.",
        query: &[],
        body: Body::None,
        good: SEEN,
        bad: &[404, 409, 410, 503],
        handler: || post(backend::deny),
    },
];

fn form<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
