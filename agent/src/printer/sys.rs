//! The one place that takes a bare file descriptor.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Takes over the descriptor that a serial port gives away.
pub(super) fn take_descriptor(port: impl IntoRawFd) -> OwnedFd {
    let raw = port.into_raw_fd();
    #[expect(unsafe_code, reason = "there is no safe way from a given-away descriptor to an owned one")]
    // SAFETY: `into_raw_fd` hands over an open descriptor that nothing else owns or will close.
    unsafe {
        OwnedFd::from_raw_fd(raw)
    }
}

/// Watches a descriptor for bytes to read, and for nothing else.
pub(super) fn watch_reading(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays open")]
    // SAFETY: an `OwnedFd` keeps its descriptor open and unchanged until it is dropped, and it is dropped by the
    // `AsyncFd` that takes it here, after deregistration.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(std::io::Error::from)
}
