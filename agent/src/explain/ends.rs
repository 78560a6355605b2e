//! States of jobs, among them how one ends, and what interrupted a print.

use spoolway_agent_core::recovery::Loss;
use spoolway_protocol::JobState;

every! { states, JobState:
    Offered {
        means: "The job is stored, and its file has not begun to come.",
        done: "It fetches one file after the other, in the order of the queue.",
        try: [
            "Wait. If it stays so, see whether the relay is reached: `sudo spoolway-agent doctor`.",
        ],
        see: "docs/operate.md#the-queue",
    }
    Fetching {
        means: "The file of the job is on its way, from a server or through the relay.",
        done: "It keeps what has come, also over restarts, and goes on with it when the way stands again.",
        try: [
            "Wait. If nothing moves, see whether the relay is reached: `sudo spoolway-agent doctor`.",
            "While something is printed it comes slowly on purpose: `transfer.printing_bytes_per_s`.",
        ],
        see: "docs/backend-guide.md#files-from-a-server",
    }
    Verified {
        means: "The file is here whole, and its size and SHA-256 are those of the offer.",
        done: "The job takes its place in the queue next.",
        try: ["Wait; it lasts for a moment."],
        see: "docs/operate.md#the-queue",
    }
    Queued {
        means: "The job waits for its turn, its time, the end of a hold, or a start by its owner.",
        done: "It starts the job when it is the first that may, the printer is idle and the bed is clear.",
        try: [
            "See why it waits: `spoolway-agent jobs`.",
            "Put it first: `spoolway-agent jobs move JOB --first`; let it go: `spoolway-agent jobs release JOB`.",
            "See whether the printer is idle and the bed clear: `spoolway-agent status`, `spoolway-agent bed`.",
        ],
        see: "docs/operate.md#the-queue",
    }
    Preflight {
        means: "The whole file is read and held against this printer, before anything is heated or moved.",
        done: "It reads; nothing was sent to the printer.",
        try: ["Wait: some seconds for a large file."],
        see: "docs/operate.md#before-a-print",
    }
    AwaitingBedClear {
        means: "It is this job's turn, its file is fine, and nobody has said that the bed is clear.",
        done: "It moved nothing, and starts the job as soon as the word is given.",
        try: ["Take the part off, then say so: `spoolway-agent bed clear`."],
        see: "docs/operate.md#the-bed",
    }
    AwaitingOperator {
        means: "Something was found in the file, and a person has to decide.",
        done: "It moved nothing. The job keeps its turn, and the jobs behind it wait.",
        try: [
            "See what was found: `spoolway-agent jobs`.",
            "Let it start: `spoolway-agent jobs override JOB`. Give it up: `spoolway-agent cancel JOB`.",
            "Let others go first: `spoolway-agent jobs hold JOB`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    Starting {
        means: "The start is stored, and the first line is about to go out.",
        done: "It sets the firmware's line counter and has it proven. From here on the bed counts as used.",
        try: ["Wait; it lasts for a moment."],
        see: "docs/operate.md#what-happens-when-",
    }
    Printing {
        means: "Lines go out, and the printer acknowledges them.",
        done: "It sends each line once and in order, and watches over heat and standstill.",
        try: [
            "See how far it is: `spoolway-agent status`.",
            "Hold it: `spoolway-agent pause`. Give it up: `spoolway-agent cancel`.",
        ],
        see: "docs/operate.md#what-happens-when-",
    }
    Paused {
        means: "Lines are held back: by a person, the printer, a permit's time, or a fault that the reason names.",
        done: "It sends nothing of the job. The heaters stay on.",
        try: [
            "Read the reason: `spoolway-agent status`.",
            "Go on: `spoolway-agent resume`; with lines in doubt say what became of them, as comm.uncertain explains.",
            "Give it up: `spoolway-agent cancel`.",
        ],
        see: "docs/operate.md#what-happens-when-",
    }
    Completed {
        means: "The end of the job: every line of its file was accepted by the firmware.",
        done: "It told the owner the result and what was used. The bed counts as used, and the next job waits for it.",
        try: ["Take the part off, then say so: `spoolway-agent bed clear`."],
        see: "docs/operate.md#the-bed",
    }
    Cancelled {
        means: "The end of the job: somebody at this machine, its owner or the printer gave it up; the reason says who.",
        done: "The profile's cancel script has run, mostly heaters, fan and motors off. A job that had not begun was only taken out of the queue.",
        try: [
            "Take the part off, then say so: `spoolway-agent bed clear`.",
            "See why: `spoolway-agent jobs`, and explain the code that stands there.",
        ],
        see: "docs/operate.md#what-happens-when-",
    }
    Failed {
        means: "The end of the job: it could not be printed, for the reason that its code names. Mostly nothing was sent yet.",
        done: "It told the owner the code. The next job may have its turn.",
        try: [
            "See the code: `spoolway-agent jobs`, and explain it.",
            "Mend the cause, and have the job offered or print it anew.",
        ],
        see: "docs/operate.md#the-queue",
    }
    Interrupted {
        means: "The print stopped without anybody's will, in the middle. It is over only when it has gone on or was given up.",
        done: "The machine is made safe as soon as the printer answers: heaters, fan and motors off. Nothing goes on by itself, and the job holds the bed.",
        try: [
            "Look at the printer and at the part.",
            "See how it may go on: `spoolway-agent recover JOB --plan`.",
            "Give the part up: `spoolway-agent recover JOB --abandon`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    Recovering {
        means: "A plan that somebody has said yes to is being run: the printer heats, homes and goes back to the part.",
        done: "It sends the lines of the plan, and the rest of the file behind them.",
        try: [
            "Stay beside it. Hold it: `spoolway-agent pause`. Stop it at once: `spoolway-agent estop`.",
        ],
        see: "docs/recovery.md#the-plan",
    }
}

every! { losses, Loss:
    Agent {
        done: "The machine is made safe: heaters, fan and motors off.",
        try: [
            "See why it ended: `journalctl -u spoolway-agent -n 100`.",
            "Look at the part, then at the plan: `spoolway-agent recover JOB --plan`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    AgentStopped {
        means: "By `systemctl stop`, Ctrl-C or a shutdown of its machine.",
        done: "It ran the profile's cancel script before it ended: heaters, fan and motors off.",
        try: [
            "Look at the part, then at the plan: `spoolway-agent recover JOB --plan`.",
            "Next time put changes into force by `sudo systemctl restart spoolway-agent`: then the print goes on.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    HostPower {
        means: "The printer stood still with its heaters on until the agent was back. Where the print stood is known to within 15 s.",
        done: "The machine is made safe: heaters, fan and motors off.",
        try: [
            "Look at the part: up to 15 s of it may be printed behind the line that the plan names.",
            "See the plan: `spoolway-agent recover JOB --plan --z touching`.",
            "See to the power supply of the agent's machine.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    PrinterReset {
        means: "The firmware has forgotten where its head is, and the moves that it had planned are lost.",
        done: "It saw it in the firmware's first lines, and has made the machine safe.",
        try: [
            "Look for a brown-out, a loose cable, or somebody at the reset button.",
            "Say how high the nozzle stands, and see the plan: `spoolway-agent recover JOB --plan --z touching`.",
        ],
        see: "docs/recovery.md#how-high-is-the-nozzle",
    }
    BothPower {
        means: "The bed is cold, and the part may have come off.",
        done: "It read from its line journal where the print stood, at most 15 s old. Nothing moves by itself.",
        try: [
            "See that the part still holds on the cold bed, before anything else.",
            "See the plan: `spoolway-agent recover JOB --plan --z touching`.",
            "If the part is loose, give it up: `spoolway-agent recover JOB --abandon`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    Cable {
        done: "The port is opened as soon as it is back, and the machine is made safe.",
        try: [
            "Mend the cable, and wait until `spoolway-agent status` says idle.",
            "See the plan: `spoolway-agent recover JOB --plan`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    PrinterHalted {
        means: "Thermal protection or an endstop, mostly; the job's reason has the firmware's words.",
        done: "It sends nothing any more until the printer was reset.",
        try: [
            "Find out why first.",
            "Reset the printer, then see the plan: `spoolway-agent recover JOB --plan --z touching`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    Conversation {
        means: "Silence, too many refusals, a line counter that could not be set, or an alarm of the agent's guard; the job's code says which.",
        done: "What was said last is in wire.log in the state folder. The machine is made safe as soon as the printer answers.",
        try: [
            "Explain the code that `spoolway-agent jobs` shows.",
            "Check cable and power, and reset the printer.",
            "See the plan: `spoolway-agent recover JOB --plan`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    EmergencyStop {
        done: "The firmware's stop went out ahead of everything; nothing is sent until the printer was reset.",
        try: [
            "Make sure that the machine is safe.",
            "Reset it, then see the plan: `spoolway-agent recover JOB --plan --z touching`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    File {
        means: "The stored file is damaged, or holds a line that the firmware could not take.",
        done: "The machine is made safe: heaters, fan and motors off.",
        try: [
            "Look for errors of the card: `journalctl -k -n 50`.",
            "Print the rest as a new job, cut behind the last whole layer, or give the part up: `spoolway-agent recover JOB --abandon`.",
        ],
        see: "docs/recovery.md#when-it-is-refused",
    }
}
