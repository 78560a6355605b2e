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
. tests/systemd/parts.sh

root=${1:-$work/root}

# Programs and their root.
if [ -n "${SPOOLWAY_BIN:-}" ]; then
    programs=$(realpath "$SPOOLWAY_BIN")
else
    cargo build --release --locked --bin spoolway-agent --bin spoolway-demo
    programs=$(realpath "${CARGO_TARGET_DIR:-target}/release")
fi
debian "$root" bookworm systemd,systemd-sysv,dbus
root=$(realpath "$root")
install -m 755 "$programs/spoolway-agent" "$root/usr/bin/"
install -m 755 "$programs/spoolway-demo" "$root/usr/bin/"
install -D -m 644 systemd/spoolway-agent.service "$root/usr/lib/systemd/system/spoolway-agent.service"
install -D -m 644 systemd/spoolway-agent.sysusers "$root/usr/lib/sysusers.d/spoolway-agent.conf"
install -D -m 644 systemd/spoolway-agent.tmpfiles "$root/usr/lib/tmpfiles.d/spoolway-agent.conf"
install -D -m 644 tests/gcode/gear.gcode "$root/srv/job.gcode"
rm -rf "$root/var/lib/spoolway" "$root/var/log/journal" "$root/etc/spoolway"
allow_pseudo_terminals
systemd-analyze verify --man=no --root="$root" spoolway-agent.service

boot
inside sh -c 'systemd-sysusers && systemd-tmpfiles --create' || true

# The printer, and an agent that is told of it.
begin() {
    printer /srv/job.gcode 24
    printf '[printer]\nport = "%s"\nbaud = 1000000\n' "$device" >"$root/etc/spoolway/agent.toml"
    chmod 644 "$root/etc/spoolway/agent.toml"
    inside systemctl start spoolway-agent || { log; fail 'the agent does not start'; }
    until_ 'a printer that is ready' is_idle
}
begin
[ "$(show NFileDescriptorStore)" = 1 ] || say 'NOTE: systemd keeps no descriptor'
agent print /srv/job.gcode >/dev/null
until_ 'the first lines' beyond 200

for round in 1 2 3; do
    before=$(pid) last=$(acked)
    inside systemctl kill --kill-who=main --signal=KILL spoolway-agent
    went_on "kill -9, $round" "$before" "$last"
done
before=$(pid) last=$(acked)
inside systemctl restart spoolway-agent
went_on 'systemctl restart' "$before" "$last"
# Another file under the same name, then the unit is read and restarted; tests/root.sh has a package do it.
before=$(pid) last=$(acked)
install -m 755 "$programs/spoolway-agent" "$root/usr/bin/spoolway-agent.new"
mv "$root/usr/bin/spoolway-agent.new" "$root/usr/bin/spoolway-agent"
inside systemctl daemon-reload
inside systemctl restart spoolway-agent
went_on 'another file of the program' "$before" "$last"

until_ 'the end of the print' is_over
agent jobs
printer_was_told_the_file
inside systemctl stop spoolway-agent
[ "$(show NFileDescriptorStore)" = 0 ] || fail 'a stopped unit keeps the port'
did_not_panic
say 'one print over kills, a restart and another program'

# A stop for good: nobody is left to watch the heaters.
begin
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
