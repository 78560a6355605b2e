//! What the owner may set from afar: what a file is held against that changes with what is mounted and loaded. Nothing here makes
//! anything less safe; all else is set at the machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::settings::{Given, SETTINGS};
use super::{Config, Preflight};
use crate::paths::Paths;

/// The keys.
pub const REMOTE_KEYS: [&str; 4] =
    ["printer.tools", "printer.nozzle_mm", "printer.model", "printer.filament"];

/// What the owner has set, over what the machine's own configuration says; by the rules of the file.
///
/// # Errors
/// A key is not among those, or its value does not fit it.
pub fn with_remote(own: &Preflight, set: &BTreeMap<String, Value>) -> Result<Preflight, String> {
    let nowhere = Paths { config: PathBuf::new(), state: PathBuf::new(), runtime: PathBuf::new() };
    let mut config = Config { preflight: own.clone(), ..Config::new(&nowhere) };
    for (key, value) in set {
        let setting =
            SETTINGS.iter().find(|setting| setting.key == key && REMOTE_KEYS.contains(&setting.key));
        let Some(setting) = setting else {
            let key: String = key.chars().take(60).collect();
            let known = REMOTE_KEYS.join(", ");
            return Err(format!("`{key}` is set at the machine only; from here go {known}"));
        };
        let given = given(value);
        (setting.take)(&mut config, &given)
            .map_err(|why| format!("{} = {}: {why}", setting.key, given.shown()))?;
    }
    Ok(config.preflight)
}

/// A value of JSON as the file would have it.
fn given(value: &Value) -> Given {
    match value {
        Value::String(text) => Given::Text(text.clone()),
        Value::Bool(switch) => Given::Switch(*switch),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Given::Other(number.to_string()), Given::Number)
        }
        other => Given::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> Result<Preflight, String> {
        let own = Preflight { model: Some("Ender-3".to_owned()), block: false, ..Preflight::default() };
        with_remote(&own, &serde_json::from_value(value).unwrap())
    }

    #[test]
    fn the_owner_sets_what_is_mounted_by_the_rules_of_the_file() {
        let now =
            set(json!({"printer.nozzle_mm": 0.6, "printer.tools": 2, "printer.filament": "PETG"})).unwrap();
        assert_eq!((now.nozzle_um, now.tools, now.filament.as_deref()), (Some(600), Some(2), Some("PETG")));
        assert_eq!((now.model.as_deref(), now.block), (Some("Ender-3"), false), "the rest stays");
        assert_eq!(set(json!({"printer.model": ""})).unwrap().model, None);
    }

    #[test]
    fn what_does_not_fit_or_is_not_the_owners_is_refused_by_name() {
        for (patch, said) in [
            (json!({"printer.nozzle_mm": 99}), "printer.nozzle_mm = 99: must be a number from 0 to 20"),
            (json!({"printer.filament": 3}), "must be text"),
            (json!({"printer.tools": {"a": 1}}), "must be a whole number"),
            (json!({"bed.confirm": "not-required"}), "at the machine only"),
            (json!({"preflight.block": false}), "at the machine only"),
            (json!({"printer.volume_mm": [999, 999, 999]}), "at the machine only"),
            (json!({"no.such": 1}), "printer.filament"),
        ] {
            let error = set(patch).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
