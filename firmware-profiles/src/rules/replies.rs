//! Rules for the texts that a firmware's replies are recognised by.

use crate::error::Findings;
use crate::reply::Replies;

const MAX_TEXTS: usize = 64;
const MAX_TEXT_BYTES: usize = 64;

pub(super) fn check(replies: &Replies, findings: &mut Findings) {
    if replies.ok.is_empty() {
        findings.add(
            "replies.ok",
            Vec::<String>::new(),
            "must have an entry: without it nothing is ever acknowledged",
        );
    }
    // These are compared with the beginning of a line, so one text can have one meaning only.
    let beginnings = [
        ("replies.ok", &replies.ok),
        ("replies.resend", &replies.resend),
        ("replies.skip", &replies.skip),
        ("replies.busy", &replies.busy),
        ("replies.wait", &replies.wait),
        ("replies.start", &replies.start),
        ("replies.error", &replies.error),
        ("replies.action", &replies.action),
    ];
    let anywhere = [
        ("replies.fatal", &replies.fatal),
        ("replies.harmless_errors", &replies.harmless_errors),
        ("replies.overrun", &replies.overrun),
    ];
    for (key, texts) in beginnings.iter().chain(&anywhere) {
        check_texts(key, texts, findings);
    }
    for (later, (key, texts)) in beginnings.iter().enumerate() {
        for (other, taken) in &beginnings[..later] {
            check_clash(key, texts, other, taken, findings);
        }
    }
    check_switches(replies, findings);
}

fn check_texts(key: &str, texts: &[String], findings: &mut Findings) {
    if texts.len() > MAX_TEXTS {
        let length = i64::try_from(texts.len()).unwrap_or(i64::MAX);
        findings.add(key, length, format!("must have at most {MAX_TEXTS} entries"));
    }
    for (at, text) in texts.iter().enumerate() {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if text.is_empty() || text.len() > MAX_TEXT_BYTES || !printable || text.starts_with(' ') {
            let problem =
                format!("must be 1 to {MAX_TEXT_BYTES} printable ASCII characters, no space in front");
            findings.add(format!("{key}[{at}]"), text.as_str(), problem);
        }
    }
}

fn check_clash(key: &str, texts: &[String], other: &str, taken: &[String], findings: &mut Findings) {
    for (at, text) in texts.iter().enumerate() {
        if taken.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            findings.add(format!("{key}[{at}]"), text.as_str(), format!("must not be in `{other}` as well"));
        }
    }
}

fn check_switches(replies: &Replies, findings: &mut Findings) {
    if replies.ok_after_resend && replies.resend.is_empty() {
        findings.add("replies.ok_after_resend", true, "needs `replies.resend`");
    }
    if replies.error_acknowledges && replies.error.is_empty() {
        findings.add("replies.error_acknowledges", true, "needs `replies.error`");
    }
    if !replies.harmless_errors.is_empty() && replies.error.is_empty() {
        let problem = "needs `replies.error`: it chooses among error lines";
        findings.add("replies.harmless_errors", replies.harmless_errors.clone(), problem);
    }
}
