//! How long an HTTP answer asks to be left alone (RFC 9110, section 10.2.3).

use hyper::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

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

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7; nobody may send the older forms).
fn date(text: &str) -> Option<u64> {
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day = number(parts.next()?, 1, 31)?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let year = number(parts.next()?, 1970, 9999)?;
    let mut time = parts.next()?.split(':');
    let (hour, minute, second) =
        (number(time.next()?, 0, 23)?, number(time.next()?, 0, 59)?, number(time.next()?, 0, 60)?);
    if parts.next()? != "GMT" || parts.next().is_some() || time.next().is_some() {
        return None;
    }
    // Years begin in March, so that the leap day comes last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some(((days.checked_sub(719_468)? * 24 + hour) * 60 + minute) * 60 + second)
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
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

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Sat, 28 Nov 2026 23:26:47 GMT", 1_795_908_407),
        ] {
            assert_eq!(date(text), Some(seconds), "{text}");
        }
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 CET"), None);
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT GMT"), None);
    }
}
