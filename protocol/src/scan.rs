//! The head of a frame as programs write it, read in one pass: the version first, no blanks, the body last. Whatever looks otherwise is
//! left to a reader of any JSON, so nothing is refused here.

use crate::route::Route;

/// What a frame of this version begins with.
pub(crate) const BEGINNING: &str = r#"{"v":1,"t":"#;
/// Lists and objects within each other, one bit each.
const MOST_DEPTH: u32 = u64::BITS;

/// The head, if the frame has the usual shape. Its body is JSON; where that ends is known, what it says is not looked at.
pub(crate) fn usual(frame: &str) -> Option<Route<'_>> {
    let mut scan = Scan { text: frame, at: 0 };
    scan.take(BEGINNING)?;
    let mut route = Route { t: scan.plain_text()?, ..Route::default() };
    loop {
        scan.byte(b',')?;
        let name = scan.plain_text()?;
        scan.byte(b':')?;
        match name {
            "to" => once(&mut route.to, scan.plain_text()?)?,
            "key" => once(&mut route.key, scan.plain_text()?)?,
            "lane" => once(&mut route.lane, scan.plain_text()?)?,
            "ttl_ms" => once(&mut route.ttl_ms, scan.whole_number()?)?,
            "age_ms" => once(&mut route.age_ms, scan.whole_number()?)?,
            "id" => once(&mut route.id, scan.plain_text()?)?,
            "from" => once(&mut route.from, scan.plain_text()?)?,
            "re" => once(&mut route.re, scan.plain_text()?)?,
            "ts" => once(&mut route.ts, scan.value()?)?,
            "body" => {
                route.body = scan.value()?;
                return (&frame[scan.at..] == "}").then_some(route);
            }
            _ => return None,
        }
    }
}

/// A field that stands twice is not usual.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// A place in a text; each step is `None` where something else stands there.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn byte(&mut self, expected: u8) -> Option<()> {
        (self.peek()? == expected).then(|| self.at += 1)
    }

    fn take(&mut self, expected: &str) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        rest.starts_with(expected.as_bytes()).then(|| self.at += expected.len())
    }

    /// A string without escapes, without its quotes.
    fn plain_text(&mut self) -> Option<&'a str> {
        self.byte(b'"')?;
        let from = self.at;
        self.at += run(&self.text.as_bytes()[from..]);
        let text = &self.text[from..self.at];
        self.byte(b'"')?;
        Some(text)
    }

    fn whole_number(&mut self) -> Option<u64> {
        let from = self.at;
        self.digits()?;
        let digits = &self.text[from..self.at];
        (digits.len() == 1 || !digits.starts_with('0')).then(|| digits.parse().ok())?
    }

    /// Any value, unread (RFC 8259).
    fn value(&mut self) -> Option<&'a str> {
        let from = self.at;
        let (mut depth, mut objects) = (0, 0_u64);
        loop {
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    if self.peek()? == open + 2 {
                        self.at += 1;
                    } else if depth == MOST_DEPTH {
                        return None;
                    } else {
                        (depth, objects) = (depth + 1, objects << 1 | u64::from(open == b'{'));
                        self.name_in(objects)?;
                        continue;
                    }
                }
                b'"' => self.string()?,
                b't' => self.take("true")?,
                b'f' => self.take("false")?,
                b'n' => self.take("null")?,
                _ => self.number()?,
            }
            // A value has ended, and with it perhaps what it stands in.
            loop {
                if depth == 0 {
                    return Some(&self.text[from..self.at]);
                }
                let end = if objects & 1 == 1 { b'}' } else { b']' };
                match self.peek()? {
                    b',' => break,
                    found if found == end => (depth, objects) = (depth - 1, objects >> 1),
                    _ => return None,
                }
                self.at += 1;
            }
            self.at += 1;
            self.name_in(objects)?;
        }
    }

    /// In an object a name stands before each value.
    fn name_in(&mut self, objects: u64) -> Option<()> {
        if objects & 1 == 1 {
            self.string()?;
            self.byte(b':')?;
        }
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        self.byte(b'"')?;
        loop {
            self.at += run(&self.text.as_bytes()[self.at..]);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        self.at += match rest {
            [b'u', digits @ ..] if is_hex(digits.get(..4)?) => 6,
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            _ => return None,
        };
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek()? == b'-');
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek()?, b'+' | b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }
}

/// How many bytes come before a quote, an escape or a control character; eight are looked at together.
fn run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    let (eights, rest) = bytes.as_chunks::<8>();
    for (n, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let below = |eight: u64, byte: u8| eight.wrapping_sub(ONES * u64::from(byte)) & !eight;
        let is = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
        // Of the bytes that are marked only the lowest counts: a borrow may mark those above it.
        let ends = (below(eight, 0x20) | is(b'"') | is(b'\\')) & HIGHS;
        if ends != 0 {
            return n * 8 + ends.trailing_zeros() as usize / 8;
        }
    }
    let ends = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
    bytes.len() - rest.len() + rest.iter().position(ends).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests;
