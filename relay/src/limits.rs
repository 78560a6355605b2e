//! How fast a peer may send, by token buckets that say how long to wait; and how often somebody may try something.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::mailbox::Class;

/// Seconds of a steady rate that may come at once, where no other number is set.
const BURST_S: u64 = 4;

/// A bucket that refills at a steady rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    per_s: u64,
    /// Thousandths, as all that follows.
    burst: u64,
    tokens: u64,
    filled_ms: u64,
}

impl Pace {
    /// A full bucket; `per_s` of 0 is no limit.
    pub fn new(per_s: u64, burst: u64, now_ms: u64) -> Self {
        let burst = burst.max(1).saturating_mul(1000);
        Self { per_s, burst, tokens: burst, filled_ms: now_ms }
    }

    /// After how many ms so many thousandths can be had; what is more than the whole bucket costs the whole bucket.
    fn wait_ms(&mut self, cost: u64, now_ms: u64) -> u64 {
        if self.per_s == 0 {
            return 0;
        }
        let elapsed_ms = now_ms.saturating_sub(self.filled_ms);
        self.tokens = self.burst.min(self.tokens.saturating_add(elapsed_ms.saturating_mul(self.per_s)));
        self.filled_ms = now_ms;
        cost.min(self.burst).saturating_sub(self.tokens).div_ceil(self.per_s)
    }

    fn spend(&mut self, cost: u64) {
        self.tokens = self.tokens.saturating_sub(cost);
    }
}

/// What one agent may send: frames, bytes, and how much beyond them before it is taken for a flood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    frames: Pace,
    bytes: Pace,
    shed: u64,
    most_shed: u64,
}

impl Allowance {
    /// A full one; rates of 0 are no limit.
    pub fn new(frames_per_s: u32, burst_frames: u32, bytes_per_s: u32, now_ms: u64) -> Self {
        let (frames_per_s, burst, bytes_per_s) =
            (u64::from(frames_per_s), u64::from(burst_frames), u64::from(bytes_per_s));
        Self {
            frames: Pace::new(frames_per_s, burst, now_ms),
            bytes: Pace::new(bytes_per_s, bytes_per_s.saturating_mul(BURST_S), now_ms),
            shed: 0,
            most_shed: burst,
        }
    }

    /// Takes one frame of so many bytes.
    ///
    /// # Errors
    /// After how many ms to ask again.
    pub fn take(&mut self, class: Class, len: usize, now_ms: u64) -> Result<(), u64> {
        // Eight chunks of 64 KiB are asked for by as many small frames: a file may come as fast as its backend sends it.
        let frame = if class == Class::Bulk { 125 } else { 1000 };
        let bytes = (len as u64).saturating_mul(1000);
        match self.frames.wait_ms(frame, now_ms).max(self.bytes.wait_ms(bytes, now_ms)) {
            0 => {
                self.frames.spend(frame);
                self.bytes.spend(bytes);
                self.shed = self.shed.saturating_sub(1);
                Ok(())
            }
            wait_ms => Err(wait_ms),
        }
    }

    /// A frame that may be lost was dropped for want of allowance. Returns whether there were too many of them.
    pub fn shed(&mut self) -> bool {
        self.shed += 1;
        self.shed > self.most_shed
    }
}

/// How often each of many may try something: so many at once, and from then on one every so often.
///
/// It remembers a bounded number of them. When there are more, whoever has tried least is forgotten.
#[derive(Debug)]
pub struct Tally<K> {
    every_us: u64,
    at_once: u64,
    most: usize,
    /// When all that somebody has tried will be forgiven, in microseconds.
    even_at_us: HashMap<K, u64>,
}

impl<K: Eq + Hash + Clone> Tally<K> {
    /// `at_once` tries, and one more every `every_ms`; it remembers `most` of those who try.
    pub fn new(at_once: u32, every_ms: u64, most: usize) -> Self {
        let (at_once, most) = (u64::from(at_once.max(1)), most.max(1));
        Self { every_us: every_ms.saturating_mul(1000), at_once, most, even_at_us: HashMap::new() }
    }

    /// So many in `window_ms`, all of them at once or one after the other; 0 is no limit.
    pub fn within(window_ms: u64, tries: u32, most: usize) -> Self {
        let every_us = window_ms.saturating_mul(1000).checked_div(u64::from(tries)).unwrap_or(0);
        Self { every_us, ..Self::new(tries, 0, most) }
    }

    /// Whether one more try is lawful, or after how many ms it is.
    ///
    /// # Errors
    /// The time to wait, in ms.
    pub fn look(&self, key: &K, now_ms: u64) -> Result<(), u64> {
        let now_us = now_ms.saturating_mul(1000);
        let debt_us = self.even_at_us.get(key).map_or(0, |even_at_us| even_at_us.saturating_sub(now_us));
        match debt_us.saturating_sub(self.every_us * (self.at_once - 1)).div_ceil(1000) {
            0 => Ok(()),
            wait_ms => Err(wait_ms),
        }
    }

    /// It was tried.
    pub fn count(&mut self, key: &K, now_ms: u64) {
        let now_us = now_ms.saturating_mul(1000);
        if self.every_us == 0 {
            return;
        }
        if self.even_at_us.len() >= self.most && !self.even_at_us.contains_key(key) {
            self.even_at_us.retain(|_, even_at_us| *even_at_us > now_us);
            if self.even_at_us.len() >= self.most {
                let least = self.even_at_us.iter().min_by_key(|(_, even_at_us)| **even_at_us);
                let least = least.map(|(key, _)| key.clone());
                least.map(|key| self.even_at_us.remove(&key));
            }
        }
        let even_at_us = self.even_at_us.entry(key.clone()).or_insert(now_us);
        *even_at_us = (*even_at_us).max(now_us).saturating_add(self.every_us);
    }

    /// One try is forgiven: it was lawful after all.
    pub fn forgive(&mut self, key: &K) {
        if let Some(even_at_us) = self.even_at_us.get_mut(key) {
            *even_at_us = even_at_us.saturating_sub(self.every_us);
        }
    }

    /// Tries, if it is lawful.
    ///
    /// # Errors
    /// The time to wait, in ms.
    pub fn take(&mut self, key: &K, now_ms: u64) -> Result<(), u64> {
        self.look(key, now_ms)?;
        self.count(key, now_ms);
        Ok(())
    }
}

/// Whose tries count together: one address, or one network of IPv6, of which anybody has more addresses than can be counted.
pub type Neighbourhood = IpAddr;

/// The neighbourhood of an address.
pub fn neighbourhood(address: IpAddr) -> Neighbourhood {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A network as `address/bits`, such as `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Whether the address is in it; an IPv4 address is one whether or not it comes in an IPv6 one.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                (net.to_bits() ^ address.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                (net.to_bits() ^ address.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (address, bits) = text.split_once('/')?;
            let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
            (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
        };
        parse().ok_or_else(|| format!("{text:?} is not a network such as 192.0.2.0/24"))
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests;
