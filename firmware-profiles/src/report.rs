//! What a printer says about itself when it is asked with M115.
//!
//! The answer is one line of `KEY:value` pairs without any quoting, whose values hold spaces, followed by `Cap:NAME:0|1`
//! lines. Firmwares differ: Klipper puts the pairs behind the `ok`, Smoothieware parts them with commas and writes some
//! keys with `X-` in front, RepRapFirmware puts a space behind the colon, Malyan says `NAME` and `VER`, or `NAME.`
//! without any colon, Flashforge gives each of its own names a line, and Teacup writes `cap:` small.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest piece of a line that is looked at, in bytes.
const MAX_LINE_BYTES: usize = 1024;
/// Longest value that is kept, in characters.
const MAX_VALUE_CHARS: usize = 256;
/// Longest capability name that is kept, in bytes.
const MAX_CAPABILITY_BYTES: usize = 64;
/// Most capabilities that are kept.
const MAX_CAPABILITIES: usize = 128;

/// What a printer said about itself, as far as it was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmwareReport {
    /// Value of `FIRMWARE_NAME`, with whatever version and date the firmware puts there.
    pub name: Option<String>,
    /// Value of `FIRMWARE_VERSION`, or the version inside the name (`2.0.9`).
    pub version: Option<String>,
    /// Value of `MACHINE_TYPE` (`Ender-3 V2`).
    pub machine_type: Option<String>,
    /// Value of `EXTRUDER_COUNT`.
    pub extruders: Option<u8>,
    /// Value of `UUID`; many builds of one firmware share theirs.
    pub uuid: Option<String>,
    /// Value of `SOURCE_CODE_URL` or `FIRMWARE_URL`.
    pub source_url: Option<String>,
    /// Capabilities by name, and whether each is on. At most 128.
    pub capabilities: BTreeMap<String, bool>,
    /// USB id of the port, `vendor:product` in small hexadecimal digits (`1d50:6029`). The printer does not tell it: whoever
    /// opens the port sets it. `None` for a port that is not on a USB device.
    pub usb: Option<String>,
}

impl FirmwareReport {
    /// Takes one line of the answer, in any order; says whether anything was learnt from it. What was told first stays.
    pub fn feed(&mut self, line: &str) -> bool {
        let line = clip(line, MAX_LINE_BYTES).trim_matches(|c: char| c.is_whitespace() || c.is_control());
        if let Some(capability) = strip_prefix_ignoring_case(line, "cap:") {
            return self.take_capability(capability);
        }
        if let Some(kind) = strip_prefix_ignoring_case(line, "machine type:") {
            return put(&mut self.machine_type, kind.trim());
        }
        if let Some(version) = strip_prefix_ignoring_case(line, "firmware:") {
            return put(&mut self.version, version.trim());
        }
        // `NAME. Malyan`: what stands between it and the first key.
        let dotted = strip_prefix_ignoring_case(line, "name. ");
        let name =
            dotted.map(|rest| rest[..keys(rest).first().map_or(rest.len(), |(start, _)| *start)].trim());
        let mut learnt = name.is_some_and(|name| put(&mut self.name, name));
        for (key, value) in pairs(line) {
            learnt |= self.take_pair(key, value);
        }
        if self.version.is_none() {
            self.version = self.name.as_deref().and_then(version_in).map(str::to_owned);
        }
        learnt
    }

    /// Whether the firmware reported the capability as on.
    #[must_use]
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.get(capability).copied().unwrap_or(false)
    }

    /// A text by which the same printer is known again: firmware, machine and UUID in small letters, without the
    /// version and the build date, so that an update of the firmware does not make it a stranger. Empty when the
    /// printer told none of them. Not unique: two printers of one model may well share it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let name = self.name.as_deref().map(family);
        let parts = [
            ("firmware", name.as_deref()),
            ("machine", self.machine_type.as_deref()),
            ("uuid", self.uuid.as_deref()),
        ];
        let told = parts.iter().filter_map(|(key, value)| Some(format!("{key}={}", plain((*value)?))));
        told.collect::<Vec<_>>().join("\n")
    }

    fn take_capability(&mut self, text: &str) -> bool {
        let Some((name, value)) = text.rsplit_once(':') else { return false };
        let (name, on) = (name.trim(), value.trim());
        let spelt = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.len() > MAX_CAPABILITY_BYTES || !name.bytes().all(spelt) {
            return false;
        }
        if !matches!(on, "0" | "1") || self.capabilities.len() >= MAX_CAPABILITIES {
            return false;
        }
        self.capabilities.insert(name.to_ascii_uppercase(), on == "1");
        true
    }

    fn take_pair(&mut self, key: &str, value: &str) -> bool {
        match key.strip_prefix("X-").unwrap_or(key) {
            "FIRMWARE_NAME" | "NAME" => put(&mut self.name, value),
            "FIRMWARE_VERSION" | "VER" => put(&mut self.version, value),
            "MACHINE_TYPE" | "MODEL" => put(&mut self.machine_type, value),
            "UUID" => put(&mut self.uuid, value),
            "SOURCE_CODE_URL" | "FIRMWARE_URL" => put(&mut self.source_url, value),
            "EXTRUDER_COUNT" if self.extruders.is_none() => {
                self.extruders = value.parse().ok();
                self.extruders.is_some()
            }
            _ => false,
        }
    }
}

/// Keeps a value that is the first and not empty.
fn put(slot: &mut Option<String>, value: &str) -> bool {
    if slot.is_some() || value.is_empty() {
        return false;
    }
    *slot = Some(value.chars().filter(|c| !c.is_control()).take(MAX_VALUE_CHARS).collect());
    true
}

/// The pairs of a line: a value ends where the next key begins.
fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let keys = keys(line);
    (0..keys.len()).map(move |at| {
        let (start, colon) = keys[at];
        let end = keys.get(at + 1).map_or(line.len(), |(next, _)| *next);
        let value = line[colon + 1..end].trim_matches(|c: char| c == ',' || c.is_whitespace());
        (&line[start..colon], value)
    })
}

/// Where each key of a line starts and where its colon is. A key is two or more capitals, digits, `_` or `-`, begins
/// with a capital and stands at the start of a word, so that neither `T:20` nor the `http:` of an address is one.
fn keys(line: &str) -> Vec<(usize, usize)> {
    let bytes = line.as_bytes();
    let spelt = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    let colons = bytes.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
    colons
        .filter_map(|colon| {
            let start = bytes[..colon].iter().rposition(|byte| !spelt(*byte)).map_or(0, |before| before + 1);
            let opens = start == 0 || matches!(bytes[start - 1], b' ' | b'\t' | b',');
            (opens && colon - start >= 2 && bytes[start].is_ascii_uppercase()).then_some((start, colon))
        })
        .collect()
}

/// The first word behind the first that looks like a version: a digit and a dot, not in brackets.
fn version_in(name: &str) -> Option<&str> {
    let looks = |word: &&str| word.contains('.') && word.contains(|c: char| c.is_ascii_digit());
    name.split_whitespace().skip(1).take_while(|word| !word.starts_with('(')).find(looks)
}

/// The words of a firmware's name up to its version or build date.
fn family(name: &str) -> String {
    let version = version_in(name);
    let words = name.split_whitespace().take_while(|word| Some(*word) != version && !word.starts_with('('));
    words.collect::<Vec<_>>().join(" ")
}

/// In small letters, with single spaces.
fn plain(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// The beginning of `text`, cut at a character.
fn clip(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests;
