//! Faults: stable codes for machines, a summary and something to try for people.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($($(#[$meta:meta])* $variant:ident = $code:literal, $summary:literal, $help:literal;)*) => {
        /// Something that went wrong, with a code that never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Fault {
            $(#[doc = $summary] $variant,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code, such as `job.file_corrupt`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => $summary,)*
                }
            }

            /// What to try.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => $help,)*
                }
            }
        }
    };
}

faults! {
    RecoveryRefused = "recovery.refused", "This print cannot be gone on with safely by the agent.",
        "Do what is said by hand, or give the part up with `spoolway-agent recover JOB --abandon` and print it anew.";
    RecoveryPlanChanged = "recovery.plan_changed", "The plan is no longer the one that was shown.",
        "Look at the new plan with `spoolway-agent recover JOB --plan`, then say yes to it.";
    PortMissing = "port.missing", "The printer's port is not there.",
        "Switch the printer on, check the USB cable, and compare the configured port with the list under /dev/serial/by-id.";
    PortBusy = "port.busy", "Another program has the printer's port open.",
        "Stop the other program (OctoPrint, a slicer, ModemManager); the agent opens the port again by itself.";
    PortPermission = "port.permission", "The agent may not open the printer's port.",
        "Add the agent's user to the port's group, usually dialout, or install the udev rules that come with the agent.";
    PortLost = "port.lost", "The printer's port went away while it was in use.",
        "Check the USB cable, the printer's power and the Raspberry Pi's power supply; the agent waits for the port to come back.";
    PortRate = "port.rate", "The printer's port cannot do the baud rate.",
        "Set printer.baud to a rate that both the USB adapter and the firmware can do, or to \"auto\".";
    PortAmbiguous = "port.ambiguous", "There are several serial ports, and it is not said which is the printer's.",
        "Set printer.port to one of the ports named; `spoolway-agent detect` tells which printer is at which.";
    PrinterChanged = "printer.changed", "Another printer answers at the configured port.",
        "Plug the right printer in, or say that this one is right: `spoolway-agent printer accept`.";
    FirmwareSilent = "firmware.silent", "The firmware does not answer.",
        "Check the baud rate in the configuration and that the printer is switched on, then reset the printer.";
    FirmwareReset = "firmware.reset", "The firmware restarted in the middle of a print.",
        "Look for a brown-out, a loose cable or a watchdog reset; clear the bed and start the job anew.";
    FirmwareHalted = "firmware.halted", "The firmware stopped itself for safety.",
        "Read the firmware's message, mend the heater, thermistor or endstop it names, then reset the printer.";
    CommUncertain = "comm.uncertain", "It is not certain which lines the printer has carried out.",
        "Look at the print, then resume and say whether the lines were executed or lost; if the layer is damaged, cancel the job.";
    CommTooManyRefusals = "comm.too_many_refusals", "The printer refused too many lines.",
        "Use a shorter, shielded USB cable away from motor wires, or lower the baud rate.";
    CommSyncFailed = "comm.sync_failed", "The agent and the firmware could not agree on a line number.",
        "Reset the printer; if it happens again, check that the firmware profile fits the firmware.";
    BedNotClear = "bed.not_clear", "Nobody has said yet that the bed is clear since the last print.",
        "Take the part off the bed, then say so: `spoolway-agent bed clear`, or at the backend.";
    BedStale = "bed.stale", "A print has begun since the bed was looked at.",
        "Look at the bed again, and confirm the bed epoch that is shown now.";
    HeatAboveLimit = "heat.above_limit", "More heat was asked for than the profile allows, and was not sent.",
        "Correct the temperature in the slicer; if this printer can take it, raise temperature.limits in a profile of your own, or open a maintenance window and resume.";
    HeatTooHot = "heat.too_hot", "A heater is hotter than the profile allows; the heaters were switched off.",
        "Switch the printer off at the mains if it gets hotter still; look at thermistor, heater and their screws before the next print.";
    HeatRunaway = "heat.runaway", "A heater gets hotter and hotter, far above what was asked for.",
        "Switch the printer off at the mains at once; a heater or its driver that is always on cannot be switched off by a command.";
    HeatStaysCold = "heat.stays_cold", "A heater does not get warmer though it should.",
        "Look at heater, thermistor and their cables; a fan that blows at the heater or an open window can be enough.";
    HeatNoReports = "heat.no_reports", "Something is heated and the printer reports no temperature.",
        "Look at the printer; if its firmware cannot report temperatures, it cannot be watched over from here.";
    HeatLeftOn = "heat.left_on", "Something was left heated with no job under way; the heaters were switched off.",
        "Add the end of the slicer's settings that switches heaters off; safety.idle_heater_off_after_s says how long is waited.";
    PrintStalled = "print.stalled", "The print does not move, and nothing is known that it waits for.",
        "Look at the printer and at the agent's disk; if it does not go on by itself, cancel the job.";
    JobLineTooLong = "job.line_too_long", "A line of the file is longer than the firmware can take.",
        "Slice the file again, and look for long comments or messages that a post-processing script has added.";
    JobNotGcode = "job.not_gcode", "The file is not G-code.",
        "Export plain G-code from the slicer, not a project, a 3MF, an STL or binary G-code.";
    JobNeedsOverride = "job.needs_override", "Something was found in the file that a person has to accept first.",
        "Look at the findings of the job; mend the file, or accept them: `spoolway-agent jobs override JOB`.";
    JobFileTruncated = "job.file_truncated", "The file ended before its announced size.",
        "Upload the file again; if it happens again, check the backend's storage.";
    JobFileCorrupt = "job.file_corrupt", "The file is not the one that was announced: its SHA-256 differs.",
        "Upload the file again; the agent fetches it anew and never prints an altered file.";
    JobFileUnavailable = "job.file_unavailable", "The file cannot be had from any of its sources.",
        "Check that the file still exists at the backend and that its link has not expired, then offer the job again.";
    JobFileTooLarge = "job.file_too_large", "The file is larger than the agent accepts.",
        "Raise the limit in the configuration if the disk has room, or split the print.";
    DiskFull = "disk.full", "There is no room left on the disk.",
        "Delete files that are no longer needed or use a larger card; a print that is running goes on.";
    ProfileUnknown = "profile.unknown", "There is no firmware profile of this name.",
        "Choose one of the profiles that the agent lists, or put the profile's file into the overlay folder.";
    ProfileBad = "profile.bad", "A firmware profile has an error.",
        "Correct the key that the message names in the profile's file.";
    ConfigBroken = "config.broken", "The configuration has an error.",
        "Correct the key that the message names, and start the agent again.";
    TlsWrongCertificate = "tls.wrong_certificate", "The relay's certificate does not fit its name or is not trusted.",
        "Check the relay's address. A relay with an authority of its own wants that one's certificate: `--ca ca.pem`, or relay.ca_file. Have a proxy that opens TLS except the relay.";
    TlsClock = "tls.clock", "The relay's certificate is not valid at the time that this machine's clock shows.",
        "Set the clock or let it synchronise (timedatectl); the agent never ignores a certificate's dates.";
    TlsFailed = "tls.failed", "The TLS handshake with the relay did not come about.",
        "Often a firewall looks into TLS and breaks it off, or another service has this port: check relay.url, and have the network's administrators let the relay's name and port through.";
    NetworkDns = "network.dns", "A name on the way to the relay cannot be resolved.",
        "Check the spelling of relay.url and the network's name server (`resolvectl query NAME`); where only a proxy reaches the internet, set relay.proxy, and the proxy resolves the relay's name.";
    NetworkTcp = "network.tcp", "Nothing answers at the relay's address and port.",
        "Check that the network is up, the relay runs and no firewall closes its port; where only a proxy reaches the internet, set relay.proxy.";
    NetworkCaptivePortal = "network.captive_portal", "The network answers in the relay's place: somebody has to log in on a web page first.",
        "Log in from this machine or have its network address (MAC) let through by the network's administrators; the agent goes on by itself.";
    ProxyUnreachable = "proxy.unreachable", "The proxy on the way to the relay does not answer.",
        "Check host and port in relay.proxy, or HTTPS_PROXY where it is not set; `none` there goes without a proxy.";
    ProxyAuth = "proxy.auth", "The proxy wants another user name or password.",
        "Put the user into relay.proxy (http://USER@host:port) and the password into the file that relay.proxy_password_file names; a proxy that takes only NTLM or Kerberos has to except this machine.";
    ProxyRefused = "proxy.refused", "The proxy does not let the agent through to the relay.",
        "Have the proxy's administrators allow CONNECT to the relay's name and port; check that relay.proxy is an HTTP proxy.";
    RelayUnreachable = "relay.unreachable", "The relay cannot be reached.",
        "Read what it says and look at the relay; `spoolway-agent doctor` walks the way to it. Printing goes on without it.";
    ForgetBusy = "forget.busy", "The agent has something in hand that has to end before it can forget.",
        "Wait until it has ended, or give it up (`spoolway-agent cancel`), then say it again.";
    ForgetDenied = "forget.denied", "Only root and the agent's own user may have it forget.",
        "Say it as root: `sudo spoolway-agent forget`.";
    ForgetIncomplete = "forget.incomplete", "Something that was to be forgotten is still on this machine.",
        "Look at the file that is named and at its disk, then say `sudo spoolway-agent forget` again; the agent does not start before it is gone.";
    OwnerChanges = "owner.changes", "Another backend owns this agent now.",
        "Nothing has to be done: a print of the owner before is brought to its end, then everything that belongs to it is dropped and the agent connects.";
    RelayUnpaired = "relay.unpaired", "The relay does not know this agent.",
        "Pair the agent with its backend: `spoolway-agent pair`.";
    PairExpired = "pair.expired", "The pairing was not brought to its end in time.",
        "Start it anew with `spoolway-agent pair`, and give the new code to the backend.";
    PairDenied = "pair.denied", "The backend's end has said no to the pairing.",
        "Ask whoever runs the backend whether the four words were the same there, then start anew.";
    PairWordsDiffer = "pair.words_differ", "The two ends of the pairing show different words.",
        "Do not go on: somebody may be in between. Check the relay's address and certificate, then start anew.";
    PairOwned = "pair.owned", "This agent has an owner already, over another relay.",
        "Leave the relay out to keep that owner, or give it another one: `sudo spoolway-agent pair --relay wss://HOST`.";
    PairRefused = "pair.refused", "The relay did not do its part in the pairing.",
        "Read what it says; if both programs are up to date, look at the relay's log.";
    EnrolRefused = "enrol.refused", "The enrolment token was not accepted.",
        "It may be used up, too old or taken back: put a new token file on the boot partition.";
    RelayRevoked = "relay.revoked", "This agent's key was revoked.",
        "Ask the backend's administrator; pairing again needs a person at the machine.";
    RelayBadSignature = "relay.bad_sig", "The relay did not accept the agent's signature.",
        "Check that the relay's address is the one the agent was paired with and that no proxy ends the TLS connection.";
    RelayClientCert = "relay.client_cert", "The relay wants a client certificate of the agent, or does not take the one that was shown.",
        "Set relay.client_cert to what the relay's operator asks for: \"own-key\", or the file of a certificate that is valid, meant for clients and issued by the authority that the relay trusts for it (tls.client_ca there).";
    RelayKeyRetired = "relay.key_retired", "The relay knows a newer key of this agent, and the time of this one is over.",
        "If the state folder came from a backup, put a newer one back; else say `sudo spoolway-agent forget`, pair anew, and have the old agent revoked at the relay.";
    IdentityRotating = "identity.rotating", "The agent's key cannot be changed now.",
        "Wait until the time that is named; the key before is still good until then.";
    IdentityRefused = "identity.refused", "The relay did not take the new key; the agent goes on with the one that it has.",
        "Read what it says and look at the relay's audit (`spoolway-relay audit`): another copy of this agent may have changed the key.";
    IdentityDenied = "identity.denied", "Only root and the agent's own user may have the key changed.",
        "Say it as root: `sudo spoolway-agent id rotate`.";
    RelayProto = "relay.proto", "The relay and the agent have no protocol in common.",
        "Update the agent or the relay.";
    RelayCloneSuspected = "relay.clone_suspected", "Two machines use this agent's key.",
        "Say `sudo spoolway-agent forget` on the copied machine and pair it anew, then have the key released at the relay.";
    RelayBinding = "relay.binding", "The relay does not bind the login to the TLS connection.",
        "Check for a proxy that ends TLS in front of the relay; only a pairing that allows it makes the agent accept this.";
    StoreCorrupt = "store.corrupt", "The agent's database was damaged and has been set aside.",
        "Check the SD card and the power supply; unfinished jobs have to be offered again.";
    JobAlreadyStarted = "job.already_started", "This attempt of the job has already begun.",
        "Look at the job's result; to print it once more, start a new attempt.";
    JobUnknown = "job.unknown", "The agent has no such job.",
        "See `spoolway-agent jobs`; its backend offers the job again.";
    JobHeld = "job.held", "The job is held.",
        "Release it first: `spoolway-agent jobs release JOB`, or at the backend.";
    JobNoObject = "job.no_object", "The file has no such object, or no labels of objects at all.",
        "Name an object that the check of the file lists; have the slicer label objects (M486, or EXCLUDE_OBJECT for Klipper).";
    RecordPrivate = "record.private", "The agent's operator keeps records of prints that failed to this machine.",
        "Ask whoever runs the agent: `sudo spoolway-agent config set backend.records=true` allows it.";
    RecordMissing = "record.missing", "There is no record of this attempt.",
        "Ask for an attempt that failed or was interrupted, within 90 days.";
    JobExpired = "job.expired", "The job's time was over before it could start.",
        "Offer the job again with another time, or without one.";
    JobNotReady = "job.not_ready", "The job is not in a state in which this can be done.",
        "See in which state it is (`spoolway-agent jobs`); what is over stays so.";
    CommandExpired = "command.expired", "The command was too old when its turn came.",
        "Give the command again if it is still wanted.";
    CommandUnknown = "command.unknown", "The agent does not know this command.",
        "Update the agent.";
    CommandBadArgs = "command.bad_args", "The command's arguments are wrong.",
        "Correct the field that the detail names.";
    CommandNotAllowed = "command.not_allowed", "This command is not sent to a printer by hand.",
        "Send a harmless question such as M503 or M114; a job does the rest.";
    PrinterEstopUnsent = "printer.estop_unsent", "The emergency stop could not be sent.",
        "Switch the printer off at the mains, now.";
    PrinterCannot = "printer.cannot", "This printer or its firmware cannot do that.",
        "Look at what the firmware profile has in [hand], and add it to a profile of your own if the machine can do it after all.";
    PrinterRefused = "printer.refused", "The printer did not carry the command out.",
        "Read what it said; many firmwares want their axes homed first.";
    MotionOutside = "motion.outside", "The move would leave the printer's volume.",
        "Move less far, or home the printer first; if the machine is larger, set printer.volume_mm.";
    PortReleased = "port.released", "The printer's port was let go because somebody asked for it.",
        "Have it taken up again with the command printer.connect, or restart the agent.";
    AgentUnmanaged = "agent.unmanaged", "Nothing would start the agent again.",
        "Let a service manager such as systemd run the agent, and restart it by hand meanwhile.";
    UpdateNotAllowed = "update.not_allowed", "This machine is not updated from afar.",
        "Set update.allow = true in the configuration of every agent of the machine if the backend may have it updated.";
    UpdateOlder = "update.older", "The version is older than the one that is installed.",
        "Choose a newer version; an older one is installed at the machine itself, with apt-get.";
    UpdateNotFound = "update.not_found", "The version is in none of the machine's package sources.",
        "Look with `apt-cache policy spoolway-agent` which versions there are, and whether `apt-get update` complains.";
    UpdateNoWayBack = "update.no_way_back", "The version that is installed could not be had again, so nothing was changed.",
        "Keep the installed version in the repository beside the new one, or update once by hand with apt-get.";
    UpdateNotInstalled = "update.not_installed", "The package manager did not install the version.",
        "Look at `journalctl -u 'spoolway-update@*'`, mend what it complains about, and have it installed again.";
    UpdateUnhealthy = "update.unhealthy", "The new version was not well.",
        "Look at `journalctl -u 'spoolway-update@*' -u spoolway-agent` for what it died of, and choose another version.";
    UpdateUnattended = "update.unattended", "Nobody has said what has become of the update.",
        "Look at `systemctl status spoolway-update.path` and `journalctl -u 'spoolway-update@*'`, and at the version that runs.";
    PromptClosed = "prompt.closed", "The printer's question is not open any more, or cannot be answered from here.",
        "Look at the questions that are open, and at the printer's own display.";
    PrinterAsked = "printer.asked", "The printer itself asked for this.",
        "Look at the printer: it may be out of filament, or somebody has used its buttons.";
    CommandUnsigned = "command.unsigned", "This agent moves or heats its printer for a backend only by a signed command.",
        "Have the backend sign the command with the key that it signs permits with.";
    CommandBadSignature = "command.bad_signature", "The command's signature does not fit: it was altered, meant for another agent, or signed with another key.",
        "Send the signed body as it is and never written anew; compare the backend's key with `spoolway-agent id`.";
    CommandNeedsMaintenance = "command.needs_maintenance", "This command is only sent while a maintenance window is open.",
        "Have a person at the machine open one: `spoolway-agent maintenance open --minutes 15`.";
    PreconditionFailed = "command.precondition_failed", "What the command presupposes does not hold.",
        "Look at the printer's present state, and give the command again if it is still wanted.";
    PermitRequired = "permit.required", "This agent starts a job of a backend only with a signed permit.",
        "Have the backend send the start with a permit, or print the file from the machine itself.";
    PermitMalformed = "permit.malformed", "The permit cannot be read.",
        "Correct the member that the detail names; the backend guide shows a whole permit.";
    PermitUnsupported = "permit.unsupported", "The permit asks for something that this agent does not know.",
        "Update the agent, or sign a permit without the flag or of the version that the detail names.";
    PermitUnknownKey = "permit.unknown_key", "The permit is signed with a key that this agent does not know.",
        "Compare the key id with `spoolway-agent id`, and set backend.key or backend.next_key.";
    PermitBadSignature = "permit.bad_signature", "The permit's signature does not fit: it was altered, or signed with another key.",
        "Send the signed bytes as they are, in base64 and never written anew; check which key signs.";
    PermitForeign = "permit.foreign", "The permit is meant for something else.",
        "Sign a permit for the agent, printer, job, attempt and file that the detail names.";
    PermitReplayed = "permit.replayed", "The permit has been used before.",
        "Sign a new permit with an id of its own for each attempt.";
    PermitFence = "permit.fence", "A permit of a later decision has been used already.",
        "Let only the process that holds the latest fence sign permits.";
    PermitBedEpoch = "permit.bed_epoch", "The permit is for another clearing of the bed.",
        "Look at the bed, then sign a permit with the bed epoch that the printer has now.";
    PermitNotYetValid = "permit.not_yet_valid", "The permit is not valid yet.",
        "Wait until its time has come, and check the clocks of the backend and of this machine.";
    PermitExpired = "permit.expired", "The permit's time to start is over.",
        "Sign a new permit if the print is still wanted; nothing starts late by itself.";
    PermitNoClock = "permit.no_clock", "The permit's time cannot be judged, because this machine does not know the time.",
        "Let the clock synchronise (timedatectl) or the agent reach its relay, then send the start again.";
    PermitOverTime = "permit.over_time", "The print takes longer than its permit allows.",
        "Look at the print; resume it if it was held and may go on.";
    AgentRestarted = "agent.restarted", "The agent restarted while this was under way.",
        "Look at the printer before you go on; what was half done is never repeated by itself.";
    MetricsAddress = "metrics.address", "Nobody can be served figures at the address of metrics.listen.",
        "Choose another port in metrics.listen (`sudo ss -ltnp` shows who has it), then restart the agent.";
    AgentStuck = "agent.stuck", "A part of the agent stands still.",
        "Let the service manager start it anew: `sudo systemctl restart spoolway-agent`; a print goes on.";
    Busy = "printer.busy", "A job is running on this printer.",
        "Wait for the job to end, or cancel it first.";
    Cancelled = "job.cancelled", "The job was cancelled.",
        "Start a new attempt to print it after all.";
    Estop = "printer.estop", "The printer was stopped at once.",
        "Make sure that the machine is safe, then reset the printer.";
}

impl Fault {
    /// The fault of a code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.code() == code)
    }
}

impl Fault {
    /// Whether it is a permit that was not taken: nothing was tried then.
    #[must_use]
    pub fn is_about_a_permit(self) -> bool {
        self.code().starts_with("permit.")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A fault's code on the wire; a newer peer may send one that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FaultCode(pub String);

impl FaultCode {
    /// The fault, if this version knows it.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        Fault::from_code(&self.0)
    }
}

impl From<Fault> for FaultCode {
    fn from(fault: Fault) -> Self {
        Self(fault.code().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_words_with_a_dot() {
        let codes: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.code()).collect();
        assert_eq!(codes.len(), Fault::ALL.len());
        for fault in Fault::ALL {
            let (area, name) = fault.code().split_once('.').unwrap();
            assert!(
                [area, name].iter().all(|part| part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            );
            assert_eq!(Fault::from_code(fault.code()), Some(*fault));
            assert_eq!(FaultCode::from(*fault).fault(), Some(*fault));
        }
        assert_eq!(Fault::from_code("no.such"), None);
    }

    #[test]
    fn every_fault_says_what_happened_and_what_to_try() {
        for fault in Fault::ALL {
            for text in [fault.summary(), fault.help()] {
                assert!(text.len() > 15 && text.ends_with('.'), "{fault}: {text}");
            }
        }
    }
}
