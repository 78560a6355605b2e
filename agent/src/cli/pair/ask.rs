//! A yes or no from whoever is at the other end of the input, and whether anybody can be.

use std::io::{self, BufRead, ErrorKind};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whether the input is at its end before anything is asked, as with cron, `ssh -n` or `< /dev/null`. What is open may be answered: a
/// terminal, but also a pipe with somebody behind it. Nothing is taken out.
pub(in crate::cli) fn is_at_end<I: BufRead>(input: &mut I, fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let is_ready = poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
    is_ready && input.fill_buf().is_ok_and(<[u8]>::is_empty)
}

/// Whether the next line says yes.
///
/// # Errors
/// The input has ended, which is no answer; or it cannot be read.
pub(in crate::cli) fn is_yes(input: &mut impl BufRead) -> io::Result<bool> {
    let mut answer = String::new();
    match input.read_line(&mut answer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufReader, PipeReader, Write, pipe};

    use super::*;

    #[test]
    fn a_yes_is_one_and_an_end_is_no_answer() {
        for (typed, yes) in [("y\n", true), ("YES\r\n", true), ("y", true), ("n\n", false), ("\n", false)] {
            assert_eq!(is_yes(&mut typed.as_bytes()).unwrap(), yes, "{typed:?}");
        }
        assert_eq!(is_yes(&mut "".as_bytes()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_open_may_be_answered_and_what_has_ended_may_not() {
        let ended = |input: &PipeReader| is_at_end(&mut BufReader::new(input), input);
        let (input, mut output) = pipe().unwrap();
        assert!(!ended(&input), "somebody may still say something");
        output.write_all(b"y\n").unwrap();
        let mut read = BufReader::new(&input);
        assert!(!is_at_end(&mut read, &input));
        assert!(is_yes(&mut read).unwrap(), "nothing was taken out");
        drop(output);
        assert!(ended(&input));
        let nothing = File::open("/dev/null").unwrap();
        assert!(is_at_end(&mut BufReader::new(&nothing), &nothing));
    }
}
