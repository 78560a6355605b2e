//! The one place that takes a bare file descriptor.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

/// Takes over the descriptor that a serial port gives away.
pub(super) fn take_descriptor(port: impl IntoRawFd) -> OwnedFd {
    let raw = port.into_raw_fd();
    #[expect(unsafe_code, reason = "there is no safe way from a given-away descriptor to an owned one")]
    // SAFETY: `into_raw_fd` hands over an open descriptor that nothing else owns or will close.
    unsafe {
        OwnedFd::from_raw_fd(raw)
    }
}
