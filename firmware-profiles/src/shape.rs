//! Does a TOML table have the keys of a profile, and does each hold the right kind of value?

use toml::{Table, Value};

use crate::error::{Findings, shorten};
use crate::schema::{self, Key, Kind, PROFILE, join};

/// Longest unknown key that is compared with the known ones, in characters.
const MAX_COMPARED_CHARS: usize = 64;

/// Notes every unknown, missing and wrongly typed key. Unknown keys are taken out of the table, so that what is
/// left can still be looked at for other mistakes.
pub(crate) fn check(table: &mut Table, findings: &mut Findings) {
    check_table(table, PROFILE, "", findings);
}

fn check_table(table: &mut Table, keys: &'static [Key], above: &str, findings: &mut Findings) {
    table.retain(|name, value| {
        let known = keys.iter().any(|key| key.name == name);
        if !known {
            findings.add(join(above, &shorten(name)), value.clone(), unknown(name, keys, above));
        }
        known
    });
    for key in keys {
        let path = join(above, key.name);
        match table.get_mut(key.name) {
            Some(value) => check_value(value, key, &path, findings),
            None if key.required => {
                let allowed = match key.kind {
                    Kind::Table(_) => format!("a section, `[{path}]`"),
                    _ => key.kind.allowed(),
                };
                findings.missing(path, format!("missing; must be {allowed}"));
            }
            None => {}
        }
    }
}

fn check_value(value: &mut Value, key: &'static Key, path: &str, findings: &mut Findings) {
    if let (Kind::Table(inner), Value::Table(table)) = (&key.kind, &mut *value) {
        return check_table(table, inner, path, findings);
    }
    if let (Kind::Texts | Kind::Counts, Value::Array(items)) = (&key.kind, &*value) {
        let one = if matches!(key.kind, Kind::Texts) { Kind::Text } else { Kind::Count };
        for (at, item) in items.iter().enumerate().filter(|(_, item)| !fits(item, &one)) {
            findings.add(format!("{path}[{at}]"), item.clone(), format!("must be {}", one.allowed()));
        }
        return;
    }
    if !fits(value, &key.kind) {
        let meant = match (&key.kind, &*value) {
            (Kind::Choice(names), Value::String(text)) => most_alike(text, names.iter().copied()),
            _ => None,
        };
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"));
        findings.add(path, value.clone(), format!("must be {}{meant}", key.kind.allowed()));
    }
}

/// Whether a single value is of the kind.
fn fits(value: &Value, kind: &Kind) -> bool {
    match (kind, value) {
        (Kind::Text, Value::String(_))
        | (Kind::Switch, Value::Boolean(_))
        | (Kind::Number, Value::Float(_) | Value::Integer(_)) => true,
        (Kind::Choice(names), Value::String(text)) => names.contains(&text.as_str()),
        (Kind::Count, Value::Integer(number)) => u32::try_from(*number).is_ok(),
        (Kind::Integer, Value::Integer(number)) => i32::try_from(*number).is_ok(),
        _ => false,
    }
}

/// What to say about a key that the schema does not have.
fn unknown(name: &str, keys: &'static [Key], above: &str) -> String {
    match nearest(name, keys, above) {
        Some(path) => format!("unknown key; did you mean `{path}`?"),
        None => {
            let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("unknown key; allowed here are {}", known.join(", "))
        }
    }
}

/// The key that was probably meant: of the same name in another section (a key below the wrong heading), else the
/// one in this section that is spelt most alike.
fn nearest(name: &str, keys: &'static [Key], above: &str) -> Option<String> {
    if name.chars().count() > MAX_COMPARED_CHARS {
        return None;
    }
    let mut elsewhere = None;
    schema::walk(PROFILE, "", &mut |path, key| {
        if key.name == name && elsewhere.is_none() {
            elsewhere = Some(path.to_owned());
        }
    });
    elsewhere.or_else(|| most_alike(name, keys.iter().map(|key| key.name)).map(|name| join(above, name)))
}

/// The known word that is spelt most alike, if any is spelt much alike.
fn most_alike<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > MAX_COMPARED_CHARS {
        return None;
    }
    let alike =
        known.map(|name| (edits(word, name), name)).filter(|(distance, _)| *distance <= (length / 3).max(2));
    alike.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many letters must be put in, taken out or exchanged to make `a` of `b` (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::edits;

    #[test]
    fn edits_counts_insertions_deletions_and_exchanges() {
        assert_eq!(edits("rx_bytes", "rx_bytes"), 0);
        assert_eq!(edits("rx_byte", "rx_bytes"), 1);
        assert_eq!(edits("rx_bites", "rx_bytes"), 1);
        assert_eq!(edits("", "ok"), 2);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
