//! Everything that can be found in a file: stable codes, how bad each is, and what to do about it.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// The print may turn out badly.
    Warning,
    /// The job waits until a person overrides it.
    Error,
    /// The firmware cannot take this file at all; nobody can override it.
    Fatal,
}

impl Severity {
    /// The word, as it stands on the wire and in the documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $severity:ident, $summary:literal, $help:literal;)*) => {
        /// A kind of finding, with a code that never changes. The worst come first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $variant,)*
        }

        impl Code {
            /// Every code, the worst first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code, such as `outside-volume`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

codes! {
    LineTooLong = "line-too-long", Fatal, "A line is longer than the firmware can take.",
        "Slice the file again, and look for long messages that a post-processing script has added.";
    NotText = "not-text", Fatal, "A command holds bytes that are not G-code text.",
        "Export plain G-code; a binary, compressed or damaged file cannot be printed.";
    NotACommand = "not-a-command", Fatal, "A line does not begin like a command.",
        "Export plain G-code from the slicer, not a project or another kind of file.";
    HiddenLineReset = "hidden-line-reset", Fatal, "The text M110 stands inside another command, which switches the firmware's line check off.",
        "Take the text out of the message that holds it.";
    NoCommands = "no-commands", Fatal, "The file holds no command.",
        "Slice the file again; this one is empty.";
    OutsideVolume = "outside-volume", Error, "The part reaches outside the printer's volume.",
        "Choose the right printer in the slicer and slice again, or correct printer.volume_mm.";
    BelowBed = "below-bed", Error, "The part reaches below the bed.",
        "Look for a wrong Z offset or a part that was sunk into the bed, and slice again.";
    NozzleTooHot = "nozzle-too-hot", Error, "A hot end is to become hotter than the profile allows.",
        "Choose the right filament in the slicer; a hot end that can take more needs a profile that says so.";
    BedTooHot = "bed-too-hot", Error, "The bed is to become hotter than the profile allows.",
        "Choose the right filament in the slicer; a bed that can take more needs a profile that says so.";
    ChamberTooHot = "chamber-too-hot", Error, "The chamber is to become hotter than the profile allows.",
        "Choose the right filament in the slicer; a chamber that can take more needs a profile that says so.";
    ToolMissing = "tool-missing", Error, "A tool is used that the printer does not have.",
        "Slice for the tools that the printer has, or set printer.tools when it has more.";
    NozzleDiffers = "nozzle-differs", Error, "The file was sliced for another nozzle.",
        "Put the right nozzle in and correct printer.nozzle_mm, or slice again.";
    CheckFailed = "check-failed", Error, "A check in the file says that it is for another printer.",
        "Slice the file again for this printer.";
    ForbiddenCommand = "forbidden-command", Error, "A command has no place in a print job.",
        "Take the command out of the file; what is meant to be set up at the printer is done there.";
    OutsideInStart = "outside-in-start", Warning, "Filament is fed outside the printer's volume ahead of the first layer.",
        "Look at the slicer's start G-code; a wiper beside the bed is no reason to worry.";
    TravelOutside = "travel-outside", Warning, "A move without filament goes outside the printer's volume.",
        "Look at the slicer's start and end G-code; most firmwares stop the axis at its end.";
    MovesBeforeHoming = "moves-before-homing", Warning, "The head moves to a place before the printer has been homed.",
        "Put G28 into the slicer's start G-code, ahead of any move.";
    ColdExtrusion = "cold-extrusion", Warning, "Filament is to be fed while nothing has heated the hot end.",
        "Put M104 and M109 into the slicer's start G-code.";
    ModelDiffers = "model-differs", Warning, "The file was sliced for another model of printer.",
        "Make sure that the file was meant for this printer.";
    BedDiffers = "bed-differs", Warning, "The file was sliced for a larger or a differently placed bed.",
        "Make sure that the file was meant for this printer, or correct printer.volume_mm.";
    FilamentDiffers = "filament-differs", Warning, "The file was sliced for another filament.",
        "Load the filament that the file was sliced for and correct printer.filament, or slice again.";
    FlavourDiffers = "flavour-differs", Warning, "The file was sliced for another kind of firmware.",
        "Choose the firmware's flavour in the slicer's printer settings and slice again.";
    FirmwareOlder = "firmware-older", Warning, "The file asks for a newer firmware than the printer has.",
        "Update the printer's firmware when there is time for it.";
    UnknownCommand = "unknown-command", Warning, "A command is not known; the firmware may leave it out.",
        "Look whether the file was sliced for this firmware; a command of its own can be put into the profile.";
    NoMotion = "no-motion", Warning, "Nothing moves in this file.",
        "Look whether it is the right file.";
    FileTruncated = "file-truncated", Warning, "What the slicer writes at the end of each file is not there.",
        "Export the file again; this one is probably not complete.";
    LinkTooSlow = "link-too-slow", Warning, "The moves come faster than the serial line can carry them.",
        "Slice with a lower resolution or with arcs, use a higher baud rate, or print more slowly.";
    NeedsPerson = "needs-person", Info, "The print stops and waits for a person.",
        "Be there when it does, with what is needed.";
    HeaterLeftOn = "heater-left-on", Info, "A heater is on when the file ends.",
        "Put M104 S0 and M140 S0 into the slicer's end G-code.";
    ChamberUnknown = "chamber-unknown", Info, "A chamber is to be heated, and the profile knows of none.",
        "Give the profile a chamber_max when the printer has a heated chamber.";
    VolumeUnknown = "volume-unknown", Info, "The printer's volume is not known, so positions are not checked.",
        "Set printer.volume_mm.";
    NumberedLines = "numbered-lines", Info, "The file carries line numbers of its own, which are taken off.",
        "Nothing need be done.";
    Inches = "inches", Info, "Some positions are in inches.",
        "Make sure that the firmware knows G20.";
}

impl Code {
    /// How many there are.
    #[cfg(test)]
    pub(super) const COUNT: usize = Self::ALL.len();
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_words_and_the_worst_come_first() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::COUNT);
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        assert!(Code::ALL.is_sorted_by_key(|code| std::cmp::Reverse(code.severity())));
    }

    #[test]
    fn each_says_what_it_means_and_what_to_do() {
        for code in Code::ALL {
            for text in [code.summary(), code.help()] {
                assert!(text.len() > 15 && text.ends_with('.'), "{code}: {text}");
            }
        }
    }
}
