//! Opens a serial line for this process alone and sets it up: raw, 8N1, any rate, no hang-up on close, no waiting.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use spoolway_protocol::Fault;
use thiserror::Error;
use tracing::{debug, info, trace};

use super::sys;

/// Major numbers of pseudo-terminals (`Documentation/admin-guide/devices.txt` of Linux).
const PTY_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;
/// A rate that is off by more than this, in percent, garbles bytes: half a bit at the end of ten, for both ends together.
const RATE_TOLERANCE_PERCENT: u32 = 3;

/// The port could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {detail}")]
pub struct OpenPortError {
    /// What it means.
    pub fault: Fault,
    /// Path of the port.
    pub path: String,
    /// The system's own words.
    pub detail: String,
}

/// How a line is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineOptions {
    /// Bits per second; any that the driver can do.
    pub baud: u32,
    /// Whether odd parity is set once before none is: some USB adapters keep the parity of the program before.
    pub parity_workaround: bool,
}

/// Opens a line and locks it.
///
/// # Errors
/// It is missing, forbidden, in use, no serial line, or cannot do the rate.
pub(super) fn open(path: &Path, options: LineOptions) -> Result<OwnedFd, OpenPortError> {
    let failed = |fault, detail: &str| OpenPortError {
        fault,
        path: path.display().to_string(),
        detail: detail.to_owned(),
    };
    let system = |error: Errno| failed(fault_of(error), &error.to_string());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let line = rustix::fs::open(path, flags, Mode::empty()).map_err(system)?;
    if !rustix::termios::isatty(&line) {
        return Err(failed(Fault::PortMissing, "is not a serial port"));
    }
    let device = rustix::fs::fstat(&line).map_err(system)?.st_rdev;
    let kind = Kind::of(device);
    lock(&line, kind).map_err(|error| match fault_of(error) {
        Fault::PortBusy => failed(Fault::PortBusy, "another program has it"),
        fault => failed(fault, &error.to_string()),
    })?;
    let done = configure(&line, options).map_err(system)?;
    hold_rate(options.baud, done).map_err(|(fault, text)| failed(fault, &text))?;
    if let Kind::Line = kind {
        hurry(&line, path, device);
    }
    Ok(line)
}

/// Makes sure of a line that the process before has opened: it is ours, and set up as it has to be. What is right already is not
/// set again, since bytes may be on their way.
pub(super) fn adopt(line: &OwnedFd, options: LineOptions) -> Result<(), Errno> {
    if !rustix::termios::isatty(line) {
        return Err(Errno::NOTTY);
    }
    let device = rustix::fs::fstat(line)?.st_rdev;
    lock(line, Kind::of(device))?;
    let flags = rustix::fs::fcntl_getfl(line)?;
    rustix::fs::fcntl_setfl(line, flags | OFlags::NONBLOCK)?;
    let modes = rustix::termios::tcgetattr(line)?;
    let is_set = modes.output_speed() == options.baud && !modes.local_modes.contains(LocalModes::ICANON);
    if !is_set {
        configure(line, options)?;
    }
    Ok(())
}

/// What stands behind a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A wire.
    Line,
    /// Another program: Klipper's pseudo-terminal, a bridge, a simulator.
    Pty,
}

impl Kind {
    fn of(device: u64) -> Self {
        if PTY_MAJORS.contains(&rustix::fs::major(device)) { Self::Pty } else { Self::Line }
    }
}

/// Whether another program, and no wire, stands behind a line.
pub(super) fn is_pty(line: &OwnedFd) -> bool {
    rustix::fs::fstat(line).is_ok_and(|stat| Kind::of(stat.st_rdev) == Kind::Pty)
}

/// Keeps others out: TIOCEXCL for those who just open it, a lock for programs of root, for whom TIOCEXCL does not hold,
/// and for other agents. A pseudo-terminal gets the lock alone: the kernel keeps TIOCEXCL on it for as long as its other end
/// lives, so that a killed agent could not open it again.
fn lock(line: &OwnedFd, kind: Kind) -> Result<(), Errno> {
    rustix::fs::flock(line, FlockOperation::NonBlockingLockExclusive)?;
    match kind {
        Kind::Line => rustix::termios::ioctl_tiocexcl(line),
        Kind::Pty => Ok(()),
    }
}

/// Sets the line up; gives the rate that the driver has set.
pub(super) fn configure(line: &OwnedFd, options: LineOptions) -> Result<u32, Errno> {
    let mut modes = rustix::termios::tcgetattr(line)?;
    make_plain(&mut modes);
    modes.set_speed(options.baud)?;
    if options.parity_workaround {
        let mut odd = modes.clone();
        odd.control_modes |= ControlModes::PARENB | ControlModes::PARODD;
        rustix::termios::tcsetattr(line, OptionalActions::Now, &odd)?;
    }
    rustix::termios::tcsetattr(line, OptionalActions::Now, &modes)?;
    Ok(rustix::termios::tcgetattr(line)?.output_speed())
}

/// Raw, 8N1, no flow control. Without HUPCL the kernel leaves DTR up when the port is closed; many boards take its fall as
/// a reset.
fn make_plain(modes: &mut Termios) {
    modes.make_raw();
    modes.input_modes -= InputModes::IXON | InputModes::IXOFF | InputModes::IXANY | InputModes::INPCK;
    modes.control_modes -= ControlModes::PARENB
        | ControlModes::PARODD
        | ControlModes::CMSPAR
        | ControlModes::CSTOPB
        | ControlModes::CRTSCTS
        | ControlModes::HUPCL;
    modes.control_modes |= ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
}

/// Turns XON/XOFF on or off: whether the other end may hold us back. The two bytes never appear in G-code.
pub(super) fn set_xon_xoff(line: &OwnedFd, on: bool) -> Result<(), Errno> {
    let mut modes = rustix::termios::tcgetattr(line)?;
    modes.input_modes.set(InputModes::IXON, on);
    rustix::termios::tcsetattr(line, OptionalActions::Now, &modes)
}

/// Short waits in the driver, where it has any; a line without them is as good.
fn hurry(line: &OwnedFd, path: &Path, device: u64) {
    match sys::ask_low_latency(line) {
        Ok(true) => debug!(port = %path.display(), "the driver hands bytes over at once"),
        Ok(false) => debug!(port = %path.display(), "the driver has no low latency"),
        Err(error) => debug!(port = %path.display(), %error, "the driver takes no settings"),
    }
    let numbers = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    set_latency(&PathBuf::from("/sys/dev/char").join(numbers).join("device/latency_timer"));
}

/// FTDI adapters hold replies back for 16 ms unless told otherwise (Documentation/ABI of ftdi_sio).
fn set_latency(timer: &Path) {
    match std::fs::read_to_string(timer) {
        Err(_) => trace!("no latency timer"),
        Ok(text) if text.trim() == "1" => debug!("the latency timer is at 1 ms"),
        Ok(text) => match std::fs::write(timer, "1") {
            Ok(()) => debug!("the latency timer is set to 1 ms"),
            Err(error) => {
                let at_ms = text.trim();
                info!(at_ms, %error, "the adapter holds replies back; the udev rules of the agent set it to 1 ms");
            }
        },
    }
}

/// A driver that cannot do a rate takes the nearest one and says nothing.
fn hold_rate(wanted: u32, done: u32) -> Result<(), (Fault, String)> {
    if done.abs_diff(wanted) > wanted / 100 * RATE_TOLERANCE_PERCENT {
        let text = format!("cannot do {wanted} bits per second; the nearest it can is {done}");
        return Err((Fault::PortRate, text));
    }
    Ok(())
}

fn fault_of(error: Errno) -> Fault {
    match error {
        Errno::ACCESS | Errno::PERM => Fault::PortPermission,
        Errno::BUSY | Errno::WOULDBLOCK => Fault::PortBusy,
        _ => Fault::PortMissing,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    const PLAIN: LineOptions = LineOptions { baud: 115_200, parity_workaround: false };

    /// Both ends of a terminal; the line lives as long as the first.
    pub(in crate::printer) fn pair() -> (OwnedFd, PathBuf) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().to_string_lossy().into_owned());
        (master, path)
    }

    fn modes(line: &OwnedFd) -> Termios {
        rustix::termios::tcgetattr(line).unwrap()
    }

    #[test]
    fn a_line_is_raw_without_parity_flow_control_and_hang_up() {
        let (_master, path) = pair();
        for parity_workaround in [false, true] {
            let line = open(&path, LineOptions { parity_workaround, ..PLAIN }).unwrap();
            let modes = modes(&line);
            assert!(
                modes.control_modes.contains(ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL)
            );
            let unwanted = ControlModes::HUPCL | ControlModes::PARENB | ControlModes::CRTSCTS;
            assert!(!modes.control_modes.intersects(unwanted), "{modes:?}");
            assert!(!modes.input_modes.intersects(InputModes::IXON | InputModes::ICRNL), "{modes:?}");
        }
    }

    #[test]
    fn rates_beside_the_old_list_are_set() {
        let (_master, path) = pair();
        for baud in [115_200, 250_000, 500_000, 128_000, 1_000_000, 9_600] {
            let line = open(&path, LineOptions { baud, ..PLAIN }).unwrap();
            assert_eq!(modes(&line).output_speed(), baud);
        }
    }

    #[test]
    fn a_second_program_is_kept_out_and_the_line_is_free_after_its_holder() {
        let (_master, path) = pair();
        let first = open(&path, PLAIN).unwrap();
        let refused = open(&path, PLAIN).unwrap_err();
        assert_eq!((refused.fault, refused.detail.as_str()), (Fault::PortBusy, "another program has it"));
        drop(first);
        assert!(open(&path, PLAIN).is_ok());
    }

    #[test]
    fn what_is_no_line_is_named() {
        let missing = open(Path::new("/dev/no-such-printer"), PLAIN).unwrap_err();
        assert_eq!((missing.fault, missing.path.as_str()), (Fault::PortMissing, "/dev/no-such-printer"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let plain = open(file.path(), PLAIN).unwrap_err();
        assert_eq!((plain.fault, plain.detail.as_str()), (Fault::PortMissing, "is not a serial port"));
    }

    /// A terminal does every rate, and root may open everything: so the words of the system itself.
    #[test]
    fn what_the_system_does_not_do_is_told_apart() {
        for (error, fault) in [
            (Errno::ACCESS, Fault::PortPermission),
            (Errno::PERM, Fault::PortPermission),
            (Errno::BUSY, Fault::PortBusy),
            (Errno::NOENT, Fault::PortMissing),
        ] {
            assert_eq!(fault_of(error), fault, "{error}");
        }
        assert_eq!(hold_rate(250_000, 250_000), Ok(()));
        assert_eq!(hold_rate(250_000, 247_000), Ok(()), "the clock of an adapter has steps");
        let (fault, text) = hold_rate(250_000, 230_400).unwrap_err();
        assert_eq!(fault, Fault::PortRate);
        assert_eq!(text, "cannot do 250000 bits per second; the nearest it can is 230400");
    }

    #[test]
    fn an_adapter_that_holds_replies_back_is_told_not_to() {
        let folder = tempfile::tempdir().unwrap();
        let timer = folder.path().join("latency_timer");
        set_latency(&timer);
        assert!(!timer.exists(), "an adapter without one gets none");
        std::fs::write(&timer, "16\n").unwrap();
        set_latency(&timer);
        assert_eq!(std::fs::read_to_string(&timer).unwrap(), "1");
    }

    #[test]
    fn flow_control_by_bytes_can_be_switched() {
        let (_master, path) = pair();
        let line = open(&path, PLAIN).unwrap();
        for on in [true, false] {
            set_xon_xoff(&line, on).unwrap();
            assert_eq!(modes(&line).input_modes.contains(InputModes::IXON), on);
        }
    }
}
