use futures_util::{SinkExt, StreamExt};
use spoolway_relay_frames::{Opcode, put};
use tokio::io::{AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Said;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::*;

type Client = WebSocketStream<DuplexStream>;

/// A socket and its client, with room for so many bytes between them.
async fn pair(room: usize, early: &[u8]) -> (Socket<BufReader<DuplexStream>>, Client) {
    let (here, there) = duplex(room);
    let client = WebSocketStream::from_raw_socket(there, Role::Client, None).await;
    (Socket::new(BufReader::new(here), early.to_vec()), client)
}

fn text(payload: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, Opcode::Text, &[payload.as_bytes()]);
    out
}

#[tokio::test]
async fn what_came_behind_the_request_is_read_first() {
    let early = *b"\x81\x82\0\0\0\0hi\x89\x81\0\0\0\0?\x81";
    let (socket, mut client) = pair(100, &early).await;
    let (mut reader, _writer) = socket.split();
    assert!(matches!(reader.read().await, Incoming::Text(text) if text == "hi"));
    assert!(matches!(reader.read().await, Incoming::Alive));
    client.get_mut().write_all(b"\x83\0\0\0\0you").await.unwrap();
    assert!(matches!(reader.read().await, Incoming::Text(text) if text == "you"));
    assert_eq!(client.next().await.unwrap().unwrap(), Said::Pong(b"?".to_vec().into()));
}

/// The answer to a ping waits for the frame that is on its way, and only the latest is answered.
#[tokio::test]
async fn pings_are_answered_between_frames() {
    let (socket, mut client) = pair(32, b"").await;
    let (mut reader, mut writer) = socket.split();
    let long = "x".repeat(500);
    let write = async {
        writer.write(text(&long)).await.unwrap();
        writer.write(text("more")).await.unwrap();
    };
    let read = async {
        for _ in 0..3 {
            assert!(matches!(reader.read().await, Incoming::Alive));
        }
        // Nothing else is said.
        let _ = futures_util::future::select(Box::pin(reader.read()), std::future::pending::<()>()).await;
    };
    let speak = async {
        for n in 0..3 {
            client.send(Said::Ping(vec![n].into())).await.unwrap();
        }
        let mut heard = Vec::new();
        while heard.len() < 3 {
            heard.push(client.next().await.unwrap().unwrap());
        }
        heard
    };
    let heard = tokio::select! {
        ((), heard) = async { tokio::join!(write, speak) } => heard,
        () = read => unreachable!("the client does not leave"),
    };
    let is_pong = |said: &&Said| said.is_pong();
    assert_eq!(heard.iter().filter(is_pong).collect::<Vec<_>>(), [&Said::Pong(vec![2].into())]);
    let texts: Vec<_> =
        heard.iter().filter(|said| said.is_text()).map(|said| said.to_text().unwrap()).collect();
    assert_eq!(texts, [long.as_str(), "more"]);
}

#[tokio::test]
async fn a_close_frame_is_answered_once_and_ends_both_ways() {
    let (socket, mut client) = pair(100, b"").await;
    let (mut reader, mut writer) = socket.split();
    client.close(Some(CloseFrame { code: 4321.into(), reason: "enough".into() })).await.unwrap();
    assert!(matches!(reader.read().await, Incoming::Closed));
    assert_eq!(writer.write(text("too late")).await, Err(Gone));
    assert_eq!(writer.close(Farewell { code: 1000, reason: "bye" }).await, Ok(()));
    let Said::Close(Some(answer)) = client.next().await.unwrap().unwrap() else { panic!("no answer") };
    assert_eq!((u16::from(answer.code), answer.reason.as_str()), (4321, ""));
    drop(socket);
    assert!(client.next().await.is_none_or(|end| end.is_err()), "nothing follows");
}

#[tokio::test]
async fn a_farewell_is_the_last_frame_and_what_comes_is_still_read() {
    let (socket, mut client) = pair(1_000, b"").await;
    let (mut reader, mut writer) = socket.split();
    client.send(Said::Text("one more".into())).await.unwrap();
    client.send(Said::Ping(vec![1].into())).await.unwrap();
    writer.close(Farewell { code: 4010, reason: "drain" }).await.unwrap();
    assert!(matches!(reader.read().await, Incoming::Text(text) if text == "one more"));
    assert!(matches!(reader.read().await, Incoming::Alive));
    let Said::Close(Some(farewell)) = client.next().await.unwrap().unwrap() else { panic!("no farewell") };
    assert_eq!((u16::from(farewell.code), farewell.reason.as_str()), (4010, "drain"));
    // Its answer to the close frame leaves as it reads on.
    let end = tokio::select! {
        end = reader.read() => end,
        more = client.next() => unreachable!("{more:?}"),
    };
    assert!(matches!(end, Incoming::Closed));
}

#[tokio::test]
async fn whoever_breaks_a_rule_is_told_why_and_not_read_again() {
    for (bytes, reason) in
        [(&b"\x81\x02hi"[..], "websocket framing"), (b"\x82\xff\0\0\0\0\x7f\0\0\0\0\0\0\0", FRAME_TOO_LARGE)]
    {
        let (socket, mut client) = pair(1_000, b"").await;
        let (mut reader, mut writer) = socket.split();
        client.get_mut().write_all(bytes).await.unwrap();
        client.get_mut().write_all(b"\x81\x80\0\0\0\0").await.unwrap();
        assert!(matches!(reader.read().await, Incoming::Broken(why) if why == reason));
        assert!(matches!(reader.read().await, Incoming::Closed));
        writer.close(Farewell { code: 4000, reason }).await.unwrap();
        let Said::Close(Some(told)) = client.next().await.unwrap().unwrap() else { panic!("no close") };
        assert_eq!((u16::from(told.code), told.reason.as_str()), (4000, reason));
    }
}

#[tokio::test]
async fn a_client_that_is_gone_is_noticed_by_both_halves() {
    let (socket, client) = pair(100, b"").await;
    let (mut reader, mut writer) = socket.split();
    drop(client);
    assert!(matches!(reader.read().await, Incoming::Closed));
    assert_eq!(writer.write(text("anybody?")).await, Err(Gone));
}
