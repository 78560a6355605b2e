//! The way to the relay: name, TCP to whichever address answers first, TLS. What is then spoken on it is another's matter.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustix::net::sockopt;
use rustls_pki_types::ServerName;
use spoolway_protocol::Fault;
use spoolway_protocol::hello::{EXPORTER_BYTES, EXPORTER_LABEL};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use super::RelaySettings;
use super::failure::{Failure, Stage};
use super::tls;
use crate::clock::Clock;
use crate::config::RelayUrl;

/// How long each stage may take.
const STAGE: Duration = Duration::from_secs(15);
/// How long an address has for itself before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;
/// Silence after which the kernel asks the peer for a sign of life, how often, and how many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMES: u32 = 4;

/// A TLS connection to the relay.
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    /// Keying material of the TLS session.
    pub(super) exporter: [u8; EXPORTER_BYTES],
}

/// Goes all the way, or says where it ended.
pub(super) async fn go(relay: &RelaySettings, clock: &Clock) -> Result<Secured, Failure> {
    let connector = {
        let (ca_file, clock) = (relay.ca_file.clone(), clock.clone());
        let load = tokio::task::spawn_blocking(move || tls::connector(ca_file.as_deref(), clock));
        let loaded = load.await.map_err(|error| Failure::unreachable(Stage::Settings, error.to_string()))?;
        loaded.map_err(|error| Failure::new(Stage::Settings, Fault::ConfigBroken, error.to_string()))?
    };
    let addresses = resolve(&relay.url).await?;
    let tcp = connect(addresses).await?;
    let name = ServerName::try_from(relay.url.host.clone())
        .map_err(|error| Failure::new(Stage::Settings, Fault::ConfigBroken, error.to_string()))?;
    let tls = in_time(Stage::Tls, connector.connect(name, tcp)).await?;
    let stream = tls.map_err(|error| Failure::tls(&error, clock.unix_ms()))?;
    let exporter =
        stream.get_ref().1.export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL.as_bytes(), None);
    let exporter =
        exporter.map_err(|error| Failure::unreachable(Stage::Tls, format!("no keying material: {error}")))?;
    Ok(Secured { stream, exporter })
}

/// The host as it stands in the `Host` header: an IPv6 address keeps its brackets (RFC 3986, section 3.2.2).
pub(super) fn signed_host(url: &RelayUrl) -> String {
    if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() }
}

async fn resolve(url: &RelayUrl) -> Result<Vec<SocketAddr>, Failure> {
    let found = in_time(Stage::Name, lookup_host((url.host.as_str(), url.port))).await?;
    let found: Vec<SocketAddr> = found
        .map_err(|error| Failure::unreachable(Stage::Name, format!("its name cannot be resolved: {error}")))?
        .collect();
    match found.is_empty() {
        true => Err(Failure::unreachable(Stage::Name, "its name has no address")),
        false => Ok(interleaved(&found)),
    }
}

/// The resolver's order, but the two families in turn (RFC 8305, section 4).
fn interleaved(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_ip6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        found.iter().copied().partition(|address| address.is_ipv6() == first_is_ip6);
    first.reverse();
    second.reverse();
    let mut order = Vec::with_capacity(found.len());
    while order.len() < found.len() {
        order.extend(first.pop());
        order.extend(second.pop());
    }
    order.truncate(ADDRESSES);
    order
}

/// TCP to the first address that answers; each gets a head start over the next.
async fn connect(addresses: Vec<SocketAddr>) -> Result<TcpStream, Failure> {
    let mut waiting = addresses.into_iter();
    let mut under_way: FuturesUnordered<_> = waiting.next().map(open).into_iter().collect();
    let mut refused = String::new();
    loop {
        let more = waiting.len() > 0;
        tokio::select! {
            Some(opened) = under_way.next() => match opened {
                Ok(tcp) => return Ok(tcp),
                Err(failure) => {
                    refused = failure;
                    under_way.extend(waiting.next().map(open));
                }
            },
            () = sleep(HEAD_START), if more => under_way.extend(waiting.next().map(open)),
            else => return Err(Failure::unreachable(Stage::Tcp, format!("no connection: {refused}"))),
        }
    }
}

async fn open(address: SocketAddr) -> Result<TcpStream, String> {
    let opened = timeout(STAGE, TcpStream::connect(address)).await;
    let tcp = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let prepared = tcp.and_then(|tcp| prepare(&tcp).map(|()| tcp));
    prepared.map_err(|error| format!("{address}: {error}"))
}

/// Small frames go out at once, and a router that forgot the connection is noticed.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(tcp, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(tcp, KEEPALIVE_TIMES)?;
    Ok(())
}

pub(super) async fn in_time<T>(stage: Stage, work: impl Future<Output = T>) -> Result<T, Failure> {
    let late = |_| Failure::unreachable(stage, format!("no answer within {} s", STAGE.as_secs()));
    timeout(STAGE, work).await.map_err(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let parse = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let found = ["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1"].map(parse);
        assert_eq!(interleaved(&found), ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(parse));
        assert_eq!(interleaved(&[parse("1.1.1.1:1"); 20]).len(), ADDRESSES);
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let tcp = connect(vec![closed, good]).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), good);
        let failure = connect(vec![closed]).await.unwrap_err();
        assert_eq!(failure.stage, Stage::Tcp);
        assert!(failure.text.contains(&closed.to_string()), "{failure}");
    }

    #[test]
    fn addresses_are_signed_with_their_brackets() {
        for (url, host) in [("wss://[::1]:9", "[::1]"), ("wss://Relay.example:9", "relay.example")] {
            assert_eq!(signed_host(&url.parse().unwrap()), host);
        }
    }
}
