//! Faults of the way to the relay, and of settings and profiles without which it is not found.

use spoolway_protocol::Fault;

rows! { Fault:
    ProfileUnknown {
        means: "`printer.profile` or a command names one that is neither built in nor in the folder of profiles.",
        done: "The agent did not start, or the command ended; a print that the process before had under way could not be taken over.",
        try: [
            "See which there are: `spoolway-agent profiles`.",
            "Set `printer.profile` to one of them, or to \"auto\" to ask the firmware.",
            "Put a profile of your own into `profiles.folder`.",
        ],
        see: "docs/profiles.md#where-files-go-and-what-wins",
    }
    ProfileBad {
        means: "The message names file, key and line.",
        done: "At its start the agent left this file out and runs with the others; a command that needs the file ended.",
        try: [
            "Correct the key, then look: `spoolway-agent profiles check FILE`.",
            "Begin anew from one that works: `spoolway-agent profiles show marlin`.",
            "Have it read: `sudo systemctl restart spoolway-agent`.",
        ],
        see: "docs/profiles.md#keys",
    }
    ConfigBroken {
        means: "A key, its value, or a file that it names cannot be used; the message says where it was set.",
        done: "The agent does not start with it. Where only a file for the way to the relay is wrong it runs and prints, and tries again to connect.",
        try: [
            "Look for mistakes without a start: `spoolway-agent config check`.",
            "See what holds, and who said so: `spoolway-agent config show`.",
            "Correct it, then `sudo systemctl restart spoolway-agent`.",
        ],
        see: "docs/operate.md#settings",
    }
    TlsWrongCertificate {
        means: "Another name, an authority that is not trusted here, or a certificate that was withdrawn: perhaps an intercepting proxy, perhaps a private relay.",
        done: "It broke the connection off before it said who it is, and tries again. Printing goes on; events wait on the disk.",
        try: [
            "See which step fails and what stands in the certificate's way: `sudo spoolway-agent doctor`.",
            "Check `relay.url`, name by name.",
            "For a private relay, name its authority: `relay.ca_file`, or pair with `--ca`.",
            "Behind TLS inspection, have the relay's name excepted from it: trusting its authority alone ends in relay.bad_sig.",
        ],
        see: "docs/networks.md#certificates",
    }
    TlsClock {
        means: "A Raspberry Pi has no clock of its own and needs a time server after each start; or the relay's certificate has really expired.",
        done: "It broke the connection off and tries again. Printing goes on, since durations do not come from the clock.",
        try: [
            "See whether the clock is right and who sets it: `timedatectl`.",
            "Where the network lets only its own time server through, name it: NTP= in /etc/systemd/timesyncd.conf.",
            "If the clock is right, the relay's administrator has to renew its certificate.",
        ],
        see: "docs/networks.md#which-step-fails",
    }
    TlsFailed {
        done: "It tries again, within a minute at first and within five minutes after an hour. Printing goes on.",
        try: [
            "Walk the way step by step: `sudo spoolway-agent doctor`.",
            "Check host and port of `relay.url`: is it a relay that answers there?",
            "Have the network's administrators let the relay's name and port through without looking into TLS.",
        ],
        see: "docs/networks.md#which-step-fails",
    }
    NetworkDns {
        done: "It tries again, within a minute at first and within five minutes after an hour. Printing goes on.",
        try: [
            "See whether the name is resolved here: `resolvectl query relay.example.org`, with the name of `relay.url`.",
            "Check that the cable or the wireless network stands: `ip address`.",
            "Where only a proxy reaches the internet, set `relay.proxy`: then the proxy resolves the relay's name.",
        ],
        see: "docs/networks.md#which-step-fails",
    }
    NetworkTcp {
        means: "Nothing came back in time (a firewall), or the connection was refused (nobody listens there).",
        done: "It tried each of the name's addresses, and tries again, within a minute at first and within five minutes after an hour. Printing goes on.",
        try: [
            "Walk the way step by step: `sudo spoolway-agent doctor`.",
            "Refused: see whether the relay runs, and at which port.",
            "Nothing came back: have the network's administrators let TCP out to the relay's port, or set `relay.proxy`.",
        ],
        see: "docs/networks.md#which-step-fails",
    }
    NetworkCaptivePortal {
        means: "Guest and campus networks do so with machines that have not logged in.",
        done: "It told the page nothing, and tries again. Printing goes on.",
        try: [
            "Have the machine's network address let through by the network's administrators: `ip link` shows it.",
            "Or log in on that page from this machine.",
        ],
        see: "docs/networks.md#a-login-page",
    }
    ProxyUnreachable {
        done: "It tries again, within a minute at first and within five minutes after an hour. Printing goes on.",
        try: [
            "See by which proxy it goes, and who said so: `sudo spoolway-agent doctor`.",
            "Check host and port of `relay.proxy`; where it is not set, HTTPS_PROXY of the agent's unit counts.",
            "Where none is needed, set `relay.proxy` to \"none\".",
        ],
        see: "docs/networks.md#proxies",
    }
    ProxyAuth {
        done: "It tries again only every four to five minutes, so that the account is not locked. Printing goes on.",
        try: [
            "Check the user in `relay.proxy`, and the first line of the file of `relay.proxy_password_file`.",
            "Try at once: `sudo spoolway-agent doctor`, then `sudo systemctl restart spoolway-agent`.",
            "A proxy that takes only NTLM or Kerberos has to except this machine.",
        ],
        see: "docs/networks.md#proxies",
    }
    ProxyRefused {
        means: "It answered the wish for a tunnel (CONNECT) with an error, or is no HTTP proxy.",
        done: "It tries again, within a minute at first and within five minutes after an hour. Printing goes on.",
        try: [
            "Read the proxy's status: `sudo spoolway-agent doctor`.",
            "Have its administrators allow CONNECT to the relay's name and port.",
            "See that `relay.proxy` is an HTTP proxy: SOCKS, and proxies that take TLS themselves, are not known.",
        ],
        see: "docs/networks.md#proxies",
    }
    RelayUnreachable {
        means: "The way stands as far as the message says, and then the relay did not answer, refused, said goodbye or fell silent.",
        done: "It tries again, within a minute at first and within five minutes after an hour, and not before the relay wishes. Printing goes on; events wait on the disk.",
        try: [
            "Walk the way step by step: `sudo spoolway-agent doctor`.",
            "Read what the relay said: a close code such as 4001 is explained by `spoolway-agent explain 4001`.",
            "See whether the relay is up: `spoolway-relay status`, on its machine.",
        ],
        see: "docs/networks.md#which-step-fails",
    }
}
