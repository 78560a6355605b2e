# An update that a backend wishes, in a booted Debian with an agent that is paired with a relay; tests/root.sh sources it. The repository
# is made and signed here, and is a folder of the root. Needs apt-utils, curl, gpg and xz-utils, which the root has not.
#
# Wanted from who sources it: `work`, `root`, `agent_deb`, and in `token` the secret of the backend that owns the agent.

# next_package NAME VERSION [PROGRAM]: a package like the present one, of that version; PROGRAM takes the place of its program.
next_package() {
    local name=$1 version=$2 program=${3:-} folder=$work/next
    rm -rf "$folder"
    dpkg-deb -R "$agent_deb" "$folder"
    sed -i "s/^Version: .*/Version: $version/" "$folder/DEBIAN/control"
    rm -f "$folder/DEBIAN/md5sums"
    [ -z "$program" ] || install -m 755 "$program" "$folder/usr/bin/spoolway-agent"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$folder" "$work/$name.deb" >/dev/null
}

# repository PACKAGES...: adds them to what the machine's apt sees.
repository() {
    GNUPGHOME=$work/gnupg packaging/repository --key packages@example.org --suite test "$root/srv/apt" "$@" >"$work/repository.log" 2>&1 ||
        { cat "$work/repository.log" >&2; fail 'no repository is made'; }
}

# The key, the repository with the present version, and the machine's side of it, as docs/repository.md says.
repository_is_set_up() {
    mkdir -m 700 "$work/gnupg"
    GNUPGHOME=$work/gnupg gpg --batch --quiet --passphrase '' --quick-generate-key packages@example.org ed25519 sign never 2>/dev/null
    version=$(dpkg-deb -f "$agent_deb" Version)
    repository "$agent_deb"
    install -m 644 "$root/srv/apt/spoolway-archive-keyring.gpg" "$root/usr/share/keyrings/"
    printf 'Types: deb\nURIs: file:/srv/apt\nSuites: test\nComponents: main\nSigned-By: /usr/share/keyrings/spoolway-archive-keyring.gpg\n' \
        >"$root/etc/apt/sources.list.d/spoolway.sources"
    # Nothing but that: what is tested needs no network.
    [ ! -e "$root/etc/apt/sources.list" ] || mv "$root/etc/apt/sources.list" "$work/sources.list"
    apt update >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; fail 'apt does not take the repository'; }
    case $(inside apt-cache policy spoolway-agent) in *"Candidate: $version"*) ;; *) fail "apt does not see $version" ;; esac
    # Twice the same is nothing new, and another file of the same name is refused.
    repository "$agent_deb"
    next_package changed "$version" /bin/true
    ! (repository "$work/changed.deb") 2>/dev/null || fail 'a package of the same version with other content is taken'
}

# wish VERSION: the backend wishes it within the next ten minutes; an empty one is the newest.
wishes=0
wish() {
    local id answer version=''
    wishes=$((wishes + 1))
    id=$(printf '0199c7a2-3b1e-7c44-8a11-%012x' "$wishes")
    [ -z "$1" ] || version="\"version\":\"$1\","
    answer=$(nsenter -t "$init" -n curl --silent --show-error --max-time 30 --cacert "$root/etc/spoolway-relay/tls/ca.pem" \
        --header "Authorization: Bearer $token" --request PUT --data \
        "{\"cmd_id\":\"$id\",\"seq\":$wishes,\"kind\":\"agent.update\",\"args\":{$version\"not_after\":$(($(date +%s) * 1000 + 600000))},\"actor\":{\"id\":\"anna\",\"role\":\"admin\"}}" \
        "https://localhost:8443/v1/agents/$agent_id/commands/$id") || fail "no answer of the relay: $answer"
    case $answer in *'"dup":false'*) ;; *) fail "the wish has not come to the agent: $answer" ;; esac
    until_ 'the wish' is_wished "$id"
}
is_wished() { agent update status --json 2>/dev/null | finds "$1"; }

# becomes WORD [CODE]: the last word on the wish; until then it may be restarted.
becomes() {
    until_ "an update that is $1" has_ended
    agent update status --json | finds "\"state\": *\"$1\"" || { updater_log; fail "not $1: $(agent update status)"; }
    [ -z "${2:-}" ] || agent update status --json | finds "\"code\": *\"$2\"" || fail "not for $2: $(agent update status)"
    say "update: $(agent update status | tr '\n' ' ')"
}
has_ended() { agent update status --json 2>/dev/null | finds '"stage": *null.*"state": *"\(installed\|unchanged\|rolled_back\|failed\|refused\|expired\)"'; }
updater_log() { inside journalctl -u 'spoolway-update@*' --no-pager -n 60 >&2; }
runs() {
    [ "$(version_of spoolway-agent)" = "$1 ii " ] || { updater_log; fail "installed is $(version_of spoolway-agent), not $1"; }
    is active spoolway-agent active
    is active spoolway-agent@right active
    inside sh -c 'readlink "/proc/$(systemctl show --value -p MainPID spoolway-agent@right)/exe"' | finds -x /usr/bin/spoolway-agent ||
        fail 'the second agent does not run what is installed'
}
waits_for_the_print() { agent update status --json | finds '"why": *"job .* is printing'; }
is_idle_and_linked() { is_idle && agent status --json | finds '"up": *true'; }

updated() {
    local version agent_id
    is active spoolway-update.path active
    repository_is_set_up
    agent_id=$(agent id --json | sed -n 's/.*"agent_id": *"\([^"]*\)".*/\1/p')
    printer /srv/job.gcode 20
    sed -i "s|^port = .*|port = \"$device\"|" "$root/etc/spoolway/agent.toml"
    printf '\n[update]\nallow = true\n' >>"$root/etc/spoolway/agent.toml"
    inside systemctl restart spoolway-agent
    until_ 'an agent with its printer and its relay' is_idle_and_linked

    wish ''
    becomes unchanged
    wish '99.0-1'
    becomes refused update.not_found

    second_agent
    # Never during a print; and nothing is lost of it.
    next_package later "$version+2"
    repository "$work/later.deb"
    agent print /srv/job.gcode --bed-clear >/dev/null
    until_ 'the first lines' beyond 50
    another_package_is_broken
    wish ''
    until_ 'an update that waits for the print' waits_for_the_print
    runs "$version"
    until_ 'the end of the print' is_over
    becomes installed
    runs "$version+2"
    inside dpkg --purge unrelated >/dev/null
    agent jobs --json | finds '"state": *"completed"' || { agent jobs >&2; fail 'the print did not end well'; }
    printer_was_told_the_file

    # One that does not live, with the repository gone: going back needs none.
    printf '#!/bin/sh\nexit 1\n' >"$work/dead"
    next_package dead "$version+3" "$work/dead"
    repository "$work/dead.deb"
    printer /srv/job.gcode 20
    sed -i "s|^port = .*|port = \"$device\"|" "$root/etc/spoolway/agent.toml"
    inside systemctl restart spoolway-agent
    until_ 'an agent with its printer and its relay' is_idle_and_linked
    wish "$version+3"
    becomes rolled_back update.unhealthy
    runs "$version+2"

    # The same once more, and the updater is killed while the dead version is installed: nobody but its copy is left to go back.
    wish "$version+3"
    until_ 'the dead version' is_version "$version+3"
    inside systemctl kill --signal=KILL 'spoolway-update@main.service'
    becomes rolled_back update.unhealthy
    runs "$version+2"
    removed_meanwhile
    wish "$version"
    becomes refused update.older
    installed_by_a_person
    update_is_tidied
    say 'updated by a backend: not in a print, and back from a version that does not live'
}

# Another agent of the machine, with no printer: the package is that of both, and it has a say.
second_agent() {
    mkdir "$root/etc/spoolway@right"
    printf '[printer]\nport = "/dev/nowhere"\n' >"$root/etc/spoolway@right/agent.toml"
    inside systemctl enable --now --quiet spoolway-agent@right
    wish ''
    becomes refused update.not_allowed
    printf '[update]\nallow = true\n' >>"$root/etc/spoolway@right/agent.toml"
    inside systemctl restart spoolway-agent@right
}

# Some other package of the machine cannot be configured, and apt complains of it whatever it does.
another_package_is_broken() {
    mkdir -p "$work/unrelated/DEBIAN"
    printf 'Package: unrelated\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: broken\n' >"$work/unrelated/DEBIAN/control"
    printf '#!/bin/sh\nexit 1\n' >"$work/unrelated/DEBIAN/postinst"
    chmod 755 "$work/unrelated/DEBIAN/postinst"
    dpkg-deb --root-owner-group -b "$work/unrelated" "$root/srv/unrelated.deb" >/dev/null
    ! inside dpkg -i /srv/unrelated.deb >/dev/null 2>&1 || fail 'the broken package is whole'
}

# A person takes the package away while a version is judged: nobody brings it back, and the wish gets its word when the person does.
removed_meanwhile() {
    wish "$version+3"
    until_ 'the dead version' is_version "$version+3"
    apt -o DPkg::Lock::Timeout=300 remove spoolway-agent >/dev/null
    is active spoolway-update@main inactive
    ! inside test -e /usr/bin/spoolway-agent || fail 'the updater has brought the package back'
    apt install "spoolway-agent=$version+2" >/dev/null
    # It depends on how far the update was.
    becomes '\(refused\|rolled_back\)'
    runs "$version+2"
    say 'what a person removes in the middle of an update is not brought back'
}

# A person has the dead version installed all the same, in the middle of a print: apt comes back and says what is wrong, and the print goes on
# once the version from before is there again.
installed_by_a_person() {
    local last living=$version+2 dead=$version+3
    agent print /srv/job.gcode --bed-clear >/dev/null
    until_ 'the first lines' is_printing
    last=$(acked)
    # Only one that hangs reaches this bound.
    timeout 300 nsenter -t "$init" -a -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o Dpkg::Use-Pty=0 install "spoolway-agent=$dead" </dev/null >"$work/person" 2>&1 ||
        { cat "$work/person" >&2; fail 'a dead version hangs apt, or leaves it with an error'; }
    grep -q -x 'Installed, but not ready: spoolway-agent.service' "$work/person" &&
        grep -q -x 'Installed, but not ready: spoolway-agent@right.service' "$work/person" &&
        grep -q -x 'It has ended [0-9]* times since. What it says:' "$work/person" &&
        grep -q "apt-get install --allow-downgrades spoolway-agent=$living$" "$work/person" ||
        { cat "$work/person" >&2; fail 'nobody is told that the version does not live'; }
    [ "$(version_of spoolway-agent)" = "$dead ii " ] || fail "$(version_of spoolway-agent): apt is kept from everything else"
    [ "$(show NFileDescriptorStore)" = 1 ] || fail 'the port was let go'
    [ "$(show RestartUSec)" = 2s ] || { cat "$work/person" >&2; fail "it is started again at once, for ever: $(show RestartUSec)"; }
    # As it was told.
    inside DEBIAN_FRONTEND=noninteractive sh -c "$(sed -n 's/^  apt-get install/apt-get -q -y -o Dpkg::Use-Pty=0 install/p' "$work/person" | head -n 1)" </dev/null >"$work/person" 2>&1 ||
        { cat "$work/person" >&2; fail 'there is no way back'; }
    ! grep -q 'not ready' "$work/person" || { cat "$work/person" >&2; fail 'the version from before is complained of'; }
    runs "$living"
    [ "$(show RestartUSec)" = 0 ] || fail "a kill would be a pause of the print: $(show RestartUSec)"
    until_ 'new lines of the version from before' beyond "$last"
    until_ 'the end of the print' is_idle
    ! agent jobs --json | finds '"state": *"\(interrupted\|failed\)"' || { agent jobs >&2; fail 'the print was not gone on with'; }
    printer_was_told_the_file
    say 'a person who installs a version that does not live is told so, and goes back; the print went on'
}
is_version() { [ "$(inside dpkg-query -W -f '${Version}' spoolway-agent)" = "$1" ]; }

# As the other parts of the test expect it.
update_is_tidied() {
    ! inside test -e /var/lib/spoolway-update/order.toml || fail 'an update is left in hand'
    ! inside test -e /var/lib/spoolway-update/updater || fail 'the updater is left'
    inside systemctl disable --now --quiet spoolway-agent@right
    inside rm -r /etc/spoolway@right /var/lib/spoolway@right
    apt install --allow-downgrades /srv/agent.deb >/dev/null
    agent bed clear --epoch 1 >/dev/null 2>&1 || true
    rm "$root/etc/apt/sources.list.d/spoolway.sources" "$root/usr/share/keyrings/spoolway-archive-keyring.gpg"
    [ ! -e "$work/sources.list" ] || mv "$work/sources.list" "$root/etc/apt/sources.list"
}
