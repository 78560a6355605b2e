//! The emergency parser: M108, M112 and M410 as the receive interrupt sees them (`e_parser.h`).

/// A command that does not wait for the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emergency {
    /// M108: leave a heat-up or a wait for the user.
    BreakWait,
    /// M112: kill.
    Kill,
    /// M410: throw the planned moves away.
    QuickStop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Number,
    M,
    M1,
    M10,
    M11,
    M4,
    M41,
    Found(Emergency),
    Ignore,
}

/// Follows every byte of the line, also those that the ring has no room for.
#[derive(Debug)]
pub(crate) struct EmergencyParser {
    state: State,
}

impl EmergencyParser {
    pub(crate) fn new() -> Self {
        Self { state: State::Start }
    }

    /// Takes one received byte; says what a finished line asks for.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Emergency> {
        let ends = byte == b'\n' || byte == b'\r';
        let (next, found) = match (self.state, byte) {
            (State::Found(what), _) if ends => (State::Start, Some(what)),
            (State::Found(what), _) => (State::Found(what), None),
            (State::Start, b' ' | b'\n' | b'\r') => (State::Start, None),
            (State::Ignore, _) if ends => (State::Start, None),
            (state, _) => (step(state, byte), None),
        };
        self.state = next;
        found
    }
}

fn step(state: State, byte: u8) -> State {
    match (state, byte) {
        (State::Start, b'N') => State::Number,
        (State::Number, b' ' | b'-' | b'0'..=b'9') => State::Number,
        (State::Start | State::Number, b'M') => State::M,
        (State::M, b' ') => State::M,
        (State::M, b'1') => State::M1,
        (State::M, b'4') => State::M4,
        (State::M1, b'0') => State::M10,
        (State::M1, b'1') => State::M11,
        (State::M10, b'8') => State::Found(Emergency::BreakWait),
        (State::M11, b'2') => State::Found(Emergency::Kill),
        (State::M4, b'1') => State::M41,
        (State::M41, b'0') => State::Found(Emergency::QuickStop),
        _ => State::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_that_begin_with_the_command_count() {
        let found = |text: &str| {
            let mut parser = EmergencyParser::new();
            text.bytes().filter_map(|b| parser.take(b)).collect::<Vec<_>>()
        };
        assert_eq!(found("M112\n"), [Emergency::Kill]);
        assert_eq!(found("N12 M112*35\n"), [Emergency::Kill]);
        assert_eq!(found("G1 X1\n M108\nM410\n"), [Emergency::BreakWait, Emergency::QuickStop]);
        assert_eq!(found("M117 M112\nG1 M112\nM11"), []);
    }
}
