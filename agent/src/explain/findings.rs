//! What is found in a file ahead of its print. The sentences of each finding stand in `agent/core/src/preflight/code.rs`.

use spoolway_agent_core::preflight::{Code, Severity};

/// What becomes of a job in whose file something of this severity was found.
pub(super) const fn done(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "The job failed before anything moved. Nobody can override it.",
        Severity::Error => {
            "Nothing moved: the job waits as awaiting_operator for somebody's word, unless preflight.block is false."
        }
        Severity::Warning => "The job starts; `jobs`, the log and the backend are told of it.",
        Severity::Info => "The job starts; the backend and `check` are told of it.",
    }
}

every! { all, Code:
    LineTooLong {
        means: "Its buffer for one line has to take the line with its number and checksum.",
        try: [
            "Look at the line that is named, mostly a long M117 or M118 message.",
            "Take it out of the slicer's G-code or of the script that has added it, and slice again.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    NotText {
        means: "A binary G-code (.bgcode), a compressed file, or one that was damaged on its way.",
        try: ["Export plain G-code from the slicer; for PrusaSlicer, switch binary G-code off."],
        see: "docs/operate.md#before-a-print",
    }
    NotACommand {
        means: "A command begins with a letter and a number, or with a word that the firmware knows; a project, an STL or a web page does not.",
        try: ["Look at the line that is named.", "Export plain G-code from the slicer."],
        see: "docs/operate.md#before-a-print",
    }
    HiddenLineReset {
        means: "Some firmwares look for M110 anywhere in a line, and would then take any line for the next one.",
        try: ["Take the text out of the message (M117, M118) or the name that holds it, and slice again."],
        see: "docs/operate.md#before-a-print",
    }
    NoCommands {
        means: "It is empty, or holds nothing but comments.",
        try: ["Slice the part again, and see that the file was written whole."],
        see: "docs/operate.md#before-a-print",
    }
    OutsideVolume {
        means: "Filament is fed more than 5 mm outside; the line and the place are named.",
        try: [
            "Choose the right printer in the slicer, move the part into the middle, and slice again.",
            "If the machine is larger than the agent thinks, set `printer.volume_mm`; if its zero is in the middle, `printer.origin`.",
            "If it may be printed all the same: `spoolway-agent jobs override JOB`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    BelowBed {
        means: "Filament is fed more than 1 mm below Z 0.",
        try: [
            "Look for a Z offset in the slicer, or a part that was sunk into the bed, and slice again.",
            "If it may be printed all the same: `spoolway-agent jobs override JOB`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    NozzleTooHot {
        means: "Even when the job is overridden no line goes out that asks for more than the profile allows: the print would be held at that line.",
        try: [
            "Choose the right filament in the slicer, and slice again.",
            "See the limits: `spoolway-agent profiles show marlin`, with the profile that `spoolway-agent status` names. A hot end that can take more gets a profile of its own.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    BedTooHot {
        means: "Even when the job is overridden no line goes out that asks for more than the profile allows: the print would be held at that line.",
        try: [
            "Choose the right filament in the slicer, and slice again.",
            "See the limits: `spoolway-agent profiles show marlin`, with the profile that `spoolway-agent status` names. A bed that can take more gets a profile of its own.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    ChamberTooHot {
        means: "Even when the job is overridden no line goes out that asks for more than the profile allows: the print would be held at that line.",
        try: [
            "Choose the right filament in the slicer, and slice again.",
            "See the limits: `spoolway-agent profiles show marlin`, with the profile that `spoolway-agent status` names. A chamber that can take more gets a profile of its own.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    ToolMissing {
        means: "The number of tools is that of `printer.tools`, or what the firmware reports.",
        try: [
            "Slice for one tool, or for those that the printer has.",
            "If it has more, set `printer.tools`.",
            "If it may be printed all the same: `spoolway-agent jobs override JOB`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    NozzleDiffers {
        means: "The file names another diameter than `printer.nozzle_mm`.",
        try: [
            "See which nozzle is in the printer; correct `printer.nozzle_mm` (or the backend's setting), or slice again.",
            "If it may be printed all the same: `spoolway-agent jobs override JOB`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    CheckFailed {
        means: "An M862 line asks for another model, or for a feature that this firmware does not have; the firmware itself would ask or stop at it.",
        try: [
            "Choose the right printer in the slicer, and slice again.",
            "If the agent is wrong about the model, correct `printer.model`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    ForbiddenCommand {
        means: "M28, M30, M112, M303, M500, M502, M997, M999, or a print from the printer's own card (M24, M32): it would change, stop or take over the printer.",
        try: [
            "Take the command out of the slicer's start or end G-code, and slice again.",
            "Set the printer up by hand instead: `spoolway-agent maintenance open --minutes 15`, then `spoolway-agent console`.",
            "If it is meant so: `spoolway-agent jobs override JOB`.",
        ],
        see: "docs/operate.md#the-maintenance-window",
    }
    OutsideInStart {
        means: "More than 5 mm outside, before the first layer that the slicer has marked.",
        try: ["Look at the slicer's start G-code. A prime line or a wiper beside the bed is no reason to worry."],
        see: "docs/operate.md#before-a-print",
    }
    TravelOutside {
        means: "More than 5 mm outside; most firmwares stop the axis at its end, some run into it.",
        try: [
            "Look at the slicer's start and end G-code, such as a park position of another machine.",
            "If the machine is larger, set `printer.volume_mm`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    MovesBeforeHoming {
        means: "The firmware does not know yet where its head is: it may refuse the move, or run into an end.",
        try: ["Put `G28` into the slicer's start G-code, ahead of any move."],
        see: "docs/operate.md#before-a-print",
    }
    ColdExtrusion {
        means: "Most firmwares leave such moves out, and the print fails.",
        try: ["Put `M104` and `M109` into the slicer's start G-code."],
        see: "docs/operate.md#before-a-print",
    }
    ModelDiffers {
        means: "The slicer has written another model into the file than `printer.model`.",
        try: ["Make sure that the file was meant for this printer.", "Correct `printer.model` if it was."],
        see: "docs/operate.md#before-a-print",
    }
    BedDiffers {
        means: "It reaches more than 5 mm over the edge of `printer.volume_mm`, or has its zero elsewhere.",
        try: [
            "Make sure that the file was meant for this printer.",
            "Correct `printer.volume_mm` or `printer.origin` if it was.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    FilamentDiffers {
        means: "The slicer has written another kind into the file than `printer.filament`.",
        try: [
            "See what is loaded.",
            "Load what the file was sliced for and correct `printer.filament` (or the backend's setting), or slice again.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    FlavourDiffers {
        means: "Temperatures, fans and accelerations are said differently there.",
        try: ["Choose the firmware's flavour in the slicer's printer settings, and slice again."],
        see: "docs/operate.md#before-a-print",
    }
    FirmwareOlder {
        means: "The file says for which version it was made; an older one may print it all the same.",
        try: ["Update the printer's firmware when there is time for it."],
        see: "docs/operate.md#before-a-print",
    }
    UnknownCommand {
        means: "It is none of the supported firmwares' commands, nor one of the profile's own.",
        try: [
            "Look whether the file was sliced for this firmware.",
            "A command or macro of this machine alone can be put into a profile of your own.",
        ],
        see: "docs/profiles.md#machine-may-be-left-out-then-less-of-a-file-is-checked-before-it-is-printed",
    }
    NoMotion {
        means: "It has commands, and none of them is G0, G1, G2 or G3.",
        try: ["Look whether it is the right file."],
        see: "docs/operate.md#before-a-print",
    }
    FileTruncated {
        means: "The export, an upload or a card has probably cut it off, and the print would stop in the middle.",
        try: ["Export the file again, and compare its size with the first one."],
        see: "docs/operate.md#before-a-print",
    }
    LinkTooSlow {
        means: "The printer will wait for lines here and there, for the time that is named, and that shows on the part.",
        try: [
            "Slice with arcs, a lower resolution or a lower speed.",
            "Use a higher rate at both ends: `printer.baud` and the firmware's own.",
        ],
        see: "docs/operate.md#on-the-wire",
    }
    NeedsPerson {
        means: "M0, M1, M226, M600 or M601: a press on the button, or another filament.",
        try: [
            "Be there when it does, with what is needed.",
            "If the printer asks something then: `spoolway-agent prompts`, and `spoolway-agent answer 0`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    HeaterLeftOn {
        means: "The agent switches it off some time after the job (`safety.idle_heater_off_after_s`).",
        try: ["Put `M104 S0` and `M140 S0` into the slicer's end G-code."],
        see: "docs/operate.md#heat-and-standstill",
    }
    ChamberUnknown {
        try: ["If the printer has a heated chamber, give a profile of your own its limit (chamber_max)."],
        see: "docs/profiles.md#temperature",
    }
    VolumeUnknown {
        means: "Neither the configuration nor the profile says how large the printer is.",
        try: ["Set `printer.volume_mm`, such as [220, 220, 250], and `printer.origin` for a machine with its zero in the middle."],
        see: "docs/operate.md#before-a-print",
    }
    NumberedLines {
        means: "The agent gives every line a number of its own.",
        try: ["Nothing need be done."],
        see: "docs/operate.md#before-a-print",
    }
    Inches {
        means: "G20 was met; positions behind it are reckoned in inches.",
        try: ["Make sure that the firmware knows G20, and that the file is meant so."],
        see: "docs/operate.md#before-a-print",
    }
}
