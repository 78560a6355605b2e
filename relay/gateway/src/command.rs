//! A command by HTTP: it is passed to the agent as the ordinary frame, and answered when the agent has it on its disk.

use std::fmt::Write as _;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use spoolway_protocol::command::{Command, CommandReceipt};
use spoolway_protocol::{AgentId, CmdId, Envelope, Message};
use spoolway_relay::web::Process;
use tokio::time::timeout;

use crate::answer::{Trouble, json};
use crate::{Gateway, body};

/// How long the receipt is waited for where the client prefers nothing else.
const WAIT_S: u64 = 5;
/// How long it is waited for at most. No setting: a client may ask for less, and what stands between it and a relay cuts requests that
/// say nothing for a minute.
const MOST_WAIT_S: u64 = 30;

/// The command was passed on, and nothing was heard of it in time. It is told again like any other without a receipt.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Forwarded {
    /// The command.
    cmd_id: CmdId,
}

/// What stands in the envelope, from the query.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    is_urgent: bool,
    ttl_ms: Option<u64>,
    age_ms: Option<u64>,
}

/// `PUT /v1/agents/{agent}/commands/{cmd_id}`: as often as one likes, for the agent knows what it has.
pub(crate) async fn give(
    State(gateway): State<Gateway>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    gateway.give(path, request).await.unwrap_or_else(IntoResponse::into_response)
}

impl Gateway {
    async fn give(
        &self,
        path: Result<Path<(String, String)>, PathRejection>,
        request: Request,
    ) -> Result<Response, Trouble> {
        let (head, unread) = request.into_parts();
        let who = self.gate.backend(&head)?;
        let (agent, cmd_id) = named(path)?;
        let way = Way::parse(head.uri.query().unwrap_or_default())?;
        let _place = self.place(&who)?;
        let text = body::text(unread, self.gate.patience()).await?;
        let command: Command = body::parse(&text)?;
        if command.cmd_id != cmd_id {
            return Err(Trouble::bad("cmd_id is another one in the body than in the path"));
        }
        let process = self.gate.guest(&who, agent)?;
        process.send(way.frame(agent, &cmd_id, text.trim())).await?;
        match timeout(wait(&head), receipt(&process, &cmd_id)).await {
            Ok(Some(receipt)) => Ok(json(StatusCode::OK, &receipt?)),
            Ok(None) | Err(_) => Ok(json(StatusCode::ACCEPTED, &Forwarded { cmd_id })),
        }
    }
}

fn named(path: Result<Path<(String, String)>, PathRejection>) -> Result<(AgentId, CmdId), Trouble> {
    let Path((agent, cmd_id)) = path.map_err(|error| Trouble::bad(error.to_string()))?;
    let bad = |error: spoolway_protocol::ids::IdError| Trouble::bad(error.to_string());
    Ok((agent.parse().map_err(bad)?, cmd_id.parse().map_err(bad)?))
}

/// What the agent says to the command, or the relay in its place; `None` when this process is closed first.
async fn receipt(process: &Process, cmd_id: &CmdId) -> Option<Result<CommandReceipt, Trouble>> {
    loop {
        let frames = process.next().await?;
        if let Some(said) = frames.iter().find_map(|frame| answer(frame, cmd_id)) {
            return Some(said);
        }
    }
}

/// The frame's verdict, if it is about this command: the frame that it went in has the same name.
fn answer(frame: &str, cmd_id: &CmdId) -> Option<Result<CommandReceipt, Trouble>> {
    let envelope = Envelope::parse(frame).ok()?;
    match envelope.message().ok()? {
        Message::CmdRecv(receipt) if receipt.cmd_id == *cmd_id => Some(Ok(receipt)),
        Message::Nack(nack) if envelope.re?.as_str() == cmd_id.to_string() => Some(Err(nack.code.into())),
        _ => None,
    }
}

/// The client's `Prefer: wait=SECONDS` (RFC 7240, section 4.3), within bounds.
fn wait(head: &Parts) -> Duration {
    wished(&head.headers, WAIT_S, MOST_WAIT_S)
}

/// How long a client wishes to wait, within bounds.
pub(crate) fn wished(headers: &HeaderMap, usual_s: u64, most_s: u64) -> Duration {
    Duration::from_secs(preferred(headers).unwrap_or(usual_s).min(most_s))
}

/// The seconds that a client prefers to wait.
fn preferred(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    preferences.find_map(|preference| {
        let (name, seconds) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| seconds.trim().parse().ok())?
    })
}

impl Way {
    /// A word that is not known is refused: what somebody meant as a TTL must not be left out.
    fn parse(query: &str) -> Result<Self, Trouble> {
        let mut way = Self::default();
        for member in query.split('&').filter(|member| !member.is_empty()) {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            let number = || value.parse().map_err(|_| Trouble::bad(format!("{name} is not a number of ms")));
            match (name, value) {
                ("lane", "urgent") => way.is_urgent = true,
                ("ttl_ms", _) => way.ttl_ms = Some(number()?),
                ("age_ms", _) => way.age_ms = Some(number()?),
                _ => return Err(Trouble::bad("the query knows lane=urgent, ttl_ms and age_ms")),
            }
        }
        Ok(way)
    }

    /// The frame; every byte of the body is the backend's, since it may be signed.
    fn frame(&self, agent: AgentId, cmd_id: &CmdId, body: &str) -> String {
        let mut frame = format!(r#"{{"v":1,"t":"cmd","to":"a:{agent}""#);
        if self.is_urgent {
            frame.push_str(r#","lane":"urgent""#);
        }
        for (name, value) in [("ttl_ms", self.ttl_ms), ("age_ms", self.age_ms)] {
            if let Some(value) = value {
                let _ = write!(frame, r#","{name}":{value}"#);
            }
        }
        let _ = write!(frame, r#","id":"{cmd_id}","body":{body}}}"#);
        frame
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use spoolway_protocol::Route;

    use super::*;

    const CMD_ID: &str = "0199c5c0-7c00-7000-8000-000000000001";
    const OTHER: &str = "0199c5c0-7c00-7000-8000-000000000002";

    fn way(query: &str) -> Option<Way> {
        Way::parse(query).ok()
    }

    #[test]
    fn the_query_is_read_whole_or_refused() {
        assert_eq!(way(""), Some(Way::default()));
        let all = Way { is_urgent: true, ttl_ms: Some(60_000), age_ms: Some(7) };
        assert_eq!(way("ttl_ms=60000&lane=urgent&age_ms=7"), Some(all));
        for bad in ["ttl=5", "ttl_ms=", "ttl_ms=-1", "ttl_ms=1e3", "lane=slow", "lane", "age_ms=x"] {
            assert_eq!(way(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_frame_carries_the_body_byte_for_byte() {
        let agent = AgentId::from_bytes([7; 16]);
        let cmd_id = CMD_ID.parse().expect("an id");
        let body = "{ \"cmd_id\" : \"x\",\n \"n\":1.50 }";
        let way = Way { is_urgent: true, ttl_ms: Some(5), age_ms: None };
        let frame = way.frame(agent, &cmd_id, body);
        let head = Route::parse(&frame).expect("a frame");
        assert_eq!((head.t, head.body), ("cmd", body));
        assert_eq!(head.to, Some(format!("a:{agent}").as_str()));
        assert_eq!(
            (head.id, head.ttl_ms, head.age_ms, head.is_urgent()),
            (Some(CMD_ID), Some(5), None, true)
        );
    }

    #[test]
    fn only_what_is_said_about_this_command_counts() {
        let cmd_id = CMD_ID.parse().expect("an id");
        let receipt =
            |of: &str| format!(r#"{{"v":1,"t":"cmd.recv","body":{{"cmd_id":"{of}","seq":6,"dup":true}}}}"#);
        let nack = |re: &str| format!(r#"{{"v":1,"t":"nack","re":"{re}","body":{{"code":"busy"}}}}"#);
        let heard = |frame: &str| answer(frame, &cmd_id);
        let taken = heard(&receipt(CMD_ID)).expect("it is about it").expect("a receipt");
        assert!(taken.dup && taken.seq.0 == 6);
        assert!(heard(&nack(CMD_ID)).expect("it is about it").is_err());
        for frame in [receipt(OTHER), nack(OTHER), nack("x").replace(r#""re":"x","#, ""), "{".to_owned()] {
            assert!(heard(&frame).is_none(), "{frame}");
        }
    }

    fn prefers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            axum::http::header::HeaderName::from_static("prefer"),
            HeaderValue::from_static(value),
        )])
    }

    #[test]
    fn nobody_waits_longer_than_there_are_places_for() {
        let waits_s = |value| wished(&prefers(value), WAIT_S, MOST_WAIT_S).as_secs();
        assert_eq!([waits_s("wait=7"), waits_s("wait=soon"), waits_s("wait=86400")], [7, WAIT_S, 30]);
    }

    #[test]
    fn a_client_may_say_how_long_it_waits() {
        let preferred = |value| super::preferred(&prefers(value));
        assert_eq!(preferred("respond-async, Wait=0"), Some(0));
        assert_eq!(preferred("wait = 7"), Some(7));
        assert_eq!(preferred("wait=soon"), None);
        assert_eq!(preferred("return=minimal"), None);
    }
}
