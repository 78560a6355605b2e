//! The owning backend, as far as it gives commands and hears how they end.

use serde_json::Value;
use spoolway_protocol::CmdId;
use spoolway_tests::demo::house::House;
use spoolway_tests::dial::{Dialler, Frame, Socket};

pub(crate) struct Farm {
    socket: Socket,
    /// The last command that was given by [`Farm::ask`].
    seq: u64,
}

fn cmd_id(seq: u64) -> CmdId {
    CmdId::from_parts(1_760_000_000_000 + seq, &[1; 10])
}

/// A command that nobody has signed.
pub(crate) fn body(seq: u64, role: &str, (kind, args): (&str, &str)) -> String {
    let cmd_id = cmd_id(seq);
    format!(
        r#"{{"cmd_id":"{cmd_id}","seq":{seq},"kind":"{kind}","args":{args},"actor":{{"id":"anna","role":"{role}"}}}}"#
    )
}

impl Farm {
    pub(crate) async fn dial(house: &House) -> Self {
        Self { socket: Dialler::new(house.relay()).unwrap().dial().await.unwrap(), seq: 0 }
    }

    pub(crate) async fn command(&mut self, house: &House, seq: u64, kind: &str, args: &str) {
        self.command_as("operator", house, seq, (kind, args)).await;
    }

    pub(crate) async fn command_as(
        &mut self,
        role: &str,
        house: &House,
        seq: u64,
        (kind, args): (&str, &str),
    ) {
        self.send(house, &body(seq, role, (kind, args))).await;
    }

    /// Sends a command's body as it is.
    pub(crate) async fn send(&mut self, house: &House, body: &str) {
        let agent = house.agent_id();
        let frame =
            format!(r#"{{"v":1,"t":"cmd","to":"a:{agent}","lane":"urgent","ttl_ms":60000,"body":{body}}}"#);
        self.socket.send(vec![Frame::text(frame)]).await.unwrap();
    }

    /// Gives the next command and waits for its end: status and code.
    pub(crate) async fn ask(
        &mut self,
        role: &str,
        house: &House,
        kind: &str,
        args: &str,
    ) -> (String, String) {
        self.seq += 1;
        let seq = self.seq;
        self.command_as(role, house, seq, (kind, args)).await;
        let ended = self.result(house, seq).await;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (word(&ended["status"]), word(&ended["code"]))
    }

    /// How a command ended. Events are acknowledged: an agent sends few behind those that are not.
    pub(crate) async fn result(&mut self, house: &House, seq: u64) -> Value {
        let cmd_id = cmd_id(seq).to_string();
        loop {
            let frame: Value = serde_json::from_str(&self.socket.next_text().await.unwrap()).unwrap();
            let items = frame["body"]["items"].as_array().cloned().unwrap_or_default();
            if let Some(last) = items.last() {
                let (agent, epoch, seq) = (house.agent_id(), &last["epoch"], &last["seq"]);
                let ack =
                    format!(r#"{{"v":1,"t":"ack","to":"a:{agent}","body":{{"epoch":{epoch},"seq":{seq}}}}}"#);
                self.socket.send(vec![Frame::text(ack)]).await.unwrap();
            }
            let results = items.iter().filter(|item| item["kind"] == "cmd.result");
            if let Some(result) = results.map(|item| &item["data"]).find(|data| data["cmd_id"] == *cmd_id) {
                return result.clone();
            }
        }
    }

    pub(crate) async fn until_up(&mut self) {
        while !self.socket.next_text().await.unwrap().contains(r#""state":"up""#) {}
    }
}
