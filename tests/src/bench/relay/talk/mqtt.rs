//! MQTT 3.1.1 (OASIS standard): a client with one subscription that publishes with QoS 0 or 1.

use super::{Broken, Exporter, Heard, Party, Talk};

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
/// With the bits that section 3.8.1 reserves.
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGREQ: u8 = 0xc0;
/// Protocol name and level, a clean session (sections 3.1.2.1 to 3.1.2.4).
const PROTOCOL: &[u8] = b"\x00\x04MQTT\x04\x02";

/// See the module.
#[derive(Debug)]
pub(in crate::bench::relay) struct Mqtt {
    party: Party,
    qos: u8,
    keepalive_s: u16,
    packet: u16,
    is_up: bool,
}

impl Mqtt {
    pub(in crate::bench::relay) fn new(party: Party, qos: u8, keepalive_s: u16) -> Self {
        Self { party, qos, keepalive_s, packet: 0, is_up: false }
    }

    /// Packet identifiers are not zero (section 2.3.1).
    fn next_packet(&mut self) -> [u8; 2] {
        self.packet = self.packet.checked_add(1).unwrap_or(1);
        self.packet.to_be_bytes()
    }

    fn subscribe(&mut self, out: &mut Vec<u8>) {
        let topic = match self.party {
            Party::Backend => "up/+".to_owned(),
            agent @ Party::Agent(_) => topic_to(agent),
        };
        let mut body = self.next_packet().to_vec();
        string(&topic, &mut body);
        body.push(self.qos);
        packet(SUBSCRIBE, &body, out);
    }

    fn published(
        &self,
        first: u8,
        body: &[u8],
        out: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Option<()> {
        let (length, rest) = body.split_first_chunk()?;
        let mut payload = rest.get(usize::from(u16::from_be_bytes(*length))..)?;
        if first & 0x06 != 0 {
            let (id, rest) = payload.split_first_chunk::<2>()?;
            packet(PUBACK, id, out);
            payload = rest;
        }
        hear(Heard::Message(payload));
        Some(())
    }
}

impl Talk for Mqtt {
    fn begin(&mut self, _: &Exporter, out: &mut Vec<u8>) {
        let mut body = PROTOCOL.to_vec();
        body.extend_from_slice(&self.keepalive_s.to_be_bytes());
        let name = match self.party {
            Party::Backend => "backend".to_owned(),
            Party::Agent(agent) => format!("a{agent:06}"),
        };
        string(&name, &mut body);
        packet(CONNECT, &body, out);
    }

    fn take(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        while let Some((first, body, end)) = decode(&input[taken..])? {
            let broken = || Broken(format!("packet {first:#x} with {body:?}"));
            match first & 0xf0 {
                CONNACK if body.get(1) == Some(&0) => self.subscribe(out),
                SUBACK if body.get(2).is_some_and(|granted| *granted <= 2) => self.is_up = true,
                CONNACK | SUBACK => return Err(broken()),
                PUBLISH => self.published(first, body, out, hear).ok_or_else(broken)?,
                _ => {}
            }
            taken += end;
        }
        Ok(taken)
    }

    fn is_up(&self) -> bool {
        self.is_up
    }

    fn say(&mut self, to: Party, texts: &[&[u8]], out: &mut Vec<u8>) {
        let topic = match (self.party, to) {
            (Party::Agent(agent), _) => format!("up/{agent:06}"),
            (Party::Backend, to) => topic_to(to),
        };
        for text in texts {
            let mut body = Vec::with_capacity(text.len() + topic.len() + 4);
            string(&topic, &mut body);
            if self.qos > 0 {
                body.extend_from_slice(&self.next_packet());
            }
            body.extend_from_slice(text);
            packet(PUBLISH | (self.qos << 1), &body, out);
        }
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        packet(PINGREQ, &[], out);
    }
}

fn topic_to(party: Party) -> String {
    match party {
        Party::Agent(agent) => format!("down/{agent:06}"),
        Party::Backend => "backend".to_owned(),
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The length is in groups of seven bits, the lowest first (section 2.2.3).
fn packet(first: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    let mut length = body.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(body);
}

/// First byte and body of a packet, and its whole length.
type Packet<'a> = (u8, &'a [u8], usize);

/// The packet at the beginning.
fn decode(input: &[u8]) -> Result<Option<Packet<'_>>, Broken> {
    let Some((first, rest)) = input.split_first() else { return Ok(None) };
    let mut length = 0_usize;
    for (at, byte) in rest.iter().enumerate() {
        if at == 4 {
            return Err(Broken("a length of more than four bytes".to_owned()));
        }
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let end = 2 + at + length;
            return Ok(input.get(2 + at..end).map(|body| (*first, body, end)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(mqtt: &mut Mqtt, input: &[u8]) -> (Result<usize, Broken>, Vec<u8>, Vec<Vec<u8>>) {
        let (mut out, mut heard) = (Vec::new(), Vec::new());
        let taken = mqtt.take(input, &mut out, &mut |one| {
            if let Heard::Message(text) = one {
                heard.push(text.to_vec());
            }
        });
        (taken, out, heard)
    }

    #[test]
    fn it_connects_subscribes_and_is_up() {
        let mut mqtt = Mqtt::new(Party::Agent(7), 1, 60);
        let mut out = Vec::new();
        mqtt.begin(&[0; 32], &mut out);
        assert_eq!(out, b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07a000007");
        let (taken, subscribe, _) = took(&mut mqtt, b"\x20\x02\x00\x00");
        assert_eq!((taken, &subscribe[..]), (Ok(4), &b"\x82\x10\x00\x01\x00\x0bdown/000007\x01"[..]));
        assert!(!mqtt.is_up());
        took(&mut mqtt, b"\x90\x03\x00\x01\x01").0.unwrap();
        assert!(mqtt.is_up());
        assert!(took(&mut mqtt, b"\x20\x02\x00\x05").0.is_err(), "not authorised");
    }

    #[test]
    fn what_is_published_is_heard_and_acknowledged_when_it_wants_to_be() {
        for (qos, acks) in [(0, 0), (1, 1)] {
            let text = vec![b'x'; 300];
            let mut out = Vec::new();
            Mqtt::new(Party::Agent(3), qos, 60).say(Party::Backend, &[&text], &mut out);
            let mut backend = Mqtt::new(Party::Backend, qos, 60);
            assert_eq!(took(&mut backend, &out[..out.len() - 1]).0, Ok(0), "not whole");
            let (taken, answer, heard) = took(&mut backend, &out);
            assert_eq!((taken, heard), (Ok(out.len()), vec![text]));
            assert_eq!(answer, b"\x40\x02\x00\x01"[..4 * acks]);
        }
    }

    #[test]
    fn identifiers_go_round_without_zero_and_long_lengths_are_refused() {
        let mut mqtt = Mqtt::new(Party::Backend, 1, 60);
        mqtt.packet = u16::MAX;
        assert_eq!(mqtt.next_packet(), [0, 1]);
        assert!(decode(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert_eq!(decode(&[0x30, 0xff]).unwrap(), None);
    }
}
