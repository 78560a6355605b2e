# The pages that people follow, followed: each section named here is done word by word by tests/systemd/pages.py, in a Debian that was just
# made, by somebody who may say `sudo`. tests/root.sh sources it behind tests/systemd/parts.sh. A test of the house holds that every block of
# those pages is done here, or says why not.

# A Debian as an installer leaves it: with sudo and somebody who may say it, and a printer at a USB port.
page_root() {
    local suite=$1 kept=$cache/page-root-$1
    mkdir -p "$cache"
    debian "$kept" "$suite" systemd,systemd-sysv,dbus,udev,iproute2,sudo,openssl,tmux
    root=$work/root
    rm -rf --one-file-system "$root"
    cp -a --reflink=auto "$kept" "$root"
    echo spoolway-test >"$root/etc/hostname"
    printf '127.0.0.1 localhost spoolway-test relay.example.org\n' >"$root/etc/hosts"
    echo 'technician ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/technician"
    chroot "$root" useradd --create-home --shell /bin/bash technician
    install -m 755 "$programs/spoolway-demo" "$root/usr/bin/"
    part >"$root/home/technician/part.gcode"
    mkdir -p "$root/home/technician/target/debian"
    install -m 644 "$agent_deb" "$relay_deb" "$root/home/technician/target/debian/"
    install -m 644 "$agent_deb" "$relay_deb" "$root/home/technician/"
    chroot "$root" chown -R technician: /home/technician
    allow_pseudo_terminals
}

# A file that is soon printed.
part() {
    printf 'G21\nG90\nM82\nM140 S60\nM104 S210\nM190 S60\nM109 S210\nG28\n'
    for line in $(seq 300); do
        echo "G1 X$((20 + line % 2 * 30)) Y24 E$line F3000"
    done
    printf 'M104 S0\nM140 S0\nM84\n'
}

# plugged_in NAME PRODUCT PROFILE: a simulated printer at a port that looks to the agent as one behind USB.
plugged_in() {
    local name=$1 product=$2 profile=$3
    inside mkdir -p "/run/usb/$name/device" /dev/serial/by-path
    inside sh -c "echo '$product' >/run/usb/$name/product; echo 2c99 >/run/usb/$name/idVendor; echo 0002 >/run/usb/$name/idProduct"
    inside mountpoint -q /sys/class/tty || inside mount --bind /run/usb /sys/class/tty
    printer_of "$profile"
    inside touch "/dev/$name"
    inside mount --bind "$device" "/dev/$name"
    inside ln -sf "../../$name" /dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0
}

# unplugged NAME
unplugged() {
    inside rm -rf /dev/serial "/run/usb/$1"
    inside umount "/dev/$1"
    inside rm "/dev/$1"
    exec 7>&-
}

printer_of() {
    rm -f "$work/said" "$work/tell" && mkfifo "$work/said" "$work/tell"
    inside spoolway-demo printer --file=/home/technician/part.gcode --profile="$1" --speed=60 --baud=115200 --noise=0 --seed=1 \
        <"$work/tell" >"$work/said" 2>"$work/printer.log" &
    exec 7>"$work/tell" 6<"$work/said"
    read -r -t 30 device <&6 || { cat "$work/printer.log" >&2; fail 'the printer does not begin'; }
    inside sh -c "chgrp dialout '$device' && chmod 660 '$device'"
}

walk() {
    say "$1, $2"
    python3 tests/systemd/pages.py "$init" "$1" "$2" || fail "$1 is not true"
}

follow_the_pages() {
    page_root "$1"
    boot
    plugged_in ttyACM0 'Original Prusa i3 MK3' prusa-mk
    walk README.md install
    walk docs/install.md taking-it-away
    walk docs/install.md the-relay
    walk docs/install.md the-agent
    walk docs/install.md taking-it-away
    inside sh -c "apt-get install -q -y /home/technician/spoolway-agent_*.deb >/dev/null"
    walk docs/install.md without-questions
    shut_down
}
