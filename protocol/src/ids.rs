//! Identifiers: one newtype each, parsed at the edge and trusted inside.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::ID_CHARS;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A name is 1 to 64 ASCII letters, digits, `.`, `_` or `-`.
    #[error("{0:?} is not a name of 1 to 64 letters, digits, '.', '_' or '-'")]
    Name(String),
    /// An agent is 26 upper-case Crockford base32 characters that hold 128 bits.
    #[error("{0:?} is not an agent id of 26 Crockford base32 characters")]
    Agent(String),
    /// A command is a UUID of version 7.
    #[error("{0:?} is not a UUID of version 7")]
    Cmd(String),
    /// A digest is 64 lower-case hexadecimal digits.
    #[error("{0:?} is not a SHA-256 of 64 lower-case hexadecimal digits")]
    Sha256(String),
    /// An address is `relay`, `a:<agent>` or `b:<backend>`.
    #[error("{0:?} is not an address: relay, a:<agent> or b:<backend>")]
    Address(String),
}

/// The serde and schema plumbing that every text identifier shares; it needs `FromStr` and `Display`.
macro_rules! text_id {
    ($name:ident, $pattern:literal) => {
        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

macro_rules! name_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// The text is not 1 to 64 ASCII letters, digits, `.`, `_` or `-`.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if is_name(&text) { Ok(Self(text)) } else { Err(IdError::Name(text)) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_id!($name, "^[A-Za-z0-9._-]{1,64}$");
    };
}

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=ID_CHARS).contains(&text.len()) && text.bytes().all(allowed)
}

name_id!(
    /// A backend, as the relay's registry names it.
    BackendId
);
name_id!(
    /// A job, named by its owner.
    JobId
);
name_id!(
    /// A printer of an agent.
    PrinterId
);
name_id!(
    /// A file, named by its owner.
    FileId
);
name_id!(
    /// A question of a firmware, named by its agent.
    PromptId
);
name_id!(
    /// A message, unique for its sender; a UUID of version 7 by convention.
    MsgId
);
name_id!(
    /// One boot of a machine (`/proc/sys/kernel/random/boot_id` on Linux).
    BootId
);
name_id!(
    /// One session between a peer and a relay.
    SessionId
);
name_id!(
    /// A key of an agent or of a backend.
    KeyId
);
name_id!(
    /// A permit, named by the backend that signed it; a UUID of version 7 by convention.
    PermitId
);

/// A number that only ever rises.
macro_rules! number_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// A life of an outbox: every unclean boot begins a new one.
    Epoch
);
number_id!(
    /// A position in a sequence without gaps; the first is 1.
    Seq
);

/// The characters of Crockford's base32, without I, L, O and U.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const AGENT_CHARS: usize = 26;

/// An agent: the first 128 bits of the SHA-256 of its first public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentId([u8; 16]);

impl AgentId {
    /// From the first 16 bytes of the digest of the first public key; the caller hashes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, as they stand in a binary frame.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bits = u128::from_be_bytes(self.0);
        let mut digits = [0; AGENT_CHARS];
        for digit in digits.iter_mut().rev() {
            *digit = CROCKFORD[(bits & 31) as usize];
            bits >>= 5;
        }
        f.write_str(str::from_utf8(&digits).expect("the alphabet is ASCII"))
    }
}

impl FromStr for AgentId {
    type Err = IdError;

    /// Only the one canonical spelling is accepted, so that no two texts name one agent.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = || IdError::Agent(text.chars().take(ID_CHARS).collect());
        if text.len() != AGENT_CHARS || text.as_bytes()[0] > b'7' {
            return Err(refused());
        }
        let bits = text.bytes().try_fold(0_u128, |bits, char| {
            let digit = CROCKFORD.iter().position(|&c| c == char)?;
            Some((bits << 5) | digit as u128)
        });
        bits.map(|bits| Self(bits.to_be_bytes())).ok_or_else(refused)
    }
}

text_id!(AgentId, "^[0-7][0-9A-HJKMNP-TV-Z]{25}$");

/// A command: a UUID of version 7, chosen by the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CmdId(Uuid);

impl CmdId {
    /// Built from a time and 10 random bytes that the caller has drawn.
    #[must_use]
    pub fn from_parts(unix_ms: u64, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, random).into_uuid())
    }
}

impl fmt::Display for CmdId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for CmdId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let id = Uuid::parse_str(text).ok().filter(|id| id.get_version_num() == 7).map(Self);
        let canonical = id.filter(|id| id.to_string() == text);
        canonical.ok_or_else(|| IdError::Cmd(text.chars().take(ID_CHARS).collect()))
    }
}

text_id!(CmdId, "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$");

/// A SHA-256 digest, 64 lower-case hexadecimal digits on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Hex(pub [u8; 32]);

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Sha256Hex {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = || IdError::Sha256(text.chars().take(2 * ID_CHARS).collect());
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        if text.len() != 64 {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or_else(refused)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

text_id!(Sha256Hex, "^[0-9a-f]{64}$");

/// Where a frame comes from or goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// `relay`: the relay at the other end of this connection.
    Relay,
    /// `a:<agent>`.
    Agent(AgentId),
    /// `b:<backend>`.
    Backend(BackendId),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay => f.write_str("relay"),
            Self::Agent(id) => f.write_str("a:").and_then(|()| id.fmt(f)),
            Self::Backend(id) => f.write_str("b:").and_then(|()| id.fmt(f)),
        }
    }
}

impl FromStr for Address {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once(':') {
            None if text == "relay" => Ok(Self::Relay),
            Some(("a", id)) => id.parse().map(Self::Agent),
            Some(("b", id)) => id.parse().map(Self::Backend),
            _ => Err(IdError::Address(text.chars().take(ID_CHARS).collect())),
        }
    }
}

text_id!(Address, "^(relay|a:[0-7][0-9A-HJKMNP-TV-Z]{25}|b:[A-Za-z0-9._-]{1,64})$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_ids_are_canonical() {
        let id = AgentId::from_bytes([0xff; 16]);
        assert_eq!(id.to_string(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(id.to_string().parse(), Ok(id));
        let id = AgentId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "7zzzzzzzzzzzzzzzzzzzzzzzzz",
            "7ZZZ",
            "",
            "7ZZZZZZZZZZZZZZZZZZZZZZZZI",
        ] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad}");
        }
        assert!("€€€€€€€€ab".parse::<AgentId>().is_err());
    }

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["relay", "a:7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "b:farm-1"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for bad in ["", "Relay", "a:", "b:", "b:a b", "c:x", "relay:"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_a_peer_chooses_have_an_end() {
        let named = |chars| "a".repeat(chars).parse::<JobId>();
        assert!(
            named(0).is_err() && named(1).is_ok() && named(ID_CHARS).is_ok() && named(ID_CHARS + 1).is_err()
        );
        let to = |chars| format!("b:{}", "a".repeat(chars)).parse::<Address>();
        assert!(to(ID_CHARS).is_ok() && to(ID_CHARS + 1).is_err());
    }

    #[test]
    fn command_ids_are_version_seven() {
        let id = CmdId::from_parts(1_760_000_000_123, &[7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("67e55044-10b1-426f-9247-bb680e5fe0c8".parse::<CmdId>().is_err());
    }

    #[test]
    fn digests_are_lower_case() {
        let text = "ab".repeat(32);
        assert_eq!(text.parse::<Sha256Hex>().unwrap().to_string(), text);
        assert!("AB".repeat(32).parse::<Sha256Hex>().is_err());
        assert!("ab".parse::<Sha256Hex>().is_err());
    }
}
