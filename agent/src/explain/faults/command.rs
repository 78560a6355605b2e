//! Faults of single commands, mostly of a backend's.

use spoolway_protocol::Fault;

rows! { Fault:
    CommandExpired {
        means: "It was given with a time to live (`ttl_ms`), which ran out in the relay or behind other commands.",
        done: "It was not carried out, and never will be.",
        try: [
            "Look at the printer: is it still wanted?",
            "Give it again; with a longer `ttl_ms` if the agent was away for long.",
        ],
        see: "docs/backend-guide.md#commands",
    }
    CommandUnknown {
        means: "Its kind, or something without which it must not be carried out, is newer than this agent.",
        done: "It was rejected; nothing was done.",
        try: [
            "See the agent's version: `spoolway-agent --version`, and update it.",
            "See in the backend's program that the kind is spelled as in the guide.",
        ],
        see: "docs/backend-guide.md#every-command",
    }
    CommandBadArgs {
        means: "A field is missing, has the wrong form or a value that is not lawful; the detail names it.",
        done: "It was rejected; nothing was done.",
        try: ["Correct the field that the detail names, and give the command again."],
        see: "docs/backend-guide.md#every-command",
    }
    CommandNotAllowed {
        means: "Single commands stand on a list, by role; what is not on it, has a parameter that is not on it, or comes from a role that may not, is not sent.",
        done: "Nothing was sent to the printer.",
        try: [
            "Ask something harmless instead: `spoolway-agent console send M503`.",
            "What moves or writes settings needs a window: `spoolway-agent maintenance open --minutes 15`.",
            "Put everything else into a file: `spoolway-agent print part.gcode`.",
        ],
        see: "docs/operate.md#the-maintenance-window",
    }
    CommandUnsigned {
        means: "Where starts need permits, what moves or heats needs the owner's signature, too.",
        done: "It was rejected; nothing was sent to the printer.",
        try: [
            "Have the backend sign it with the key of its permits, as the guide says.",
            "See which keys count here: `spoolway-agent status`, in the row Permits.",
        ],
        see: "docs/backend-guide.md#every-command",
    }
    CommandBadSignature {
        done: "It was rejected; nothing was sent to the printer.",
        try: [
            "Compare the key: `spoolway-agent status` names it in the row Permits.",
            "Sign the very text that is sent, with the agent's id: `spoolway-agent id`.",
            "If the backend signs well, somebody on the way alters commands: tell whoever runs the relay.",
        ],
        see: "docs/backend-guide.md#every-command",
    }
    CommandNeedsMaintenance {
        means: "Settings, tuning, offsets, moves and restarts are sent by hand only while somebody at the machine watches.",
        done: "Nothing was sent to the printer.",
        try: [
            "At the machine, with no job under way: `spoolway-agent maintenance open --minutes 15 --reason 'PID tuning'`.",
            "Then send it: `spoolway-agent console send M303 E0 S240 C8`.",
            "Close the window again: `spoolway-agent maintenance close`.",
        ],
        see: "docs/operate.md#the-maintenance-window",
    }
    PreconditionFailed {
        means: "It was given for a certain job, attempt, state or revision, and that is another one by now; the detail names which.",
        done: "It was rejected; nothing was done.",
        try: [
            "See how it stands now: `spoolway-agent status`, `spoolway-agent jobs`.",
            "Give it again for what is now, if it is still wanted.",
        ],
        see: "docs/backend-guide.md#commands",
    }
    MotionOutside {
        means: "From where the printer says that its head is, the way goes beyond `printer.volume_mm` or the volume of its profile.",
        done: "Nothing moved.",
        try: [
            "Move less far, or home first: without that the printer may be wrong about its place.",
            "If the machine is larger, set `printer.volume_mm`; if its zero is in the middle, `printer.origin`.",
        ],
        see: "docs/operate.md#from-the-backend",
    }
    AgentUnmanaged {
        means: "The owner wants it to begin anew, and no service manager looks after this process.",
        done: "It runs on.",
        try: [
            "Restart it by hand where it was started.",
            "For good, have systemd run it, by the unit that comes with it (systemd/spoolway-agent.service).",
        ],
        see: "docs/operate.md#under-systemd",
    }
}
