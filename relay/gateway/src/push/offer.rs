//! What a push says besides the bytes: the offer from the query, the size and the range from the head.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, EXPECT};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;
use spoolway_protocol::command::{Actor, Command};
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::offer::{FileSpec, OfferArgs, Retain, Source, StartRule};
use spoolway_protocol::raw::{Extra, Raw};
use spoolway_protocol::{Address, AgentId, CmdId, Envelope, FileId, JobId, Message, MsgId, Seq};

use crate::answer::Trouble;

/// Words of the query; the first three have to be there.
pub(crate) const QUERY: &[&str] =
    &["cmd_id", "seq", "sha256", "file_id", "name", "owner", "actor", "start", "priority", "retain"];

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) cmd_id: CmdId,
    pub(super) job_id: JobId,
    pub(super) file: FileSpec,
    /// The byte of the file with which the body begins.
    pub(super) begin: u64,
    /// Whether the client waits for a word before it sends the body.
    pub(super) expects: bool,
    seq: Seq,
    owner: String,
    actor: String,
    start: StartRule,
    priority: i32,
    retain: Retain,
}

impl Offer {
    /// Reads the head of a request about this job; who asks is the owner where nobody else is named.
    pub(super) fn read(head: &Parts, job_id: JobId, backend: &str) -> Result<Self, Trouble> {
        let (begin, size) = range(&head.headers)?;
        let words = words(&head.uri)?;
        let word =
            |name: &str| words.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let needed = |name: &str| {
            word(name)
                .ok_or_else(|| Trouble::bad(format!("the query needs {name}; it knows {}", QUERY.join(", "))))
        };
        let file_id: FileId = parsed("file_id", word("file_id").unwrap_or(job_id.as_str()))?;
        let file = FileSpec {
            file_id,
            size,
            sha256: parsed("sha256", needed("sha256")?)?,
            chunk: CHUNK_PAYLOAD_BYTES as u32,
            chunks_sha256: None,
            name: word("name").unwrap_or(job_id.as_str()).to_owned(),
            ptype: None,
            gtype: None,
            extra: Extra::default(),
        };
        Ok(Self {
            cmd_id: parsed("cmd_id", needed("cmd_id")?)?,
            seq: Seq(parsed("seq", needed("seq")?)?),
            owner: word("owner").unwrap_or(backend).to_owned(),
            actor: word("actor").unwrap_or(backend).to_owned(),
            start: StartRule::from(word("start").unwrap_or("manual").to_owned()),
            priority: parsed("priority", word("priority").unwrap_or("0"))?,
            retain: Retain::from(word("retain").unwrap_or("delete").to_owned()),
            expects: head
                .headers
                .get(EXPECT)
                .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue")),
            job_id,
            file,
            begin,
        })
    }

    /// The frame with the command. Its name is the command's, so that a refusal on the way names it.
    pub(super) fn frame(&self, agent: AgentId) -> String {
        let args = OfferArgs {
            job_id: self.job_id.clone(),
            rev: 1,
            owner: self.owner.clone(),
            file: self.file.clone(),
            sources: vec![Source::Relay { extra: Extra::default() }],
            start: self.start.clone(),
            not_before: None,
            not_after: None,
            copies: 1,
            priority: self.priority,
            requires: None,
            estimate: None,
            retain: self.retain.clone(),
            extra: Extra::default(),
        };
        let command = Command {
            cmd_id: self.cmd_id,
            seq: self.seq,
            printer_id: None,
            kind: "job.offer".to_owned(),
            args: Raw::of(&args),
            actor: Actor {
                id: self.actor.clone(),
                role: "backend".to_owned(),
                decision: None,
                extra: Extra::default(),
            },
            must: Vec::new(),
            precondition: None,
            extra: Extra::default(),
            sig: None,
        };
        let id = MsgId::new(self.cmd_id.to_string()).ok();
        let envelope = Envelope::new(&Message::Cmd(Box::new(command))).to(Address::Agent(agent));
        Envelope { id, ..envelope }.encode()
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<T, Trouble> {
    value.parse().map_err(|error| Trouble::bad(format!("{name}: {error}")))
}

/// The members of the query. One that is not known, or stands twice, is refused: what somebody meant must not be left out.
fn words(uri: &Uri) -> Result<Vec<(String, String)>, Trouble> {
    let mut words: Vec<(String, String)> = Vec::new();
    for member in uri.query().unwrap_or_default().split('&').filter(|member| !member.is_empty()) {
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        if !QUERY.contains(&name) || words.iter().any(|(known, _)| known == name) {
            return Err(Trouble::bad(format!(
                "{name:?} once more, or not known: the query knows {}",
                QUERY.join(", ")
            )));
        }
        let value = percent_decode_str(value).decode_utf8();
        let value = value.map_err(|_| Trouble::bad(format!("{name} is not UTF-8 in percent-encoding")))?;
        words.push((name.to_owned(), value.into_owned()));
    }
    Ok(words)
}

/// Where the body begins in the file, and the size of the file (RFC 9110, section 14.5).
fn range(headers: &HeaderMap) -> Result<(u64, u64), Trouble> {
    let text =
        |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or_default());
    let no_length = || {
        Trouble::new(
            StatusCode::LENGTH_REQUIRED,
            "bad_field",
            "Content-Length has to say how long the body is",
        )
    };
    let length: u64 = text(CONTENT_LENGTH).and_then(|length| length.parse().ok()).ok_or_else(no_length)?;
    let Some(range) = text(CONTENT_RANGE) else { return Ok((0, length)) };
    let parse = || {
        let (bytes, size) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = bytes.split_once('-')?;
        let (first, last, size): (u64, u64, u64) =
            (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
        (last.checked_add(1)? == size && size.checked_sub(first)? == length).then_some((first, size))
    };
    let text =
        "Content-Range has to be `bytes FIRST-LAST/SIZE` up to the end of the file, and as long as the body";
    parse().ok_or_else(|| Trouble::bad(text))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use spoolway_protocol::CommandArgs;

    use super::*;

    const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const CMD_ID: &str = "0199c5c0-7c00-7000-8000-000000000001";

    fn read(query: &str, headers: &[(&str, &str)]) -> Result<Offer, Trouble> {
        let mut request = Request::builder().uri(format!("/v1/agents/x/jobs/job-1?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Offer::read(&request.body(()).unwrap().into_parts().0, "job-1".parse().unwrap(), "farm")
    }

    #[test]
    fn an_offer_is_made_of_the_query_and_the_length() {
        let query = format!("cmd_id={CMD_ID}&seq=7&sha256={SHA}&name=Teil%20%C3%A4.gcode&start=when_ready");
        let offer = read(&query, &[("content-length", "5"), ("expect", "100-Continue")]).unwrap();
        assert_eq!((offer.begin, offer.file.size, offer.expects), (0, 5, true));
        let envelope = Envelope::parse(&offer.frame(AgentId::from_bytes([1; 16]))).unwrap();
        assert_eq!(envelope.id.as_ref().map(MsgId::as_str), Some(CMD_ID));
        let Ok(Message::Cmd(command)) = envelope.message() else { panic!("{envelope:?}") };
        let Ok(CommandArgs::JobOffer(args)) = command.decode() else { panic!("{command:?}") };
        assert_eq!((command.seq, command.actor.id.as_str(), args.owner.as_str()), (Seq(7), "farm", "farm"));
        assert_eq!((args.file.name.as_str(), args.file.file_id.as_str()), ("Teil ä.gcode", "job-1"));
        assert_eq!((args.start, args.sources.len()), (StartRule::WhenReady, 1));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = format!("cmd_id={CMD_ID}&seq=7&sha256={SHA}");
        let length = [("content-length", "5")];
        assert!(read(&good, &length).is_ok());
        for (query, named) in [
            (format!("{good}&colour=red"), "colour"),
            (format!("{good}&seq=8"), "seq"),
            (format!("cmd_id={CMD_ID}&seq=7"), "sha256"),
            (format!("cmd_id={CMD_ID}&seq=x&sha256={SHA}"), "seq"),
            (format!("cmd_id={CMD_ID}&seq=7&sha256=ab"), "sha256"),
            (format!("{good}&name=%ff"), "name"),
        ] {
            let trouble = format!("{:?}", read(&query, &length).unwrap_err());
            assert!(trouble.contains(named), "{query}: {trouble}");
        }
        assert!(format!("{:?}", read(&good, &[]).unwrap_err()).contains("411"));
    }

    #[test]
    fn a_range_is_the_rest_of_the_file() {
        let good = format!("cmd_id={CMD_ID}&seq=7&sha256={SHA}");
        let with = |range: &str| read(&good, &[("content-length", "5"), ("content-range", range)]);
        let offer = with("bytes 10-14/15").unwrap();
        assert_eq!((offer.begin, offer.file.size), (10, 15));
        for bad in ["bytes 10-13/15", "bytes 0-14/15", "bytes */15", "10-14/15", "bytes 14-10/15"] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }
}
