//! The first words of TLS 1.2 by hand, for what no library says any more.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::World;

/// A record's kinds (RFC 5246, section 6.2.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// "handshake_failure" (RFC 5246, section 7.2.2), which RFC 7627, section 5.3, asks for.
const HANDSHAKE_FAILURE: u8 = 40;
/// The extension of RFC 7627.
const EXTENDED_MASTER_SECRET: u16 = 23;

fn vector(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(body)].concat()
}

/// A ClientHello of TLS 1.2 for `localhost` (RFC 5246, section 7.4.1.2), with more extensions.
fn client_hello(more: &[u8]) -> Vec<u8> {
    let name = [&[0][..], &vector(b"localhost")].concat();
    let extensions = [
        extension(0, &vector(&name)),
        // Curves: X25519 and P-256; points that are not compressed; signatures: ECDSA with P-256, and RSA.
        extension(10, &vector(&[0, 29, 0, 23])),
        extension(11, &[1, 0]),
        extension(13, &vector(&[4, 3, 8, 4, 4, 1])),
        more.to_vec(),
    ]
    .concat();
    // ECDHE with AES-128 in GCM, for both kinds of certificate.
    let suites = vector(&[0xc0, 0x2b, 0xc0, 0x2f]);
    let body = [&[3, 3][..], &[7; 32], &[0], &suites, &[1, 0], &vector(&extensions)].concat();
    let hello = [&[1, 0][..], &vector(&body)].concat();
    [&[HANDSHAKE, 3, 1][..], &vector(&hello)].concat()
}

/// The kind of the first record that is answered, and what it holds.
async fn answered(world: &World, hello: &[u8]) -> (u8, Vec<u8>) {
    let mut tcp = world.tcp_from("127.0.0.1").await;
    tcp.write_all(hello).await.unwrap();
    let mut head = [0; 5];
    tcp.read_exact(&mut head).await.unwrap();
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    tcp.read_exact(&mut body).await.unwrap();
    (head[0], body)
}

#[tokio::test]
async fn tls_1_2_without_the_extended_master_secret_is_refused_with_an_alert() {
    let world = World::start(|_| {}).await;
    let (kind, body) = answered(&world, &client_hello(&[])).await;
    assert_eq!((kind, body.as_slice()), (ALERT, &[2, HANDSHAKE_FAILURE][..]));
    // The very same with it is answered by a ServerHello.
    let (kind, body) = answered(&world, &client_hello(&extension(EXTENDED_MASTER_SECRET, &[]))).await;
    assert_eq!((kind, body.first()), (HANDSHAKE, Some(&2)));
}
