//! What may stand for a relay's host, and for the address that agents dial: what could never work is refused before it is written anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::DnsName;

/// A DNS name or an IP address by itself. An IPv6 address comes back in brackets, as in the `Host` header that it is compared with.
///
/// # Errors
/// What is wrong, and what to say instead.
pub fn name(text: &str) -> Result<String, String> {
    if is_ip6(text) {
        return Ok(format!("[{}]", bare(text)));
    }
    if is_name(text) {
        return Ok(text.to_owned());
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = match rest.rsplit_once(':') {
        Some((host, _)) if !is_ip6(rest) => host,
        _ => rest,
    };
    if is_name(rest) || is_ip6(rest) {
        return Err(format!("a name or an address alone, as in {}", bare(rest)));
    }
    let ascii = if text.is_ascii() { "" } else { " in ASCII (xn--...)" };
    Err(format!("neither a DNS name{ascii} nor an IP address; try one such as relay.example.org"))
}

/// `wss://host` or `wss://host:port`, as the agent's `RelayUrl` takes it; a test beside both compares them.
///
/// # Errors
/// What is wrong, and what to say instead.
pub fn address(text: &str) -> Result<String, String> {
    const EXAMPLE: &str = "wss://relay.example.org:8443";
    let rest = text.strip_prefix("wss://").ok_or(format!("must begin with wss://, as in {EXAMPLE}"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err(format!("must be wss://host or wss://host:port and nothing more, as in {EXAMPLE}"));
    }
    // A colon within brackets is none before a port.
    let end = rest.rfind(']').map_or(0, |bracket| bracket + 1);
    let port = rest[end..].find(':').map(|colon| end + colon);
    let (host, port) = port.map_or((rest, None), |colon| (&rest[..colon], Some(&rest[colon + 1..])));
    let is_port = |port: &str| {
        port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port != 0)
    };
    if port.is_some_and(|port| !is_port(port)) {
        return Err(format!("has a port that is not a number from 1 to 65535, as in {EXAMPLE}"));
    }
    if host.contains('_') {
        return Err("has a host with an underscore, which no agent dials; name another".to_owned());
    }
    name(host).map_err(|why| format!("its host is {why}"))?;
    Ok(text.to_owned())
}

/// As a certificate has it: without brackets, and without the dot that ends a whole name.
pub(crate) fn certified(host: &str) -> &str {
    let host = bare(host);
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether this host is the machine itself, to whoever dials it.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let host = certified(host).to_ascii_lowercase();
    let is_loopback = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    is_loopback || host == "localhost" || host.ends_with(".localhost")
}

/// By the rule of the library with which agents check certificates, and an IPv4 address.
fn is_name(text: &str) -> bool {
    DnsName::try_from(text).is_ok() || text.parse::<Ipv4Addr>().is_ok()
}

fn is_ip6(text: &str) -> bool {
    bare(text).parse::<Ipv6Addr>().is_ok()
}

/// Without the brackets around an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_taken_as_they_are() {
        for host in [
            "localhost",
            "relay.example.org",
            "relay.example.org.",
            "Relay-2.Example",
            "xn--strae-oqa.example",
            "spoolway_relay",
            "192.0.2.7",
            "[2001:db8::7]",
        ] {
            assert_eq!(name(host).as_deref(), Ok(host));
        }
        assert_eq!(name("2001:db8::7").as_deref(), Ok("[2001:db8::7]"));
        assert_eq!(
            ["[::1]", "relay.example.", "a.example"].map(certified),
            ["::1", "relay.example", "a.example"]
        );
    }

    #[test]
    fn what_is_more_than_a_host_is_told_which_part_is_one() {
        for (text, host) in [
            ("https://relay.example.org:8443", "relay.example.org"),
            ("relay.example.org:8443", "relay.example.org"),
            ("wss://192.0.2.7/agent/v1", "192.0.2.7"),
            ("[2001:db8::7]:8443", "2001:db8::7"),
            ("https://[2001:db8::7]", "2001:db8::7"),
        ] {
            assert_eq!(name(text), Err(format!("a name or an address alone, as in {host}")), "{text}");
        }
    }

    #[test]
    fn what_no_host_could_be_is_refused() {
        let long = "a".repeat(64);
        for text in [
            "",
            " ",
            "bad host!",
            "*.example.org",
            "a..b",
            "-a",
            "300.1.1.1",
            "192.0.2",
            "fe80::1%eth0",
            "[a]",
            &long,
        ] {
            let why = name(text).unwrap_err();
            assert!(why.starts_with("neither a DNS name nor an IP address; try"), "{text}: {why}");
        }
        let why = name("straße.example").unwrap_err();
        assert!(why.contains("in ASCII (xn--...)"), "{why}");
    }

    #[test]
    fn addresses_for_agents_are_whole_or_refused() {
        for text in
            ["wss://relay.example.org", "wss://a.example:8443/", "wss://[::1]:9", "wss://192.0.2.7:65535"]
        {
            assert_eq!(address(text).as_deref(), Ok(text));
        }
        for (text, why) in [
            ("foo", "must begin with wss://"),
            ("ws://relay.example", "must begin with wss://"),
            ("wss://relay.example/path", "nothing more"),
            ("wss://me:secret@relay.example", "nothing more"),
            ("wss://relay.example:0", "a port"),
            ("wss://relay.example:70000", "a port"),
            ("wss://relay.example:+1", "a port"),
            ("wss://relay.example:", "a port"),
            ("wss://2001:db8::7", "a port"),
            ("wss://[::1]9", "its host is"),
            ("wss://", "its host is"),
            ("wss://a b", "its host is"),
            ("wss://spoolway_relay", "underscore"),
        ] {
            let said = address(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn what_leads_nowhere_else_is_known() {
        assert!(["localhost", "a.LOCALHOST.", "127.0.0.2", "[::1]"].into_iter().all(is_this_machine));
        assert!(!["relay.example.org", "192.0.2.7", "[2001:db8::7]"].into_iter().any(is_this_machine));
    }
}
