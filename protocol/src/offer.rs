//! The offer of a job: its file, where that can be had, what the printer has to be and when it starts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{FileId, JobId, Sha256Hex};
use crate::raw::Extra;
use crate::url::SecretUrl;

open_words!(
    /// When a job starts. A word that is not known counts as `manual`: nothing starts by itself.
    StartRule {
        /// When somebody starts it.
        Manual = "manual",
        /// As soon as the printer is free.
        WhenReady = "when_ready",
        /// At `not_before`.
        At = "at",
    }
);

/// `job.offer`: a job the agent may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OfferArgs {
    /// The job.
    pub job_id: JobId,
    /// Rises with every change of the offer.
    pub rev: u64,
    /// Whose job it is, in the backend's words.
    pub owner: String,
    /// The file to print.
    pub file: FileSpec,
    /// Where the file can be had, best first.
    pub sources: Vec<Source>,
    /// When it starts.
    pub start: StartRule,
    /// Not before, unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// Not after, unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// How often it is printed.
    #[serde(default = "one")]
    pub copies: u32,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
    /// What the printer has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// What the slicer estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// What becomes of the file afterwards.
    #[serde(default)]
    pub retain: Retain,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

const fn one() -> u32 {
    1
}

/// A job file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileSpec {
    /// The file.
    pub file_id: FileId,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of the whole.
    pub sha256: Sha256Hex,
    /// Bytes of a chunk.
    pub chunk: u32,
    /// The digest of each chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks_sha256: Option<Vec<Sha256Hex>>,
    /// A name for people.
    pub name: String,
    /// The printer type it was sliced for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ptype: Option<String>,
    /// The G-code flavour it was sliced for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gtype: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where a file can be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "SourceFields", into = "SourceFields")]
#[schemars(with = "SourceFields")]
pub enum Source {
    /// An HTTPS URL that serves ranges.
    Https {
        /// The URL.
        url: SecretUrl,
        /// When the URL stops working, unix ms.
        expires_ms: Option<u64>,
        /// Unknown fields.
        extra: Extra,
    },
    /// Chunks through the relay.
    Relay {
        /// Unknown fields.
        extra: Extra,
    },
    /// A source this version does not know; it is skipped.
    Unknown {
        /// Its kind.
        kind: String,
        /// Everything else it said.
        extra: Extra,
    },
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Source")]
struct SourceFields {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    #[serde(flatten)]
    extra: Extra,
}

impl TryFrom<SourceFields> for Source {
    type Error = &'static str;

    fn try_from(fields: SourceFields) -> Result<Self, Self::Error> {
        let SourceFields { kind, url, expires_ms, mut extra } = fields;
        match (kind.as_str(), url) {
            ("https", Some(Value::String(url))) => Ok(Self::Https { url: url.into(), expires_ms, extra }),
            ("https", _) => Err("an https source has a url"),
            (_, url) => {
                extra.0.extend(url.map(|url| ("url".to_owned(), url)));
                extra.0.extend(expires_ms.map(|ms| ("expires_ms".to_owned(), ms.into())));
                Ok(if kind == "relay" { Self::Relay { extra } } else { Self::Unknown { kind, extra } })
            }
        }
    }
}

impl From<Source> for SourceFields {
    fn from(source: Source) -> Self {
        let (kind, url, expires_ms, extra) = match source {
            Source::Https { url, expires_ms, extra } => {
                ("https".to_owned(), Some(String::from(url).into()), expires_ms, extra)
            }
            Source::Relay { extra } => ("relay".to_owned(), None, None, extra),
            Source::Unknown { kind, extra } => (kind, None, None, extra),
        };
        Self { kind, url, expires_ms, extra }
    }
}

/// What the printer has to be for a job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Requires {
    /// The firmware profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Nozzle diameter in mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nozzle_mm: Option<f64>,
    /// Materials by tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<String>,
    /// Bed size in mm: x, y, z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed: Option<[f64; 3]>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the slicer estimated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s: Option<u64>,
    /// Filament by tool, in mm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filament_mm: Vec<f64>,
    /// Layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<u32>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What becomes of a file after its job: `delete` or `keep:<hours>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Retain {
    /// It is deleted.
    #[default]
    Delete,
    /// It is kept for so many hours.
    Keep {
        /// Hours.
        hours: u32,
    },
    /// A rule this version does not know; it counts as `delete`.
    Unknown(String),
}

impl From<String> for Retain {
    fn from(text: String) -> Self {
        let hours = text.strip_prefix("keep:").and_then(|hours| hours.parse().ok());
        match hours {
            Some(hours) if text == format!("keep:{hours}") => Self::Keep { hours },
            _ if text == "delete" => Self::Delete,
            _ => Self::Unknown(text),
        }
    }
}

impl From<Retain> for String {
    fn from(retain: Retain) -> Self {
        match retain {
            Retain::Delete => "delete".to_owned(),
            Retain::Keep { hours } => format!("keep:{hours}"),
            Retain::Unknown(text) => text,
        }
    }
}
