//! From a file's bytes, in pieces of any size, to bare commands, in constant memory.

use super::line::{Cleaned, LineError, Problem, clean};

/// Longest text of one line that is kept; what a comment adds is not counted. A longer one is refused.
const LINE_BYTES_MAX: usize = 4096;
/// How much of a comment is kept to recognise the mark of a new layer.
const COMMENT_BYTES_MAX: usize = 24;

/// Where in its file a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Number of the line, from 1.
    pub line: u64,
    /// Offset of the byte behind the line.
    pub byte: u64,
    /// Layer as the slicer's comments count it, from 1; 0 ahead of the first mark.
    pub layer: u32,
}

/// Several commands in one allocation, in order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    text: Vec<u8>,
    ends: Vec<(usize, Position)>,
}

impl Batch {
    /// Adds one command.
    pub fn push(&mut self, command: &[u8], position: Position) {
        self.text.extend_from_slice(command);
        self.ends.push((self.text.len(), position));
    }

    /// How many commands it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The command at an index, and where it stands.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&[u8], Position)> {
        let (end, position) = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        Some((&self.text[start..end], position))
    }
}

/// Cuts bytes into commands.
#[derive(Debug, Default)]
pub struct Reader {
    text: Vec<u8>,
    comment: Vec<u8>,
    in_comment: bool,
    at: Position,
}

impl Reader {
    /// A reader at the beginning of a file.
    #[must_use]
    pub fn new() -> Self {
        Self { at: Position { line: 1, ..Position::default() }, ..Self::default() }
    }

    /// A reader behind a command that stands there, for the bytes that follow it.
    #[must_use]
    pub fn behind(command: Position) -> Self {
        if command.byte == 0 {
            return Self::new();
        }
        Self { at: Position { line: command.line + 1, ..command }, ..Self::default() }
    }

    /// Where the reader stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// Takes the next piece of the file and hands over each command that it completes.
    ///
    /// # Errors
    /// A line that is no G-code, by number; what was handed over before stays valid, what follows is not read.
    pub fn push(&mut self, bytes: &[u8], mut command: impl FnMut(&[u8], Position)) -> Result<(), LineError> {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            self.at.byte += piece.len() as u64;
            match piece.strip_suffix(b"\n") {
                Some(rest) => {
                    self.take(rest)?;
                    self.end_line(&mut command)?;
                }
                None => self.take(piece)?,
            }
        }
        Ok(())
    }

    /// The file has ended: hands over a last line that had no line feed.
    ///
    /// # Errors
    /// As for [`Reader::push`].
    pub fn finish(&mut self, mut command: impl FnMut(&[u8], Position)) -> Result<(), LineError> {
        if self.text.is_empty() && !self.in_comment {
            return Ok(());
        }
        self.end_line(&mut command)
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), LineError> {
        let (text, comment) = if self.in_comment {
            (&piece[..0], Some(piece))
        } else {
            match piece.iter().position(|&b| b == b';') {
                Some(at) => (&piece[..at], Some(&piece[at + 1..])),
                None => (piece, None),
            }
        };
        if self.text.len() + text.len() > LINE_BYTES_MAX {
            // It is read no further, and what is said of it is the same whatever the pieces it came in.
            let length = LINE_BYTES_MAX + 1;
            return Err(self.error(Problem::TooLong { length, limit: LINE_BYTES_MAX }));
        }
        self.text.extend_from_slice(text);
        if let Some(comment) = comment {
            self.in_comment = true;
            let room = COMMENT_BYTES_MAX - self.comment.len();
            self.comment.extend_from_slice(&comment[..comment.len().min(room)]);
        }
        Ok(())
    }

    fn end_line(&mut self, command: &mut impl FnMut(&[u8], Position)) -> Result<(), LineError> {
        if self.in_comment {
            if marks_layer(&self.comment) {
                self.at.layer += 1;
            }
            self.comment.clear();
            self.in_comment = false;
        }
        if !self.text.is_empty() {
            match clean(&mut self.text) {
                Ok(Cleaned::Command) => command(&self.text, self.at),
                Ok(Cleaned::Nothing) => {}
                Err(problem) => return Err(self.error(problem)),
            }
            self.text.clear();
        }
        self.at.line += 1;
        Ok(())
    }

    fn error(&self, problem: Problem) -> LineError {
        LineError { line: self.at.line, problem }
    }
}

/// PrusaSlicer and OrcaSlicer write `;LAYER_CHANGE`, Cura `;LAYER:3`, Simplify3D `; layer 3, Z = 0.6`, ideaMaker
/// `;LAYER:3`.
pub(crate) fn marks_layer(comment: &[u8]) -> bool {
    let rest = comment[..comment.len().min(COMMENT_BYTES_MAX)].trim_ascii_start();
    rest.starts_with(b"LAYER_CHANGE")
        || rest.strip_prefix(b"LAYER:").is_some_and(|n| n.first().is_some_and(u8::is_ascii_digit))
        || rest.strip_prefix(b"layer ").is_some_and(|n| n.first().is_some_and(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], piece: usize) -> Result<Vec<(String, Position)>, LineError> {
        let mut reader = Reader::new();
        let mut found = Vec::new();
        let mut keep = |c: &[u8], p: Position| found.push((String::from_utf8(c.to_vec()).unwrap(), p));
        for part in text.chunks(piece) {
            reader.push(part, &mut keep)?;
        }
        reader.finish(&mut keep)?;
        Ok(found)
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        let text =
            b"; head\nG28 ; home\r\n\n;LAYER_CHANGE\n;Z:0.2\nG1 X1 ;LAYER:9\nM117 a;b\n;LAYER:12\nG1 Y2";
        let whole = read(text, text.len()).unwrap();
        assert_eq!(
            whole.iter().map(|(c, p)| (c.as_str(), p.line, p.layer)).collect::<Vec<_>>(),
            [("G28", 2, 0), ("G1 X1", 6, 2), ("M117 a", 7, 2), ("G1 Y2", 9, 3)]
        );
        assert_eq!(whole.last().map(|(_, p)| p.byte), Some(text.len() as u64));
        for piece in 1..text.len() {
            assert_eq!(read(text, piece).unwrap(), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_reader_that_begins_behind_a_command_gives_the_rest() {
        let text = b"G28\n;LAYER_CHANGE\nG1 X1\n; note\n\n;LAYER_CHANGE\nG1 Y2\nM84";
        let whole = read(text, text.len()).unwrap();
        let starts = whole.iter().map(|(_, position)| *position).enumerate();
        for (done, position) in
            starts.map(|(at, position)| (at + 1, position)).chain([(0, Position::default())])
        {
            let mut reader = Reader::behind(position);
            let mut rest = Vec::new();
            let mut keep = |c: &[u8], p: Position| rest.push((String::from_utf8(c.to_vec()).unwrap(), p));
            reader.push(&text[position.byte as usize..], &mut keep).unwrap();
            reader.finish(&mut keep).unwrap();
            assert_eq!(rest, whole[done..], "behind {position:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_in_constant_memory() {
        let mut reader = Reader::new();
        let error = (0..100).find_map(|_| reader.push(&[b'G'; 100], |_, _| ()).err()).unwrap();
        let limit = LINE_BYTES_MAX;
        assert_eq!(error, LineError { line: 1, problem: Problem::TooLong { length: limit + 1, limit } });
        assert_eq!(Reader::new().push(&[b'G'; 10_000], |_, _| ()), Err(error), "in one piece");
        assert!(reader.text.capacity() <= 2 * LINE_BYTES_MAX);
        let mut reader = Reader::new();
        reader.push(b";", |_, _| ()).unwrap();
        for _ in 0..1000 {
            reader.push(&[b'x'; 1000], |_, _| ()).unwrap();
        }
        assert!(reader.comment.capacity() <= 64);
    }

    #[test]
    fn an_error_names_the_line() {
        let error = read(b"G28\n\x7fELF\x02\n", 3).unwrap_err();
        assert_eq!(error.line, 2);
    }
}
