//! Rules for what a file is held against.

use super::within;
use crate::error::Findings;
use crate::limits::Machine;

const MAX_TEXTS: usize = 64;
const MAX_TEXT_BYTES: usize = 32;
/// Room enough for any printer, in millimetres.
const MAX_SIZE_MM: u32 = 10_000;
const MAX_TOOLS: u32 = 100;
const MAX_NOZZLE_MM: f32 = 20.0;

pub(super) fn check(machine: &Machine, findings: &mut Findings) {
    for (key, texts) in [("machine.flavours", &machine.flavours), ("machine.commands", &machine.commands)] {
        if texts.len() > MAX_TEXTS {
            let length = i64::try_from(texts.len()).unwrap_or(i64::MAX);
            findings.add(key, length, format!("must have at most {MAX_TEXTS} entries"));
        }
        for (at, text) in texts.iter().enumerate() {
            let is_word = text.bytes().all(|byte| byte.is_ascii_graphic());
            if text.is_empty() || text.len() > MAX_TEXT_BYTES || !is_word {
                let problem = format!("must be one word of at most {MAX_TEXT_BYTES} printable characters");
                findings.add(format!("{key}[{at}]"), text.as_str(), problem);
            }
        }
    }
    if !matches!(machine.volume_mm.len(), 0 | 3) {
        let length = i64::try_from(machine.volume_mm.len()).unwrap_or(i64::MAX);
        findings.add("machine.volume_mm", length, "must be three numbers: X, Y and Z");
    }
    for (at, size) in machine.volume_mm.iter().enumerate() {
        within(findings, &format!("machine.volume_mm[{at}]"), *size, 1..=MAX_SIZE_MM);
    }
    if let Some(tools) = machine.tools {
        within(findings, "machine.tools", tools, 1..=MAX_TOOLS);
    }
    if let Some(nozzle) = machine.nozzle_mm
        && !(nozzle > 0.0 && nozzle <= MAX_NOZZLE_MM)
    {
        findings.add("machine.nozzle_mm", nozzle, format!("must be more than 0 and at most {MAX_NOZZLE_MM}"));
    }
}
