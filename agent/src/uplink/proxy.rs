//! Through an HTTP proxy: whether there is one, and the tunnel to the relay that it is asked for (RFC 9110, section 9.3.6).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use spoolway_protocol::Fault;
use tokio::net::TcpStream;

use super::RelaySettings;
use super::failure::{Failure, Stage, is_web, plain};
use super::no_proxy::excepts;
use super::retry_after::retry_after_ms;
use super::way::{in_time, signed_host};
use crate::config::{ProxyAddress, ProxyChoice, ProxyUrl, RelayUrl};

/// Largest head of an answer.
const HEAD_BYTES: usize = 16 * 1024;
/// Longest first line of a file with a password.
const PASSWORD_BYTES: usize = 1_024;
/// Where curl looks, in its order (curl(1), ENVIRONMENT).
const VARIABLES: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// A proxy on the way. No `Debug`: it holds a password.
pub(super) struct Proxy {
    pub(super) url: ProxyUrl,
    /// The setting or variable that names it.
    pub(super) named_by: &'static str,
    /// The value of `Proxy-Authorization`.
    credentials: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy to the relay, if one is set. It reads a file, so it belongs on a blocking thread.
    pub(super) fn of(relay: &RelaySettings) -> Result<Option<Self>, Failure> {
        Self::by(relay, |name| std::env::var(name).ok())
    }

    fn by(relay: &RelaySettings, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Failure> {
        let file = relay.proxy.password_file.as_deref();
        let found = match &relay.proxy.choice {
            ProxyChoice::Straight => return Ok(None),
            ProxyChoice::At(url) => Some((ProxyAddress { url: url.clone(), password: None }, "relay.proxy")),
            ProxyChoice::Environment => by_environment(&relay.url.host, variable)?,
        };
        let Some((ProxyAddress { url, password }, named_by)) = found else { return Ok(None) };
        let credentials = match (&url.user, password, file) {
            (None, ..) => None,
            (Some(user), Some(password), _) => Some(basic(user, &password)),
            (Some(user), None, Some(file)) => Some(basic(user, &read_password(file).map_err(broken)?)),
            (Some(user), None, None) => Some(basic(user, "")),
        };
        Ok(Some(Self { url, named_by, credentials }))
    }

    /// Asks for a tunnel to the relay, on a connection to the proxy.
    pub(super) async fn tunnel(&self, tcp: TcpStream, relay: &RelayUrl) -> Result<TcpStream, Failure> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES);
        let shaken = builder.handshake::<_, Empty<Bytes>>(TokioIo::new(tcp)).await;
        let (mut sender, connection) = shaken.map_err(|error| strange(&error))?;
        // It ends with the tunnel, or when the sender is dropped.
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
        let target = format!("{}:{}", signed_host(relay), relay.port);
        let answered = in_time(Stage::Proxy, sender.send_request(self.request(&target)?)).await?;
        let response = answered.map_err(|error| strange(&error))?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(&response, &target));
        }
        let upgraded = in_time(Stage::Proxy, hyper::upgrade::on(response)).await?;
        let upgraded = upgraded.map_err(|error| strange(&error))?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().expect("it was made of this stream");
        // In TLS nobody speaks before the client has.
        match parts.read_buf.as_ref() {
            [] => Ok(parts.io.into_inner()),
            said if is_web(said) => Err(captive("a web page answered in the proxy's place")),
            _ => Err(Failure::unreachable(Stage::Proxy, "what answers is no HTTP proxy: it speaks first")),
        }
    }

    fn request(&self, target: &str) -> Result<Request<Empty<Bytes>>, Failure> {
        let mut request = Request::connect(target)
            .header(HOST, target)
            .header(USER_AGENT, concat!("spoolway-agent/", env!("CARGO_PKG_VERSION")));
        if let Some(credentials) = &self.credentials {
            request = request.header(PROXY_AUTHORIZATION, credentials.clone());
        }
        request.body(Empty::new()).map_err(|error| broken(format!("relay.url: {error}")))
    }

    /// Why there is no tunnel.
    fn refusal(&self, response: &Response<Incoming>, target: &str) -> Failure {
        let (status, headers) = (response.status(), response.headers());
        match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Failure::new(Stage::Proxy, Fault::ProxyAuth, self.asked(headers))
            }
            // Some networks ask for their login this way (RFC 6585, section 6).
            StatusCode::NETWORK_AUTHENTICATION_REQUIRED => {
                captive(&format!("the proxy's address answers HTTP {status}"))
            }
            _ if status.is_redirection() => {
                let to = word(headers, &LOCATION).unwrap_or_else(|| "nowhere".to_owned());
                captive(&plain(&format!("the proxy's address answers HTTP {status} and leads to {to}")))
            }
            _ => {
                let text = format!("the proxy does not let through to {target}: HTTP {status}");
                Failure::unreachable(Stage::Proxy, text).not_before(retry_after_ms(headers))
            }
        }
    }

    /// What it asked for with its 407, against what it was given.
    fn asked(&self, headers: &HeaderMap) -> String {
        let offers: Vec<_> =
            headers.get_all(PROXY_AUTHENTICATE).iter().filter_map(|offer| offer.to_str().ok()).collect();
        let has_basic = offers
            .iter()
            .any(|offer| offer.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic")));
        let offers = plain(&offers.join(", "));
        match (&self.credentials, &self.url.user) {
            _ if !has_basic && !offers.is_empty() => {
                format!("the proxy asks for a way to log in that is not known here ({offers})")
            }
            (Some(_), Some(user)) => format!("the proxy does not accept the password of {}", plain(user)),
            _ => "the proxy asks for a user and a password".to_owned(),
        }
    }
}

/// What the environment says. A proxy of its own is of no use to reach this machine itself.
fn by_environment(
    host: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<(ProxyAddress, &'static str)>, Failure> {
    let set = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)))
    };
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let Some((name, value)) = set(VARIABLES).filter(|_| !is_here) else { return Ok(None) };
    if set(EXCEPTIONS).is_some_and(|(_, list)| excepts(&list, host)) {
        return Ok(None);
    }
    let address = value.parse().map_err(|error| broken(format!("{name}: {error}")))?;
    Ok(Some((address, name)))
}

/// The first line of a file that only its owner and group can read.
pub(super) fn read_password(path: &Path) -> Result<String, String> {
    let named =
        |why: &dyn std::fmt::Display| format!("relay.proxy_password_file = {}: {why}", path.display());
    let file = File::open(path).map_err(|error| named(&error))?;
    let mode = file.metadata().map_err(|error| named(&error))?.mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(named(&format!("has mode {mode:04o} and is open to everybody; `chmod o= FILE`")));
    }
    let mut line = Vec::new();
    // One that is cut off would be a wrong password, for which a proxy may lock the account.
    let read = BufReader::new(file.take(PASSWORD_BYTES as u64 + 2)).read_until(b'\n', &mut line);
    read.map_err(|error| named(&error))?;
    while line.pop_if(|last| matches!(last, b'\r' | b'\n')).is_some() {}
    if line.len() > PASSWORD_BYTES {
        return Err(named(&"its first line is longer than 1,024 bytes, and so no password"));
    }
    let password = String::from_utf8(line).map_err(|_| named(&"its first line is no text"))?;
    if password.is_empty() || password.chars().any(char::is_control) {
        return Err(named(&"its first line is no password"));
    }
    Ok(password)
}

/// RFC 7617, section 2.
fn basic(user: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::try_from(text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

fn word(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn broken(text: String) -> Failure {
    Failure::new(Stage::Settings, Fault::ConfigBroken, text)
}

fn captive(text: &str) -> Failure {
    Failure::new(Stage::Proxy, Fault::NetworkCaptivePortal, text)
}

fn strange(error: &hyper::Error) -> Failure {
    let text = match error.is_parse() {
        true => format!("what answers is no HTTP proxy ({error})"),
        false => format!("the proxy broke off: {error}"),
    };
    Failure::unreachable(Stage::Proxy, text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Proxy as Chosen;

    fn relay(url: &str) -> RelaySettings {
        RelaySettings {
            url: url.parse().unwrap(),
            ca_file: None,
            ca_only: false,
            allow_unbound: false,
            client: Default::default(),
            proxy: Chosen::default(),
        }
    }

    fn sent(proxy: &Proxy) -> String {
        let sent = proxy.credentials.as_ref().unwrap().to_str().unwrap().strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(sent).unwrap()).unwrap()
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let found = |url: &str, variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            let proxy = Proxy::by(&relay(url), variable).unwrap_or_else(|failure| panic!("{failure}"));
            proxy.map(|proxy| (proxy.url.to_string(), proxy.named_by))
        };
        let there = |host: &str, name| Some((format!("http://{host}:1080"), name));
        let far = "wss://relay.example";
        assert_eq!(found(far, &[]), None);
        assert_eq!(found(far, &[("HTTPS_PROXY", "")]), None);
        assert_eq!(found(far, &[("HTTP_PROXY", "p")]), None);
        assert_eq!(found(far, &[("HTTPS_PROXY", "p")]), there("p", "HTTPS_PROXY"));
        assert_eq!(found(far, &[("HTTPS_PROXY", "p"), ("https_proxy", "q")]), there("q", "https_proxy"));
        assert_eq!(found(far, &[("HTTPS_PROXY", "p"), ("NO_PROXY", "*")]), None);
        assert_eq!(
            found(far, &[("HTTPS_PROXY", "p"), ("NO_PROXY", "*"), ("no_proxy", "b")]),
            there("p", "HTTPS_PROXY")
        );
        for here in ["wss://localhost:9", "wss://127.0.0.1:9", "wss://[::1]:9"] {
            assert_eq!(found(here, &[("HTTPS_PROXY", "p")]), None, "{here}");
        }
    }

    #[test]
    fn what_the_configuration_says_holds_whatever_the_environment_says() {
        let variable =
            |name: &str| Some(if name.contains("no") { "*" } else { "http://u:v@env:1" }.to_owned());
        let mut relay = relay("wss://relay.example");
        relay.proxy.choice = ProxyChoice::At("http://me@here:2".parse().unwrap());
        let proxy = Proxy::by(&relay, variable).ok().flatten().unwrap();
        assert_eq!(
            (proxy.url.host.as_str(), proxy.named_by, sent(&proxy).as_str()),
            ("here", "relay.proxy", "me:")
        );
        relay.proxy.choice = ProxyChoice::Straight;
        assert!(Proxy::by(&relay, variable).ok().flatten().is_none());
    }

    #[test]
    fn a_variable_that_is_no_proxy_is_named_and_not_repeated() {
        let variable = |name: &str| (name == "https_proxy").then(|| "socks5://me:s3cret@p:1".to_owned());
        let failure = Proxy::by(&relay("wss://relay.example"), variable).err().unwrap();
        assert_eq!(failure.fault, Fault::ConfigBroken);
        assert!(failure.text.starts_with("https_proxy: ") && !failure.text.contains("s3cret"), "{failure}");
    }

    #[test]
    fn the_password_comes_from_a_file_that_not_everybody_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let mut relay = relay("wss://relay.example");
        relay.proxy.choice = ProxyChoice::At("http://me@here:2".parse().unwrap());
        relay.proxy.password_file = Some(file.clone());
        let read = |mode: u32| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            Proxy::of(&relay).map(Option::unwrap)
        };
        assert!(Proxy::of(&relay).is_err_and(|failure| failure.text.contains("password: No such file")));
        std::fs::write(&file, "s3cret: word\r\nmore\n").unwrap();
        assert_eq!(sent(&read(0o640).ok().unwrap()), "me:s3cret: word");
        assert!(read(0o644).is_err_and(|failure| failure.text.contains("0644")));
        for text in [&b""[..], b"\nsecond\n", b"s3\x07cret\n", b"s3\xff\n"] {
            std::fs::write(&file, text).unwrap();
            let failure = read(0o600).err().unwrap();
            assert!(failure.fault == Fault::ConfigBroken && !failure.text.contains("s3"), "{failure}");
        }
    }

    #[test]
    fn a_password_that_is_too_long_is_refused_and_not_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let mut relay = relay("wss://relay.example");
        relay.proxy.choice = ProxyChoice::At("http://me@here:2".parse().unwrap());
        relay.proxy.password_file = Some(file.clone());
        let of = |line: String| {
            std::fs::write(&file, line).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            Proxy::of(&relay).map(Option::unwrap)
        };
        let longest = "p".repeat(PASSWORD_BYTES);
        for end in ["", "\n", "\r\nmore"] {
            let proxy = of(longest.clone() + end).unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(sent(&proxy), format!("me:{longest}"));
        }
        for line in [longest.clone() + "p", longest + "p\n", "é".repeat(9_999)] {
            let failure = of(line).err().unwrap();
            assert_eq!(failure.fault, Fault::ConfigBroken);
            let told = failure.text.contains("longer than 1,024 bytes") && !failure.text.contains("pppppppp");
            assert!(told && failure.text.contains("relay.proxy_password_file"), "{failure}");
        }
    }
}
