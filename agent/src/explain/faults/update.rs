//! Faults of an update that a backend wishes.

use spoolway_protocol::Fault;

rows! { Fault:
    UpdateNotAllowed {
        means: "Its backend wishes an update, and this agent, or another one of the same machine, has `update.allow = false`.",
        done: "Nothing was changed.",
        try: [
            "If the backend may choose the version: `allow = true` under [update] in the configuration of every agent of the machine, then restart them.",
            "Else update by hand: `sudo apt-get update && sudo apt-get install spoolway-agent`.",
        ],
        see: "docs/repository.md#on-the-pi",
    }
    UpdateOlder {
        means: "A backend may only choose something newer than what is installed; going back is this machine's own matter.",
        done: "Nothing was changed.",
        try: [
            "Choose a newer version; a repaired one gets a higher number.",
            "To go back all the same: `sudo apt-get install --allow-downgrades spoolway-agent=VERSION`.",
        ],
        see: "docs/repository.md#when-it-fails",
    }
    UpdateNotFound {
        means: "apt could not have the package: it is not in the repository, its signature is not good, or the server does not answer.",
        done: "Nothing was changed.",
        try: [
            "Look at the versions: `apt-cache policy spoolway-agent`.",
            "Look what `sudo apt-get update` complains about: key, address, network.",
        ],
        see: "docs/repository.md#when-it-fails",
    }
    UpdateNoWayBack {
        means: "Before anything is changed the package of the installed version has to be there, so that going back needs no network; it is neither kept from the last update nor in the repository.",
        done: "Nothing was changed.",
        try: [
            "Put the installed version into the repository, beside the new one.",
            "Or update once by hand, to a version that the repository has.",
        ],
        see: "docs/repository.md#when-it-fails",
    }
    UpdateNotInstalled {
        means: "apt has refused, or a power cut came before anything was changed.",
        done: "The version from before runs, as it did.",
        try: [
            "Read what apt said: `journalctl -u 'spoolway-update@*'`.",
            "If it names packages that are half installed: `sudo dpkg --configure -a`, then wish the update again.",
        ],
        see: "docs/repository.md#when-it-fails",
    }
    UpdateUnhealthy {
        means: "After its installation an agent of the machine did not stay up, did not answer, or had no relay or printer any more though it had before.",
        done: "The version from before was installed again; where the event says `failed` that is not well either.",
        try: [
            "Read what it died of: `journalctl -u spoolway-agent -u 'spoolway-update@*'`.",
            "Wish another version, with a higher number.",
        ],
        see: "docs/repository.md#when-it-fails",
    }
    UpdateUnattended {
        means: "The window was over for an hour, and the agent has heard nothing of the updater that it had asked for as long.",
        done: "It does not wait any more, and jobs start. Which version is installed is not known to it.",
        try: [
            "Look at `systemctl status spoolway-update.path`.",
            "See what is installed: `apt-cache policy spoolway-agent`.",
        ],
        see: "docs/repository.md#when-it-fails",
    }
}
