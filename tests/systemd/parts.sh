# What scripts that boot a systemd of their own have in common; they source it. Each sets `root` before `boot`, and `work`, a folder for
# what is thrown away, is made here.

say() { echo "-- $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || fail 'this needs root: it boots a systemd in namespaces of its own'
for tool in debootstrap unshare nsenter systemd-analyze; do
    command -v "$tool" >/dev/null || fail "$tool is missing (Debian: debootstrap, util-linux, systemd)"
done
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$cgroups" ] || fail 'no cgroup2 is mounted'

work=$(mktemp -d)
root=
group=$cgroups/spoolway-$$
init=

# finds WHAT: like `grep -q`, and reads all of its input: whoever still writes when its reader is gone has failed.
finds() { grep "$@" >/dev/null; }

# Takes down what `boot` has made.
shut_down() {
    { exec 7>&-; } 2>/dev/null || true
    [ -z "$init" ] || inside systemctl exit >/dev/null 2>&1 || kill -RTMIN+3 "$init" 2>/dev/null || true
    for _ in $(seq 100); do
        [ -n "$init" ] && [ -d "/proc/$init" ] || break
        sleep 0.1
    done
    [ -z "$init" ] || kill -KILL "$init" 2>/dev/null || true
    init=
    sleep 0.2
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
}
finish() {
    shut_down
    rm -rf --one-file-system "$work"
}
trap finish EXIT
# Whoever ends the script leaves no system behind either.
trap 'exit 143' INT TERM

# debian ROOT SUITE PACKAGES: a small Debian, unless it is there and has these packages.
debian() {
    local folder=$1 suite=$2 packages=$3
    ! has_packages "$folder" "$packages" || return 0
    say "a Debian ($suite) into $folder"
    rm -rf --one-file-system "$folder.part"
    debootstrap --variant=minbase --include="$packages" "$suite" "$folder.part" >"$work/debootstrap.log" ||
        { tail -n 5 "$work/debootstrap.log" >&2; fail 'debootstrap'; }
    rm -rf --one-file-system "$folder"
    mv "$folder.part" "$folder"
}
has_packages() {
    local package
    for package in ${2//,/ }; do
        grep -qsx "Package: $package" "$1/var/lib/dpkg/status" || return 1
    done
}

# Becomes PID 1 of its own namespaces.
become_init() {
    mkdir "$group"
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --mount --uts --ipc --pid --net --cgroup --fork --propagation private \
        bash tests/systemd/boot.sh "$root"
}

# Boots `root` and waits until all of it stands.
boot() {
    local boot_pid state=
    become_init >"$work/boot.log" 2>&1 7>&- &
    boot_pid=$!
    for _ in $(seq 100); do
        init=$(pgrep -P "$boot_pid" 2>/dev/null | head -n 1) || true
        [ -n "$init" ] && [ "$(cat "/proc/$init/comm" 2>/dev/null)" = systemd ] && break
        init=
        sleep 0.1
    done
    [ -n "$init" ] || { cat "$work/boot.log" >&2; fail 'systemd does not boot'; }
    for _ in $(seq 300); do
        state=$(inside systemctl is-system-running 2>/dev/null) || true
        case $state in running | degraded) break ;; esac
        sleep 0.1
    done
    inside ip link set lo up 2>/dev/null || true
    say "$(inside systemctl --version | head -n 1), $state"
}

inside() { nsenter -t "$init" -a -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }
agent() { inside spoolway-agent "$@"; }
unit=spoolway-agent.service
show() { inside systemctl show --value -p "$1" "$unit"; }

# A pseudo-terminal stands for the port, and nobody waits for half a minute until a hang is noticed.
allow_pseudo_terminals() {
    mkdir -p "$root/etc/systemd/system/spoolway-agent.service.d"
    printf '[Service]\nDeviceAllow=char-pts rw\nWatchdogSec=6\n' >"$root/etc/systemd/system/spoolway-agent.service.d/pts.conf"
}

# printer FILE SPEED: a process of its own that nobody kills; it ends when its standard input does. `device` is its port.
printer() {
    rm -f "$work/said" "$work/tell" && mkfifo "$work/said" "$work/tell"
    inside spoolway-demo printer --file="$1" --profile=marlin --speed="$2" --baud=1000000 --noise=0 --seed=1 \
        <"$work/tell" >"$work/said" 2>"$work/printer.log" &
    exec 7>"$work/tell" 6<"$work/said"
    read -r -t 30 device <&6 || { cat "$work/printer.log" >&2; fail 'the printer does not begin'; }
    inside sh -c "chgrp dialout '$device' && chmod 660 '$device'"
    say "simulated printer at $device"
}

# What the printer was told is held against the file; then it is gone.
printer_was_told_the_file() {
    local report
    exec 7>&-
    read -r -t 60 report <&6 || fail 'the printer gives no report'
    case $report in
    *'"difference":null'*) say "whole: ${report%%,*}" ;;
    *) log; echo "$report" >&2; fail 'the printer did something else than the file says' ;;
    esac
}

field() { agent status --json 2>/dev/null | tr ',{' '\n\n' | sed -n "s/^\"$1\":\"\\{0,1\\}\\([^\"}]*\\)\"\\{0,1\\}.*/\\1/p" | head -n 1; }
log() { inside journalctl -u spoolway-agent --no-pager -n 40 >&2; }
acked() { field commands_acked; }

# until_ WHAT COMMAND...: looks until the command succeeds.
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
is_over() { agent jobs --json | finds '"state": *"\(completed\|interrupted\|failed\|cancelled\)"'; }
pid() { show MainPID; }
is_another() { local now; now=$(pid) && [ "$now" != 0 ] && [ "$now" != "$1" ]; }

# went_on WHAT PID LINE: another process carries on with the same print.
went_on() {
    local what=$1 before=$2 last=$3
    until_ "another process after $what" is_another "$before"
    until_ "new lines after $what" beyond "$last"
    say "$what: process $before, then $(pid); lines $last, then $(acked); descriptors kept $(show NFileDescriptorStore)"
}

did_not_panic() {
    local panics
    panics=$(inside journalctl -u spoolway-agent --no-pager | grep -c 'panicked' || true)
    [ "$panics" = 0 ] || { log; fail 'the agent panicked'; }
}
