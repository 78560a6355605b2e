//! Codes that stand between this program and whoever types, and never on the wire.

use super::words::Words;

/// Nobody answers at the socket.
pub(crate) const UNREACHABLE: &str = "agent.unreachable";
/// Another agent has the state folder or the socket.
pub(crate) const ALREADY_RUNNING: &str = "agent.already_running";

/// Every one with its words.
pub(super) const ALL: &[(&str, Words)] = &[
    (
        UNREACHABLE,
        words!({
            means: "The command did not reach a running agent over its socket: none runs, it is another socket, or this user may not use it.",
            done: "Nothing: the command ended before an agent heard of it.",
            try: [
                "See whether it runs: `systemctl status spoolway-agent`; start it: `sudo systemctl start spoolway-agent`.",
                "Join the group that owns the socket: `sudo usermod -aG spoolway $USER`, then log in again.",
                "For an agent of your own, name its socket with --socket, or its file with --config.",
            ],
            see: "docs/operate.md#every-day",
        }),
    ),
    (
        ALREADY_RUNNING,
        words!({
            means: "Two agents with one state folder would be one key on two ends.",
            done: "The second one ended at once; the first runs on undisturbed.",
            try: [
                "Use the one that runs: `spoolway-agent status`.",
                "Give the second one a folder and a socket of its own: `state_dir` and `socket`.",
            ],
            see: "docs/operate.md#settings",
        }),
    ),
];
