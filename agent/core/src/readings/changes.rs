//! What is said of new values to somebody who knows the ones before.

use std::collections::BTreeMap;

use spoolway_protocol::telemetry::Readings;

/// What changed. `None` when a value is gone: a delta cannot say that, because absent means unchanged.
#[must_use]
pub fn changes(before: &Readings, now: &Readings) -> Option<Readings> {
    let (mut delta, mut gone) = (Readings::default(), false);
    macro_rules! compare {
        ($($field:ident)*) => {
            $(
                if before.$field != now.$field {
                    gone |= now.$field.is_none();
                    delta.$field.clone_from(&now.$field);
                }
            )*
        };
    }
    compare!(state bed_clear pct line layer z fan speed flow eta_s buf gap_ms_p99 gap_ms_p999 rtt_ms_p50 rtt_ms_p99);
    compare!(starved_ms link_use lines_per_s resend_ratio window resend);
    delta.t = changed_entries(&before.t, &now.t)?;
    delta.extra.0 = changed_entries(&before.extra.0, &now.extra.0)?;
    (!gone).then_some(delta)
}

fn changed_entries<V: Clone + PartialEq>(
    before: &BTreeMap<String, V>,
    now: &BTreeMap<String, V>,
) -> Option<BTreeMap<String, V>> {
    let all_here = before.keys().all(|name| now.contains_key(name));
    let changed = now.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    all_here.then(|| changed.map(|(name, value)| (name.clone(), value.clone())).collect())
}
