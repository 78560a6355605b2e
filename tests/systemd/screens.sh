# What stands on a terminal of 80 columns and 24 lines while somebody uses the agent there, held against tests/systemd/screens.
# tests/systemd/docs.sh sources it; the terminal is tmux, in the booted system.

terminal() { inside LANG=C.UTF-8 TERM=xterm-256color HOME=/home/technician runuser -u technician -- tmux -u -L screens "$@"; }

# at_a_terminal COMMAND: begins one, in an empty terminal.
at_a_terminal() {
    printf 'set -g status off\nset -g remain-on-exit on\nset -g remain-on-exit-format ""\nset -g history-limit 500\n' >"$root/home/technician/tmux.conf"
    terminal kill-server 2>/dev/null || true
    terminal -f /home/technician/tmux.conf new-session -d -x 80 -y 24 -c /home/technician "$1"
}
types() { terminal send-keys "$@" Enter; }
is_done() { [ "$(terminal display-message -p '#{pane_dead}')" = 1 ]; }
shows() { terminal capture-pane -p -S - | tr '\n' ' ' | finds -- "$1"; }

# screen NAME [ARGUMENTS of capture-pane]: what is shown now is what was kept.
screen() {
    local name=$1
    shift
    say "the screen of $name"
    terminal capture-pane -p "$@" | python3 tests/systemd/pages.py screen "tests/systemd/screens/$name.txt" || fail "the screen of $name"
}

# The conversation of a first run, question by question.
screens_of_setup() {
    at_a_terminal 'sudo spoolway-agent setup'
    until_ 'the first question' shows 'Open them?'
    screen setup-1-open
    types y
    until_ 'the question for a relay' shows 'Relay? '
    types none
    until_ 'the question whether to write' shows 'Do that?'
    screen setup-2-write
    types y
    until_ 'the question for a test' shows 'Which test'
    types no
    until_ 'the end of setup' is_done
    screen setup-3-end
}

# In the middle of a print.
screens_of_a_print() {
    at_a_terminal 'spoolway-agent status --watch'
    until_ 'a print on the screen' shows 'printing'
    screen status-watch
    types C-c
    at_a_terminal 'sudo spoolway-agent doctor machine'
    until_ 'the end of doctor' is_done
    screen doctor -S -
    terminal kill-server || true
}
