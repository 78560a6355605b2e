//! Temperatures as firmwares report them: `T:20.9 /210.0 B:60.1 /60.0 T0:.. /.. @:127`.

/// Most hot ends that are told apart.
pub const TOOLS_MAX: usize = 8;

/// One sensor, in degrees Celsius.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Measured.
    pub actual: f32,
    /// Asked for, where the firmware says so.
    pub target: Option<f32>,
}

/// All sensors of one report.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Temperatures {
    /// Hot ends by number; a firmware that reports only the tool in use fills the first.
    pub tools: [Option<Reading>; TOOLS_MAX],
    /// The bed.
    pub bed: Option<Reading>,
    /// The chamber.
    pub chamber: Option<Reading>,
}

/// Reads a report; `None` when the text holds no temperature of a tool or the bed.
#[must_use]
pub fn parse_temperatures(text: &[u8]) -> Option<Temperatures> {
    if !text.contains(&b':') {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let mut found = Temperatures::default();
    let mut numbered = false;
    let mut rest = text;
    while let Some((name, value, after)) = next_pair(rest) {
        rest = after;
        let Some(reading) = reading(value) else { continue };
        match name {
            "T" if !numbered => found.tools[0] = Some(reading),
            "B" => found.bed = Some(reading),
            "C" => found.chamber = Some(reading),
            _ => {
                if let Some(tool) = tool_number(name) {
                    numbered = true;
                    found.tools[tool] = Some(reading);
                }
            }
        }
    }
    (found.tools.iter().any(Option::is_some) || found.bed.is_some()).then_some(found)
}

fn tool_number(name: &str) -> Option<usize> {
    name.strip_prefix('T')?.parse().ok().filter(|&tool| tool < TOOLS_MAX)
}

/// `NAME:value` up to the next name; the value may hold ` /target`.
fn next_pair(text: &str) -> Option<(&str, &str, &str)> {
    let colon = text.find(':')?;
    let name = text[..colon].rsplit([' ', '\t']).next().unwrap_or("");
    let after = &text[colon + 1..];
    let end = after.find(|c: char| c.is_ascii_alphabetic() || c == '@').unwrap_or(after.len());
    Some((name, &after[..end], &after[end..]))
}

fn reading(value: &str) -> Option<Reading> {
    let (actual, target) = match value.split_once('/') {
        Some((actual, target)) => (actual, target.trim().parse().ok()),
        None => (value, None),
    };
    let actual: f32 = actual.trim().parse().ok()?;
    actual.is_finite().then_some(Reading { actual, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(text: &str, index: usize) -> Option<(f32, Option<f32>)> {
        parse_temperatures(text.as_bytes())?.tools[index].map(|r| (r.actual, r.target))
    }

    #[test]
    fn the_forms_that_firmwares_print() {
        assert_eq!(tool(" T:19.37 /0.00 B:19.37 /0.00 @:0 B@:0", 0), Some((19.37, Some(0.0))));
        assert_eq!(tool("T:20.0/0.0 B:21/60", 0), Some((20.0, Some(0.0))));
        assert_eq!(tool("T:241.25 E:0 B:76.5", 0), Some((241.25, None)));
        assert_eq!(tool("T:a /b B:5 /6 T0:100 /110 T1:20 /0 @:0", 1), Some((20.0, Some(0.0))));
        assert_eq!(tool("T0:205 B:50 T1:29", 0), Some((205.0, None)));
        assert_eq!(tool("T:210 /210 W:?", 0), Some((210.0, Some(210.0))));
    }

    #[test]
    fn other_lines_hold_none() {
        for text in ["X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0", "echo:hello", "T:nan", "", "Cap:EEPROM:1"] {
            assert_eq!(parse_temperatures(text.as_bytes()), None, "{text}");
        }
    }
}
