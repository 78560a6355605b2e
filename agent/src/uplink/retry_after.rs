//! How long an HTTP answer asks to be left alone (RFC 9110, section 10.2.3).

use std::time::UNIX_EPOCH;

use hyper::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The wish in ms, if there is one that can be read. A date counts from the answer's own `Date`: this machine's clock may be wrong.
pub(super) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds = match word(headers, &RETRY_AFTER)?.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => date(word(headers, &RETRY_AFTER)?)?.saturating_sub(date(word(headers, &DATE)?)?),
    };
    Some(seconds.saturating_mul(1_000))
}

fn word<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

/// Seconds since 1970.
fn date(text: &str) -> Option<u64> {
    let at = httpdate::parse_http_date(text).ok()?;
    at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(wish: &str, date: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, wish.parse().unwrap());
        headers.insert(DATE, date.parse().unwrap());
        retry_after_ms(&headers)
    }

    #[test]
    fn seconds_and_dates_are_read() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after_ms(&HeaderMap::new()), None);
        assert_eq!(asked("7", now), Some(7_000));
        assert_eq!(asked(" 0 ", "never"), Some(0));
        assert_eq!(asked("Sun, 06 Nov 1994 08:51:37 GMT", now), Some(120_000));
        assert_eq!(asked("Tue, 08 Nov 1994 08:49:38 GMT", now), Some(172_801_000));
        // What is over already asks for nothing.
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(0));
        assert_eq!(asked("Sun, 06 Nov 1994 08:51:37 GMT", "never"), None);
        for strange in
            ["-1", "soon", "06 Nov 1994", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT", ""]
        {
            assert_eq!(asked(strange, now), None, "{strange}");
        }
    }
}
