//! An acknowledgement by HTTP: the backend has stored the events of one epoch up to one of them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use spoolway_protocol::event::EventAck;

use crate::answer::{Trouble, json};
use crate::{Gateway, body};

/// `POST /v1/agents/{agent}/ack`: may be said again, for a later one covers all before it.
pub(crate) async fn give(
    State(gateway): State<Gateway>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    gateway.ack(path, request).await.unwrap_or_else(IntoResponse::into_response)
}

impl Gateway {
    async fn ack(
        &self,
        path: Result<Path<String>, PathRejection>,
        request: Request,
    ) -> Result<Response, Trouble> {
        let (head, unread) = request.into_parts();
        let who = self.gate.backend(&head)?;
        let Path(agent) = path.map_err(|error| Trouble::bad(error.to_string()))?;
        let agent = agent.parse().map_err(|_| Trouble::bad("agent"))?;
        let _place = self.place(&who)?;
        let text = body::text(unread, self.gate.patience()).await?;
        let ack: EventAck = body::parse(&text)?;
        let frame = format!(r#"{{"v":1,"t":"ack","to":"a:{agent}","body":{}}}"#, text.trim());
        self.gate.guest(&who, agent)?.send(frame).await?;
        Ok(json(StatusCode::ACCEPTED, &ack))
    }
}
