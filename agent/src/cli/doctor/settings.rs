//! Configuration and profile: whether the agent could be started with them.

use std::path::Path;

use spoolway_firmware_profiles::Registry;
use spoolway_protocol::Fault;

use super::super::Failure;
use super::report::Step;
use crate::config::{Loaded, ProfileChoice};

/// Whether the configuration is good.
pub(super) fn config(loaded: Result<&Loaded, &Failure>) -> Step {
    match loaded {
        Err(failure) => Step::of_failure("config", failure),
        Ok(Loaded { file: Some(file), .. }) => Step::ok("config", format!("{} is good", file.display())),
        Ok(_) => Step::ok("config", "there is no file: every setting has its default"),
    }
}

/// What there is of profiles.
#[derive(Debug)]
pub(super) struct Profiles {
    /// How many there are.
    count: usize,
    /// Files that cannot be used, and why.
    broken: Vec<String>,
    /// The one that is named: where it comes from, or that nobody knows it.
    named: Option<Result<String, String>>,
}

/// Reads the profiles.
pub(super) fn look(folder: Option<&Path>, choice: &ProfileChoice) -> Profiles {
    let (registry, broken) = Registry::load(folder);
    let named = match choice {
        ProfileChoice::Auto => None,
        ProfileChoice::Id(id) => {
            let known = registry.get(id).map(|known| format!("{id} ({})", known.origin));
            Some(known.map_err(|error| error.to_string()))
        }
    };
    Profiles {
        count: registry.iter().count(),
        broken: broken.iter().map(ToString::to_string).collect(),
        named,
    }
}

/// Whether the profile is known, and the files of the folder are good.
pub(super) fn profile(profiles: &Profiles) -> Step {
    if let Some(Err(unknown)) = &profiles.named {
        return Step::failed("profile", Fault::ProfileUnknown, unknown);
    }
    let text = match &profiles.named {
        Some(Ok(named)) => named.clone(),
        _ => format!("the firmware is asked which of {} it is", profiles.count),
    };
    let Some(first) = profiles.broken.first() else { return Step::ok("profile", text) };
    let more = match profiles.broken.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let fault = Fault::ProfileBad;
    let step = Step::warning("profile", format!("{text}; left out: {first}{more}"), fault.help());
    Step { code: Some(fault.code().to_owned()), ..step }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;
    use crate::config::{Flag, load};
    use crate::paths::Paths;

    fn loaded(dir: &Path, flags: &[(&str, &str)]) -> Loaded {
        let folder = || dir.to_owned();
        let paths = Paths { config: folder(), state: folder(), runtime: folder() };
        let flag = |(key, value): &(&str, &str)| Flag { key: (*key).into(), value: (*value).into() };
        let flags: Vec<_> = flags.iter().map(flag).collect();
        load(&paths, None, std::iter::empty(), &flags).unwrap()
    }

    fn seen(loaded: &Loaded) -> Profiles {
        look(loaded.config.profiles.folder.as_deref(), &loaded.config.printer.profile)
    }

    #[test]
    fn a_broken_configuration_fails_with_its_own_words() {
        let broken = Failure::of(Fault::ConfigBroken, "agent.toml, line 3: there is no setting `prot`");
        let step = config(Err(&broken));
        assert_eq!((step.verdict, step.code.as_deref()), (Verdict::Failed, Some("config.broken")));
        assert!(step.text.contains("line 3") && step.help.is_some());
        let dir = tempfile::tempdir().unwrap();
        assert!(config(Ok(&loaded(dir.path(), &[]))).text.contains("default"));
        std::fs::write(dir.path().join("agent.toml"), "").unwrap();
        assert!(config(Ok(&loaded(dir.path(), &[]))).text.ends_with("agent.toml is good"));
    }

    #[test]
    fn a_profile_that_nobody_knows_fails_and_a_broken_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let auto = profile(&seen(&loaded(dir.path(), &[])));
        assert_eq!((auto.verdict, auto.text.contains("is asked which of")), (Verdict::Ok, true), "{auto:?}");
        let named = profile(&seen(&loaded(dir.path(), &[("printer.profile", "marlin")])));
        assert!(named.verdict == Verdict::Ok && named.text.starts_with("marlin ("), "{named:?}");
        let unknown = profile(&seen(&loaded(dir.path(), &[("printer.profile", "marlim")])));
        assert_eq!((unknown.verdict, unknown.code.as_deref()), (Verdict::Failed, Some("profile.unknown")));
        for name in ["a.toml", "b.toml"] {
            std::fs::write(dir.path().join(name), "id = 1\n").unwrap();
        }
        let folder = dir.path().to_str().unwrap();
        let broken = profile(&seen(&loaded(dir.path(), &[("profiles.folder", folder)])));
        assert_eq!((broken.verdict, broken.code.as_deref()), (Verdict::Warning, Some("profile.bad")));
        assert!(broken.text.contains("a.toml") && broken.text.contains("(and 1 more)"), "{broken:?}");
    }
}
