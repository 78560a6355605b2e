//! What a person says of the printer itself, so that files can be held against it.

use super::settings::{Given, Setting, optional, quoted};

/// What a file is held against before it is printed, as far as a person has said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// Size of the printer in X, Y and Z, in millimetres.
    pub volume_mm: Option<[u32; 3]>,
    /// Where the printer's zero is.
    pub origin: BedOrigin,
    /// How many tools it has.
    pub tools: Option<u32>,
    /// Diameter of its nozzle, in micrometres.
    pub nozzle_um: Option<u32>,
    /// Its model.
    pub model: Option<String>,
    /// The filament that is loaded.
    pub filament: Option<String>,
    /// Whether a job waits for a person when an error was found in its file.
    pub block: bool,
}

/// Where X and Y are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BedOrigin {
    /// At the front left corner of the bed.
    Corner,
    /// In its centre.
    Centre,
}

impl BedOrigin {
    /// Both with their words.
    pub const WORDS: [(&'static str, Self); 2] = [("corner", Self::Corner), ("centre", Self::Centre)];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Corner => "corner",
            Self::Centre => "centre",
        }
    }
}

impl Default for Preflight {
    fn default() -> Self {
        Self {
            volume_mm: None,
            origin: BedOrigin::Corner,
            tools: None,
            nozzle_um: None,
            model: None,
            filament: None,
            block: true,
        }
    }
}

/// `printer.volume_mm`.
pub(super) const VOLUME: Setting = Setting {
    key: "printer.volume_mm",
    take: |config, given| {
        config.preflight.volume_mm = sizes(given)?;
        Ok(())
    },
    show: |config| {
        let sizes = config.preflight.volume_mm.iter().flatten().map(u32::to_string);
        format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
    },
};

/// `printer.origin`.
pub(super) const ORIGIN: Setting = Setting {
    key: "printer.origin",
    take: |config, given| {
        let text = given.text()?;
        let known = BedOrigin::WORDS.iter().find(|(word, _)| *word == text);
        config.preflight.origin = known.ok_or("must be corner or centre")?.1;
        Ok(())
    },
    show: |config| quoted(config.preflight.origin.as_str()),
};

/// `printer.tools`.
pub(super) const TOOLS: Setting = Setting {
    key: "printer.tools",
    take: |config, given| {
        config.preflight.tools = Some(given.whole(0, 100)?).filter(|tools| *tools > 0);
        Ok(())
    },
    show: |config| config.preflight.tools.unwrap_or(0).to_string(),
};

/// `printer.nozzle_mm`.
pub(super) const NOZZLE: Setting = Setting {
    key: "printer.nozzle_mm",
    take: |config, given| {
        config.preflight.nozzle_um = micrometres(given, 20)?;
        Ok(())
    },
    show: |config| format!("{:?}", f64::from(config.preflight.nozzle_um.unwrap_or(0)) / 1_000.0),
};

/// `printer.model`.
pub(super) const MODEL: Setting = Setting {
    key: "printer.model",
    take: |config, given| {
        config.preflight.model = words(given)?;
        Ok(())
    },
    show: |config| optional(config.preflight.model.as_ref()),
};

/// `printer.filament`.
pub(super) const FILAMENT: Setting = Setting {
    key: "printer.filament",
    take: |config, given| {
        config.preflight.filament = words(given)?;
        Ok(())
    },
    show: |config| optional(config.preflight.filament.as_ref()),
};

/// `preflight.block`.
pub(super) const BLOCK: Setting = Setting {
    key: "preflight.block",
    take: |config, given| {
        config.preflight.block = given.switch()?;
        Ok(())
    },
    show: |config| config.preflight.block.to_string(),
};

/// A short text; empty is none.
fn words(given: &Given) -> Result<Option<String>, String> {
    const MOST_CHARS: usize = 64;
    let text = given.text()?;
    if text.chars().count() > MOST_CHARS || text.chars().any(char::is_control) {
        return Err(format!("must be at most {MOST_CHARS} printable characters"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// A number of millimetres, in micrometres; 0 is none.
fn micrometres(given: &Given, most_mm: u32) -> Result<Option<u32>, String> {
    let value = match given {
        Given::Number(number) => Some(*number as f64),
        Given::Other(text) | Given::Bare(text) => text.trim().parse().ok(),
        _ => None,
    };
    let fits = value.filter(|mm: &f64| (0.0..=f64::from(most_mm)).contains(mm));
    let micrometres = fits.ok_or_else(|| format!("must be a number from 0 to {most_mm}"))? * 1_000.0;
    Ok(Some(micrometres.round() as u32).filter(|value| *value > 0))
}

/// Three sizes in millimetres, as `[220, 220, 250]`; an empty list is none.
fn sizes(given: &Given) -> Result<Option<[u32; 3]>, String> {
    const MOST_MM: u32 = 10_000;
    let refused = || format!("must be three whole numbers from 1 to {MOST_MM}, such as [220, 220, 250]");
    let (Given::Other(text) | Given::Bare(text)) = given else { return Err(refused()) };
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']').trim();
    if inner.is_empty() {
        return Ok(None);
    }
    let sizes: Result<Vec<u32>, _> = inner.split(',').map(|part| part.trim().parse()).collect();
    let sizes = sizes.ok().and_then(|sizes| <[u32; 3]>::try_from(sizes).ok());
    sizes.filter(|sizes| sizes.iter().all(|mm| (1..=MOST_MM).contains(mm))).map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_diameters_as_people_write_them() {
        let other = |text: &str| Given::Other(text.to_owned());
        let bare = |text: &str| Given::Bare(text.to_owned());
        for given in [other("[220, 210, 250]"), bare("220,210,250"), bare("[220,210,250]")] {
            assert_eq!(sizes(&given), Ok(Some([220, 210, 250])));
        }
        assert_eq!(sizes(&other("[]")), Ok(None));
        for wrong in [
            other("[220, 210]"),
            other("[0, 1, 2]"),
            other("[1.5, 2, 3]"),
            other("a table"),
            Given::Number(3),
        ] {
            assert!(sizes(&wrong).unwrap_err().contains("[220, 220, 250]"));
        }
        assert_eq!(micrometres(&other("0.4"), 20), Ok(Some(400)));
        assert_eq!(micrometres(&Given::Number(1), 20), Ok(Some(1_000)));
        assert_eq!(micrometres(&bare("0"), 20), Ok(None));
        assert!(micrometres(&other("-1"), 20).is_err() && micrometres(&other("nan"), 20).is_err());
        assert_eq!(words(&Given::Text(" PLA ".to_owned())), Ok(Some("PLA".to_owned())));
        assert_eq!(words(&bare("")), Ok(None));
    }
}
