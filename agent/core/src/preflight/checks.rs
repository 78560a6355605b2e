//! Prusa's `M862` checks, judged ahead of the print: nozzle, model, firmware and features that a file asks for.

use super::code::Code;
use super::motion::Site;
use super::printer::Printer;
use super::tally::{Detail, shown};
use super::words::{P, Words};

/// Nozzles that differ by less are the same.
pub(super) const SAME_NOZZLE_MM: f64 = 0.01;

/// Numbers of models (`M862.2`), as Prusa-Firmware's `printers.h` has them, and the family of each.
const MODEL_CODES: &[(u32, &str)] = &[
    (100, "mk1"),
    (200, "mk2"),
    (201, "mk2"),
    (202, "mk2"),
    (203, "mk2"),
    (250, "mk2.5"),
    (20_250, "mk2.5"),
    (252, "mk2.5"),
    (20_252, "mk2.5"),
    (300, "mk3"),
    (20_300, "mk3"),
    (302, "mk3"),
    (20_302, "mk3"),
];

/// Families by the beginnings of their names, the longer ones first. Models of one family print each other's files.
const FAMILIES: &[(&str, &str)] = &[
    ("MK2.5", "mk2.5"),
    ("MK3.5", "mk3.5"),
    ("MK3.9", "mk4"),
    ("MK1", "mk1"),
    ("MK2", "mk2"),
    ("MK3", "mk3"),
    ("MK4", "mk4"),
    ("MINI", "mini"),
    ("XL", "xl"),
    ("IX", "ix"),
    ("COREONEL", "coreonel"),
    ("COREONE", "coreone"),
];

/// Families whose firmware runs files of the MK3 as well.
const LIKE_MK3: &[&str] = &["mk3", "mk3.5", "mk4"];

/// Judges one `M862.<check>`; the question form (`Q`) asks for nothing.
pub(super) fn judge(check: u32, rest: &[u8], printer: &Printer, site: &mut Site) {
    let words = Words::of(rest);
    match check {
        1 => check_nozzle(&words, printer, site),
        2..=4 | 6 if !printer.has_model_checks => {}
        2 => {
            let wanted = words.get(P).map(|code| code.max(0.0) as u32);
            let family = wanted.and_then(|code| MODEL_CODES.iter().find(|(known, _)| *known == code));
            if let (Some(code), Some((_, family))) = (wanted, family) {
                check_model(&code.to_string(), family, printer, site);
            }
        }
        3 => {
            if let Some(name) = quoted(rest)
                && let Some(family) = family(&name)
            {
                check_model(&name, family, printer, site);
            }
        }
        4 => check_version(rest, printer, site),
        6 => check_feature(rest, printer, site),
        _ => {}
    }
}

fn check_nozzle(words: &Words, printer: &Printer, site: &mut Site) {
    let (Some(wanted), Some(nozzle)) = (words.get(P), printer.nozzle_mm) else { return };
    if (wanted - nozzle).abs() > SAME_NOZZLE_MM {
        site.tally.add(Code::NozzleDiffers, "", site.line, || {
            Detail::text(format!(
                "the file checks for a nozzle of {wanted} mm, and the printer has {nozzle} mm"
            ))
            .value(format!("{wanted} mm"))
            .limit(format!("{nozzle} mm"))
        });
    }
}

fn check_model(wanted: &str, wanted_family: &str, printer: &Printer, site: &mut Site) {
    let Some(machine) = printer.model.as_deref().or(printer.machine.as_deref()) else { return };
    let Some(own) = family(machine) else { return };
    let fits = own == wanted_family || wanted_family == "mk3" && LIKE_MK3.contains(&own);
    if !fits {
        site.tally.add(Code::CheckFailed, "model", site.line, || {
            Detail::text(format!("the file checks for the model {wanted}, and this is {machine}"))
                .value(wanted)
                .limit(machine)
        });
    }
}

fn check_version(rest: &[u8], printer: &Printer, site: &mut Site) {
    let Some(own) = printer.firmware_version.as_deref().and_then(version) else { return };
    let wanted = rest.iter().position(|byte| *byte == b'P').map(|at| shown(&rest[at + 1..]));
    let Some(wanted) = wanted else { return };
    if version(&wanted).is_some_and(|version| version > own) {
        is_older(&wanted, printer, site);
    }
}

/// `M115 U3.14.0`: the file knows of this version.
pub(super) fn check_update(rest: &[u8], printer: &Printer, site: &mut Site) {
    let wanted = rest.trim_ascii().strip_prefix(b"U").map(shown);
    let own = printer.firmware_version.as_deref().and_then(version);
    if let (Some(wanted), Some(own), true) = (wanted, own, printer.has_model_checks)
        && version(&wanted).is_some_and(|version| version > own)
    {
        is_older(&wanted, printer, site);
    }
}

fn is_older(wanted: &str, printer: &Printer, site: &mut Site) {
    let own = printer.firmware_version.clone().unwrap_or_default();
    site.tally.add(Code::FirmwareOlder, "", site.line, || {
        Detail::text(format!("the file asks for firmware {wanted}, and the printer has {own}"))
            .value(wanted)
            .limit(own)
    });
}

/// Only the 32 bit printers shape their input, and a file that counts on it is too fast for the others.
fn check_feature(rest: &[u8], printer: &Printer, site: &mut Site) {
    let is_old = printer
        .machine
        .as_deref()
        .and_then(family)
        .is_some_and(|own| matches!(own, "mk1" | "mk2" | "mk2.5" | "mk3"));
    if is_old && quoted(rest).is_some_and(|feature| feature.eq_ignore_ascii_case("Input shaper")) {
        let told = || {
            Detail::text("the file checks for input shaping, which this model does not have")
                .value("Input shaper")
        };
        site.tally.add(Code::CheckFailed, "feature", site.line, told);
    }
}

/// The family of a Prusa model, by any of its names (`MK3SMMU2S`, `Prusa i3 MK3S`, `Prusa-COREONE`).
pub(super) fn family(model: &str) -> Option<&'static str> {
    let plain: String =
        model.to_ascii_uppercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
    let bare = plain.strip_prefix("ORIGINAL").unwrap_or(&plain);
    let bare = bare.strip_prefix("PRUSA").unwrap_or(bare);
    let bare = bare.strip_prefix("I3").unwrap_or(bare);
    FAMILIES.iter().find(|(name, _)| bare.starts_with(name)).map(|(_, family)| *family)
}

fn quoted(rest: &[u8]) -> Option<String> {
    let from = rest.iter().position(|byte| *byte == b'"')? + 1;
    let length = rest[from..].iter().position(|byte| *byte == b'"')?;
    Some(shown(&rest[from..from + length]))
}

/// `3.14.1` as numbers; `None` for anything that is not at least two of them.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut count = 0;
    for (place, part) in numbers.iter_mut().zip(text[..end].split('.')) {
        *place = part.parse().ok()?;
        count += 1;
    }
    (count >= 2).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_by_all_their_names() {
        for (name, expected) in [
            ("Prusa i3 MK3S", Some("mk3")),
            ("MK3SMMU2S", Some("mk3")),
            ("MK2.5S", Some("mk2.5")),
            ("Prusa-MK4", Some("mk4")),
            ("MK4SMMU3", Some("mk4")),
            ("Original Prusa MINI", Some("mini")),
            ("Prusa-Core-One", Some("coreone")),
            ("XL5IS", Some("xl")),
            ("Ender-3 V2", None),
            ("3D Printer", None),
        ] {
            assert_eq!(family(name), expected, "{name}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("3.14.0") > version("3.9.1"));
        assert_eq!(version("6.5.3+12780"), Some([6, 5, 3]));
        assert_eq!(version("3.13.0-RC1"), Some([3, 13, 0]));
        assert_eq!(version("31000"), None);
        assert_eq!(version(""), None);
    }
}
