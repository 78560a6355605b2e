//! Words of the link: where on its way it failed, and why a relay, a backend or the agent itself refuses, ends or cannot go on.

use spoolway_protocol::hello::{NackCode, RejectCode, close};
use spoolway_protocol::transfer::ChunkErrCode;

use super::words::Words;
use crate::uplink::Stage;

every! { stages, Stage:
    Settings {
        means: "Before anything was dialled: a file or a value for the way to the relay cannot be used.",
        done: "It tries again, and reads the files anew each time. Printing goes on.",
        try: ["Look for mistakes: `spoolway-agent config check`, then `sudo spoolway-agent doctor`."],
        see: "docs/networks.md#which-step-fails",
    }
    Store {
        means: "The way stands, and the agent's own database could not be asked or written for the login.",
        done: "It did not log in, and tries again. Printing goes on.",
        try: [
            "See the row Storage: `spoolway-agent status`; is the disk full, or only to be read?",
            "Look for errors of the card: `journalctl -k -n 50`.",
        ],
        see: "docs/operate.md#storage",
    }
    Name {
        means: "The name of the relay, or of the proxy, is being looked up.",
        done: "It tries again. Printing goes on.",
        try: ["See which name fails, and why: `sudo spoolway-agent doctor`."],
        see: "docs/networks.md#which-step-fails",
    }
    Tcp {
        means: "The name is known, and one address after the other is dialled.",
        done: "It tries again. Printing goes on.",
        try: ["See which address fails, and why: `sudo spoolway-agent doctor`."],
        see: "docs/networks.md#which-step-fails",
    }
    Proxy {
        means: "The proxy is reached, and asked for a tunnel to the relay.",
        done: "It tries again. Printing goes on.",
        try: ["See what the proxy says, and who has named it: `sudo spoolway-agent doctor`."],
        see: "docs/networks.md#proxies",
    }
    Tls {
        means: "Somebody answers, and has to prove to be the relay.",
        done: "It has not said who it is yet, and tries again. Printing goes on.",
        try: ["See certificate and clock: `sudo spoolway-agent doctor`."],
        see: "docs/networks.md#certificates",
    }
    Request {
        means: "A request by HTTPS was under way: a file from a server, a pairing, or a new key.",
        done: "It tries again where that may help; a pairing has ended.",
        try: ["Read the message, and walk the way to the relay: `sudo spoolway-agent doctor`."],
        see: "docs/networks.md#which-step-fails",
    }
    Websocket {
        means: "The relay is reached and proven, and refuses the connection or does not speak the protocol.",
        done: "It tries again, not before the relay wishes. Printing goes on.",
        try: [
            "Read the status that the message has: `sudo spoolway-agent doctor`.",
            "See that `relay.url` names a relay by the name that it has for itself.",
        ],
        see: "docs/networks.md#which-step-fails",
    }
    Login {
        means: "The relay has asked who is there, and does not let this agent in, or says nothing more.",
        done: "It tries again, slowly where only a person can help. Printing goes on.",
        try: ["Explain the code beside it: `spoolway-agent status` shows it in the row Link."],
        see: "docs/networks.md#which-step-fails",
    }
    Session {
        means: "The agent was logged in, and the session has ended: silence, a goodbye, or a close code.",
        done: "It connects again; commands and events go on where they were.",
        try: [
            "Nothing, if it happens once: relays are updated, networks break.",
            "If it happens every minute, look for a firewall that closes idle connections.",
        ],
        see: "docs/networks.md#what-the-agent-needs",
    }
}

every! { rejects, RejectCode, Unknown:
    Unpaired {
        means: "The relay does not know this agent. Told here as relay.unpaired.",
        done: "It tries again every four to five minutes.",
        try: ["Pair it: `sudo spoolway-agent pair --relay wss://relay.example.org`."],
        see: "docs/operate.md#pairing",
    }
    Revoked {
        means: "The agent was shut out for good. Told here as relay.revoked.",
        done: "It tries again every four to five minutes, in vain.",
        try: ["Ask whoever runs the relay why: `spoolway-relay audit`, on its machine."],
        see: "docs/relay-admin.md#agents",
    }
    KeyRetired {
        means: "This key was replaced by a newer one, and its time is over. Told here as relay.key_retired.",
        done: "It tries again.",
        try: ["Put a newer backup of the state folder back, or begin anew: `sudo spoolway-agent forget`."],
        see: "docs/operate.md#the-key",
    }
    CloneSuspected {
        means: "Two machines use one key, and neither is let in. Told here as relay.clone_suspected.",
        done: "It tries again every four to five minutes.",
        try: [
            "Find the other machine, and make it a new agent: `sudo spoolway-agent forget`.",
            "Have this one let in again, on the relay's machine: `spoolway-relay agent release ID`.",
        ],
        see: "docs/operate.md#files",
    }
    BadSig {
        means: "The signature does not fit the key that the relay knows, or this connection. Told here as relay.bad_sig.",
        done: "It tries again.",
        try: ["See whether somebody ends TLS on the way: `sudo spoolway-agent doctor`."],
        see: "docs/networks.md#certificates",
    }
    CertRequired {
        means: "The relay wants a client certificate, and none was shown. Told here as relay.client_cert.",
        done: "It tries again every four to five minutes.",
        try: ["Set `relay.client_cert` to what the relay's administrator asks for."],
        see: "docs/relay-admin.md#client-certificates",
    }
    BadCert {
        means: "The client certificate that was shown is not this agent's. Told here as relay.client_cert.",
        done: "It tries again every four to five minutes.",
        try: ["Set `relay.client_cert` to \"own-key\", or to the certificate that was issued for this agent's id: `spoolway-agent id`."],
        see: "docs/relay-admin.md#client-certificates",
    }
    ProtoUnsupported {
        means: "The two have no protocol in common. Told here as relay.proto.",
        done: "It tries again.",
        try: ["Update the agent or the relay, whichever is older: `spoolway-agent --version`."],
        see: "docs/networks.md#which-step-fails",
    }
    UpdateRequired {
        means: "The relay wants a newer agent. Told here as relay.proto.",
        done: "It tries again.",
        try: ["Update the agent: `spoolway-agent --version` shows what it is."],
        see: "docs/networks.md#which-step-fails",
    }
    Draining {
        means: "The relay is about to go, and lets nobody in any more. Told here as relay.unreachable.",
        done: "It comes back when the relay says, or within a minute.",
        try: ["Wait: relays are restarted for updates."],
        see: "docs/relay-admin.md#install",
    }
    RateLimited {
        means: "Too many logins came from here in a short time. Told here as relay.unreachable.",
        done: "It comes back when the relay says.",
        try: [
            "Wait some minutes.",
            "Many agents behind one address may need a higher limit there: `spoolway-relay config check` shows what holds.",
        ],
        see: "docs/bounds.md#words-with-which-a-connection-or-a-frame-is-refused",
    }
}

every! { nacks, NackCode, Unknown:
    UnknownType {
        means: "The receiver does not know this kind of message.",
        done: "Nothing was done with it; the connection goes on.",
        try: ["Update whichever side is older."],
        see: "docs/backend-guide.md#when-something-goes-wrong",
    }
    BadField {
        means: "A field of the message is missing or wrong; the detail names it.",
        done: "Nothing was done with it; the connection goes on.",
        try: ["Mend the backend's program."],
        see: "docs/backend-guide.md#when-something-goes-wrong",
    }
    TooLarge {
        means: "The frame is larger than a frame may be.",
        done: "Nothing was done with it.",
        try: ["Send files as files, and long lists in parts."],
        see: "docs/bounds.md#words-with-which-a-connection-or-a-frame-is-refused",
    }
    Unauthorised {
        means: "The sender is not this agent's owner, or may not say this.",
        done: "Nothing was done with it.",
        try: ["See who owns the agent: `spoolway-agent id`, and `spoolway-relay agent list` on the relay's machine."],
        see: "docs/backend-guide.md#when-something-goes-wrong",
    }
    Busy {
        means: "The mailbox of the receiver is full, or commands came faster than the relay takes them.",
        done: "Events stay on the disk and are sent again.",
        try: ["Wait some seconds; a backend sends its command again."],
        see: "docs/bounds.md#words-with-which-a-connection-or-a-frame-is-refused",
    }
    Offline {
        means: "The receiver is not connected: the owner's backend, if the agent was told so.",
        done: "Events stay on the disk, and are sent when the backend is back. Printing goes on.",
        try: ["See to the backend; the agent needs nothing."],
        see: "docs/backend-guide.md#when-something-goes-wrong",
    }
    Expired {
        means: "The message's time to live ran out while it waited in the relay.",
        done: "It has never seen it.",
        try: ["A backend gives the command again, if it is still wanted."],
        see: "docs/backend-guide.md#when-something-goes-wrong",
    }
}

every! { chunk_errors, ChunkErrCode, Unknown:
    NotFound {
        means: "The backend has no such file any more. Told here as job.file_unavailable.",
        done: "It tries the job's other sources; without one the job fails.",
        try: ["See that the file exists at the backend, and have the job offered anew."],
        see: "docs/backend-guide.md#sending-the-file",
    }
    Unauthorised {
        means: "The backend does not give this file to this agent. Told here as job.file_unavailable.",
        done: "It tries the job's other sources; without one the job fails.",
        try: ["See at the backend whose file it is."],
        see: "docs/backend-guide.md#sending-the-file",
    }
    BadRange {
        means: "The backend's file is shorter than was offered. Told here as job.file_truncated.",
        done: "It tries the job's other sources; without one the job fails.",
        try: ["Upload the file again at the backend, and have the job offered anew."],
        see: "docs/backend-guide.md#sending-the-file",
    }
    Changed {
        means: "The backend's file is another one by now. Told here as job.file_corrupt.",
        done: "It tries the job's other sources; without one the job fails.",
        try: ["Have the file of now offered as another job."],
        see: "docs/backend-guide.md#sending-the-file",
    }
    Busy {
        means: "The backend has no time for it now.",
        done: "It asks again with growing pauses.",
        try: ["Wait."],
        see: "docs/backend-guide.md#sending-the-file",
    }
    Io {
        means: "The backend could not read the file.",
        done: "It asks again with growing pauses.",
        try: ["Look at the backend's storage, if it lasts."],
        see: "docs/backend-guide.md#sending-the-file",
    }
}

/// Close codes of the websocket, as `the relay closed the connection (4001 superseded)` has them.
pub(super) const CLOSES: &[(u16, Words)] = &[
    (
        close::PROTOCOL,
        words!({
            means: "The relay says that this agent broke the protocol, or that its login did not fit; the words behind the number say how.",
            done: "It connects again. Printing goes on.",
            try: [
                "Read the words behind the number.",
                "If it comes again and again, compare the versions of agent and relay, and look for a proxy that alters what passes.",
            ],
            see: "docs/bounds.md#words-with-which-a-connection-or-a-frame-is-refused",
        }),
    ),
    (
        close::SUPERSEDED,
        words!({
            means: "A newer connection with the same key took this one's place: mostly the agent's own, after a break that the relay had not seen yet.",
            done: "It connects again. Printing goes on.",
            try: [
                "Nothing, if it happens once.",
                "If it goes on, a second machine uses this key: look for a copied card.",
            ],
            see: "docs/bounds.md#words-with-which-a-connection-or-a-frame-is-refused",
        }),
    ),
    (
        close::REVOKED,
        words!({
            means: "The agent was shut out while it was connected. Told here as relay.revoked.",
            done: "It tries again every four to five minutes, in vain. Printing goes on.",
            try: ["Ask whoever runs the relay why: `spoolway-relay audit`, on its machine."],
            see: "docs/relay-admin.md#agents",
        }),
    ),
    (
        close::SLOW_CONSUMER,
        words!({
            means: "The agent did not read what the relay had for it: a dead way, or a machine under too much load.",
            done: "It connects again; commands go on where they were. Printing goes on.",
            try: [
                "See what else runs on the machine: `top`.",
                "See how the way does: `sudo spoolway-agent doctor`.",
            ],
            see: "docs/relay-admin.md#what-happens-when-somebody-is-slow",
        }),
    ),
    (
        close::DRAIN,
        words!({
            means: "The relay goes, mostly for an update.",
            done: "It comes back at a random time within half a minute, or within the span that the relay has named.",
            try: ["Nothing need be done."],
            see: "docs/relay-admin.md#what-happens-when-somebody-is-slow",
        }),
    ),
    (
        close::RATE_LIMITED,
        words!({
            means: "Too many frames, bytes or logins in a short time.",
            done: "It stays away for half a minute, then connects again. Printing goes on.",
            try: ["Nothing, if it happens once; if it goes on, tell whoever runs the relay."],
            see: "docs/bounds.md#words-with-which-a-connection-or-a-frame-is-refused",
        }),
    ),
    (
        close::CLONE_SUSPECTED,
        words!({
            means: "Two machines use one key. Told here as relay.clone_suspected.",
            done: "It tries again every four to five minutes. Printing goes on.",
            try: [
                "Find the other machine, and make it a new agent: `sudo spoolway-agent forget`.",
                "Have this one let in again, on the relay's machine: `spoolway-relay agent release ID`.",
            ],
            see: "docs/operate.md#files",
        }),
    ),
    (
        close::UPGRADE_REQUIRED,
        words!({
            means: "The relay wants a newer agent, or speaks no protocol that this one knows. Told here as relay.proto.",
            done: "It tries again. Printing goes on.",
            try: ["Update the agent: `spoolway-agent --version` shows what it is."],
            see: "docs/networks.md#which-step-fails",
        }),
    ),
];
