//! Where the figures for a monitoring system are served.

use std::net::SocketAddr;

use super::settings::{Setting, optional};

/// Where the figures for a monitoring system are served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metrics {
    /// An address of this machine's loopback; none, and nothing is served.
    pub listen: Option<SocketAddr>,
}

/// `metrics.listen`.
pub(super) const LISTEN: Setting = Setting {
    key: "metrics.listen",
    take: |config, given| {
        let text = given.text()?;
        let address = if text.is_empty() { None } else { Some(address(text)?) };
        config.metrics.listen = address;
        Ok(())
    },
    show: |config| optional(config.metrics.listen.as_ref()),
};

/// Nobody has to say who he is to read the figures, so that only this machine's people may.
fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback());
    address.ok_or_else(|| "must be an address of loopback with its port, such as 127.0.0.1:9478".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_served() {
        for good in ["127.0.0.1:9478", "[::1]:9478", "127.0.0.7:1"] {
            assert_eq!(address(good).unwrap().to_string(), good);
        }
        for bad in ["0.0.0.0:9478", "192.168.1.7:9478", "[::]:9478", "9478", "localhost:9478", "127.0.0.1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
