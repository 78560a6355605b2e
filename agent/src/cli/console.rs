//! `console`: the live conversation with the printer, and single commands to it.

use std::io::{self, BufRead, Write};
use std::path::Path;

use super::paint::{Paint, plain};
use super::{Failure, Whereabouts};
use crate::local::Client;
use crate::local::words::{Answer, Request};
use crate::view::WireLineView;

/// Sends one command, and shows the replies.
pub(super) fn send(whereabouts: &Whereabouts, command: &str, out: &mut impl Write) -> Result<(), Failure> {
    let replies = whereabouts.agent()?.send(command)?;
    for reply in &replies {
        writeln!(out, "{}", plain(reply))?;
    }
    if replies.is_empty() {
        writeln!(out, "ok")?;
    }
    Ok(())
}

/// Shows the conversation as it goes on; lines that are typed are sent.
pub(super) fn console(whereabouts: &Whereabouts, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let socket = whereabouts.find_socket()?;
    let mut agent = Client::connect(&socket)?;
    let paint = Paint::of(&io::stdout());
    let mut answer = agent.ask(&Request::Console)?;
    std::thread::Builder::new().name("typed".to_owned()).spawn(move || send_typed(&socket))?;
    loop {
        match answer {
            Answer::Wire { line } if json => {
                writeln!(out, "{}", serde_json::to_string(&line).map_err(io::Error::from)?)?;
            }
            Answer::Wire { line } => writeln!(out, "{}", shown(&line, paint))?,
            Answer::Missed { lines } if json => writeln!(out, "{}", serde_json::json!({"missed": lines}))?,
            Answer::Missed { lines } => {
                writeln!(out, "... {lines} pieces were missed, this reader is too slow ...")?;
            }
            Answer::Done => return Ok(()),
            other => return Err(agent.strange(&other).into()),
        }
        out.flush()?;
        answer = agent.read()?;
    }
}

fn shown(line: &WireLineView, paint: Paint) -> String {
    let seconds = line.at_ms as f64 / 1e3;
    let text = plain(&line.text);
    match line.from.as_str() {
        "agent" => format!("{seconds:10.3} {}", paint.dim(&format!("> {text}"))),
        _ => format!("{seconds:10.3} < {text}"),
    }
}

/// What is typed goes out over a connection of its own; the replies show up in the conversation.
fn send_typed(socket: &Path) {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        if line.trim().is_empty() {
            continue;
        }
        let sent = Client::connect(socket).and_then(|mut agent| agent.send(&line));
        if let Err(error) = sent {
            Failure::from(error).print();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_told_apart() {
        let line = |from: &str| WireLineView { at_ms: 1_500, from: from.to_owned(), text: "ok".to_owned() };
        assert_eq!(shown(&line("agent"), Paint::none()), "     1.500 > ok");
        assert_eq!(shown(&line("printer"), Paint::none()), "     1.500 < ok");
    }
}
