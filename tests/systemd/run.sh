#!/usr/bin/env bash
# Prints under a real systemd as PID 1, with the unit that ships: the agent is killed, restarted and replaced by another
# file in the middle of one print, and the simulated printer's own account has to be that of an undisturbed one. A second
# print is stopped for good: it has to be given up safely, with its heaters off.
# Needs root, debootstrap, util-linux and cgroup2; boots a small Debian in namespaces of its own and takes it down again.
#
#   tests/systemd/run.sh [ROOT]
#
# ROOT is kept when it is named (a folder that debootstrap may fill), so that the next run is quick. Programs come from
# SPOOLWAY_BIN, else they are built in release.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { echo "-- $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || fail 'this needs root: it boots a systemd in namespaces of its own'
for tool in debootstrap unshare nsenter systemd-analyze; do
    command -v "$tool" >/dev/null || fail "$tool is missing (Debian: debootstrap, util-linux, systemd)"
done
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$cgroups" ] || fail 'no cgroup2 is mounted'

work=$(mktemp -d)
root=${1:-$work/root}
file=$PWD/tests/gcode/gear.gcode
group=$cgroups/spoolway-$$
init=

finish() {
    exec 7>&- 2>/dev/null || true
    [ -z "$init" ] || inside systemctl exit >/dev/null 2>&1 || kill -RTMIN+3 "$init" 2>/dev/null || true
    for _ in $(seq 100); do
        [ -n "$init" ] && [ -d "/proc/$init" ] || break
        sleep 0.1
    done
    [ -z "$init" ] || kill -KILL "$init" 2>/dev/null || true
    sleep 0.2
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap finish EXIT

# Programs and their root.
if [ -n "${SPOOLWAY_BIN:-}" ]; then
    programs=$(realpath "$SPOOLWAY_BIN")
else
    cargo build --release --locked --bin spoolway-agent --bin spoolway-demo
    programs=$(realpath "${CARGO_TARGET_DIR:-target}/release")
fi
if [ ! -x "$root/sbin/init" ]; then
    say "a Debian into $root"
    rm -rf --one-file-system "$root.part"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$root.part" >"$work/debootstrap.log" ||
        { tail -n 5 "$work/debootstrap.log" >&2; fail 'debootstrap'; }
    mkdir -p "$root" && rmdir "$root" && mv "$root.part" "$root"
fi
root=$(realpath "$root")
install -m 755 "$programs/spoolway-agent" "$root/usr/bin/"
install -m 755 "$programs/spoolway-demo" "$root/usr/bin/"
install -D -m 644 systemd/spoolway-agent.service "$root/usr/lib/systemd/system/spoolway-agent.service"
install -D -m 644 systemd/spoolway-agent.sysusers "$root/usr/lib/sysusers.d/spoolway-agent.conf"
install -D -m 644 systemd/spoolway-agent.tmpfiles "$root/usr/lib/tmpfiles.d/spoolway-agent.conf"
install -D -m 644 "$file" "$root/srv/job.gcode"
rm -rf "$root/var/lib/spoolway" "$root/var/log/journal" "$root/etc/spoolway"
# A pseudo-terminal stands for the port.
mkdir -p "$root/etc/systemd/system/spoolway-agent.service.d"
printf '[Service]\nDeviceAllow=char-pts rw\n' >"$root/etc/systemd/system/spoolway-agent.service.d/pts.conf"
systemd-analyze verify --man=no --root="$root" spoolway-agent.service

# Becomes PID 1 of its own namespaces.
boot() {
    mkdir "$group"
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --mount --uts --ipc --pid --net --cgroup --fork --propagation private \
        bash tests/systemd/boot.sh "$root"
}
boot >"$work/boot.log" 2>&1 7>&- &
boot_pid=$!
for _ in $(seq 100); do
    init=$(pgrep -P "$boot_pid" 2>/dev/null | head -n 1) || true
    [ -n "$init" ] && [ "$(cat "/proc/$init/comm" 2>/dev/null)" = systemd ] && break
    init=
    sleep 0.1
done
[ -n "$init" ] || { cat "$work/boot.log" >&2; fail 'systemd does not boot'; }

inside() { nsenter -t "$init" -a -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }
agent() { inside spoolway-agent "$@"; }
show() { inside systemctl show --value -p "$1" spoolway-agent; }

for _ in $(seq 300); do
    state=$(inside systemctl is-system-running 2>/dev/null) || true
    case $state in running | degraded) break ;; esac
    sleep 0.1
done
inside sh -c 'ip link set lo up 2>/dev/null; systemd-sysusers && systemd-tmpfiles --create' || true
say "$(inside systemctl --version | head -n 1), $state"

# A printer: a process of its own that nobody kills; it ends when its standard input does, and the agent is told of it.
printer() {
    rm -f "$work/said" "$work/tell" && mkfifo "$work/said" "$work/tell"
    inside spoolway-demo printer --file=/srv/job.gcode --profile=marlin --speed=24 --baud=1000000 --noise=0 --seed=1 \
        <"$work/tell" >"$work/said" 2>"$work/printer.log" &
    exec 7>"$work/tell" 6<"$work/said"
    read -r -t 30 device <&6 || { cat "$work/printer.log" >&2; fail 'the printer does not begin'; }
    inside sh -c "chgrp dialout '$device' && chmod 660 '$device'"
    say "simulated printer at $device"
    printf '[printer]\nport = "%s"\nbaud = 1000000\n' "$device" >"$root/etc/spoolway/agent.toml"
    chmod 644 "$root/etc/spoolway/agent.toml"
}
printer
inside systemctl start spoolway-agent || { inside journalctl -u spoolway-agent >&2; fail 'the agent does not start'; }

field() { agent status --json 2>/dev/null | tr ',{' '\n\n' | sed -n "s/^\"$1\":\"\\{0,1\\}\\([^\"}]*\\)\"\\{0,1\\}.*/\\1/p" | head -n 1; }
log() { inside journalctl -u spoolway-agent --no-pager -n 40 >&2; }
acked() { field commands_acked; }

# until WHAT COMMAND...: looks until the command succeeds.
until_() {
    local what=$1
    shift
    for _ in $(seq 3000); do
        "$@" && return 0
        sleep 0.1
    done
    log
    fail "waited for $what"
}
is_idle() { [ "$(field state)" = idle ]; }
beyond() { local now; now=$(acked) && [ -n "$now" ] && [ "$now" -gt "$1" ]; }
is_over() { agent jobs --json | grep -q '"state": *"\(completed\|interrupted\|failed\|cancelled\)"'; }
pid() { show MainPID; }

until_ 'a printer that is ready' is_idle
[ "$(show NFileDescriptorStore)" = 1 ] || say 'NOTE: systemd keeps no descriptor'
agent print /srv/job.gcode >/dev/null
until_ 'the first lines' beyond 200

went_on() {
    local what=$1 before=$2 last=$3
    until_ "another process after $what" is_another "$before"
    until_ "new lines after $what" beyond "$last"
    say "$what: process $before, then $(pid); lines $last, then $(acked); descriptors kept $(show NFileDescriptorStore)"
}
is_another() { local now; now=$(pid) && [ "$now" != 0 ] && [ "$now" != "$1" ]; }

for round in 1 2 3; do
    before=$(pid) last=$(acked)
    inside systemctl kill --kill-who=main --signal=KILL spoolway-agent
    went_on "kill -9, $round" "$before" "$last"
done
before=$(pid) last=$(acked)
inside systemctl restart spoolway-agent
went_on 'systemctl restart' "$before" "$last"
# As a package does it: another file under the same name, then the unit is read and restarted.
before=$(pid) last=$(acked)
install -m 755 "$programs/spoolway-agent" "$root/usr/bin/spoolway-agent.new"
mv "$root/usr/bin/spoolway-agent.new" "$root/usr/bin/spoolway-agent"
inside systemctl daemon-reload
inside systemctl restart spoolway-agent
went_on 'another file of the program' "$before" "$last"

until_ 'the end of the print' is_over
agent jobs
exec 7>&-
read -r -t 60 report <&6 || fail 'the printer gives no report'
inside systemctl stop spoolway-agent
[ "$(show NFileDescriptorStore)" = 0 ] || fail 'a stopped unit keeps the port'
agent_end=$(inside journalctl -u spoolway-agent --no-pager | grep -c 'panicked' || true)
[ "$agent_end" = 0 ] || { log; fail 'the agent panicked'; }
case $report in
*'"difference":null'*) say "whole: ${report%%,*}" ;;
*) log; echo "$report" >&2; fail 'the printer did something else than the file says' ;;
esac
say 'one print over kills, a restart and another program'

# A stop for good: nobody is left to watch the heaters.
printer
inside systemctl start spoolway-agent
until_ 'a printer that is ready' is_idle
agent bed clear --epoch 1 >/dev/null
agent print /srv/job.gcode >/dev/null
until_ 'the first lines of the second print' beyond 200
inside systemctl stop spoolway-agent
inside journalctl -u spoolway-agent --no-pager | grep -q 'giving the print up safely' ||
    { log; fail 'a print was left hot by systemctl stop'; }
inside systemctl start spoolway-agent
until_ 'an agent that answers' agent status
agent jobs --json | grep -q '"loss": *"agent_stopped"' || { agent jobs >&2; fail "the second print was not given up"; }
exec 7>&-
inside systemctl stop spoolway-agent
say 'passed: a print goes on over kills, a restart and another program, and is given up safely when the agent is stopped'
