//! Values that pass through untouched: raw JSON text, unknown fields and base64 bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// JSON text that was checked to be one value and is otherwise kept byte for byte.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Raw(Box<RawValue>);

impl Raw {
    /// The JSON text of a protocol type.
    ///
    /// # Panics
    /// Never for the types of this crate: their maps have string keys.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(
            serde_json::value::to_raw_value(value)
                .expect("protocol types have string keys, so they serialise"),
        )
    }

    /// Takes text over as it is.
    ///
    /// # Errors
    /// The text is not one JSON value.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the text as the body of `kind`.
    ///
    /// # Errors
    /// The text does not fit the type.
    pub fn decode<T: DeserializeOwned>(&self, kind: &str) -> Result<T, DecodeError> {
        serde_json::from_str(self.get()).map_err(|source| DecodeError { kind: kind.to_owned(), source })
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Default for Raw {
    fn default() -> Self {
        Self::of(&serde_json::Map::new())
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl JsonSchema for Raw {
    fn schema_name() -> Cow<'static, str> {
        "Raw".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

/// The body of a known kind does not have the shape of that kind.
#[derive(Debug, thiserror::Error)]
#[error("bad body of {kind:?}: {source}")]
pub struct DecodeError {
    /// The kind that was being read.
    pub kind: String,
    /// What is wrong and where.
    pub source: serde_json::Error,
}

/// Fields this version does not know; they are handed on when the struct is encoded again. Like the known ones, none of
/// them stands twice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Extra(pub BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ExtraVisitor)
    }
}

struct ExtraVisitor;

impl<'de> Visitor<'de> for ExtraVisitor {
    type Value = Extra;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Extra, M::Error> {
        let mut fields = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            match fields.entry(name) {
                Entry::Vacant(place) => place.insert(map.next_value()?),
                Entry::Occupied(place) => {
                    return Err(M::Error::custom(format_args!("duplicate field {:?}", place.key())));
                }
            };
        }
        Ok(Extra(fields))
    }
}

/// Bytes that stand on the wire as standard base64 with padding.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct B64(pub Vec<u8>);

impl TryFrom<String> for B64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<B64> for String {
    fn from(bytes: B64) -> Self {
        bytes.to_string()
    }
}

impl fmt::Display for B64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for B64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "B64({self})")
    }
}

impl JsonSchema for B64 {
    fn schema_name() -> Cow<'static, str> {
        "B64".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "contentEncoding": "base64"})
    }
}
