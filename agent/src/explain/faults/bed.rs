//! Faults of the bed, of heat and of prints that stand still.

use spoolway_protocol::Fault;

rows! { Fault:
    BedNotClear {
        means: "Every start uses the bed, however the print ends, and the next one waits for the word of somebody who has looked.",
        done: "It moved nothing. A job that starts by itself waits as awaiting_bed_clear and begins as soon as the word is given; a start that was commanded is refused and has to be given again.",
        try: [
            "Go to the printer, and take the part off the bed.",
            "Say so: `spoolway-agent bed clear`, or with \"Set ready\" on a Prusa printer, or at the backend.",
            "For a machine that empties its bed itself, set `bed.confirm` to \"not-required\".",
        ],
        see: "docs/operate.md#the-bed",
    }
    BedStale {
        means: "The word names an older bed epoch: whoever gave it has seen the bed before the last print began.",
        done: "It did not take the word; nothing was started.",
        try: [
            "Look at the bed again.",
            "See the epoch of now, and say it anew: `spoolway-agent bed`, then `spoolway-agent bed clear`.",
        ],
        see: "docs/operate.md#the-bed",
    }
    HeatAboveLimit {
        means: "A line of the file, of a script or of a person asks for a temperature above temperature.limits of the profile.",
        done: "The line got no number and was not sent. A job is paused ahead of it, with the line in the message; a line of a script is left out; a single command is refused.",
        try: [
            "Correct the temperature in the slicer and print that file; give this one up: `spoolway-agent cancel`.",
            "See the limits: `spoolway-agent profiles show marlin`, with the profile that `spoolway-agent status` names. A machine that can take more gets a profile of its own.",
            "For once, with somebody beside the machine: `spoolway-agent maintenance open --minutes 15`, then `spoolway-agent resume`.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    HeatTooHot {
        means: "For three reports and 3 s a hot end was 15 °C above the limit of the profile, or bed or chamber 10 °C.",
        done: "It switched the heaters off by the profile's cancel script. A job is interrupted.",
        try: [
            "Watch the temperature fall: `spoolway-agent status`. If it does not, switch the printer off at the mains.",
            "Look at the thermistor, its screw and its cable, and at the heater's, before anything is heated again.",
            "If the limit of the profile is wrong for this machine, write a profile of your own.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    HeatRunaway {
        means: "A hot end is 40 °C above its target or a bed 20 °C, and it still rises: its switch or driver may be stuck.",
        done: "Where something was asked to be hot it switched the heaters off by the profile's cancel script, and the job is interrupted. With everything off already it could only tell: no command helps then.",
        try: [
            "Switch the printer off at the mains now. Do not wait for a command.",
            "Let it cool with somebody beside it; have an extinguisher at hand.",
            "Do not switch it on again before heater, mosfet or relay and thermistor have been measured.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    HeatStaysCold {
        means: "10 °C are missing and it did not get 2 °C warmer in 3 min (hot end), 5 min (bed) or 15 min (chamber).",
        done: "It only tells: the job goes on waiting for the temperature, and the firmware's own protection decides.",
        try: [
            "Look whether the fan blows at the heater, a window is open, or the silicone sock is missing.",
            "Look at heater and thermistor: cables, screws, plugs.",
            "If it stays so, give the job up: `spoolway-agent cancel`.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    HeatNoReports {
        means: "For 30 s no temperature came, and three questions (M105) were answered without one. What is not seen cannot be watched.",
        done: "A job is paused, and given up with the heaters off after 10 more minutes. With no job under way the heaters are switched off.",
        try: [
            "Look at the printer, and at the temperature on its display.",
            "Ask it by hand: `spoolway-agent console send M105`.",
            "If it answers well now: `spoolway-agent resume`. If not, reset the printer and look how the print may go on: `spoolway-agent recover JOB --plan`.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    HeatLeftOn {
        means: "A file without an end that switches off, or somebody who has heated by hand and gone.",
        done: "It switched heaters, fan and motors off, after it had asked (M27) that the printer does not print from its own card.",
        try: [
            "Put `M104 S0` and `M140 S0` into the slicer's end G-code.",
            "To have it wait longer or never do it, set `safety.idle_heater_off_after_s` (0: never).",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
    PrintStalled {
        means: "For `safety.stall_after_s` no line was acknowledged, the firmware did not say that it is busy, and it is not known to wait for a temperature or a person; or the port takes no bytes.",
        done: "It only tells. Nothing is sent twice, and the print goes on as soon as replies come.",
        try: [
            "Look at the printer: does it ask something, has filament run out, does a long move or a probing go on?",
            "See what is said on the wire: `spoolway-agent console`.",
            "See that the disk is not full: `spoolway-agent status`, in the row Storage.",
            "If it does not go on by itself: `spoolway-agent cancel`; a firmware that hangs is reset at the printer.",
        ],
        see: "docs/operate.md#heat-and-standstill",
    }
}
