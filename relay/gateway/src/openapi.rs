//! What backends may ask by HTTP, as OpenAPI 3.1: made of the table of requests and the types that are read and written.

use std::sync::LazyLock;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use spoolway_protocol::pairing::Problem;
use spoolway_protocol::version::PROTO;

use crate::Gateway;
use crate::answer::Trouble;
use crate::table::{Body, Content, ENDPOINTS, Endpoint, PARAMETERS};

static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// `GET /v1/openapi.json`. It is no secret, but whoever gets an answer counts as known at his address, so backends get one only.
pub(crate) async fn show(State(gateway): State<Gateway>, request: Request) -> Response {
    match gateway.gate.backend(&request.into_parts().0) {
        Ok(_) => {
            let kind = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            (StatusCode::OK, kind, TEXT.as_str()).into_response()
        }
        Err(denied) => Trouble::from(denied).into_response(),
    }
}

/// The whole description.
fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method] = operation(endpoint, &mut generator);
    }
    let problem = generator.subschema_for::<Problem>();
    let refusal = json!({
        "description": "Why not: `code` for programs, `detail` for people. 429 and 503 have a `Retry-After`.",
        "content": {"application/json": {"schema": problem}},
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Spoolway relay, for backends",
            "version": PROTO,
            "description": "Commands, events and pairing over HTTPS. Kinds of commands and events, with their `args` and `data`, stand in the \
                schema of the protocol. Unknown members are lawful everywhere.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {"Refusal": refusal},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let in_path = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters =
        in_path.map(|name| ("path", name)).chain(endpoint.query.iter().map(|name| ("query", *name)));
    let parameters: Vec<Value> = parameters.map(|(place, name)| parameter(place, name, generator)).collect();
    let mut responses = Map::new();
    for (status, description, content) in endpoint.good {
        let content = match content {
            Content::Json(form) => json!({"application/json": {"schema": form(generator)}}),
            Content::Stream => json!({"text/event-stream": {"schema": {"type": "string"}}}),
        };
        responses.insert(status.to_string(), json!({"description": description, "content": content}));
    }
    for status in endpoint.bad.iter().chain(&[401, 403]) {
        responses.insert(status.to_string(), json!({"$ref": "#/components/responses/Refusal"}));
    }
    let mut operation =
        json!({"summary": endpoint.summary, "parameters": parameters, "responses": responses});
    let content = match endpoint.body {
        Body::None => return operation,
        Body::Json(form) => json!({"application/json": {"schema": form(generator)}}),
        Body::File => json!({"application/octet-stream": {}}),
    };
    operation["requestBody"] = json!({"required": true, "content": content});
    operation
}

fn parameter(place: &str, name: &str, generator: &mut SchemaGenerator) -> Value {
    let known = PARAMETERS.iter().find(|(known, ..)| *known == name);
    let (_, description, form) = known.expect("every parameter is in the table, a test proves it");
    json!({
        "in": place, "name": name, "required": place == "path", "description": description, "schema": form(generator),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference in a value.
    fn references(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(members) => {
                let own = members.get("$ref").and_then(Value::as_str);
                own.into_iter().chain(members.values().flat_map(references)).collect()
            }
            Value::Array(items) => items.iter().flat_map(references).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let references = references(&document);
        assert!(references.len() > 50, "{references:?}");
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("it is in this document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn none_is_described_twice() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.values().flat_map(|path| path.as_object().expect("methods").values());
        assert_eq!(operations.clone().count(), ENDPOINTS.len());
        for operation in operations {
            let has = |status: &str| operation["responses"].get(status).is_some();
            assert!(has("401") && has("403"), "{operation}");
        }
    }

    #[test]
    fn a_command_is_described_by_the_type_that_reads_it() {
        let document = document();
        let put = &document["paths"]["/v1/agents/{agent}/commands/{cmd_id}"]["put"];
        let reference = put["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
        assert_eq!(reference, Some("#/components/schemas/Command"));
        let command = &document["components"]["schemas"]["Command"];
        for member in ["cmd_id", "seq", "kind", "args", "actor", "if", "must", "sig"] {
            assert!(command["properties"].get(member).is_some(), "{member} in {command}");
        }
        let names: Vec<_> =
            put["parameters"].as_array().expect("parameters").iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["agent", "cmd_id", "lane", "ttl_ms", "age_ms"]);
    }
}
