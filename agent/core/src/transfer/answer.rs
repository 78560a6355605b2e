//! What the head of an HTTP answer to a range means (RFC 9110, sections 14 and 15).

use spoolway_protocol::fault::Fault;

/// The head of an answer, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpHead {
    /// The status.
    pub status: u16,
    /// `Content-Range`.
    pub content_range: Option<String>,
    /// `Content-Length`.
    pub content_length: Option<u64>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    /// How long the server wants to be left alone, in ms.
    pub retry_after_ms: Option<u64>,
}

impl HttpHead {
    /// A validator that says that the bytes are the same (RFC 9110, section 8.8.1), short enough to be repeated.
    pub(super) fn strong_etag(&self) -> Option<&str> {
        const MOST: usize = 256;
        let etag = self.etag.as_deref().filter(|etag| etag.len() <= MOST)?;
        (etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')).then_some(etag)
    }
}

/// What follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Bytes of the file come, from this one on.
    Body { from: u64 },
    /// The URL does not work, another one may.
    Renew(String),
    /// Later, but not before the server's wish.
    Rest(Option<u64>, String),
    /// This source has not got the file.
    Useless(Fault, String),
}

/// Judges the answer to a request for everything from `offset` on of a file of `size` bytes.
pub(super) fn judge(head: &HttpHead, offset: u64, size: u64) -> Verdict {
    let status = head.status;
    match status {
        206 | 200 if is_encoded(head) => {
            let why = format!("HTTP {status} with a Content-Encoding, although none was accepted");
            Verdict::Useless(Fault::JobFileUnavailable, why)
        }
        206 => partial(head.content_range.as_deref(), offset, size),
        200 => match head.content_length {
            Some(length) if length != size => other_size(length, size),
            _ => Verdict::Body { from: 0 },
        },
        416 => Verdict::Useless(
            Fault::JobFileTruncated,
            format!("HTTP 416: it has no byte {offset} of a file of {size}"),
        ),
        401 | 403 | 404 | 410 => Verdict::Renew(format!("HTTP {status}")),
        408 | 425 | 429 | 500..=599 => Verdict::Rest(head.retry_after_ms, format!("HTTP {status}")),
        _ => Verdict::Useless(Fault::JobFileUnavailable, format!("HTTP {status}")),
    }
}

fn is_encoded(head: &HttpHead) -> bool {
    head.content_encoding.as_deref().is_some_and(|encoding| {
        let encoding = encoding.trim();
        !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")
    })
}

fn partial(content_range: Option<&str>, offset: u64, size: u64) -> Verdict {
    let strange = |why: String| Verdict::Useless(Fault::JobFileUnavailable, why);
    let Some(range) = content_range.and_then(range_of) else {
        return strange("HTTP 206 without a Content-Range that can be read".to_owned());
    };
    match range {
        (_, _, Some(total)) if total != size => other_size(total, size),
        (first, last, _) if first > offset || last < first || last >= size => {
            strange(format!("HTTP 206 with bytes {first} to {last}, wanted were those from {offset} on"))
        }
        (first, ..) => Verdict::Body { from: first },
    }
}

fn other_size(found: u64, size: u64) -> Verdict {
    let fault = if found < size { Fault::JobFileTruncated } else { Fault::JobFileCorrupt };
    Verdict::Useless(fault, format!("the file has {found} bytes there, announced were {size}"))
}

/// First and last byte and, if it is said, the length of the whole.
fn range_of(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (unit, rest) = text.trim().split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total.trim() == "*" { None } else { Some(number(total)?) };
    unit.eq_ignore_ascii_case("bytes").then_some((number(first)?, number(last)?, total))
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, content_range: Option<&str>, content_length: Option<u64>) -> Verdict {
        let content_range = content_range.map(str::to_owned);
        judge(&HttpHead { status, content_range, content_length, ..HttpHead::default() }, 100, 1_000)
    }

    fn useless(verdict: Verdict) -> Fault {
        let Verdict::Useless(fault, why) = verdict else { panic!("{verdict:?}") };
        assert!(!why.is_empty());
        fault
    }

    #[test]
    fn ranges_are_held_against_what_was_asked() {
        for good in ["bytes 100-999/1000", "bytes 100-199/1000", "bytes 100-999/*", "Bytes  100-999/1000 "] {
            assert_eq!(answer(206, Some(good), None), Verdict::Body { from: 100 }, "{good}");
        }
        assert_eq!(answer(206, Some("bytes 0-999/1000"), None), Verdict::Body { from: 0 });
        for bad in [
            "bytes 101-999/1000",
            "bytes 100-1000/1000",
            "bytes 100-99/1000",
            "bytes */1000",
            "items 100-999/1000",
            "bytes 100-999",
            "bytes +100-999/1000",
            "bytes 100-999/99999999999999999999999",
            "",
        ] {
            assert_eq!(useless(answer(206, Some(bad), None)), Fault::JobFileUnavailable, "{bad}");
        }
        assert_eq!(useless(answer(206, None, Some(900))), Fault::JobFileUnavailable);
        assert_eq!(useless(answer(206, Some("bytes 100-899/900"), None)), Fault::JobFileTruncated);
        assert_eq!(useless(answer(206, Some("bytes 100-1099/1100"), None)), Fault::JobFileCorrupt);
    }

    #[test]
    fn a_server_without_ranges_gives_the_whole_file_or_another_one() {
        assert_eq!(answer(200, None, Some(1_000)), Verdict::Body { from: 0 });
        assert_eq!(answer(200, None, None), Verdict::Body { from: 0 });
        assert_eq!(useless(answer(200, None, Some(999))), Fault::JobFileTruncated);
        assert_eq!(useless(answer(200, None, Some(1_001))), Fault::JobFileCorrupt);
    }

    #[test]
    fn every_other_status_has_its_consequence() {
        for status in [401, 403, 404, 410] {
            assert!(
                matches!(answer(status, None, None), Verdict::Renew(why) if why.contains(&status.to_string()))
            );
        }
        for status in [408, 429, 500, 502, 503, 504] {
            let head = HttpHead { status, retry_after_ms: Some(7_000), ..HttpHead::default() };
            assert_eq!(judge(&head, 0, 1), Verdict::Rest(Some(7_000), format!("HTTP {status}")));
        }
        assert_eq!(useless(answer(416, Some("bytes */90"), None)), Fault::JobFileTruncated);
        for status in [100, 204, 304, 302, 400, 405, 451] {
            assert_eq!(useless(answer(status, None, None)), Fault::JobFileUnavailable, "{status}");
        }
    }

    #[test]
    fn what_was_packed_on_the_way_is_not_taken() {
        for (encoding, is_taken) in [("gzip", false), ("br, gzip", false), ("identity", true), (" ", true)] {
            let content_encoding = Some(encoding.to_owned());
            let head = HttpHead { status: 200, content_encoding, ..HttpHead::default() };
            assert_eq!(judge(&head, 0, 9) == Verdict::Body { from: 0 }, is_taken, "{encoding}");
        }
    }

    #[test]
    fn only_a_strong_validator_is_repeated() {
        let strong = |etag: &str| HttpHead { etag: Some(etag.to_owned()), ..HttpHead::default() };
        assert_eq!(strong("\"abc\"").strong_etag(), Some("\"abc\""));
        for weak in ["W/\"abc\"", "abc", "\"", ""] {
            assert_eq!(strong(weak).strong_etag(), None, "{weak}");
        }
        assert_eq!(strong(&format!("\"{}\"", "x".repeat(999))).strong_etag(), None);
    }
}
