//! The beginning of a line whose end has not come yet, in bounded memory.

/// Longest text of a command that is kept; a longer one is refused by the length that was counted.
pub(super) const TEXT_BYTES: usize = 4096;
/// How much of a comment is kept: what slicers say is said at its beginning.
pub(super) const COMMENT_BYTES: usize = 1024;

/// A line in parts: the command's text, and the comment without its semicolon.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) text: &'a [u8],
    /// Bytes of the text, of which not more than [`TEXT_BYTES`] are kept.
    pub(super) text_bytes: usize,
    pub(super) comment: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Cuts a whole line at its semicolon, which is at `stop` or further on.
    pub(super) fn of(line: &'a [u8], stop: usize) -> Self {
        let at = memchr::memchr(b';', &line[stop..]).map(|at| stop + at);
        let text = &line[..at.unwrap_or(line.len())];
        let comment = at.map(|at| clipped(&line[at + 1..], COMMENT_BYTES));
        Self { text: clipped(text, TEXT_BYTES), text_bytes: text.len(), comment }
    }
}

/// What has come of a line.
#[derive(Debug, Default)]
pub(super) struct Carry {
    text: Vec<u8>,
    text_bytes: usize,
    comment: Vec<u8>,
    in_comment: bool,
}

impl Carry {
    pub(super) fn is_empty(&self) -> bool {
        self.text_bytes == 0 && !self.in_comment
    }

    /// Takes more of the line.
    pub(super) fn extend(&mut self, piece: &[u8]) {
        let mut comment = piece;
        if !self.in_comment {
            let parts = Parts::of(piece, 0);
            self.text_bytes += parts.text_bytes;
            self.text.extend_from_slice(clipped(parts.text, TEXT_BYTES - self.text.len()));
            if parts.comment.is_none() {
                return;
            }
            self.in_comment = true;
            comment = &piece[parts.text_bytes + 1..];
        }
        self.comment.extend_from_slice(clipped(comment, COMMENT_BYTES - self.comment.len()));
    }

    /// The line, whose end has come.
    pub(super) fn parts(&self) -> Parts<'_> {
        let comment = self.in_comment.then_some(self.comment.as_slice());
        Parts { text: &self.text, text_bytes: self.text_bytes, comment }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.comment.clear();
        (self.text_bytes, self.in_comment) = (0, false);
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity() + self.comment.capacity()
    }
}

fn clipped(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}
