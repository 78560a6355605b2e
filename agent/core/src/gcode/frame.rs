//! From a command to the bytes on the wire: `N<n> <command>*<checksum>`.

use spoolway_firmware_profiles::profile::{self, Checksum};

/// How commands are framed for one firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framing {
    /// Sent ahead of every line.
    pub prefix: Vec<u8>,
    /// Whether lines carry numbers.
    pub numbered: bool,
    /// What closes a numbered line.
    pub checksum: Checksum,
    /// Longest line without its line feed.
    pub max_line_bytes: usize,
}

impl From<&profile::Framing> for Framing {
    fn from(framing: &profile::Framing) -> Self {
        Self {
            prefix: framing.prefix.clone().into_bytes(),
            numbered: framing.numbered,
            checksum: framing.checksum,
            max_line_bytes: framing.max_line_bytes as usize,
        }
    }
}

impl Framing {
    /// Appends one framed line with its line feed.
    pub fn write(&self, out: &mut Vec<u8>, number: u32, command: &[u8]) {
        let start = out.len();
        out.extend_from_slice(&self.prefix);
        if self.numbered {
            out.push(b'N');
            write_decimal(out, number);
            out.push(b' ');
        }
        out.extend_from_slice(command);
        if self.numbered && self.checksum == Checksum::Xor8 {
            let sum = checksum(&out[start..]);
            out.push(b'*');
            write_decimal(out, u32::from(sum));
        }
        out.push(b'\n');
    }

    /// The command within a line that was framed so.
    #[must_use]
    pub fn command<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let mut command = frame.strip_suffix(b"\n").unwrap_or(frame);
        command = command.strip_prefix(self.prefix.as_slice()).unwrap_or(command);
        if !self.numbered {
            return command;
        }
        let from = command.iter().position(|&byte| byte == b' ').map_or(0, |at| at + 1);
        let star = command.iter().rposition(|&byte| byte == b'*');
        let to = star.filter(|_| self.checksum == Checksum::Xor8).unwrap_or(command.len());
        &command[from..to]
    }

    /// Longest that a command with this number can be on the wire, without its line feed (checksums have up to three
    /// digits).
    #[must_use]
    pub fn framed_len(&self, number: u32, command_len: usize) -> usize {
        let mut length = self.prefix.len() + command_len;
        if self.numbered {
            length += 2 + number.checked_ilog10().map_or(1, |digits| digits as usize + 1);
            if self.checksum == Checksum::Xor8 {
                length += 4;
            }
        }
        length
    }
}

/// XOR of all bytes ahead of the `*`, number and spaces included (Marlin `queue.cpp`, RepRap wiki "G-code").
#[must_use]
pub fn checksum(line: &[u8]) -> u8 {
    line.iter().fold(0, |sum, byte| sum ^ byte)
}

fn write_decimal(out: &mut Vec<u8>, mut value: u32) {
    let mut digits = [0_u8; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marlin() -> Framing {
        Framing { prefix: Vec::new(), numbered: true, checksum: Checksum::Xor8, max_line_bytes: 95 }
    }

    #[test]
    fn frames_as_a_real_conversation_shows() {
        for (number, command, line) in
            [(1, "M110 N0", "N1 M110 N0*124\n"), (2, "G28", "N2 G28*17\n"), (4, "M105", "N4 M105*35\n")]
        {
            let mut out = Vec::new();
            marlin().write(&mut out, number, command.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }

    #[test]
    fn a_frame_gives_its_command_back() {
        let plain = Framing { numbered: false, prefix: b"~".to_vec(), ..marlin() };
        let summed = Framing { checksum: Checksum::None, ..marlin() };
        for framing in [marlin(), plain, summed] {
            for command in ["M105", "M117 a * b", "G1 X10.5 Y7 E.1"] {
                let mut frame = Vec::new();
                framing.write(&mut frame, 1_001, command.as_bytes());
                assert_eq!(framing.command(&frame), command.as_bytes());
            }
        }
    }

    #[test]
    fn the_length_is_never_underestimated() {
        for number in [0, 9, 10, 99, 12_345, 1_999_999_999] {
            for command in ["M105", "G1 X10.5 Y7 E.1"] {
                let mut out = Vec::new();
                marlin().write(&mut out, number, command.as_bytes());
                assert!(out.len() - 1 <= marlin().framed_len(number, command.len()));
            }
        }
    }

    #[test]
    fn unnumbered_lines_carry_their_prefix_only() {
        let framing = Framing { prefix: b"~".to_vec(), numbered: false, ..marlin() };
        let mut out = Vec::new();
        framing.write(&mut out, 7, b"M115");
        assert_eq!(out, b"~M115\n");
    }
}
