//! The way to the relay: name, TCP to whichever address answers first, the tunnel of a proxy, TLS. What is then spoken on it is
//! another's matter.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustix::net::sockopt;
use rustls::ProtocolVersion;
use rustls_pki_types::ServerName;
use spoolway_protocol::Fault;
use spoolway_protocol::hello::{EXPORTER_BYTES, EXPORTER_LABEL};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::RelaySettings;
use super::address::is_public;
use super::client_cert::{Answer, Own};
use super::failure::{Failure, Stage};
use super::first_bytes::FirstBytes;
use super::proxy::Proxy;
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

/// Hears of every step that was made, and what was found on it.
pub(super) trait Listener {
    /// This step is made.
    fn passed(&mut self, stage: Stage, found: fmt::Arguments<'_>);
}

/// Nobody.
impl Listener for () {
    fn passed(&mut self, _: Stage, _: fmt::Arguments<'_>) {}
}

/// TLS over what a connection to the relay or its proxy carries.
pub(super) type Stream = TlsStream<FirstBytes<TcpStream>>;

/// A TLS connection to the relay.
pub(super) struct Secured {
    pub(super) stream: Stream,
    /// Keying material of the TLS session.
    pub(super) exporter: [u8; EXPORTER_BYTES],
    /// Whom the connection is with; not known behind a proxy.
    pub(super) peer: Option<IpAddr>,
}

/// Which addresses a name may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereto {
    /// Any.
    Anywhere,
    /// None of a network of one's own. Behind a proxy only the proxy knows.
    Public,
}

impl Whereto {
    fn allows(self, address: SocketAddr) -> bool {
        self == Self::Anywhere || is_public(address.ip())
    }
}

/// Goes all the way, or says where it ended.
pub(super) async fn go(
    relay: &RelaySettings,
    clock: &Clock,
    own: Option<Own>,
    listener: &mut impl Listener,
) -> Result<Secured, Failure> {
    go_to(relay, clock, own, listener, Whereto::Anywhere).await
}

/// The same, where the name may not have any address.
pub(super) async fn go_to(
    relay: &RelaySettings,
    clock: &Clock,
    own: Option<Own>,
    listener: &mut impl Listener,
    whereto: Whereto,
) -> Result<Secured, Failure> {
    let Prepared { connector, answer, proxy } = prepared(relay, clock, own).await?;
    let tcp = match &proxy {
        None => {
            let tcp = reach(&relay.url.host, relay.url.port, listener, whereto).await?;
            listener.passed(Stage::Proxy, format_args!("none is set for this relay"));
            tcp
        }
        Some(proxy) => {
            let tcp = reach(&proxy.url.host, proxy.url.port, listener, Whereto::Anywhere).await;
            let tcp = tcp.map_err(|failure| failure.at_proxy(&proxy.url.host))?;
            let tcp = proxy.tunnel(tcp, &relay.url).await?;
            listener.passed(
                Stage::Proxy,
                format_args!("{} lets it through (set by {})", proxy.url, proxy.named_by),
            );
            tcp
        }
    };
    let peer = tcp.peer_addr().ok().map(|peer| peer.ip()).filter(|_| proxy.is_none());
    let stream = secure(&connector, tcp, &relay.url, clock).await?;
    let session = stream.get_ref().1;
    let exporter = session.export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL.as_bytes(), None);
    let exporter =
        exporter.map_err(|error| Failure::unreachable(Stage::Tls, format!("no keying material: {error}")))?;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    let asked = answer.told();
    listener.passed(
        Stage::Tls,
        format_args!("{version}, and the certificate is good for {}{asked}", relay.url.host),
    );
    Ok(Secured { stream, exporter, peer })
}

/// What has to be read from files first.
struct Prepared {
    /// Whom to trust.
    connector: TlsConnector,
    /// What is shown of oneself.
    answer: Arc<Answer>,
    /// Which way to take.
    proxy: Option<Proxy>,
}

async fn prepared(relay: &RelaySettings, clock: &Clock, own: Option<Own>) -> Result<Prepared, Failure> {
    let (relay, clock) = (relay.clone(), clock.clone());
    let read = tokio::task::spawn_blocking(move || {
        let broken = |text: String| Failure::new(Stage::Settings, Fault::ConfigBroken, text);
        let answer = Answer::by(&relay.client, own).map_err(broken)?;
        let connector = tls::connector(relay.ca_file.as_deref(), relay.ca_only, Arc::clone(&answer), clock);
        let connector = connector.map_err(|error| broken(error.to_string()))?;
        Ok(Prepared { connector, answer, proxy: Proxy::of(&relay)? })
    });
    read.await.map_err(|error| Failure::unreachable(Stage::Settings, error.to_string()))?
}

/// Name and TCP.
async fn reach(
    host: &str,
    port: u16,
    listener: &mut impl Listener,
    whereto: Whereto,
) -> Result<TcpStream, Failure> {
    let mut addresses = resolve(host, port).await?;
    addresses.retain(|address| whereto.allows(*address));
    if addresses.is_empty() {
        let text = format!("{host} is in a network of one's own, and nobody in the world leads there");
        return Err(Failure::unreachable(Stage::Name, text));
    }
    let shown: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    listener.passed(Stage::Name, format_args!("{host} is {}", shown.join(", ")));
    let tcp = connect(addresses).await?;
    if let Ok(peer) = tcp.peer_addr() {
        listener.passed(Stage::Tcp, format_args!("{peer} answers"));
    }
    Ok(tcp)
}

async fn secure(
    connector: &TlsConnector,
    tcp: TcpStream,
    url: &RelayUrl,
    clock: &Clock,
) -> Result<Stream, Failure> {
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| Failure::new(Stage::Settings, Fault::ConfigBroken, error.to_string()))?;
    let shaken = connector.connect(name, FirstBytes::of(tcp)).into_fallible();
    let shaken = in_time(Stage::Tls, shaken).await?;
    shaken.map_err(|(error, stream)| Failure::tls(&error, stream.seen(), clock.unix_ms()))
}

/// The host as it stands in the `Host` header: an IPv6 address keeps its brackets (RFC 3986, section 3.2.2).
pub(super) fn signed_host(url: &RelayUrl) -> String {
    if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let failed = |why: &dyn fmt::Display| {
        Failure::unreachable(Stage::Name, format!("{host} cannot be resolved: {why}"))
    };
    let found = in_time(Stage::Name, lookup_host((host, port))).await?;
    let found: Vec<SocketAddr> = found.map_err(|error| failed(&error))?.collect();
    match found.is_empty() {
        true => Err(failed(&"it has no address")),
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
        assert_eq!((failure.stage, failure.fault), (Stage::Tcp, Fault::NetworkTcp));
        assert_eq!(failure.at_proxy("p").fault, Fault::ProxyUnreachable);
        let failure = connect(vec![closed]).await.unwrap_err();
        assert!(failure.text.contains(&closed.to_string()), "{failure}");
    }

    /// An address that takes no connection and refuses none, as one behind a black hole: its queue is full.
    async fn silent() -> (std::os::fd::OwnedFd, Vec<TcpStream>, SocketAddr) {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&fd, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&fd, 0).unwrap();
        let address = SocketAddr::try_from(getsockname(&fd).unwrap()).unwrap();
        let mut queued = Vec::new();
        while let Ok(Ok(tcp)) = timeout(HEAD_START, TcpStream::connect(address)).await {
            queued.push(tcp);
        }
        (fd, queued, address)
    }

    #[tokio::test]
    async fn an_address_that_says_nothing_holds_up_nobody() {
        let (_listening, _queued, dead) = silent().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        tokio::select! {
            biased;
            waited = open(dead) => panic!("the good address was not tried before {waited:?}"),
            tcp = connect(vec![dead, good]) => assert_eq!(tcp.unwrap().peer_addr().unwrap(), good),
        }
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_is_named() {
        // No label of the DNS is that long (RFC 1035, section 2.3.4), so that no server is asked.
        let name = "a".repeat(64);
        let failure = resolve(&name, 443).await.unwrap_err();
        assert_eq!((failure.stage, failure.fault), (Stage::Name, Fault::NetworkDns));
        assert!(failure.text.starts_with(&format!("{name} cannot be resolved: ")), "{failure}");
    }

    #[test]
    fn addresses_are_signed_with_their_brackets() {
        for (url, host) in [("wss://[::1]:9", "[::1]"), ("wss://Relay.example:9", "relay.example")] {
            assert_eq!(signed_host(&url.parse().unwrap()), host);
        }
    }
}
