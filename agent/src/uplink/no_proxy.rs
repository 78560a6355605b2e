//! Which hosts `NO_PROXY` excepts, by the rules that curl has for it (curl(1), ENVIRONMENT; RFC 4632 for networks).

use std::net::IpAddr;

/// Whether this host, an IPv6 address without its brackets, is to be reached without the proxy.
pub(super) fn excepts(list: &str, host: &str) -> bool {
    // Only alone it stands for everything.
    if list.trim() == "*" {
        return true;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    match host.parse::<IpAddr>() {
        Ok(address) => entries.any(|entry| holds_address(entry, address)),
        Err(_) => entries.any(|entry| holds_name(entry, host)),
    }
}

/// A name stands for itself and for all that is below it; whether it begins with a dot makes no difference.
fn holds_name(entry: &str, host: &str) -> bool {
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let Some(start) = host.len().checked_sub(entry.len()).filter(|_| !entry.is_empty()) else { return false };
    let is_tail = host.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(entry));
    is_tail && (start == 0 || host.as_bytes()[start - 1] == b'.')
}

/// An address, or a network as `address/bits`.
fn holds_address(entry: &str, address: IpAddr) -> bool {
    let (network, bits) =
        entry.split_once('/').map_or((entry, None), |(network, bits)| (network, Some(bits)));
    let network = network.strip_prefix('[').and_then(|network| network.strip_suffix(']')).unwrap_or(network);
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (network.to_bits().into(), address.to_bits().into(), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let Ok(bits) = bits.map_or(Ok(width), str::parse::<u32>) else { return false };
    let Some(host_bits) = width.checked_sub(bits) else { return false };
    let differing: u128 = network ^ address;
    differing.checked_shr(host_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_what_is_below_them() {
        for (list, host, is_excepted) in [
            ("", "relay.example", false),
            ("*", "relay.example", true),
            ("*, other", "relay.example", false),
            ("example", "relay.example", true),
            (".example", "relay.example", true),
            ("Relay.Example.", "relay.example", true),
            ("lay.example", "relay.example", false),
            ("a.relay.example", "relay.example", false),
            ("localhost, 10.0.0.0/8  relay.example", "relay.example", true),
            (".", "relay.example", false),
            ("relay.example:8443", "relay.example", false),
            ("xé", "relay.example", false),
        ] {
            assert_eq!(excepts(list, host), is_excepted, "{list:?} {host}");
        }
    }

    #[test]
    fn addresses_and_networks_are_compared_by_bits() {
        for (list, host, is_excepted) in [
            ("192.168.0.0/16", "192.168.7.9", true),
            ("192.168.0.0/16", "192.169.7.9", false),
            ("192.168.7.9", "192.168.7.9", true),
            ("0.0.0.0/0", "192.168.7.9", true),
            ("192.168.7.9/33", "192.168.7.9", false),
            ("192.168.7.9/x", "192.168.7.9", false),
            ("168.7.9", "192.168.7.9", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("[::1]", "::1", true),
            ("::/0", "192.168.7.9", false),
        ] {
            assert_eq!(excepts(list, host), is_excepted, "{list:?} {host}");
        }
    }
}
