//! The emergency stop's own way to the printer thread, and what is done when it shows no effect.
//!
//! It is a flag and a waker: no queue, no lock and no database stands between whoever pulls it and the thread, which looks
//! at it before anything else.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use spoolway_agent_core::reply::{Reply, ReplyParser};
use tracing::{info, warn};

use super::Known;
use super::port::{Port, PortLost};
use super::task::{Bench, Leave};
use super::wirelog::Speaker;

/// A firmware that heard the stop says so at once; the longest line it may be reading takes far less than this.
const EFFECT: Duration = Duration::from_millis(1_500);
/// What everybody who listens to G-code knows; sent while nobody is known yet.
pub(super) const STOP_OF_A_STRANGER: &[u8] = b"\nM112\n";

/// Stops the machine at once; clones pull the same flag.
#[derive(Debug, Clone, Default)]
pub struct EmergencyStop(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    pulled: AtomicBool,
    bell: AtomicWaker,
}

impl EmergencyStop {
    /// Has the printer thread write the stop ahead of everything else; returns at once.
    pub fn pull(&self) {
        self.0.pulled.store(true, Ordering::Release);
        self.0.bell.wake();
    }

    /// Whether it was pulled since this was asked last.
    pub fn take(&self) -> bool {
        self.0.pulled.load(Ordering::Acquire) && self.0.pulled.swap(false, Ordering::AcqRel)
    }

    /// Waits until it is pulled; only the printer thread may wait.
    pub(super) async fn pulled(&self) {
        poll_fn(|context| {
            self.0.bell.register(context.waker());
            if self.take() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Looks for a sign that the stop has had its effect; without one, resets the board where the profile knows how.
pub(super) async fn see_effect(
    bench: &mut Bench,
    port: &mut Port,
    known: &Known,
) -> Result<Option<Leave>, PortLost> {
    let mut ears = ReplyParser::new(known.profile.replies.clone());
    let until = bench.clock.now() + EFFECT;
    loop {
        let now = bench.clock.now();
        if now >= until {
            break;
        }
        let rest = if port.has_unwritten() { Duration::from_millis(2) } else { until - now };
        tokio::select! {
            biased;
            order = bench.orders.recv() => if bench.refuse(order).is_err() {
                return Ok(Some(Leave));
            },
            bytes = port.read() => {
                let bytes = bytes?;
                bench.wirelog.note(bench.clock.now(), Speaker::Printer, bytes);
                if is_effect(&mut ears, bytes) {
                    info!("the printer says that it has stopped");
                    return Ok(None);
                }
            }
            () = tokio::time::sleep(rest) => port.flush()?,
        }
    }
    if known.profile.emergency.dtr_reset {
        warn!("the printer gives no sign that it has stopped; its board is reset through DTR");
        port.pulse_dtr().await;
    } else {
        warn!(
            "the printer gives no sign that it has stopped; switch it off at the mains if it still moves or heats"
        );
    }
    Ok(None)
}

/// Whether the firmware says that it halted, or that it has begun anew.
fn is_effect(ears: &mut ReplyParser, mut bytes: &[u8]) -> bool {
    while let Some(reply) = ears.next(&mut bytes) {
        if matches!(reply, Reply::Fatal(_) | Reply::Start) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pull_is_taken_once_whoever_waits_first() {
        let stop = EmergencyStop::default();
        stop.clone().pull();
        stop.pulled().await;
        assert!(!stop.take());
        let waits = stop.clone();
        let waiting = tokio::spawn(async move { waits.pulled().await });
        tokio::task::yield_now().await;
        stop.pull();
        waiting.await.unwrap();
        assert!(!stop.take());
    }

    #[test]
    fn only_a_halt_or_a_new_beginning_is_an_effect() {
        let registry = spoolway_firmware_profiles::Registry::load(None).0;
        let profile = registry.get("marlin").unwrap();
        let mut ears = ReplyParser::new(profile.profile.replies.clone());
        assert!(!is_effect(
            &mut ears,
            b"ok\nok N5 P3 B2\necho:busy: processing\nError:checksum mismatch\nError:Pri"
        ));
        assert!(is_effect(&mut ears, b"nter halted. kill() called!\n"));
        assert!(is_effect(&mut ears, b"\x00start\n"));
    }
}
