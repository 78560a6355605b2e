//! The one place for what has no safe way: the ioctls of a serial line, watching and inheriting a descriptor, shared memory.

use std::ffi::{c_int, c_uint, c_ulong, c_ushort};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Setter, ioctl};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const TIOCMBIC: Opcode = libc::TIOCMBIC as Opcode;
const TIOCMBIS: Opcode = libc::TIOCMBIS as Opcode;
const TIOCGSERIAL: Opcode = libc::TIOCGSERIAL as Opcode;
const TIOCSSERIAL: Opcode = libc::TIOCSSERIAL as Opcode;
/// Hand bytes over as they come (`include/uapi/linux/tty_flags.h`, bit 13).
const ASYNC_LOW_LATENCY: c_int = 1 << 13;

/// `struct serial_struct` of `include/uapi/linux/serial.h`; the two addresses are never followed here.
#[repr(C)]
#[derive(Clone, Copy)]
struct SerialStruct {
    kind: c_int,
    line: c_int,
    port: c_uint,
    irq: c_int,
    flags: c_int,
    xmit_fifo_size: c_int,
    custom_divisor: c_int,
    baud_base: c_int,
    close_delay: c_ushort,
    io_type: u8,
    reserved: u8,
    hub6: c_int,
    closing_wait: c_ushort,
    closing_wait2: c_ushort,
    iomem_base: usize,
    iomem_reg_shift: c_ushort,
    port_high: c_uint,
    iomap_base: c_ulong,
}

/// Watches a descriptor for bytes to read, and for nothing else.
pub(super) fn watch_reading(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays open")]
    // SAFETY: an `OwnedFd` keeps its descriptor open and unchanged until it is dropped, and it is dropped by the
    // `AsyncFd` that takes it here, after deregistration.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(std::io::Error::from)
}

/// From now on this thread, and none that it starts, goes before all that are not real-time (sched(7)).
pub(super) fn run_in_real_time(priority: c_int) -> std::io::Result<()> {
    let how = libc::sched_param { sched_priority: priority };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    #[expect(unsafe_code, reason = "rustix has no function for it")]
    // SAFETY: the call reads one structure behind the pointer and keeps nothing; 0 is the calling thread.
    let done = unsafe { libc::sched_setscheduler(0, policy, &raw const how) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Raises or drops the line "data terminal ready" (ioctl_tty(2)).
pub(super) fn set_dtr(line: impl AsFd, up: bool) -> Result<(), Errno> {
    let dtr: c_int = libc::TIOCM_DTR;
    #[expect(unsafe_code, reason = "rustix has no function for modem lines")]
    // SAFETY: both requests read one `int` behind the pointer and keep nothing.
    unsafe {
        if up {
            ioctl(line, Setter::<TIOCMBIS, c_int>::new(dtr))
        } else {
            ioctl(line, Setter::<TIOCMBIC, c_int>::new(dtr))
        }
    }
}

/// Asks the driver not to hold received bytes back; gives whether it does as asked.
pub(super) fn ask_low_latency(line: impl AsFd) -> Result<bool, Errno> {
    let read = || {
        #[expect(unsafe_code, reason = "rustix has no function for driver settings")]
        // SAFETY: on success the kernel has written a whole `serial_struct`, for which any bits are a value.
        unsafe {
            ioctl(line.as_fd(), Getter::<TIOCGSERIAL, SerialStruct>::new())
        }
    };
    let mut settings = read()?;
    settings.flags |= ASYNC_LOW_LATENCY;
    #[expect(unsafe_code, reason = "rustix has no function for driver settings")]
    // SAFETY: the request reads one `serial_struct` behind the pointer and keeps nothing; it is what the kernel gave
    // itself, but for one flag that any user may set.
    unsafe {
        ioctl(line.as_fd(), Setter::<TIOCSSERIAL, SerialStruct>::new(settings))?;
    }
    Ok(read()?.flags & ASYNC_LOW_LATENCY != 0)
}

/// Takes a descriptor that the service manager has opened for this process.
pub(crate) fn inherit(descriptor: RawFd) -> OwnedFd {
    #[expect(unsafe_code, reason = "an inherited descriptor is a number")]
    // SAFETY: the caller has read in the environment that it is meant for this process, and nobody else here asks there.
    unsafe {
        OwnedFd::from_raw_fd(descriptor)
    }
}

/// A file of fixed size as memory: what is stored in it stays when the process is killed.
#[derive(Debug)]
pub(super) struct SharedMemory {
    start: NonNull<u8>,
    length: usize,
}

#[expect(unsafe_code, reason = "it owns its memory as a boxed slice would")]
// SAFETY: nothing but this value knows the address.
unsafe impl Send for SharedMemory {}

impl SharedMemory {
    /// Maps a file that is this long and has all its blocks, and that no other process changes.
    pub(super) fn map(file: impl AsFd, length: usize) -> Result<Self, Errno> {
        let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        #[expect(unsafe_code, reason = "memory behind a file has no safe constructor")]
        // SAFETY: the kernel chooses the address, so no other memory is replaced.
        let start = unsafe { mmap(std::ptr::null_mut(), length, rights, flags, file, 0)? };
        Ok(Self { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?, length })
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        #[expect(unsafe_code, reason = "the memory is a plain slice from here on")]
        // SAFETY: the mapping has this length until it is dropped, any bits are bytes, and `&mut self` is the only way to it.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length)
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "what was mapped by hand is unmapped by hand")]
        // SAFETY: it is what `map` gave, and nobody borrows it any more.
        let _unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
