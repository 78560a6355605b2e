//! The figures over HTTP, with a desk behind them that somebody plays.

use std::net::SocketAddr;

use spoolway_agent::metrics::{bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::desk::FakeDesk;

/// What is answered to these bytes until the connection ends.
async fn answered(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_page_is_served_one_request_after_the_other() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(Ok(listener), FakeDesk::default()));
    for _ in 0..2 {
        let answer = answered(address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", page.len())), "{head}");
        assert!(page.contains("\nspoolway_agent_events_unacked 3\n"), "{page}");
        assert!(page.contains("\nprocess_resident_memory_bytes "), "{page}");
    }
    let lost = answered(address, "GET / HTTP/1.1\r\n\r\n").await;
    assert!(lost.starts_with("HTTP/1.1 404 ") && lost.ends_with("the figures are at /metrics\n"), "{lost}");
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(10_000));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The head is too long to be read to its end; the answer may be lost with what was not read.
    drop(stream.write_all(long.as_bytes()).await);
    drop(stream.read_to_end(&mut Vec::new()).await);
    let silent = TcpStream::connect(address).await.unwrap();
    let after = answered(address, "GET /metrics HTTP/1.0\r\n\r\n").await;
    assert!(after.starts_with("HTTP/1.1 200 "), "one that says nothing keeps nobody for long: {after}");
    drop(silent);
    serving.abort();
}
