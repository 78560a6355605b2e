//! Takes secrets and what names people out of a text that leaves the machine.
//!
//! What is known to be secret goes wherever it stands; besides, whatever looks like a secret goes: passwords in addresses,
//! values of fields that are called so, keys and tokens by their form. It is better that a harmless word goes than that a
//! secret stays. Names of files are everyday words, and go only where they stand by themselves.

mod names;

pub(crate) use names::{is_telling, without};

use serde_json::{Value, json};

/// Stands in the place of a secret.
const GONE: &str = "[redacted]";
/// Stands in the place of a name.
const NAME: &str = "[name]";
/// Stands in the place of an address of a person.
const MAIL: &str = "[mail]";
/// Stands in the place of what a display is told.
const TEXT: &str = "[text]";
/// What goes before texts of people on the wire.
const DISPLAY: [&str; 7] = ["M117 ", "M118 ", "M23 ", "M28 ", "M30 ", "M32 ", "M928 "];
/// Words in the name of a field whose value goes.
const FIELDS: [&str; 16] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "private",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "cookie",
    "credential",
    "bearer",
    "psk",
    "sig",
    "nonce",
];
/// Names of fields that hold such a word and no secret.
const HARMLESS: [&str; 4] = ["password_file", "token_file", "signal", "signed"];
/// A run of letters of all kinds that is so long is a key.
const KEY_CHARS: usize = 32;
/// Paths name devices and folders, however long they are.
const PATHS: [&str; 6] = ["/dev/", "/sys/", "/usr/", "/var/", "/run/", "/etc/"];
/// What is shorter is not looked for: it would be found in everything.
const LEAST_CHARS: usize = 3;

/// What is to be taken out.
#[derive(Default)]
pub(crate) struct Redactor {
    /// Words and what they are, the longest first.
    known: Vec<(String, Kind)>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It goes wherever it stands, within other words too.
    Secret,
    /// It goes where it stands by itself.
    Name,
}

impl Redactor {
    /// Takes this out wherever it stands.
    pub(crate) fn secret(&mut self, text: &str) {
        self.know(text, Kind::Secret);
    }

    /// Takes the name of a job, a file or a person out where it stands by itself.
    pub(crate) fn name(&mut self, text: &str) {
        if names::is_telling(text.trim()) {
            self.know(text, Kind::Name);
        }
    }

    /// The same with the name of a file, and with what stands before its ending: what is printed may be called so.
    pub(crate) fn file(&mut self, name: &str) {
        self.name(name);
        if let Some(stem) = names::stem(name) {
            self.name(stem);
        }
    }

    fn know(&mut self, text: &str, kind: Kind) {
        let text = text.trim();
        if text.chars().count() < LEAST_CHARS {
            return;
        }
        // As JSON and logs have it as well.
        let quoted = [json!(text).to_string(), format!("{text:?}")];
        let bare = quoted.iter().filter_map(|form| form.get(1..form.len() - 1));
        for form in bare.chain([text]).map(str::to_owned) {
            match self.known.iter_mut().find(|(known, _)| *known == form) {
                // What is secret is not found any less for being somebody's name as well.
                Some((_, known)) if matches!(kind, Kind::Secret) => *known = kind,
                Some(_) => {}
                None => self.known.push((form, kind)),
            }
        }
        self.known.sort_by_key(|(known, _)| std::cmp::Reverse(known.len()));
    }

    /// The text without all that.
    #[must_use]
    pub(crate) fn text(&self, text: &str) -> String {
        self.pass(text, &mut false)
    }

    /// A JSON document without all that, and one still; any other text as a text.
    #[must_use]
    pub(crate) fn json(&self, text: &str) -> String {
        match serde_json::from_str(text) {
            Ok(mut value) => {
                self.value(&mut value);
                format!("{value:#}\n")
            }
            Err(_) => self.text(text),
        }
    }

    /// The same with a document on each line.
    #[must_use]
    pub(crate) fn json_lines(&self, text: &str) -> String {
        let mut in_key = false;
        let lines = text.split_inclusive('\n').map(|line| match serde_json::from_str(line) {
            Ok(mut value) => {
                self.within(&mut value, &mut in_key);
                format!("{value}\n")
            }
            Err(_) => self.pass(line, &mut in_key),
        });
        lines.collect()
    }

    /// Takes all that out of the texts of a value. Its keys are ours, and lose nothing but secrets.
    pub(crate) fn value(&self, value: &mut Value) {
        self.within(value, &mut false);
    }

    fn within(&self, value: &mut Value, in_key: &mut bool) {
        match value {
            Value::String(text) => *text = self.pass(text, in_key),
            Value::Array(parts) => parts.iter_mut().for_each(|part| self.within(part, in_key)),
            Value::Object(fields) => {
                for (name, mut field) in std::mem::take(fields) {
                    if is_secret(&name) && holds_something(&field) {
                        field = GONE.into();
                    } else {
                        self.within(&mut field, in_key);
                    }
                    fields.insert(line_of(&self.without_known(&name, false)), field);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The text, of whatever comes after another: a key in PEM may begin in one and end in the next.
    fn pass(&self, text: &str, in_key: &mut bool) -> String {
        let known = self.without_known(text, true);
        let mut out = String::with_capacity(known.len());
        for line in known.split_inclusive('\n') {
            // A key in PEM has lines of its own.
            let begins = line.contains("-----BEGIN ") && line.contains("PRIVATE KEY");
            if begins && !*in_key {
                out.push_str(GONE);
                out.push('\n');
            }
            *in_key |= begins;
            if !*in_key {
                out.push_str(&line_of(line));
            }
            *in_key &= !(line.contains("-----END ") && line.contains("PRIVATE KEY"));
        }
        out
    }

    fn without_known(&self, text: &str, names: bool) -> String {
        self.known.iter().fold(text.to_owned(), |text, (known, kind)| match kind {
            Kind::Secret => text.replace(known, GONE),
            Kind::Name if names => names::without(&text, known, NAME),
            Kind::Name => text,
        })
    }
}

/// Whether a value could be a secret at all.
fn holds_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    }
}

/// A line without what looks like a secret.
fn line_of(line: &str) -> String {
    let line = without_display(line);
    let line = without_logins(&line);
    let line = without_queries(&line);
    let line = without_fields(&line);
    words(&line)
}

/// A log of every line on the wire has what a display is told, and names of files on a card.
fn without_display(line: &str) -> String {
    DISPLAY.iter().fold(line.to_owned(), |line, word| {
        let mut parts = line.split(word);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let text = part.find(['*', '"', '\\', '\n']).unwrap_or(part.len());
            let gone = if text > 0 { TEXT } else { "" };
            out.extend([word, gone, &part[text..]]);
        }
        out
    })
}

/// `https://user:pass@host` without what stands before the `@`.
fn without_logins(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end =
            tail.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#' | '<' | '>'));
        // A password may hold a slash that nobody has encoded.
        let wide = tail
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'))
            .unwrap_or(tail.len());
        let end = end.unwrap_or(tail.len());
        let login =
            tail[..end].rfind('@').or_else(|| tail[..wide].find('@').filter(|at| tail[..*at].contains(':')));
        rest = match login {
            Some(login) => {
                out.push_str(GONE);
                &tail[login..]
            }
            None => tail,
        };
    }
    out.push_str(rest);
    out
}

/// Addresses of files may be signed: what stands behind their `?` goes.
fn without_queries(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'))
            .unwrap_or(tail.len());
        match tail[..end].find(['?', '#']) {
            Some(query) => {
                out.push_str(&tail[..=query]);
                out.push_str(GONE);
            }
            None => out.push_str(&tail[..end]),
        }
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

/// `name=value`, `name: value` and `"name":"value"` without the value, where the name says that it is secret.
fn without_fields(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['=', ':']) {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        rest = tail;
        if is_secret(name_before(&head[..at])) {
            let value = tail.trim_start_matches([' ', '\t', '\\', '"', '\'']);
            let lead = &tail[..tail.len() - value.len()];
            let length = length_of(value, lead.contains(['"', '\'']));
            if length > 0 {
                out.push_str(lead);
                out.push_str(GONE);
                rest = &value[length..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn name_before(head: &str) -> &str {
    let head = head.trim_end_matches([' ', '"', '\'', '\\']);
    let from = head
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .map_or(0, |at| at + head[at..].chars().next().map_or(1, char::len_utf8));
    &head[from..]
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !HARMLESS.iter().any(|harmless| name.ends_with(harmless)) && FIELDS.iter().any(|word| name.contains(word))
}

/// A value in quotes ends with them; one without may be two words, as in `Bearer abc`.
fn length_of(value: &str, is_quoted: bool) -> usize {
    if is_quoted {
        return value.find(['"', '\'']).map_or(value.len(), |end| {
            // The quote of a text within a text.
            if value[..end].ends_with('\\') { end - 1 } else { end }
        });
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '}' | ']' | '"');
    let first = value.find(ends).unwrap_or(value.len());
    let is_scheme =
        ["bearer", "basic", "digest"].iter().any(|word| value[..first].eq_ignore_ascii_case(word));
    match value[first..].strip_prefix(' ') {
        Some(second) if is_scheme => first + 1 + second.find(ends).unwrap_or(second.len()),
        _ => first,
    }
}

/// Words that are a key, a code or an address of a person by their form.
fn words(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let space = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(space);
        out.push_str(&word_of(word));
        let next = tail.find(is_of_word).unwrap_or(tail.len());
        out.push_str(&tail[..next]);
        rest = &tail[next..];
    }
    out
}

const fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '-' | '=' | '.' | '@' | '%')
}

fn word_of(word: &str) -> String {
    if is_code(word) {
        return GONE.to_owned();
    }
    // `name=value` is one word: each part is looked at by itself.
    let parts = word.split_inclusive('=').map(|part| {
        let bare = part.trim_end_matches('=');
        format!("{}{}", part_of(bare), &part[bare.len()..])
    });
    parts.collect()
}

fn part_of(part: &str) -> String {
    if PATHS.iter().any(|head| part.starts_with(head)) {
        return part.to_owned();
    }
    let is_mail = part.split_once('@').is_some_and(|(who, host)| !who.is_empty() && host.contains('.'));
    if is_mail {
        return MAIL.to_owned();
    }
    let pieces = part.split_inclusive('.').map(|piece| {
        let bare = piece.trim_end_matches('.');
        if is_key(bare) { format!("{GONE}{}", &piece[bare.len()..]) } else { piece.to_owned() }
    });
    pieces.collect()
}

/// Letters of both cases and digits, and more than a word has.
fn is_key(word: &str) -> bool {
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    word.len() >= KEY_CHARS
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit)
}

/// A code of a pairing: `K7QX-M4TD`.
fn is_code(word: &str) -> bool {
    let is_half =
        |half: &str| half.len() == 4 && half.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let halves = word.split_once('-').filter(|(one, other)| is_half(one) && is_half(other));
    halves.is_some() && word.bytes().any(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests;
