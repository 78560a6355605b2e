#!/usr/bin/env python3
"""Does what a page says, in a system that was booted for it, and holds what comes of it against the page.

    pages.py INIT PAGE SECTION
    pages.py screen FILE

INIT is the process id of that system's PID 1; SECTION is the anchor of a headline. The fenced blocks below it (not those of further
headlines) are done in order, each line as somebody types it at a terminal of 80 columns, as the user `technician`, in his home. Lines that
begin with `$ ` have their output behind them; a question in it ends with what is answered. A block without such lines is commands only,
each of which has to succeed. What is different everywhere (numbers, times, sizes, ids, codes, the four words) and how lines are broken is
not compared; a line `...` stands for any others. What was exported holds for the commands behind it, as in one shell. A backend's token that
is shown is added to the file SPOOLWAY_TOKENS. What readers need not see stands in comments before a block:

    <!-- not run: WHY -->         the block is passed over; a test of the house holds that the reason is given
    <!-- left out: LINE; WHY -->  so is each line that begins like this
    <!-- here: THIS = THAT -->    what is another thing here than on the page, in commands and output; $NAME is one of the environment
    <!-- not here: TEXT -->       what the output lacks here
    <!-- like this -->            each line of the page occurs in the output, wherever, among others
    <!-- answers: A, B -->        what is answered to questions that the page does not show
    <!-- meanwhile: COMMAND -->   typed at another terminal as soon as a code is shown, which is its CODE; answered with y
    <!-- file: PATH -->           the block is the end of this file
    <!-- wide: WHY -->            a line of the output may be wider than the terminal
    <!-- stays -->                the command goes on until Ctrl-C, which is typed when the page's lines were there

The second form holds what stands on a terminal, which it reads, against a file in the same way. With UPDATE_SCREENS set it writes the file
anew.
"""
import difflib, fcntl, os, pty, re, select, signal, struct, sys, termios, threading, time

HANG_S = 120
COLUMNS = 80
ESCAPES = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[78]')
QUESTION = re.compile(r'\? (?:\[[^\]\n]*\] )?$')
ANSWER = re.compile(r'^(.*\? (?:\[[^\]\n]*\] )?)(\S+)$')
CODE = re.compile(r'\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\b')
TOKEN = re.compile(r'(?<![\w-])farm\.[\w-]{20,}')
VARIES = [
    (re.compile(r'\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b'), 'UUID'),
    (re.compile(r'\b[0-9A-HJKMNP-TV-Z]{26}\b'), 'AGENT'),
    (CODE, 'CODE'),
    (re.compile(r'\b(Words +)[a-z]+ [a-z]+ [a-z]+ [a-z]+'), r'\1WORDS'),
    (TOKEN, 'TOKEN'),
    (re.compile(r'\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?'), 'TIME'),
    (re.compile(r'\b\d\d:\d\d:\d\d(\.\d+)?'), 'TIME'),
    # Whether reading or writing hears of it first.
    (re.compile(r'went away: (end of file|Input/output error \(os error \d+\))'), 'went away: GONE'),
    (re.compile(r'\b\d+(\.\d+)? (ms|s|min|h|days?)\b( \d+ (s|min|h)\b)?'), 'LONG'),
    (re.compile(r'\b\d+(\.\d+)? ([KMG]i?|k)?B\b'), 'SIZE'),
    (re.compile(r'\b(?=[a-f]*\d)[0-9a-f]{8,12}\b'), 'ID'),
    (re.compile(r'\d+(\.\d+)*'), 'N'),
]


def anchor(headline):
    return re.sub(r'[^\w -]', '', headline.lower()).replace(' ', '-')


def blocks(page, section):
    """Of each block below the headline: where it stands, its lines and its comments."""
    found, comments, lines, here, indent = [], [], None, False, 0
    for number, whole in enumerate(open(page, encoding='utf-8').read().splitlines(), 1):
        # What belongs to an item of a list is indented.
        line = whole.lstrip() if lines is None else whole[indent:]
        if line.startswith('```'):
            if lines is None:
                lines, indent = [], len(whole) - len(line)
                continue
            if here:
                found.append((f'{page}:{number - len(lines) - 1}', lines, comments))
            lines, comments = None, []
        elif lines is not None:
            lines.append(line)
        elif headline := re.match(r'#+ (.*)', line):
            here = anchor(headline[1]) == section
        elif comment := re.match(r'<!-- ([a-z ]+?)(?:: (.*))? -->$', line):
            comments.append((comment[1], comment[2]))
        elif line.strip():
            comments = []
    if not found:
        sys.exit(f'FAILED: {page} has no blocks below #{section}')
    return found


def steps(lines):
    """Commands, each with the lines behind it; none where the page shows none."""
    shown = any(line.startswith('$ ') for line in lines)
    found = []
    for line in lines:
        if shown and line.startswith('$ '):
            found.append((line[2:], []))
        elif shown:
            found[-1][1].append(line)
        elif found and found[-1][0].endswith('\\'):
            found[-1] = (found[-1][0][:-1] + line.strip(), None)
        elif line.strip():
            found.append((line, None))
    return found


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, init, command):
        self.raw, self.said, self.looked, self.code = b'', '', 0, None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
            environment = [f'PATH={path}', 'HOME=/home/technician', 'USER=technician', 'TERM=xterm', 'LANG=C.UTF-8']
            # Whoever has this run in the background ignores Ctrl-C, and what he starts would as well.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvp('nsenter', ['nsenter', '-t', init, '-a', '-r', '-w', 'env', '-i', *environment, 'runuser', '-u',
                                  'technician', '--', 'bash', '-c', f'cd && {command}'])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, COLUMNS, 0, 0))

    def reads(self):
        """Takes what there is; false behind the end."""
        if select.select([self.fd], [], [], 0.1)[0]:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                piece = b''
            if not piece:
                self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                return False
            self.raw += piece
            self.said = ESCAPES.sub('', self.raw.decode(errors='replace')).replace('\r\n', '\n')
        return True

    def asks(self):
        """Whether a question stands at the end that was not answered yet."""
        if self.looked < len(self.said) and QUESTION.search(self.said[self.looked:]):
            self.looked = len(self.said)
            return True
        return False

    def types(self, text):
        os.write(self.fd, text.encode())

    def ends(self, answers, seen=lambda said: None):
        """Answers until it ends."""
        until = time.monotonic() + HANG_S
        answers = list(answers)
        while self.reads():
            if self.asks():
                if not answers:
                    self.kill()
                    sys.exit(f'FAILED: a question that the page does not answer:\n{self.said}')
                self.types(answers.pop(0) + '\n')
            seen(self)
            if time.monotonic() > until:
                self.kill()
                sys.exit(f'FAILED: not over within {HANG_S} s:\n{self.said}')
        return self.said

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


def words(lines):
    """What is compared."""
    text = '\n'.join(line for line in lines if not re.search('[█▀▄]', line))
    for pattern, name in VARIES:
        text = pattern.sub(name, text)
    return ['...' if line.strip() == '...' else line.split() for line in text.splitlines()]


def flat(lines):
    return [word for line in lines for word in ([...] if line == '...' else line)]


def fits(page, said):
    """Whether words are those of the page, in which an ellipsis stands for any."""
    if not page:
        return not said
    if page[0] is ...:
        return any(fits(page[1:], said[at:]) for at in range(len(said) + 1))
    at = page.index(...) if ... in page else len(page)
    return page[:at] == said[:at] and fits(page[at:], said[at:]) if at else True


class Block:
    exported = []

    def __init__(self, init, where, comments):
        self.init, self.where = init, where
        self.of = lambda name: [what for kind, what in comments if kind == name]
        self.here = [what.split(' = ', 1) for what in self.of('here')]
        self.others = []

    def local(self, text):
        for this, that in self.here:
            text = text.replace(this, os.path.expandvars(that))
        for this in self.of('not here'):
            text = text.replace(this, '')
        return text

    def meanwhile(self, terminal):
        """At the other terminal, once."""
        code = CODE.search(terminal.said)
        while code and self.waiting:
            other = Terminal(self.init, self.waiting.pop(0).replace('CODE', code[0]))
            self.others.append(other)
            threading.Thread(target=other.ends, args=(['y'] * 9,)).start()

    def runs(self, command, expected):
        self.waiting = [self.local(what) for what in self.of('meanwhile')]
        expected = None if expected is None else [self.local(line) for line in expected]
        answers = [match[2] for line in expected or [] if (match := ANSWER.match(line))]
        answers += [answer for given in self.of('answers') for answer in given.split(', ')]
        print(f'   {self.where}: {command}', flush=True)
        terminal = Terminal(self.init, ' && '.join([*self.exported, command]))
        again = 0

        def seen(terminal):
            nonlocal again
            self.meanwhile(terminal)
            # The terminal shows each, which is something seen as well.
            if self.of('stays') and time.monotonic() >= again and self.is_as(expected, terminal.said):
                again = time.monotonic() + 2
                terminal.types('\x03')
        said = terminal.ends(answers, seen)
        if expected is None and terminal.code != 0:
            sys.exit(f'FAILED: {self.where}: `{command}` ends with {terminal.code}:\n{said}')
        if expected is not None and not self.of('stays') and not self.is_as(expected, said):
            diff = difflib.unified_diff(expected, said.splitlines(), 'the page', 'the program', lineterm='', n=99)
            sys.exit(f'FAILED: {self.where}: `{command}` says something else (ended with {terminal.code}):\n' + '\n'.join(diff))
        is_ours = re.match('(sudo (-u spoolway-relay )?)?spoolway-(agent|relay) ', command)
        if is_ours and not self.of('wide') and (wide := [line for line in re.split('[\r\n]', said) if len(line) > COLUMNS]):
            sys.exit(f'FAILED: {self.where}: wider than {COLUMNS} columns:\n' + '\n'.join(wide))
        if command.startswith('export '):
            self.exported.append(command)
        if 'SPOOLWAY_TOKENS' in os.environ and (token := TOKEN.search(said)):
            open(os.environ['SPOOLWAY_TOKENS'], 'a').write(f'{token[0]}\n')

    def is_as(self, expected, said):
        if self.of('like this'):
            return all(line in words(said.splitlines()) for line in words(expected))
        return fits(flat(words(expected)), flat(words(said.splitlines())))


def main(init, page, section):
    for where, lines, comments in blocks(page, section):
        block = Block(init, where, comments)
        if why := block.of('not run'):
            print(f'   {where}: not run: {why[0]}')
            continue
        if path := block.of('file'):
            text = block.local('\n'.join(lines))
            Terminal(init, f"sudo tee -a {path[0]} <<'END'\n{text}\nEND").ends([])
            print(f'   {where}: into {path[0]}')
            continue
        for command, expected in steps(lines):
            command = block.local(command)
            left_out = [what for what in block.of('left out') if command.startswith(what.split(';')[0])]
            if left_out:
                print(f'   {where}: left out: {left_out[0]}')
            else:
                block.runs(command, expected)


def screen(file):
    shown = sys.stdin.read().rstrip('\n').splitlines()
    if wide := [line for line in shown if len(line) > COLUMNS]:
        sys.exit('FAILED: wider than a terminal:\n' + '\n'.join(wide))
    if 'UPDATE_SCREENS' in os.environ:
        open(file, 'w', encoding='utf-8').write('\n'.join(shown) + '\n')
    kept = open(file, encoding='utf-8').read().splitlines()
    if not fits(flat(words(kept)), flat(words(shown))):
        diff = difflib.unified_diff(kept, shown, file, 'the screen', lineterm='', n=99)
        sys.exit('FAILED: the screen is another (UPDATE_SCREENS=1 keeps it):\n' + '\n'.join(diff))


if __name__ == '__main__':
    if sys.argv[1] == 'screen':
        screen(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
