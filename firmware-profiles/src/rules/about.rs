//! Rules for what a profile says about itself and about the printers it is for.

use super::capability;
use crate::error::{Findings, Origin};
use crate::profile::{Identify, Profile, Status};

/// The only version of the schema there is.
const SCHEMA: u32 = 1;

const MAX_ID_BYTES: usize = 48;
const MAX_NAME_CHARS: usize = 80;
const MAX_SOURCES: usize = 64;
const MAX_TEXTS: usize = 32;
const MAX_USB_IDS: usize = 64;
const MAX_TEXT_CHARS: usize = 128;

pub(super) fn check(profile: &Profile, origin: &Origin, findings: &mut Findings) {
    if profile.schema != SCHEMA {
        findings.add("schema", profile.schema, format!("must be {SCHEMA}; this program reads no other"));
    }
    check_id(&profile.id, origin, findings);
    let name = profile.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        findings.add(
            "name",
            profile.name.as_str(),
            format!("must be 1 to {MAX_NAME_CHARS} printable characters"),
        );
    }
    check_sources(profile, findings);
    check_identify(&profile.identify, findings);
}

fn check_id(id: &str, origin: &Origin, findings: &mut Findings) {
    let spelt = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edges = id.starts_with('-') || id.ends_with('-');
    if id.is_empty() || id.len() > MAX_ID_BYTES || edges || !id.bytes().all(spelt) {
        let allowed = "small letters, digits and, between them, `-`";
        findings.add("id", id, format!("must be 1 to {MAX_ID_BYTES} {allowed}"));
    } else if origin.stem() != Some(id) {
        let stem = origin.stem().unwrap_or_default();
        findings.add("id", id, format!("must equal the file's name without `.toml`, `{stem}`"));
    }
}

fn check_sources(profile: &Profile, findings: &mut Findings) {
    if profile.status == Status::Verified && profile.sources.is_empty() {
        let problem = "needs an entry in `sources`: a firmware file, a document, a recorded conversation";
        findings.add("status", "verified", problem);
    }
    if profile.sources.len() > MAX_SOURCES {
        findings.add("sources", length(&profile.sources), format!("must have at most {MAX_SOURCES} entries"));
    }
    for (at, source) in profile.sources.iter().enumerate().filter(|(_, source)| source.trim().is_empty()) {
        findings.add(format!("sources[{at}]"), source.as_str(), "must not be blank");
    }
}

fn check_identify(identify: &Identify, findings: &mut Findings) {
    let lists = [
        ("identify.banners", &identify.banners),
        ("identify.firmware_names", &identify.firmware_names),
        ("identify.machine_types", &identify.machine_types),
    ];
    for (key, texts) in lists {
        if texts.len() > MAX_TEXTS {
            findings.add(key, length(texts), format!("must have at most {MAX_TEXTS} entries"));
        }
        for (at, text) in texts.iter().enumerate().filter(|(_, text)| !recognisable(text)) {
            let problem = format!("must be 1 to {MAX_TEXT_CHARS} printable characters, no space in front");
            findings.add(format!("{key}[{at}]"), text.as_str(), problem);
        }
    }
    if identify.capabilities.len() > MAX_TEXTS {
        let problem = format!("must have at most {MAX_TEXTS} entries");
        findings.add("identify.capabilities", length(&identify.capabilities), problem);
    }
    for (at, name) in identify.capabilities.iter().enumerate() {
        capability(findings, &format!("identify.capabilities[{at}]"), name);
    }
    if identify.usb.len() > MAX_USB_IDS {
        let problem = format!("must have at most {MAX_USB_IDS} entries");
        findings.add("identify.usb", length(&identify.usb), problem);
    }
    for (at, id) in identify.usb.iter().enumerate().filter(|(_, id)| !is_usb_id(id)) {
        let problem =
            "must be vendor and product as `lsusb` shows them, such as \"1d50:6029\", in small letters";
        findings.add(format!("identify.usb[{at}]"), id.as_str(), problem);
    }
    if lists.iter().all(|(_, texts)| texts.is_empty()) {
        let shared = [("capabilities", &identify.capabilities), ("usb", &identify.usb)];
        for (name, texts) in shared.into_iter().filter(|(_, texts)| !texts.is_empty()) {
            let problem = "many firmwares share these: give banners, firmware_names or machine_types as well";
            findings.add(format!("identify.{name}"), texts.clone(), problem);
        }
    }
    if !(-1000..=1000).contains(&identify.priority) {
        findings.add("identify.priority", identify.priority, "must be -1000 to 1000");
    }
}

/// Whether a text can be the beginning of something that was trimmed.
fn recognisable(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(' ')
        && text.chars().count() <= MAX_TEXT_CHARS
        && !text.chars().any(char::is_control)
}

/// Whether a text is four small hexadecimal digits, a colon and four more.
fn is_usb_id(text: &str) -> bool {
    let digits =
        |part: &str| part.len() == 4 && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.split_once(':').is_some_and(|(vendor, product)| digits(vendor) && digits(product))
}

fn length(list: &[String]) -> i64 {
    i64::try_from(list.len()).unwrap_or(i64::MAX)
}
