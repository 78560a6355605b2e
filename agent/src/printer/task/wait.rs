//! While the port is not open: it is tried again and again, or left to others until it is to be taken up again.

use std::time::Duration;

use spoolway_protocol::Fault;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::prompt::PromptEnd;
use tracing::{info, warn};

use super::{Bench, Leave};
use crate::printer::Order;
use crate::printer::hotplug::Hotplug;
use crate::printer::open::OpenPortError;
use crate::printer::port::Port;
use crate::service;

/// How often a port that cannot be opened is tried again.
const REOPEN: Duration = Duration::from_secs(1);
/// A node that has just appeared gets its group, its names and its first settings from udev within this time.
const SETTLE: Duration = Duration::from_millis(100);

impl Bench {
    /// The port, once it is there and nobody wants it let go.
    pub(super) async fn next_port(&mut self, rest: Duration) -> Result<Port, Leave> {
        loop {
            if self.released {
                self.stay_away().await?;
            }
            match self.wait_for_port(rest).await {
                Err(Leave) if self.released => {}
                done => return done,
            }
        }
    }

    /// Leaves the port to others until it is to be taken up again.
    async fn stay_away(&mut self) -> Result<(), Leave> {
        service::release_port();
        let text = "it was let go; the command printer.connect takes it up again".to_owned();
        info!(port = %self.opened.display(), "the port is left to others");
        self.end_prompt(PromptEnd::Lost, None);
        self.publish.send_modify(|snapshot| {
            (snapshot.known, snapshot.temperatures) = (None, None);
            snapshot.state = PrinterState::Offline;
            snapshot.fault = Some((Fault::PortReleased, text));
        });
        while self.released {
            tokio::select! {
                () = self.stop.pulled() => warn!("emergency stop, and the printer's port is not open"),
                order = self.orders.recv() => match order {
                    Some(Order::TakeUp) => self.released = false,
                    order => match self.refuse(order) {
                        Err(Leave) if !self.released => return Err(Leave),
                        _ => {}
                    },
                },
            }
        }
        Ok(())
    }

    /// Tries to open the port until it is there: at once when something is plugged in, and every second besides.
    async fn wait_for_port(&mut self, rest: Duration) -> Result<Port, Leave> {
        let mut told: Option<OpenPortError> = None;
        if !rest.is_zero() {
            self.rest(rest, None).await?;
        }
        let mut hotplug: Option<Hotplug> = None;
        loop {
            match self.open_port() {
                Ok(port) => return Ok(port),
                Err(error) if told.as_ref() != Some(&error) => {
                    warn!(code = error.fault.code(), %error, help = error.fault.help(), "cannot open the port");
                    self.set_state(PrinterState::Offline, Some((error.fault, error.to_string())));
                    told = Some(error);
                }
                Err(_) => {}
            }
            // Made late: the usual start finds its port and needs no watch. What appears in between is seen a second later.
            let hotplug = hotplug.get_or_insert_with(|| Hotplug::new(self.options.port.path()));
            hotplug.watch();
            self.rest(REOPEN, Some(hotplug)).await?;
        }
    }

    /// Waits, but not longer than until something is plugged in; orders are heard all the while.
    async fn rest(&mut self, time: Duration, mut hotplug: Option<&mut Hotplug>) -> Result<(), Leave> {
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        loop {
            let news = async {
                match hotplug.as_deref_mut() {
                    Some(hotplug) => hotplug.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.pulled() => warn!("emergency stop, and the printer's port is not open"),
                order = self.orders.recv() => self.refuse(order)?,
                () = news => end.as_mut().reset(tokio::time::Instant::now() + SETTLE),
                () = &mut end => return Ok(()),
            }
        }
    }
}
