//! What can only be said once the whole file has been read: the slicer's words against the printer, and what is missing.

use super::checks::{SAME_NOZZLE_MM, family};
use super::code::Code;
use super::motion::Site;
use super::printer::{Printer, Tools, Volume};
use super::report::Report;
use super::slicer::Slicer;
use super::tally::{Detail, Tally};
use super::{Preflight, Problem};
use crate::gcode::Summary;

/// A bed that is larger by no more is the same bed.
const SAME_BED_MM: f64 = 5.0;

pub(super) fn finish(mut check: Preflight) -> Report {
    let lines = check.line - 1;
    if check.commands == 0 {
        check.line = 0;
        check.refuse(&Problem::Empty);
    }
    let Preflight { printer, mut tally, mut rate, motion, heat, slicer, objects, .. } = check;
    let in_layers = check.layer > 0;
    if !in_layers {
        // Without marks nobody can tell the start from the part.
        tally.rename(Code::OutsideInStart, Code::OutsideVolume);
    }
    if check.mixes && matches!(printer.tools, Some(Tools::Reported(_))) {
        // The tools of a hot end that mixes are mixtures.
        tally.remove(Code::ToolMissing);
    }
    if check.commands > 0 && motion.moves() == 0 && !motion.is_lost() {
        tally.whole(Code::NoMotion, Detail::text("there is no G0, G1, G2 or G3"));
    }
    heat.finish(&mut Site { line: 0, in_layers, tally: &mut tally });
    rate.finish(&mut tally);
    if slicer.is_cut_short() {
        let name = slicer.name.as_deref().unwrap_or("the slicer");
        tally.whole(Code::FileTruncated, Detail::text(format!("what {name} writes at the end is missing")));
    }
    match &printer.volume {
        Some(volume) => judge_bed(&slicer, volume, &mut tally),
        None => tally.whole(Code::VolumeUnknown, volume_unknown(&slicer)),
    }
    judge_slicer(&slicer, &printer, &mut tally);
    Report {
        findings: tally.into_sorted(),
        summary: Summary { commands: check.commands, lines, bytes: check.bytes, layers: check.layer },
        bounds: motion.bounds(),
        moves: motion.moves(),
        move_s: motion.seconds(),
        filament_mm: motion.fed_mm(),
        greatest_c: heat.greatest(),
        link_waits_s: rate.waits_s(),
        slicer,
        objects: objects.into_names(),
    }
}

fn volume_unknown(slicer: &Slicer) -> Detail {
    match (slicer.bed_mm, slicer.height_mm) {
        (Some([x0, y0, x1, y1]), Some(z)) => {
            Detail::text(format!("the slicer reckons with {} x {} x {z} mm", x1 - x0, y1 - y0))
        }
        _ => Detail::text("neither the configuration nor the profile says how large the printer is"),
    }
}

/// A bed that the slicer thinks is larger than it is, or that has its origin elsewhere.
fn judge_bed(slicer: &Slicer, volume: &Volume, tally: &mut Tally) {
    let Some([x0, y0, x1, y1]) = slicer.bed_mm else { return };
    let reaches_out = x0 < volume.least[0] - SAME_BED_MM
        || y0 < volume.least[1] - SAME_BED_MM
        || x1 > volume.most[0] + SAME_BED_MM
        || y1 > volume.most[1] + SAME_BED_MM;
    if reaches_out {
        let own = format!(
            "X{} to X{}, Y{} to Y{}",
            volume.least[0], volume.most[0], volume.least[1], volume.most[1]
        );
        let theirs = format!("X{x0} to X{x1}, Y{y0} to Y{y1}");
        tally.whole(
            Code::BedDiffers,
            Detail::text(format!("the slicer reckons with a bed from {theirs}, and this one is from {own}"))
                .value(theirs)
                .limit(own),
        );
    }
}

fn judge_slicer(slicer: &Slicer, printer: &Printer, tally: &mut Tally) {
    if let Some(nozzle) = printer.nozzle_mm
        && let Some(first) = slicer.nozzles_mm.first()
        && slicer.nozzles_mm.iter().all(|other| (other - nozzle).abs() > SAME_NOZZLE_MM)
    {
        let detail =
            Detail::text(format!("sliced for a nozzle of {first} mm, and the printer has {nozzle} mm"));
        tally.whole(Code::NozzleDiffers, detail.value(format!("{first} mm")).limit(format!("{nozzle} mm")));
    }
    if let Some(loaded) = &printer.filament
        && let Some(first) = slicer.filaments.first()
        && !slicer.filaments.iter().any(|other| other.eq_ignore_ascii_case(loaded))
    {
        let detail = Detail::text(format!("sliced for {first}, and {loaded} is loaded"));
        tally.whole(Code::FilamentDiffers, detail.value(first).limit(loaded));
    }
    if let Some(flavour) = &slicer.flavour
        && !printer.flavours.is_empty()
        && !printer.flavours.iter().any(|own| own.eq_ignore_ascii_case(flavour))
    {
        let own = printer.flavours.join(", ");
        let detail = Detail::text(format!("sliced for the flavour {flavour}, and this firmware takes {own}"));
        tally.whole(Code::FlavourDiffers, detail.value(flavour).limit(own));
    }
    judge_model(slicer, printer, tally);
}

/// Names of models are as many as their makers; only what is surely another is told.
fn judge_model(slicer: &Slicer, printer: &Printer, tally: &mut Tally) {
    let Some(theirs) = &slicer.model else { return };
    let own = match (&printer.model, &printer.machine) {
        (Some(model), _) if !is_same_name(model, theirs) => model,
        (None, Some(machine)) if printer.has_model_checks => {
            let families = (family(machine), family(theirs));
            let (Some(own), Some(other)) = families else { return };
            if own == other {
                return;
            }
            machine
        }
        _ => return,
    };
    let detail = Detail::text(format!("sliced for {theirs}, and this is {own}")).value(theirs).limit(own);
    tally.whole(Code::ModelDiffers, detail);
}

/// `Creality Ender-3 V2` and `ender3v2` are the same.
fn is_same_name(a: &str, b: &str) -> bool {
    let bare = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let (a, b) = (bare(a), bare(b));
    a.contains(&b) || b.contains(&a) || family(&a).is_some() && family(&a) == family(&b)
}
