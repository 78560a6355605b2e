# What a Pi gets, under qemu-user, prints at a pseudo-terminal of this machine. `tests/root.sh` sources it, behind `parts.sh`; `cache` and `programs`
# are its.

# qemu_of MACHINE: a qemu that knows TCGETS2 (ioctl_tty(2)), with which a port is set up: 10.2 and later. Debian 13's backports have one that needs nothing
# else; unless this machine has its own, that one is unpacked into the cache, by the mirror that this machine uses.
qemu_of() {
    local name=qemu-$1 candidate kept=$cache/qemu-user
    for candidate in "$(command -v "$name")" "$(command -v "$name-static")" "$kept/usr/bin/$name"; do
        [ ! -x "$candidate" ] || ! grep -q TCGETS2 "$candidate" || { qemu=$candidate; return 0; }
    done
    local lists=$work/qemu-apt mirror apt
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1) || true
    [ -n "$mirror" ] || fail 'apt knows no mirror of Debian, and this needs qemu-user 10.2 or later from one'
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
    echo "deb $mirror trixie-backports main" >"$lists/sources.list"
    apt=(-q -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$lists/lists"
        -o "Dir::Cache=$lists/cache" -o APT::Sandbox::User=)
    apt-get "${apt[@]}" update || fail "no list of trixie-backports from $mirror"
    (cd "$lists" && apt-get "${apt[@]}" download qemu-user) || fail "no qemu-user from $mirror"
    rm -rf "$kept"
    dpkg-deb -x "$lists"/qemu-user_*.deb "$kept"
    qemu=$kept/usr/bin/$name
    grep -q TCGETS2 "$qemu" || fail "$("$qemu" --version | head -n 1) knows no TCGETS2"
}

# prints_on ARCH DEB: in a shell of its own, because agent and printer are here and not in a root. Database, spool, digest, packing and
# serial line are those of a Pi; the printer's account has to be that of the file.
prints_on() (
    case $1 in
        arm64) machine=aarch64 gnu=aarch64-linux-gnu ;;
        armhf) machine=arm gnu=arm-linux-gnueabihf ;;
    esac
    qemu_of "$machine"
    # What a program of a Pi is linked with is here with the cross compiler, or without it.
    if [ ! -d "/usr/$gnu/lib" ]; then
        apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "libc6-$1-cross" "libgcc-s1-$1-cross"
    fi
    folder=$work/$1
    dpkg-deb -x "$2" "$folder"
    mkdir -p "$folder/etc" "$folder/state" "$folder/run"
    inside() { "$@"; }
    program=(env CONFIGURATION_DIRECTORY="$folder/etc" STATE_DIRECTORY="$folder/state" RUNTIME_DIRECTORY="$folder/run"
        "$qemu" -L "/usr/$gnu" "$folder/usr/bin/spoolway-agent")
    agent() { "${program[@]}" "$@"; }
    log() { tail -n 40 "$folder/log" >&2; }
    PATH=$programs:$PATH
    printer "$PWD/tests/gcode/gear.gcode" 60
    printf '[printer]\nport = "%s"\nbaud = 1000000\n' "$device" >"$folder/etc/agent.toml"
    "${program[@]}" run >"$folder/log" 2>&1 7>&- &
    running=$!
    trap 'kill "$running" 2>/dev/null || true' EXIT
    until_ 'a printer that is ready, under qemu' is_idle
    agent check "$PWD/tests/gcode/gear.gcode" >/dev/null || { log; fail 'the file is judged otherwise under qemu'; }
    agent print "$PWD/tests/gcode/gear.gcode" >/dev/null
    until_ 'the end of a print, under qemu' is_over
    printer_was_told_the_file
    kill "$running"
    wait "$running" || { log; fail 'the agent does not end well under qemu'; }
    say "$1: $(stat -c %s "$folder/usr/bin/spoolway-agent") bytes; prints under $("$qemu" --version | head -n 1)"
)
