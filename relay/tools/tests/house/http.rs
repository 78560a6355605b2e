//! A connection to the public port that speaks plain HTTP/1.1, and signs as an agent does.

use serde_json::Value;
use sha2::{Digest, Sha256};
use spoolway_protocol::hello::{EXPORTER_LABEL, attach_signature};
use spoolway_protocol::pairing::pair_signed_bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::world::{Machine, World};

pub(crate) struct Line {
    stream: BufReader<TlsStream<TcpStream>>,
    exporter: [u8; 32],
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    /// From where an upload would go on.
    pub(crate) offset: Option<u64>,
    pub(crate) text: String,
    /// The text, if it is JSON.
    pub(crate) body: Value,
}

impl Line {
    pub(crate) async fn dial(world: &World) -> Self {
        let stream = world.tls().await;
        let exporter = [0; 32];
        let exporter = stream.get_ref().1.export_keying_material(exporter, EXPORTER_LABEL.as_bytes(), None);
        Self { exporter: exporter.unwrap(), stream: BufReader::new(stream) }
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.begin(method, path, headers, body).await;
        self.answer().await
    }

    /// Says it, and does not wait for the answer.
    pub(crate) async fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost:1\r\ncontent-length: {}\r\n", body.len());
        self.stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).await.unwrap();
    }

    /// Bytes as they are. What the other end does not want any more is lost without a word.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        // TLS may have taken what the socket has not.
        let _ = self.stream.flush().await;
    }

    /// The next line of a head, without its end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).await.unwrap() > 0, "closed: {head:?}");
        }
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            retry_after: header("retry-after").map(|seconds| seconds.parse().unwrap()),
            offset: header("upload-offset").map(|offset| offset.parse().unwrap()),
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
        }
    }

    /// The next piece of a body that has no length; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.stream.read_line(&mut size).await.ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await.ok()?;
        chunk.truncate(size);
        (size > 0).then(|| String::from_utf8(chunk).unwrap())
    }

    /// The body with a signature for this connection.
    pub(crate) fn sign(&self, path: &str, machine: &Machine, body: &Value) -> String {
        let body = body.to_string();
        let digest: [u8; 32] = Sha256::digest(&body).into();
        let bytes = pair_signed_bytes(path, "localhost", &self.exporter, &digest);
        attach_signature(&body, &machine.sign(&bytes)).unwrap()
    }

    pub(crate) async fn signed(&mut self, path: &str, machine: &Machine, body: &Value) -> Answer {
        let body = self.sign(path, machine, body);
        self.send("POST", path, &[], &body).await
    }

    pub(crate) async fn as_backend(&mut self, method: &str, path: &str, backend: &str, body: &str) -> Answer {
        self.send(method, path, &[("authorization", &format!("Bearer {backend}.secret"))], body).await
    }
}
