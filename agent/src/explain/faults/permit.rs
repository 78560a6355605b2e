//! Faults of permits: what a backend signs so that a start counts.

use spoolway_protocol::Fault;

rows! { Fault:
    PermitRequired {
        means: "A key of the backend is known here (`backend.permits`), so that neither the relay nor anybody on the way can start a print.",
        done: "It moved nothing; the job stays queued.",
        try: [
            "See the rule and the keys: `spoolway-agent status`, in the row Permits.",
            "Have the backend send the start with a permit for this job and attempt.",
            "At the machine no permit is needed: `spoolway-agent print part.gcode`.",
        ],
        see: "docs/operate.md#permits",
    }
    PermitMalformed {
        done: "It moved nothing; the job stays queued.",
        try: ["Correct the member that the detail names in the backend's program."],
        see: "docs/backend-guide.md#permits",
    }
    PermitUnsupported {
        means: "It has a flag or a version that was made after this agent, and to leave it out could be wrong.",
        done: "It moved nothing; the job stays queued.",
        try: [
            "See the agent's version: `spoolway-agent --version`, and update it.",
            "Or sign a permit without what the detail names.",
        ],
        see: "docs/backend-guide.md#permits",
    }
    PermitUnknownKey {
        done: "It moved nothing; the job stays queued.",
        try: [
            "Compare the id of the key with those of `spoolway-agent status`, in the row Permits.",
            "A key that is new: set `backend.next_key`, then `sudo systemctl restart spoolway-agent`. Keys of the pairing come with it: pair anew if they were changed.",
        ],
        see: "docs/operate.md#permits",
    }
    PermitBadSignature {
        done: "It moved nothing; the job stays queued.",
        try: [
            "See in the backend's program that the signed bytes are sent as they are, in base64.",
            "If the backend signs well, somebody on the way alters permits: tell whoever runs the relay.",
        ],
        see: "docs/backend-guide.md#permits",
    }
    PermitForeign {
        means: "Agent, printer, job, attempt or file in it are not those of the start; the detail names which.",
        done: "It moved nothing; the job stays queued.",
        try: ["Have the backend sign a permit for this very start; `spoolway-agent id` shows the agent's id."],
        see: "docs/backend-guide.md#permits",
    }
    PermitReplayed {
        means: "A permit is good for one start, also over restarts of the agent.",
        done: "It moved nothing; the job stays queued.",
        try: [
            "Look whether the first start was made: `spoolway-agent jobs`.",
            "For another attempt, sign a permit with an id of its own.",
        ],
        see: "docs/backend-guide.md#permits",
    }
    PermitFence {
        means: "Its fence is lower than that of a permit that was used: an old process of the backend still signs.",
        done: "It moved nothing; the job stays queued.",
        try: ["See that only one process of the backend decides on this printer, and that it counts the fence up."],
        see: "docs/backend-guide.md#permits",
    }
    PermitBedEpoch {
        means: "A print has begun, or the bed was cleared, since the permit was signed.",
        done: "It moved nothing; the job stays queued.",
        try: [
            "Look at the bed, and see its epoch: `spoolway-agent bed`.",
            "Have the backend sign for that epoch.",
        ],
        see: "docs/operate.md#the-bed",
    }
    PermitNotYetValid {
        done: "It moved nothing; the job stays queued.",
        try: [
            "Wait until its time has come, then have the start sent again.",
            "If it should be good already, compare the clocks: `timedatectl` here, and the backend's.",
        ],
        see: "docs/operate.md#permits",
    }
    PermitExpired {
        means: "The start came too late: the agent was away, the file came slowly, or the bed was cleared late.",
        done: "It moved nothing; the job stays queued.",
        try: [
            "If the print is still wanted, have the backend sign a new permit.",
            "If it should still be good, compare the clocks: `timedatectl` here, and the backend's.",
        ],
        see: "docs/operate.md#permits",
    }
    PermitNoClock {
        means: "Neither a time server nor a relay has told it the time since this machine was started.",
        done: "It did not guess: it moved nothing, and the job stays queued.",
        try: [
            "See who sets the clock: `timedatectl`.",
            "See that the relay is reached: `sudo spoolway-agent doctor`. Its time does as well.",
            "Then have the start sent again.",
        ],
        see: "docs/operate.md#permits",
    }
    PermitOverTime {
        means: "The seconds that it allows are over, without the time in which the print was held.",
        done: "It told the backend. If the permit says so the print is held, with its heaters on; else it goes on.",
        try: [
            "Look at the print, and ask whoever has signed.",
            "If it may go on: `spoolway-agent resume`. If not: `spoolway-agent cancel`.",
        ],
        see: "docs/operate.md#permits",
    }
}
