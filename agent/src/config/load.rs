//! Puts the layers together: defaults, file, environment, flags; every error names who said what and where.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Config;
use super::nearest::nearest;
use super::settings::{Given, SETTINGS, Setting, keys};
use crate::paths::Paths;

/// What the name of every variable begins with.
const PREFIX: &str = "SPOOLWAY_AGENT_";
/// Names the file instead of a setting.
const FILE_VARIABLE: &str = "SPOOLWAY_AGENT_CONFIG";
/// Short for `SPOOLWAY_AGENT_LOG_LEVEL`.
const LOG_VARIABLE: &str = "SPOOLWAY_LOG";
/// Largest file read, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// One value set on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Dotted key, such as `printer.port`.
    pub key: String,
    /// Text of the value.
    pub value: String,
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: it is the default.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadConfigError {
    /// The file cannot be read.
    #[error("{}: the configuration cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: not TOML: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the reader expected.
        message: String,
    },
    /// There is no such setting.
    #[error("{origin}: there is no setting `{key}` (it holds {value}){}", meant(.nearest.as_deref()))]
    UnknownKey {
        /// Who said it.
        origin: Origin,
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A value does not fit its key.
    #[error("{origin}: {key} = {value}: {why}")]
    Value {
        /// Who said it.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The value as written.
        value: String,
        /// What it must be.
        why: String,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// A configuration and who said what.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// What holds of this key, in TOML.
    #[must_use]
    pub fn shown(&self, key: &str) -> String {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        setting.map_or_else(String::new, |setting| (setting.show)(&self.config))
    }

    /// Who set this key.
    #[must_use]
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }
}

/// Loads the configuration: defaults, then the file, then the environment, then the flags.
///
/// A `file` that was asked for has to be there; without one, the file in its usual place may be missing.
///
/// # Errors
/// [`LoadConfigError`] names the file and line, variable or flag, the key and the value.
pub fn load(
    paths: &Paths,
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[Flag],
) -> Result<Loaded, LoadConfigError> {
    let usual = paths.config_file();
    let path = file.unwrap_or(&usual);
    let text = match read(path) {
        Ok(text) => Some(text),
        Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(LoadConfigError::Read { file: path.to_owned(), source }),
    };
    load_text(paths, text.as_deref().map(|text| (path, text)), variables, flags)
}

/// As [`load`], with a file that says this text, whatever is on the disk.
///
/// # Errors
/// As [`load`], but that nothing is read.
pub fn load_text(
    paths: &Paths,
    file: Option<(&Path, &str)>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[Flag],
) -> Result<Loaded, LoadConfigError> {
    let mut loaded = Loaded { config: Config::new(paths), file: None, origins: BTreeMap::new() };
    if let Some((path, text)) = file {
        loaded.take_file(path, text)?;
    }
    loaded.take_variables(variables)?;
    for flag in flags {
        loaded.take(&flag.key, &Given::Bare(flag.value.clone()), Origin::Flag)?;
    }
    loaded.find_profiles(paths);
    Ok(loaded)
}

fn read(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {MAX_FILE_BYTES} bytes"),
        ));
    }
    Ok(text)
}

impl Loaded {
    fn take_file(&mut self, path: &Path, text: &str) -> Result<(), LoadConfigError> {
        let line_at = |offset: usize| {
            text.as_bytes()[..offset.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
        };
        let table = DeTable::parse(text).map_err(|error| LoadConfigError::Syntax {
            file: path.to_owned(),
            line: line_at(error.span().map_or(text.len(), |span| span.start)),
            message: error.message().to_owned(),
        })?;
        // The map is ordered by name; errors are to come in the order of the lines.
        let mut entries = Vec::new();
        flatten("", table.get_ref(), &mut entries);
        entries.sort_by_key(|(offset, ..)| *offset);
        for (offset, key, given) in entries {
            self.take(&key, &given, Origin::File { path: path.to_owned(), line: line_at(offset) })?;
        }
        self.file = Some(path.to_owned());
        Ok(())
    }

    fn take_variables(
        &mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), LoadConfigError> {
        let readable = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            // A path that is not UTF-8 cannot stand in the file either; the lossy text fails its rule or is not found.
            Some((name, value.to_string_lossy().into_owned()))
        });
        for (name, value) in readable.filter(|(name, _)| name != FILE_VARIABLE) {
            let key = match name.strip_prefix(PREFIX) {
                Some(rest) => keys()
                    .find(|key| variable(key) == name)
                    .map_or_else(|| rest.to_lowercase(), str::to_owned),
                None if name == LOG_VARIABLE => "log.level".to_owned(),
                None => continue,
            };
            self.take(&key, &Given::Bare(value), Origin::Variable(name))?;
        }
        Ok(())
    }

    fn take(&mut self, key: &str, given: &Given, origin: Origin) -> Result<(), LoadConfigError> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            return Err(unknown(key, given, origin));
        };
        (setting.take)(&mut self.config, given).map_err(|why| LoadConfigError::Value {
            origin: origin.clone(),
            key: setting.key,
            value: given.shown(),
            why,
        })?;
        self.origins.insert(setting.key, origin);
        Ok(())
    }

    /// Without a word about it, the folder beside the file holds the overlay.
    fn find_profiles(&mut self, paths: &Paths) {
        if self.config.profiles.folder.is_none() {
            let beside =
                self.file.as_deref().and_then(Path::parent).unwrap_or(&paths.config).join("profiles");
            self.config.profiles.folder = Some(beside).filter(|folder| folder.is_dir());
        }
    }
}

/// The variable of a key: `printer.port` is `SPOOLWAY_AGENT_PRINTER_PORT`.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

pub(super) fn unknown(key: &str, given: &Given, origin: Origin) -> LoadConfigError {
    let nearest = match &origin {
        Origin::Variable(name) => {
            let names: Vec<String> = keys().map(variable).collect();
            nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
        }
        // The right word under the wrong section is nearer than any other word.
        _ => nearest(key, keys()).map(str::to_owned).or_else(|| {
            let last = key.rsplit('.').next().filter(|last| !last.is_empty())?;
            keys().find(|known| known.rsplit('.').next() == Some(last)).map(str::to_owned)
        }),
    };
    LoadConfigError::UnknownKey { origin, key: key.to_owned(), value: given.shown(), nearest }
}

/// Every value of a table with the offset of its key and its dotted name. Sections are one deep; what lies deeper is
/// no setting and is refused by its name.
pub(super) fn flatten(above: &str, table: &DeTable<'_>, entries: &mut Vec<(usize, String, Given)>) {
    for (name, value) in table {
        let key =
            if above.is_empty() { name.get_ref().to_string() } else { format!("{above}.{}", name.get_ref()) };
        let given = match value.get_ref() {
            DeValue::Table(inner) if above.is_empty() && !inner.is_empty() => {
                flatten(&key, inner, entries);
                continue;
            }
            DeValue::Table(inner) if inner.is_empty() && SETTINGS.iter().any(|s| is_in(s, &key)) => continue,
            DeValue::String(text) => Given::Text(text.to_string()),
            DeValue::Boolean(switch) => Given::Switch(*switch),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Given::Other(number.to_string()), Given::Number),
            DeValue::Float(number) => Given::Other(number.to_string()),
            DeValue::Array(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| shown(part.get_ref())).collect();
                Given::Other(format!("[{}]", parts.join(", ")))
            }
            other => Given::Other(shown(other)),
        };
        entries.push((name.span().start, key, given));
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => format!("a {}", other.type_str()),
    }
}

fn is_in(setting: &Setting, section: &str) -> bool {
    setting.key.split_once('.').is_some_and(|(known, _)| known == section)
}

/// What holds, as a TOML file whose comments say who set each line.
#[must_use]
pub fn render(loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut section = "";
    for setting in SETTINGS {
        let (above, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if above != section {
            text.push_str(&format!("\n[{above}]\n"));
            section = above;
        }
        let line = format!("{name} = {}", (setting.show)(&loaded.config));
        text.push_str(&format!("{line:<44} # {}\n", loaded.origin(setting.key)));
    }
    text
}

#[cfg(test)]
mod tests;
