//! Two macros: lists of words that may grow, and enums over a kind whose body is decoded in a second step.

/// An enum of words with an `Unknown` variant that keeps a word this version does not know.
macro_rules! open_words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$vmeta])* $variant,)*
            /// A word this version does not know, kept as it came.
            Unknown(String),
        }

        impl $name {
            /// Every word this version knows.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self::from(word.as_str())
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": "One of the examples; a peer must accept other words.",
                    "type": "string",
                    "examples": Self::WORDS,
                })
            }
        }
    };
}

/// An enum with one variant per kind, decoded from a kind and raw text; unknown kinds keep both unchanged.
macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident($body:ty) = $kind:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name {
            $($(#[$vmeta])* $variant($body),)*
            /// A kind this version does not know.
            Unknown {
                /// The kind as it came.
                kind: String,
                /// The body as it came.
                data: $crate::raw::Raw,
            },
        }

        impl $name {
            /// Every kind this version knows.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The kind as it stands on the wire.
            #[must_use]
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                    Self::Unknown { kind, .. } => kind,
                }
            }

            /// Reads the body of a kind. An unknown kind is not an error.
            ///
            /// # Errors
            /// The kind is known and the body does not fit it.
            pub fn decode(kind: &str, data: &$crate::raw::Raw) -> Result<Self, $crate::raw::DecodeError> {
                match kind {
                    $($kind => data.decode(kind).map(Self::$variant),)*
                    other => Ok(Self::Unknown { kind: other.to_owned(), data: data.clone() }),
                }
            }

            /// The body as raw text.
            #[must_use]
            pub fn encode(&self) -> $crate::raw::Raw {
                match self {
                    $(Self::$variant(body) => $crate::raw::Raw::of(body),)*
                    Self::Unknown { data, .. } => data.clone(),
                }
            }

            pub(crate) fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
                vec![$(($kind, generator.subschema_for::<$body>())),*]
            }
        }

        $(impl From<$body> for $name {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        })*
    };
}
