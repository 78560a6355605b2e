//! Faults of the agent's key, of its pairing and of its login.

use spoolway_protocol::Fault;

rows! { Fault:
    ForgetBusy {
        means: "A job holds the printer, the end of one is being written down, or a file is being taken in.",
        done: "Nothing was removed.",
        try: [
            "See what is under way: `spoolway-agent status`. Wait for its end, or give it up: `spoolway-agent cancel`.",
            "Where the agent ended in the middle of a print, start it and see to the printer first.",
            "Then say it again: `sudo spoolway-agent forget`.",
        ],
        see: "docs/operate.md#forgetting",
    }
    ForgetDenied {
        means: "Members of the socket's group may print; to remove the key is more than that.",
        done: "Nothing was removed.",
        try: ["Say it as root: `sudo spoolway-agent forget`."],
        see: "docs/operate.md#forgetting",
    }
    ForgetIncomplete {
        means: "A file could not be removed; the message names it.",
        done: "The key is out of its place already, and the agent does not start before the rest is gone.",
        try: [
            "Look at that file, and whether its disk can be written: `journalctl -k -n 50`.",
            "Say it again, as often as it takes: `sudo spoolway-agent forget`.",
        ],
        see: "docs/operate.md#forgetting",
    }
    OwnerChanges {
        means: "The agent was paired anew, and what belongs to the owner before has to come to its end first.",
        done: "A print of the owner before goes on to its end; its waiting jobs are cancelled, and its jobs, files and unacknowledged events are dropped. Then the agent connects by itself.",
        try: ["Wait. `spoolway-agent status` says in the row Link when it is done."],
        see: "docs/operate.md#pairing",
    }
    RelayUnpaired {
        means: "It was never paired there, the relay has lost its registry, or the kept pairing cannot be read.",
        done: "It tries again every four to five minutes. Printing goes on.",
        try: [
            "Pair it: `sudo spoolway-agent pair --relay wss://relay.example.org`.",
            "See that `relay.url`, if it is set, is the relay of the pairing: `spoolway-agent config show`.",
            "Or have the relay's administrator enter it by the line that `sudo spoolway-agent id` shows.",
        ],
        see: "docs/operate.md#pairing",
    }
    PairExpired {
        means: "A code is good for 15 minutes and for one use.",
        done: "It ended the pairing. An owner from before stays the owner.",
        try: [
            "Start anew: `sudo spoolway-agent pair`, with whoever approves it ready at the backend.",
            "Give the new code; the one before counts for nothing any more.",
        ],
        see: "docs/operate.md#pairing",
    }
    PairDenied {
        means: "Somebody there pressed no, perhaps because the words differed, or because it was another agent's code.",
        done: "It ended the pairing. An owner from before stays the owner.",
        try: [
            "Ask why, and whether the four words were the same there.",
            "If they were, start anew: `sudo spoolway-agent pair`.",
        ],
        see: "docs/operate.md#pairing",
    }
    PairWordsDiffer {
        means: "Both ends make the words out of each other's keys: where they differ, one end has not got the other's key.",
        done: "It ended the pairing and kept nothing of it.",
        try: [
            "Make sure that both of you looked at the same pairing, at the same time.",
            "Check the relay's address and certificate: `sudo spoolway-agent doctor`.",
            "Start anew only if the cause is found; if they differ again, tell whoever runs the relay.",
        ],
        see: "docs/operate.md#pairing",
    }
    PairOwned {
        means: "`setup` was told a relay, and this agent belongs to somebody over another one. It gives nobody a new owner by itself.",
        done: "Nothing was written.",
        try: [
            "To keep the owner, leave the relay out of flags and answers.",
            "To give it another one, once what the owner before has to be told is told: `sudo spoolway-agent pair --relay wss://relay.example.org`.",
        ],
        see: "docs/operate.md#pairing",
    }
    PairRefused {
        means: "It answered with something that has no place in a pairing, or said no for a reason that the message has.",
        done: "It ended the pairing. An owner from before stays the owner.",
        try: [
            "Read what it says.",
            "Compare the versions: `spoolway-agent --version` and `spoolway-relay --version`, on the relay's machine.",
            "Start anew: `sudo spoolway-agent pair`.",
        ],
        see: "docs/operate.md#pairing",
    }
    EnrolRefused {
        means: "A token is good for so many agents and days, and for one backend.",
        done: "No owner was entered, and the token file was left where it is.",
        try: [
            "See which tokens are good: `spoolway-relay enrol list`, on the relay's machine.",
            "Write a new one on the boot partition, then say `sudo spoolway-agent enrol`.",
        ],
        see: "docs/relay-admin.md#many-agents",
    }
    RelayRevoked {
        means: "Somebody has shut it out for good: after a theft, a sale, or by `forget`.",
        done: "It tries again every four to five minutes, in vain. Printing goes on with what is queued.",
        try: [
            "Ask whoever runs the relay why: `spoolway-relay audit`, on its machine.",
            "If the machine is yours and rightly here, make a new agent of it: `sudo spoolway-agent forget`, then `sudo spoolway-agent pair`.",
        ],
        see: "docs/relay-admin.md#agents",
    }
    RelayBadSignature {
        means: "What was signed is tied to this TLS connection and to the relay's name: a proxy that ends TLS, another name for the relay, or an old copy of the key makes it fail.",
        done: "It tries again, within a minute at first and within five minutes after an hour. If its key was ever changed it also shows the relay how one key has followed the other, in case that was forgotten there. Printing goes on.",
        try: [
            "See whose certificate answers: `sudo spoolway-agent doctor`.",
            "Have the relay's name excepted from TLS inspection.",
            "Dial the relay by the name that it has for itself (`relay.hosts` there).",
            "If the state folder came from a backup, put a newer one back, or pair anew.",
        ],
        see: "docs/networks.md#certificates",
    }
    RelayClientCert {
        done: "It tries again every four to five minutes. Printing goes on.",
        try: [
            "Ask the relay's administrator what is wanted, and set `relay.client_cert`: \"own-key\", or the file of a certificate.",
            "See that a file is still valid and has its key beside it (`relay.client_key`): `openssl x509 -noout -dates -in FILE`.",
            "Try at once: `sudo systemctl restart spoolway-agent`.",
        ],
        see: "docs/relay-admin.md#client-certificates",
    }
    RelayKeyRetired {
        means: "The key was changed, and seven days later the one before is worth nothing: this machine has it from a backup or an old card.",
        done: "It tries again. Printing goes on with what is queued.",
        try: [
            "Put a newer backup of the state folder back, if there is one.",
            "Else begin anew: `sudo spoolway-agent forget`, then `sudo spoolway-agent pair`.",
            "Have the old agent revoked, on the relay's machine: `spoolway-relay agent revoke ID`.",
        ],
        see: "docs/operate.md#the-key",
    }
    IdentityRotating {
        means: "It is being changed already, was changed less than seven days ago, has been too often, or this machine does not know the time.",
        done: "Nothing was changed: the agent goes on with the key that it has.",
        try: [
            "Wait as long as the message says.",
            "After a theft do not wait: have it locked, on the relay's machine: `spoolway-relay agent lock ID`.",
        ],
        see: "docs/operate.md#the-key",
    }
    IdentityRefused {
        done: "It keeps the key that it has, and tries again later where that may help.",
        try: [
            "Read what the relay says.",
            "See who has changed this agent's key: `spoolway-relay audit`, on the relay's machine.",
            "If another copy of this agent has done it, make sure which machine is the right one, and begin anew on it: `sudo spoolway-agent forget`, then `sudo spoolway-agent pair`.",
        ],
        see: "docs/operate.md#the-key",
    }
    IdentityDenied {
        means: "Members of the socket's group may print; to change the key is more than that.",
        done: "Nothing was changed.",
        try: ["Say it as root: `sudo spoolway-agent id rotate`."],
        see: "docs/operate.md#the-key",
    }
    RelayProto {
        means: "This agent speaks spoolway.v1.",
        done: "It tries again, within a minute at first and within five minutes after an hour. Printing goes on.",
        try: [
            "Compare the versions: `spoolway-agent --version` and `spoolway-relay --version`, on the relay's machine.",
            "Update whichever is older.",
            "See that it is a relay that answers at `relay.url`: `sudo spoolway-agent doctor`.",
        ],
        see: "docs/networks.md#which-step-fails",
    }
    RelayCloneSuspected {
        means: "A card or a state folder was copied, and the copy runs, too: the counters of their logins contradict each other.",
        done: "It tries again every four to five minutes; the relay lets neither of the two in. Printing goes on.",
        try: [
            "Find the second machine, and switch it off or make it a new agent: `sudo spoolway-agent forget`, then `sudo spoolway-agent pair`.",
            "Then have this one let in again, on the relay's machine: `spoolway-relay agent release ID`.",
            "If no second machine is known, the key was stolen: have it revoked, and pair anew after `sudo spoolway-agent forget`.",
        ],
        see: "docs/operate.md#files",
    }
    RelayBinding {
        means: "Without that tie whoever sits in between could pass the login on.",
        done: "It did not log in, and tries again. Printing goes on.",
        try: [
            "Look for a proxy that ends TLS in front of the relay.",
            "Where that is meant, and the way behind it is safe, say so: `relay.allow_unbound`.",
        ],
        see: "docs/operate.md#settings",
    }
}
