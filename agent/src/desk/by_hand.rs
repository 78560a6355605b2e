//! Single commands: put to the printer thread, which judges them, and their replies awaited. Those of a backend are judged by
//! the role of whoever gives them.

use std::time::Duration;

use spoolway_agent_core::allow::Role;
use spoolway_protocol::command::{Actor, GcodeArgs, GcodeReplies};
use spoolway_protocol::limits::{GCODE_LINES, GCODE_REPLIES_BYTES};
use spoolway_protocol::{CmdId, Fault, Raw};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::info;

use super::clerk::{Clerk, Done};
use super::stopping;
use crate::printer::{Aside, Order, Replies};
use crate::view::Refusal;

/// How long somebody waits for the replies to a single command; a printer that is busy takes longer.
const REPLIES: Duration = Duration::from_secs(10);
/// The printer's thread has so long to say that it has not sent it.
const TAKE_BACK: Duration = Duration::from_secs(2);

/// The lines of one command have been sent, as far as they were not refused.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) cmd_id: CmdId,
    pub(super) replies: GcodeReplies,
    pub(super) ended: Result<(), Refusal>,
}

/// Sends one command; its replies. The printer thread judges it: nobody else knows for certain whether a job is under way.
pub(super) async fn send_one(
    orders: &mpsc::Sender<Order>,
    role: Role,
    command: String,
) -> Result<Vec<String>, Refusal> {
    send(orders, Aside::new(role, command), REPLIES).await
}

/// Has lines sent, and waits for what the printer says to them.
pub(super) async fn send(
    orders: &mpsc::Sender<Order>,
    (aside, replies): (Aside, Replies),
    patience: Duration,
) -> Result<Vec<String>, Refusal> {
    let asked = async {
        orders.send(Order::SendAside(Box::new(aside))).await.map_err(|_| stopping())?;
        let gone = || Refusal::new(Fault::PortLost, "the printer went away before it answered");
        replies.await.map_err(|_| gone())?
    };
    match timeout(patience, asked).await {
        Ok(replied) => replied,
        Err(_) => Err(Refusal::new(
            Fault::FirmwareSilent,
            match was_taken_back(orders).await {
                true => {
                    format!("it could not be sent within {} s, and is not sent any more", patience.as_secs())
                }
                false => format!(
                    "no answer within {} s; the printer carries it out when it comes to it",
                    patience.as_secs()
                ),
            },
        )),
    }
}

/// Whether what nobody waits for any more had not gone out, and now does not.
async fn was_taken_back(orders: &mpsc::Sender<Order>) -> bool {
    let asked = async {
        let (answer, reply) = oneshot::channel();
        orders.send(Order::TakeBack { answer }).await.ok()?;
        reply.await.ok()
    };
    timeout(TAKE_BACK, asked).await.ok().flatten().unwrap_or(false)
}

impl Clerk {
    /// Sends the commands of a backend, away from the desk.
    pub(super) fn send_by_hand(&mut self, cmd_id: CmdId, actor: &Actor, gcode: GcodeArgs) {
        let Some(role) = Role::of_backend(&actor.role) else {
            let text = format!("the role {:?} may send nothing", actor.role);
            return self.end_command(cmd_id, Err(Refusal::new(Fault::CommandNotAllowed, text)));
        };
        if !(1..=GCODE_LINES).contains(&gcode.lines.len()) {
            let text = format!("1 to {GCODE_LINES} commands, not {}", gcode.lines.len());
            return self.end_command(cmd_id, Err(Refusal::new(Fault::CommandBadArgs, text)));
        }
        info!(command = %cmd_id, %role, lines = ?gcode.lines, "commands by hand");
        let (orders, done) = (self.orders.clone(), self.done.clone());
        tokio::spawn(async move {
            let (mut replies, mut ended) = (GcodeReplies::default(), Ok(()));
            for line in gcode.lines {
                match send_one(&orders, role, line).await {
                    Ok(lines) => replies.replies.push(lines),
                    Err(refusal) => {
                        ended = Err(refusal);
                        break;
                    }
                }
            }
            drop(done.send(Done::SentByHand(Sent { cmd_id, replies, ended })).await);
        });
    }

    pub(super) fn take_sent(&mut self, sent: Sent) {
        let Sent { cmd_id, mut replies, ended } = sent;
        cut(&mut replies);
        self.end_command_with(cmd_id, ended, Some(Raw::of(&replies)));
    }
}

/// Replies are cut so that they fit an event.
fn cut(replies: &mut GcodeReplies) {
    let mut room = GCODE_REPLIES_BYTES;
    for lines in &mut replies.replies {
        lines.retain(|line| {
            // As JSON: quotes, a comma, and characters that need an escape.
            let length =
                line.chars().map(|c| if c.is_control() { 6 } else { c.len_utf8() + 1 }).sum::<usize>() + 3;
            let fits = length <= room;
            room = room.saturating_sub(length);
            fits
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_fit_an_event() {
        let flood = vec!["\u{1}\"x".repeat(100); 1_000];
        let mut replies = GcodeReplies {
            replies: vec![vec!["ok".to_owned()], flood, vec!["x".to_owned()]],
            ..Default::default()
        };
        cut(&mut replies);
        assert!(Raw::of(&replies).get().len() <= GCODE_REPLIES_BYTES + 100);
        assert_eq!(replies.replies[0], ["ok"]);
        assert!(replies.replies[1].len() > 20);
    }

    #[tokio::test]
    async fn a_command_that_failed_before_it_went_out_does_not_act_later() {
        let (orders, mut printer) = mpsc::channel(4);
        for (taken_back, words) in [(true, "is not sent any more"), (false, "when it comes to it")] {
            let thread = async {
                let Some(Order::SendAside(aside)) = printer.recv().await else { panic!("nothing is sent") };
                let Some(Order::TakeBack { answer }) = printer.recv().await else { panic!("it stays") };
                drop((answer.send(taken_back), aside));
            };
            let aside = Aside::new(Role::AtTheMachine, "M104 S200".to_owned());
            let (refused, ()) = tokio::join!(send(&orders, aside, Duration::from_millis(1)), thread);
            let refusal = refused.unwrap_err();
            assert!(
                refusal.fault == Fault::FirmwareSilent && refusal.text.contains(words),
                "{}",
                refusal.text
            );
        }
    }
}
