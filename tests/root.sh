#!/usr/bin/env bash
# The packages as an administrator meets them, each time in a fresh Debian under a real systemd as PID 1: both are installed, a printer on a
# pseudo-terminal prints, a backend updates the agent and a person installs a version that does not live, and in the middle of the print the agent is killed, hangs and is restarted, the disk is full, and a second version
# comes while the configuration has been changed. The simulated printer's own account has to be that of an undisturbed print. Then a print is
# stopped for good, a second agent prints at a second printer, and the packages are removed and purged: nothing may be left. lintian
# finds no error, and the units of agent and relay are exposed by 1.5 at most. What a Pi gets prints as well, under qemu. And the pages that people follow are
# followed word by word, in a Debian of their own.
# Needs root. Installs what it needs from Debian, and boots in namespaces of its own.
#
#   tests/root.sh [SUITE...]        bookworm, trixie; bookworm when none is named
#
# Packages come from the folder SPOOLWAY_DEBS, else `packaging/build --quick` makes them, and the agent's for arm64; `spoolway-demo` comes from SPOOLWAY_BIN, else it is built in
# release. The Debian is kept in SPOOLWAY_CI_CACHE, or in the user's cache, and each run begins with a copy.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo 'FAILED: this needs root: it boots a systemd in namespaces of its own' >&2; exit 1; }
if ! hash debootstrap unshare nsenter systemd-analyze lintian dpkg-deb nft apt-ftparchive curl gpg xz 2>/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -y -q --no-install-recommends debootstrap util-linux systemd lintian dpkg-dev nftables \
        apt-utils ca-certificates curl gpg gpg-agent xz-utils
fi
if [ -z "${SPOOLWAY_DEBS:-}" ] && ! hash aarch64-linux-gnu-gcc 2>/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -y -q --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross
fi
cache=${SPOOLWAY_CI_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/spoolway-ci}
. tests/systemd/parts.sh
. tests/systemd/pi.sh
. tests/systemd/docs.sh
. tests/systemd/update.sh
arch=$(dpkg --print-architecture)
suites=("$@")
[ "${#suites[@]}" -gt 0 ] || suites=(bookworm)

if [ -n "${SPOOLWAY_DEBS:-}" ]; then
    debs=$(realpath "$SPOOLWAY_DEBS")
else
    debs=$cache/debs
    rm -rf "$debs"
    packaging/build --quick --out "$debs" "$arch" arm64
fi
if [ -n "${SPOOLWAY_BIN:-}" ]; then
    programs=$(realpath "$SPOOLWAY_BIN")
else
    cargo build --release --locked --bin spoolway-demo
    programs=$(realpath "${CARGO_TARGET_DIR:-target}/release")
fi

# The one package of that name.
package_of() {
    local found
    found=$(find "$debs" -name "$1_*_$arch.deb")
    [ -n "$found" ] && [ "$(wc -l <<<"$found")" = 1 ] || fail "$debs has not one package of $1 for $arch: $found"
    echo "$found"
}

# later PACKAGE FROM: the next version of a package, made of the one that is there: program, unit and example are other files.
later() {
    local name=$1 from=$2 folder=$work/later-$1
    rm -rf "$folder"
    dpkg-deb -R "$from" "$folder"
    sed -i 's/^Version: .*/&+later/' "$folder/DEBIAN/control"
    rm -f "$folder/DEBIAN/md5sums"
    sed -i 's/^Description=.*/& (later)/' "$folder/usr/lib/systemd/system/$name.service"
    sed -i '1s/^/# Changed by the later version.\n/' "$folder/usr/share/doc/$name/examples/"*.toml
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$folder" "$work/$name-later.deb" >/dev/null
}

# What stands in the root, but for logs, caches and what package manager and systemd keep for themselves.
listing() {
    local path keep=()
    for path in dev proc run sys tmp srv var/tmp var/log var/cache var/backups var/lib/apt var/lib/dpkg var/lib/systemd \
        etc/.pwd.lock 'etc/*-' root; do
        keep+=(-path "$root/$path" -prune -o)
    done
    find "$root" -xdev -mindepth 1 "${keep[@]}" -printf '%P %y %m %U %G %l\n' | sort
    for path in passwd group shadow gshadow; do
        sed "s/^/etc\/$path: /" "$root/etc/$path"
    done
}

# Whatever bears our name, wherever it is; logs and the administrator's own folder are let be.
traces() {
    find "$root" -xdev \( -path "$root/srv" -o -path "$root/var/log" -o -path "$root/tmp" -o -path "$root/run" \) -prune -o -name '*spoolway*' -print
    find "$root/run" -maxdepth 1 -name '*spoolway*' 2>/dev/null || true
    inside sh -c "ls -d /run/*spoolway* 2>/dev/null; systemctl list-units --all --plain --no-legend '*spoolway*'" || true
}

# Nobody answers a question: standard input is empty. Whoever asks all the same has failed.
apt() { inside DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@" </dev/null; }
version_of() { inside dpkg-query -W -f '${Version} ${db:Status-Abbrev}' "$1"; }
relay() { inside HOME=/root spoolway-relay "$@"; }
is() { [ "$(inside systemctl "is-$1" "$2" 2>/dev/null || true)" = "$3" ] || { inside systemctl status --no-pager "$2" >&2 || true; fail "$2 is not $3"; }; }
nothing_has_failed() {
    local failed
    failed=$(inside systemctl list-units --failed --plain --no-legend '*spoolway*')
    [ -z "$failed" ] || fail "$failed"
}

fresh_root() {
    local suite=$1 kept=$cache/package-root-$1
    mkdir -p "$cache"
    debian "$kept" "$suite" systemd,systemd-sysv,dbus,udev,iproute2
    root=$work/root
    rm -rf --one-file-system "$root"
    cp -a --reflink=auto "$kept" "$root"
    # An installer writes it on a machine of its own.
    grep -qs localhost "$root/etc/hosts" || echo '127.0.0.1 localhost' >>"$root/etc/hosts"
    install -m 755 "$programs/spoolway-demo" "$root/usr/bin/"
    install -m 644 tests/gcode/gear.gcode "$root/srv/job.gcode"
    install -m 644 "$agent_deb" "$root/srv/agent.deb"
    install -m 644 "$relay_deb" "$root/srv/relay.deb"
    install -m 644 "$work/spoolway-agent-later.deb" "$root/srv/agent-later.deb"
    install -m 644 "$work/spoolway-relay-later.deb" "$root/srv/relay-later.deb"
    # The administrator's, from the beginning: a pseudo-terminal stands for the port.
    allow_pseudo_terminals
}

installed() {
    apt install /srv/agent.deb /srv/relay.deb
    is active spoolway-agent active
    is enabled spoolway-agent enabled
    is enabled spoolway-enrol enabled
    # It has no certificate yet.
    is active spoolway-relay inactive
    is enabled spoolway-relay disabled
    nothing_has_failed
    [ -z "$(inside dpkg-query -W -f '${Conffiles}' spoolway-agent spoolway-relay)" ] || fail 'a conffile: dpkg would ask when it was changed'
    [ "$(inside id -nG spoolway-agent | tr ' ' '\n' | sort | tr '\n' ' ')" = 'dialout spoolway spoolway-agent ' ] || fail "$(inside id spoolway-agent)"
    [ "$(inside stat -c '%a %U:%G' /etc/spoolway /etc/spoolway-relay/tls /var/lib/spoolway | tr '\n' ' ')" = \
        '750 root:spoolway 750 root:spoolway-relay 750 spoolway-agent:spoolway ' ] || fail 'folders belong to others'
    local file unit
    for file in man/man1/spoolway-agent.1.gz man/man1/spoolway-agent-bed-clear.1.gz man/man1/spoolway-relay.1.gz \
        bash-completion/completions/spoolway-agent bash-completion/completions/spoolway-relay doc/spoolway-agent/copyright \
        doc/spoolway-agent/changelog.Debian.gz; do
        inside test -s "/usr/share/$file" || fail "no $file"
    done
    for unit in spoolway-agent spoolway-relay spoolway-enrol; do
        inside systemd-analyze security --no-pager --threshold=15 "$unit.service" >"$work/exposure" ||
            { cat "$work/exposure" >&2; fail "$unit is exposed too much"; }
        say "$unit: $(tail -n 1 "$work/exposure")"
    done
    say 'installed: the agent runs, the relay waits for its certificate'
}

# A board that the program cannot run on is refused with a sentence, before anything is unpacked.
refuses_an_armv6() {
    mkdir -p "$work/armv6"
    printf '#!/bin/sh\necho armv6l\n' >"$work/armv6/uname"
    chmod 755 "$work/armv6/uname"
    local deb
    for deb in "$agent_deb" "$relay_deb"; do
        rm -rf "$work/control"
        dpkg-deb -e "$deb" "$work/control"
        if PATH=$work/armv6:$PATH DPKG_MAINTSCRIPT_ARCH=armhf sh "$work/control/preinst" install 2>"$work/refused"; then
            fail 'an ARMv6 board is let in'
        fi
        grep -q 'needs an ARMv7 processor' "$work/refused" || fail "$(cat "$work/refused")"
        PATH=$work/armv6:$PATH DPKG_MAINTSCRIPT_ARCH=arm64 sh "$work/control/preinst" install || fail 'another architecture is refused'
    done
}

relay_runs() {
    relay certs init >/dev/null
    [ "$(inside stat -c '%a %U:%G' /etc/spoolway-relay/tls/server.key)" = '640 root:spoolway-relay' ] || fail "the relay cannot read the key"
    inside systemctl enable --now spoolway-relay ||
        { inside journalctl -u spoolway-relay --no-pager -n 40 >&2; fail 'the relay does not start'; }
    is active spoolway-relay active
    inside HOME=/ runuser -u spoolway-relay -- spoolway-relay backend add farm >"$work/farm"
    token=$(tail -n 1 "$work/farm")
    inside HOME=/ runuser -u spoolway-relay -- spoolway-relay backend list | finds farm || fail 'the backend that was added is nowhere'
    relay status >/dev/null
    # Twice: loading the example again replaces it.
    for _ in 1 2; do
        inside cat /usr/share/doc/spoolway-relay/examples/nftables.conf | unshare --net nft -f - || fail 'the example for nftables is not taken'
    done
}

# The relay's key as a credential of its unit.
relay_takes_a_credential() {
    mkdir -p "$root/etc/systemd/system/spoolway-relay.service.d"
    inside mv /etc/spoolway-relay/tls/server.key /root/relay.key
    inside chown root:root /root/relay.key
    inside chmod 600 /root/relay.key
    printf '[Service]\nLoadCredential=server.key:/root/relay.key\n' >"$root/etc/systemd/system/spoolway-relay.service.d/key.conf"
    printf '[tls]\nkey = "/run/credentials/spoolway-relay.service/server.key"\n' >"$root/etc/spoolway-relay/relay.toml"
    inside systemctl daemon-reload
    inside systemctl restart spoolway-relay || { inside journalctl -u spoolway-relay --no-pager -n 20 >&2; fail 'the relay does not take its key from systemd'; }
    relay status >/dev/null
    rm -r "$root/etc/spoolway-relay/relay.toml" "$root/etc/systemd/system/spoolway-relay.service.d"
    inside mv /root/relay.key /etc/spoolway-relay/tls/server.key
    inside chown root:spoolway-relay /etc/spoolway-relay/tls/server.key
    inside chmod 640 /etc/spoolway-relay/tls/server.key
    inside systemctl daemon-reload
    inside systemctl restart spoolway-relay
    say 'the relay takes its key from systemd'
}

# The two commands of docs/install.md: a printer is found, the agent paired, and the line tried, with nobody at the machine.
first_run() {
    local code running
    printer /srv/job.gcode 60
    mkfifo "$work/nobody"
    exec 8<>"$work/nobody"
    # Its input stays open: one that ends is a no to the relay's end.
    inside spoolway-agent setup --yes --printer "$device" --relay wss://localhost:8443 --ca /etc/spoolway-relay/tls/ca.pem \
        --words unseen --test line <&8 >"$work/setup" 2>&1 &
    running=$!
    until_ 'a code' code_is_shown_or_all_is_over
    code_is_shown || { cat "$work/setup" >&2; fail 'setup shows no code'; }
    code=$(sed -n 's/^ *Code  *\([^ ]*\).*/\1/p' "$work/setup")
    inside HOME=/ runuser -u spoolway-relay -- spoolway-relay pair approve "$code" --yes >/dev/null || fail 'the relay does not let the agent in'
    wait "$running" || { cat "$work/setup" >&2; fail 'setup fails'; }
    exec 8>&-
    sed 's/^/   /' "$work/setup"
    say "from the first command to a printer that is paired and tried: $((SECONDS - began)) s, of which the relay's own part is some"
    grep -q 'What to do next' "$work/setup" || fail 'setup does not say what is next'
    until_ 'a link' is_linked
    grep -q "port = \"$device\"" "$root/etc/spoolway/agent.toml" || fail "$(cat "$root/etc/spoolway/agent.toml")"
    exec 7>&-
}
code_is_shown_or_all_is_over() { code_is_shown || ! kill -0 "$running" 2>/dev/null; }
code_is_shown() { grep -q '^ *Code  *[A-Z0-9]' "$work/setup"; }
is_linked() { agent status --json | finds '"up": *true'; }

# What the unit lets through to a device: those ports whose driver this kernel has, and nothing else. Nobody is there, so a port that may be
# opened says so, or that there is no such device; one that may not is "not permitted".
opens_ports() {
    local driver major opened
    inside sh -c 'sed -n "/^Character/,/^Block/p" /proc/devices' >"$work/drivers"
    for driver in ttyS ttyUSB ttyACM ttyAMA kmsg; do
        case $driver in
        kmsg) major=1; minor=11 ;;
        # The last of its kind: the first may be the console of this machine.
        *) major=$(awk -v driver="$driver" '$2 == driver { print $1; exit }' "$work/drivers"); minor=95 ;;
        esac
        [ -n "$major" ] || { say "NOTE: this kernel has no driver of $driver"; continue; }
        inside rm -f /dev/port-of-test
        inside mknod -m 666 /dev/port-of-test c "$major" "$minor"
        opened=$(in_the_unit sh -c '(: <>/dev/port-of-test) 2>&1' || true)
        case $driver:$opened in
        kmsg:*'Operation not permitted'*) ;;
        kmsg:*) fail "the unit opens what it has no business with: $opened" ;;
        *:*'Operation not permitted'*) fail "$driver cannot be opened under the unit: $opened" ;;
        *) say "$driver: the unit opens it (${opened:-opened})" ;;
        esac
    done
    inside rm -f /dev/port-of-test
}

# A command in the sandbox of the installed unit, as the unit's user.
in_the_unit() {
    local properties=() line
    while read -r line; do
        properties+=(--property="$line")
    done < <(sed -n -e '/^DeviceAllow=/p' -e '/^DevicePolicy=/p' -e '/^User=/p' -e '/^SupplementaryGroups=/p' -e '/^Protect/p' -e '/^SystemCall/p' \
        "$root/usr/lib/systemd/system/spoolway-agent.service")
    inside systemd-run --quiet --wait --pipe --collect "${properties[@]}" "$@"
}

# The state on a disk that can be filled.
small_disk() {
    inside systemctl stop spoolway-agent
    inside mount -t tmpfs -o size=64m,mode=750 tmpfs /var/lib/spoolway
    inside chown spoolway-agent:spoolway /var/lib/spoolway
}

configured() {
    printf '[printer]\nport = "%s"\nbaud = 1000000\n[spool]\nreserve_bytes = 1048576\n' "$device" >"$root/etc/spoolway/agent.toml"
    inside chgrp spoolway /etc/spoolway/agent.toml
    inside chmod 640 /etc/spoolway/agent.toml
}
about_configuration() { inside sh -c 'stat -c "%a %U:%G %Y" /etc/spoolway/agent.toml && cat /etc/spoolway/agent.toml'; }

# Whatever becomes of the agent, the print goes on.
survives() {
    local signal before last
    [ "$(show NFileDescriptorStore)" = 1 ] || fail 'systemd keeps no descriptor'
    agent print /srv/job.gcode >/dev/null
    until_ 'the first lines' beyond 200
    until_ 'a line for systemctl status' tells_systemd
    for signal in KILL HUP KILL; do
        before=$(pid) last=$(acked)
        inside systemctl kill --kill-who=main "--signal=$signal" spoolway-agent
        went_on "kill -$signal" "$before" "$last"
    done
    before=$(pid) last=$(acked)
    inside systemctl kill --kill-who=main --signal=STOP spoolway-agent
    went_on 'a process that hangs' "$before" "$last"
    inside journalctl -u spoolway-agent --no-pager | finds 'Watchdog timeout' || { log; fail 'it was not the watchdog'; }
    before=$(pid) last=$(acked)
    inside systemctl restart spoolway-agent
    went_on 'systemctl restart' "$before" "$last"
}

# A full disk: the print goes on, and a new one is refused.
full_disk() {
    local last
    inside dd if=/dev/zero of=/var/lib/spoolway/filler bs=64k status=none 2>/dev/null || true
    last=$(acked)
    until_ 'new lines on a full disk' beyond "$last"
    if agent print /srv/job.gcode >"$work/refused" 2>&1; then
        fail 'a file was taken that has no room'
    fi
    grep -q 'disk.full' "$work/refused" || fail "$(cat "$work/refused")"
    inside rm /var/lib/spoolway/filler
    say 'on a full disk the print goes on, and a new one is refused'
}

# Nobody is left to watch the heaters: the print is given up.
stopped_for_good() {
    printer /srv/job.gcode 8
    configured
    inside systemctl restart spoolway-agent
    until_ 'a printer that is ready' is_idle
    agent bed clear --epoch 1 >/dev/null
    agent print /srv/job.gcode >/dev/null
    until_ 'the first lines of the second print' is_printing
    inside systemctl stop spoolway-agent
    [ "$(show NFileDescriptorStore)" = 0 ] || fail 'a stopped unit keeps the port'
    inside journalctl -u spoolway-agent --no-pager | finds 'giving the print up safely' || { log; fail 'a print was left hot by systemctl stop'; }
    inside systemctl start spoolway-agent
    until_ 'an agent that answers' agent status >/dev/null
    agent jobs --json | finds '"loss": *"agent_stopped"' || { agent jobs >&2; fail 'the second print was not given up'; }
    exec 7>&-
    inside systemctl stop spoolway-agent
    say 'a print is given up safely when the agent is stopped'
}
tells_systemd() { inside systemctl show -P StatusText spoolway-agent | finds -x 'printing, [0-9]* % of the print'; }
is_printing() { [ "$(field state)" = printing ] && beyond 200; }

# Agents of further printers.
instance() {
    unit=spoolway-agent@left.service
    agent() { inside spoolway-agent --instance left "$@"; }
    mkdir -p "$root/etc/systemd/system/spoolway-agent@.service.d"
    cp "$root/etc/systemd/system/spoolway-agent.service.d/pts.conf" "$root/etc/systemd/system/spoolway-agent@.service.d/"
    printer /srv/job.gcode 60
    inside systemctl daemon-reload
    agent setup --yes --printer "$device" </dev/null || { inside journalctl -u "$unit" --no-pager >&2; fail 'a second agent is not set up'; }
    is enabled "$unit" enabled
    until_ 'a second printer that is ready' is_idle
    agent print /srv/job.gcode >/dev/null
    until_ 'the end of its print' is_over
    printer_was_told_the_file
    rm -r "$root/etc/systemd/system/spoolway-agent@.service.d"
    unit=spoolway-agent.service
    agent() { inside spoolway-agent "$@"; }
    say 'a second agent prints at a second printer'
}

# Not judged here, because a busy machine says little; the packages' page says what is wanted.
figures() {
    local began ready before after
    inside systemctl restart spoolway-agent
    until_ 'a printer that is ready' is_idle
    began=$(show ExecMainStartTimestampMonotonic)
    ready=$(show ActiveEnterTimestampMonotonic)
    say "start to READY: $(((ready - began) / 1000)) ms"
    before=$(show CPUUsageNSec)
    sleep 10
    after=$(show CPUUsageNSec)
    say "idle: $(awk -v ns=$((after - before)) 'BEGIN { printf "%.2f", ns / 1e8 }') % of a core, $(awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' <(inside cat "/proc/$(pid)/status")) MB resident"
}

goes_on_or_is_over() { beyond "$1" || is_over; }

# Both get their next version in the middle of the print, with a configuration that has been changed since the first.
upgraded_in_a_print() {
    local before last relay_before about
    echo '# Changed in the middle of the print.' >>"$root/etc/spoolway/agent.toml"
    about=$(about_configuration)
    before=$(pid)
    inside DEBIAN_FRONTEND=noninteractive dpkg --unpack /srv/agent-later.deb </dev/null
    last=$(acked)
    until_ 'new lines while files are replaced' beyond "$((last + 50))"
    [ "$(pid)" = "$before" ] || fail 'the agent was stopped before all was in its place'
    last=$(acked)
    inside DEBIAN_FRONTEND=noninteractive dpkg --configure spoolway-agent </dev/null
    went_on 'an upgrade' "$before" "$last"
    [ "$(show NFileDescriptorStore)" = 1 ] || fail 'systemd keeps no descriptor'
    show Description | finds later || fail 'the unit of the first version is still in force'
    before=$(pid) last=$(acked)
    relay_before=$(inside systemctl show --value -p MainPID spoolway-relay)
    apt install /srv/relay-later.deb
    is active spoolway-relay active
    [ "$(inside systemctl show --value -p MainPID spoolway-relay)" != "$relay_before" ] || fail 'the relay of the first version still runs'
    # The same version once more, by apt: a restart as well. On a busy machine the print may be over by now.
    apt install --reinstall /srv/agent-later.deb
    until_ 'another process after an installation anew' is_another "$before"
    until_ 'new lines after an installation anew' goes_on_or_is_over "$last"
    [ "$(about_configuration)" = "$about" ] || fail "the configuration is another: $(about_configuration)"
    case "$(version_of spoolway-agent) $(version_of spoolway-relay)" in
    *'+later ii '*'+later ii '*) ;;
    *) fail "$(version_of spoolway-agent), $(version_of spoolway-relay)" ;;
    esac
    nothing_has_failed
    until_ 'the end of the print' is_over
    agent jobs
    printer_was_told_the_file
    did_not_panic
    ! inside journalctl -u spoolway-agent --no-pager | finds 'giving the print up safely' || fail 'the print was given up'
    say 'one print over kills, a hang, a restart, a full disk and an upgrade'
}

removed() {
    local running
    apt remove spoolway-agent spoolway-relay
    running=$(inside sh -c 'for program in /proc/[0-9]*/exe; do readlink "$program"; done' | grep '^/usr/bin/spoolway-' || true)
    [ -z "$running" ] || fail "still runs: $running"
    inside test -e /etc/spoolway/agent.toml -a -e /var/lib/spoolway || fail 'removing has taken more than the program'
    ! inside test -e /usr/bin/spoolway-agent || fail 'the program is still there'
    apt install /srv/agent.deb
    is active spoolway-agent active
    is active spoolway-agent@left active
    apt remove spoolway-agent
    say 'removed: configuration and state are kept, and every agent comes back with the package'
}

# What the administrator has made stays, and nothing else.
purged() {
    local left before=$work/before after=$work/after
    apt purge spoolway-agent spoolway-relay
    # The mount was there before the package.
    [ -z "$(inside find /var/lib/spoolway -mindepth 1)" ] || fail 'a purge leaves what lies on a disk of its own'
    inside umount /var/lib/spoolway
    # What lay there before it was covered.
    inside rm -r /var/lib/spoolway
    left=$(inside find /etc/spoolway /etc/spoolway-relay -type f 2>/dev/null | sort | tr '\n' ' ') || true
    [ "$left" = '/etc/spoolway-relay/tls/ca.key /etc/spoolway-relay/tls/ca.pem /etc/spoolway-relay/tls/server.key /etc/spoolway-relay/tls/server.pem ' ] ||
        fail "a purge leaves: $left"
    # The number of a group that is gone is given to another one, which may not read what is kept.
    left=$(inside find /etc/spoolway-relay -not -group root)
    [ -z "$left" ] || fail "a purge leaves to the next group: $left"
    apt install /srv/relay.deb
    [ "$(inside stat -c '%a %U:%G' /etc/spoolway-relay/tls/server.key)" = '640 root:spoolway-relay' ] || fail "the relay cannot read the key that was kept"
    apt purge spoolway-relay
    inside rm -r /etc/spoolway-relay
    listing >"$after"
    diff "$before" "$after" || fail 'a purge leaves or takes more than that'
    left=$(traces | grep -v -e 'system-spoolway.*slice' -e '/usr/bin/spoolway-demo$' -e '/etc/systemd/system/spoolway-agent.service.d$' || true)
    [ -z "$left" ] || fail "a purge leaves: $left"
    say 'purged: nothing is left'
}

# An image's maker puts the configuration there before the package: nothing is asked, and it stays as it is.
configured_before_it_is_installed() {
    inside mkdir -p /etc/spoolway
    printf '[printer]\nport = "/dev/ttyACM0"\n' >"$root/etc/spoolway/agent.toml"
    apt install /srv/agent.deb
    grep -q ttyACM0 "$root/etc/spoolway/agent.toml" || fail 'the configuration is another'
    is active spoolway-agent active
    apt purge spoolway-agent
    ! inside test -e /etc/spoolway || fail 'a purge leaves /etc/spoolway'
}

agent_deb=$(package_of spoolway-agent)
relay_deb=$(package_of spoolway-relay)
# Only errors end it; the rest is shown.
lintian --fail-on error "$agent_deb" "$relay_deb" || fail 'lintian finds errors'
later spoolway-agent "$agent_deb"
later spoolway-relay "$relay_deb"
refuses_an_armv6
for pi in arm64 armhf; do
    pi_deb=$(find "$debs" -name "spoolway-agent_*_$pi.deb")
    if [ -n "$pi_deb" ]; then
        lintian --fail-on error "$pi_deb" || fail 'lintian finds errors in what a Pi gets'
        prints_on "$pi" "$pi_deb"
    else
        [ "$pi" = armhf ] || [ -n "${SPOOLWAY_DEBS:-}" ] || fail "no package for $pi was made"
        say "NOTE: $debs has no package for $pi"
    fi
done
for suite in "${suites[@]}"; do
    say "== $suite"
    fresh_root "$suite"
    boot
    listing >"$work/before"
    began=$SECONDS
    installed
    relay_runs
    first_run
    opens_ports
    relay_takes_a_credential
    updated
    small_disk
    # Slow enough to be still under way behind an upgrade on a busy machine.
    printer /srv/job.gcode 6
    configured
    figures
    survives
    full_disk
    upgraded_in_a_print
    stopped_for_good
    instance
    removed
    purged
    configured_before_it_is_installed
    shut_down
    follow_the_pages "$suite"
done
say 'passed: installed, killed, hung, upgraded in the middle of a print, stopped, removed, purged'
