//! What the agent has accounted: one record for the one attempt, of the whole file, whatever happened to the house.

use spoolway_agent_core::gcode::FilamentCount;
use spoolway_protocol::event::{Event, EventData};
use spoolway_protocol::job::Outcome;
use spoolway_protocol::usage::JobUsage;

/// Filament by tool in mm that a file pushes.
pub(super) fn filament_of(file: &[u8], commands: u64) -> Vec<f64> {
    let mut count = FilamentCount::new(0..commands);
    count.push(file);
    count.finish()
}

/// The records among some events.
pub(super) fn records<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<(JobUsage, u32)> {
    let ours = |event: &Event| match event.decode() {
        Ok(EventData::JobUsage(usage)) => Some((*usage, event.attempt.unwrap_or_default())),
        _ => None,
    };
    events.into_iter().filter_map(ours).collect()
}

/// What is wrong with the records of a print that was completed; nothing when there is one, and it is of the whole file.
pub(super) fn fault(
    records: &[(JobUsage, u32)],
    elapsed_ms: u64,
    (commands, filament_mm): (u64, &[f64]),
) -> Option<String> {
    let [(usage, attempt)] = records else {
        return Some(format!("{} usage records for one attempt", records.len()));
    };
    let is_right = *attempt == 1
        && usage.usage_id.ends_with("/1")
        && usage.outcome == Outcome::Completed
        && (usage.lines_acked, usage.lines_before, usage.lines_total) == (commands, 0, commands)
        && usage.filament_mm.as_deref() == Some(filament_mm)
        && usage.printing_ms > 0
        && usage.printing_ms + usage.paused_ms == elapsed_ms
        && usage.sig.is_some();
    (!is_right).then(|| format!("{usage:?} is not {commands} lines and {filament_mm:?} mm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"M83\nG1 X1 E1.5\nT1\nG1 X2 E2\n";

    fn usage() -> JobUsage {
        serde_json::from_value(serde_json::json!({
            "usage_id": "j/1", "agent": spoolway_protocol::AgentId::from_bytes([1; 16]), "kid": "k1", "outcome": "completed",
            "printing_ms": 7, "paused_ms": 2, "filament_mm": [1.5, 2.0], "lines_acked": 4, "lines_total": 4, "sig": "AQID",
        }))
        .unwrap()
    }

    fn judged(records: &[(JobUsage, u32)]) -> Option<String> {
        fault(records, 9, (4, &filament_of(FILE, 4)))
    }

    #[test]
    fn a_print_that_is_accounted_once_and_whole_has_no_fault() {
        assert_eq!(judged(&[(usage(), 1)]), None);
    }

    #[test]
    fn what_is_missing_doubled_or_of_another_size_is_named() {
        assert!(judged(&[]).unwrap().starts_with("0 usage records"));
        assert!(judged(&[(usage(), 1), (usage(), 1)]).unwrap().starts_with("2 usage records"));
        let changes: [fn(&mut JobUsage); 7] = [
            |usage| usage.lines_acked = 3,
            |usage| usage.lines_before = 1,
            |usage| usage.filament_mm = Some(vec![1.5]),
            |usage| usage.filament_mm = None,
            |usage| usage.outcome = Outcome::Interrupted,
            |usage| usage.printing_ms = 8,
            |usage| usage.sig = None,
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut wrong = usage();
            change(&mut wrong);
            assert!(judged(&[(wrong, 1)]).is_some(), "{at}");
        }
        assert!(judged(&[(usage(), 2)]).is_some(), "of another attempt");
    }
}
