//! A job with its file in one request: the offer goes to the agent as the ordinary command, and the body to it in pieces as it asks for them.
//!
//! Nothing is kept but what the agent's credit covers. Whatever ends the request, the same request again goes on: the agent knows the command
//! and the job, and asks for what it lacks.

mod offer;
mod supply;

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Serialize;
use spoolway_protocol::session::NackCode;
use spoolway_protocol::transfer::{ChunkDone, ChunkEnd, ChunkErr, ChunkErrCode};
use spoolway_protocol::{Address, AgentId, CmdId, Envelope, JobId, Message};
use spoolway_relay::web::{Denied, Process};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Gateway;
use crate::answer::{Trouble, json};
use crate::command::wished;
use offer::Offer;
use supply::{Supply, Unfit, Want};

pub(crate) use offer::QUERY;

/// How long an agent may say nothing where the client prefers nothing else: it may fetch another file first.
const WAIT_S: u64 = 60;
/// How long it may say nothing at most. No setting: the client says how long it waits, and the same request again goes on.
const MOST_WAIT_S: u64 = 600;

/// The agent has the file whole, and it is the one that was announced.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Pushed {
    /// The command.
    cmd_id: CmdId,
    /// The job.
    job_id: JobId,
    /// Bytes that went to the agent in this request; none if it had the file already.
    bytes: u64,
}

/// `PUT /v1/agents/{agent}/jobs/{job_id}`: as often as one likes.
pub(crate) async fn give(
    State(gateway): State<Gateway>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    gateway.push(path, request).await.unwrap_or_else(IntoResponse::into_response)
}

impl Gateway {
    async fn push(
        &self,
        path: Result<Path<(String, String)>, PathRejection>,
        request: Request,
    ) -> Result<Response, Trouble> {
        let (head, body) = request.into_parts();
        let who = self.gate.backend(&head)?;
        let Path((agent, job_id)) = path.map_err(|error| Trouble::bad(error.to_string()))?;
        let agent: AgentId = agent.parse().map_err(|_| Trouble::bad("agent"))?;
        let job_id: JobId = job_id.parse().map_err(|_| Trouble::bad("job_id"))?;
        let offer = Offer::read(&head, job_id, who.backend.as_str())?;
        let place = self.push_place(&who)?;
        let process = self.gate.sender(&who, agent, offer.file.file_id.as_str())?;
        let push = Push {
            supply: Supply::new(agent, offer.file.file_id.clone(), offer.file.size, offer.begin),
            body: body.into_data_stream(),
            is_begun: false,
            patience: wished(&head.headers, WAIT_S, MOST_WAIT_S),
            stalled: self.gate.stalled(),
            process,
            agent,
            offer,
        };
        // A task of its own: it has a last word for the agent when the client is gone.
        let (said, answer) = oneshot::channel();
        self.gate.spawn(async move {
            push.run(said).await;
            drop(place);
        });
        let pushed = answer.await.unwrap_or_else(|_| Err(Trouble::busy("this relay is about to go")))?;
        Ok(json(StatusCode::OK, &pushed))
    }
}

/// One request, until it is answered.
struct Push {
    process: Process,
    agent: AgentId,
    offer: Offer,
    supply: Supply,
    body: BodyDataStream,
    /// Whether the client was asked for its body.
    is_begun: bool,
    /// How long the agent may say nothing.
    patience: Duration,
    /// How long the client may send nothing.
    stalled: Duration,
}

impl Push {
    async fn run(mut self, mut said: oneshot::Sender<Result<Pushed, Trouble>>) {
        let outcome = tokio::select! {
            outcome = self.carry() => outcome,
            () = said.closed() => Err(Trouble::busy("the client is gone")),
        };
        if outcome.is_err()
            && let Some(stream) = self.supply.stream()
        {
            let (code, detail) = (ChunkErrCode::Busy, "its sender is gone; it comes again".to_owned());
            let err = ChunkErr { stream, code, detail, extra: Default::default() };
            // The agent would find out by itself, and later.
            let _ = self.say(Message::ChunkErr(err)).await;
        }
        if !said.is_closed() {
            self.drain().await;
        }
        // The client may be gone meanwhile.
        let _ = said.send(outcome);
    }

    /// Passes on what is wanted until the agent has what it needs, or will not have it.
    async fn carry(&mut self) -> Result<Pushed, Trouble> {
        self.process.send(self.offer.frame(self.agent)).await?;
        loop {
            let heard = match self.supply.poll() {
                Want::Send(frame) => {
                    self.pass(frame).await?;
                    continue;
                }
                Want::End(stream) => {
                    let (size, sha256) = (self.offer.file.size, Some(self.offer.file.sha256));
                    let end = ChunkEnd { stream, size, sha256, extra: Default::default() };
                    self.say(Message::ChunkEnd(end)).await?;
                    continue;
                }
                Want::Body => self.read().await?,
                Want::Agent => {
                    let late = |_| {
                        Trouble::busy("the agent does not ask for the file; the same request again goes on")
                    };
                    timeout(self.patience, self.process.next()).await.map_err(late)?.ok_or_else(replaced)?
                }
            };
            for frame in heard {
                if let Some(done) = self.hear(&frame)? {
                    return self.concluded(done);
                }
            }
        }
    }

    /// Reads on in the body, and listens meanwhile.
    async fn read(&mut self) -> Result<Vec<String>, Trouble> {
        self.is_begun = true;
        tokio::select! {
            frames = self.process.next() => frames.ok_or_else(replaced),
            piece = timeout(self.stalled, self.body.next()) => {
                let late = |_| Trouble::new(StatusCode::REQUEST_TIMEOUT, "bad_field", "the body takes too long");
                // A body that ends early is a client that is gone.
                let piece = piece.map_err(late)?.and_then(Result::ok);
                self.supply.handle_body(&piece.ok_or_else(|| Trouble::bad("the body has ended early"))?);
                Ok(Vec::new())
            }
        }
    }

    async fn pass(&mut self, frame: Vec<u8>) -> Result<(), Trouble> {
        match self.process.send_chunk(frame).await {
            // It begins anew when it is back.
            Err(Denied::Nack(NackCode::Offline)) => self.supply.handle_lost(),
            passed => passed?,
        }
        Ok(())
    }

    async fn say(&mut self, message: Message) -> Result<(), Trouble> {
        let frame = Envelope::new(&message).to(Address::Agent(self.agent)).encode();
        match self.process.send(frame).await {
            Err(Denied::Nack(NackCode::Offline)) => self.supply.handle_lost(),
            said => said?,
        }
        Ok(())
    }

    /// What the agent says, or the relay in its place.
    fn hear(&mut self, frame: &str) -> Result<Option<ChunkDone>, Trouble> {
        let Ok(envelope) = Envelope::parse(frame) else { return Ok(None) };
        match envelope.message() {
            Ok(Message::ChunkGet(get)) => {
                self.supply.handle_get(&get).map_err(|unfit| self.unfit(unfit))?;
                Ok(None)
            }
            Ok(Message::ChunkDone(done)) if done.job_id == self.offer.job_id => Ok(Some(done)),
            Ok(Message::Nack(nack))
                if envelope.re.is_some_and(|re| re.as_str() == self.offer.cmd_id.to_string()) =>
            {
                Err(nack.code.into())
            }
            _ => Ok(None),
        }
    }

    fn concluded(&self, done: ChunkDone) -> Result<Pushed, Trouble> {
        let Offer { cmd_id, job_id, .. } = &self.offer;
        match done.code {
            None => Ok(Pushed { cmd_id: *cmd_id, job_id: job_id.clone(), bytes: self.supply.sent() }),
            Some(code) => Err(Trouble::of_agent(code, done.detail)),
        }
    }

    fn unfit(&self, unfit: Unfit) -> Trouble {
        match unfit {
            Unfit::Size(size) => {
                let text = format!(
                    "the agent knows this job with a file of {size} bytes; another file is another job"
                );
                Trouble::new(StatusCode::CONFLICT, "conflict", text)
            }
            Unfit::Passed(offset) if !self.is_begun => {
                let text = format!("the agent lacks the file from byte {offset} on: send it from there");
                Trouble::new(StatusCode::RANGE_NOT_SATISFIABLE, "bad_range", text).at(offset)
            }
            Unfit::Passed(offset) => {
                let text = "the agent began again with what has passed: send the file again, whole or from Upload-Offset on";
                Trouble::busy(text).at(offset)
            }
        }
    }

    /// Lets a client that sends without being asked come to its end, for else it might never read the answer.
    async fn drain(&mut self) {
        if !self.is_begun && self.offer.expects {
            return;
        }
        while let Ok(Some(Ok(_))) = timeout(self.stalled, self.body.next()).await {}
    }
}

fn replaced() -> Trouble {
    let text = "another request pushes this file to this agent, or the relay is about to go";
    Trouble::new(StatusCode::CONFLICT, "conflict", text)
}
