//! Where the page is to be had: HTTP on a loopback address, one request a connection, one connection at a time.

use std::net::SocketAddr;
use std::time::Duration;

use spoolway_protocol::Fault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, info, warn};

use super::{Process, page};
use crate::board::Board;
use crate::local::Counter;
use crate::view::Refusal;

/// Longest head of a request.
const HEAD: usize = 4096;
/// Longest that one request may keep the others waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// Listens at this address.
///
/// # Errors
/// It is taken, or is none of this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Refusal> {
    let refused = |error| Refusal::new(Fault::MetricsAddress, format!("{address}: {error}"));
    TcpListener::bind(address).await.map_err(refused)
}

/// Serves the page for ever, where somebody wants it. That nobody can be served is told, and nothing else comes of it.
pub async fn serve(listener: Result<TcpListener, Refusal>, counter: impl Counter) {
    let listener = match listener {
        Ok(listener) => listener,
        Err(refusal) => {
            warn!(code = refusal.fault.code(), error = %refusal, help = refusal.fault.help(), "no figures for Prometheus");
            return;
        }
    };
    if let Ok(address) = listener.local_addr() {
        info!(%address, "figures for Prometheus are served");
    }
    loop {
        let served = match listener.accept().await {
            Ok((stream, _)) => tokio::time::timeout(PATIENCE, answer(stream, &counter)).await,
            // Out of descriptors, say: others need the processor more.
            Err(error) => {
                debug!(%error, "a request for figures");
                tokio::time::sleep(PATIENCE).await;
                continue;
            }
        };
        if !matches!(served, Ok(Ok(()))) {
            debug!("a request for figures was not answered");
        }
    }
}

async fn answer(mut stream: TcpStream, counter: &impl Counter) -> std::io::Result<()> {
    let head = head(&mut stream).await?;
    let (status, kind, body) = match Wanted::of(&head) {
        Wanted::Page => match counter.status().await {
            Ok(status) => (
                "200 OK",
                "text/plain; version=0.0.4; charset=utf-8",
                page(&status, Process::now(), Board::now()),
            ),
            Err(refusal) => ("503 Service Unavailable", TEXT, format!("{refusal}\n")),
        },
        Wanted::Other => ("404 Not Found", TEXT, "the figures are at /metrics\n".to_owned()),
        Wanted::Unclear => ("400 Bad Request", TEXT, "GET /metrics is what is answered\n".to_owned()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

const TEXT: &str = "text/plain; charset=utf-8";

/// The head of a request: up to its blank line, or what there is before it becomes too long.
async fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 512];
        let got = stream.read(&mut piece).await?;
        head.extend_from_slice(&piece[..got]);
        if got == 0 || head.len() > HEAD {
            break;
        }
    }
    Ok(head)
}

#[derive(Debug, PartialEq)]
enum Wanted {
    Page,
    Other,
    Unclear,
}

impl Wanted {
    fn of(head: &[u8]) -> Self {
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
        match words[..] {
            [b"GET", target, version] if version.starts_with(b"HTTP/1.") => {
                let path = target.split(|&byte| byte == b'?').next();
                if path == Some(b"/metrics") { Self::Page } else { Self::Other }
            }
            _ => Self::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_is_given_out() {
        for (head, wanted) in [
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", Wanted::Page),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", Wanted::Page),
            ("GET / HTTP/1.1\r\n\r\n", Wanted::Other),
            ("GET /metrics/x HTTP/1.1\r\n\r\n", Wanted::Other),
            ("POST /metrics HTTP/1.1\r\n\r\n", Wanted::Unclear),
            ("GET /metrics\r\n", Wanted::Unclear),
            ("", Wanted::Unclear),
        ] {
            assert_eq!(Wanted::of(head.as_bytes()), wanted, "{head:?}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let refusal = bind(address).await.unwrap_err();
        assert_eq!(refusal.fault, Fault::MetricsAddress);
        assert!(refusal.text.starts_with(&address.to_string()), "{refusal}");
    }
}
