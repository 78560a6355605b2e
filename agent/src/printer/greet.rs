//! Asks who is there: at the configured rate, or at one rate after the other until text comes.

use std::time::Duration;

use spoolway_agent_core::greeting::{Greeted, Greeting, GreetingOptions, GreetingOutput, Unanswered};
use spoolway_firmware_profiles::{KnownProfile, Profile, Registry};
use spoolway_protocol::printer::PrinterState;
use tracing::{debug, warn};

use super::estop::STOP_OF_A_STRANGER;
use super::faults;
use super::open::LineOptions;
use super::port::{Port, PortLost};
use super::task::Bench;
use super::wirelog::Speaker;
use crate::config::BaudChoice;

/// How long each of several rates is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// At the first rate a board may still be starting, because opening its port has reset it.
    first: Duration,
    /// At any other rate it is up, and a firmware that is asked answers at once.
    other: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(10), other: Duration::from_secs(2) }
    }
}

/// How asking ended.
pub(super) enum Ask {
    /// Somebody answered.
    Greeted(Greeted),
    /// Nobody did.
    Unanswered(Unanswered),
    /// The thread has been told to leave.
    Leave,
}

/// The rates at which a firmware may speak, the likeliest first.
#[derive(Debug, Clone)]
pub(super) struct Rates {
    rates: Vec<u32>,
    at: usize,
}

impl Rates {
    /// The configured one; else those of the configured profile, or of all profiles: first what is first in most of them.
    pub(super) fn new(choice: BaudChoice, profile: Option<&str>, registry: &Registry) -> Self {
        let rates = match choice {
            BaudChoice::Rate(rate) => vec![rate],
            BaudChoice::Auto => match profile.and_then(|id| registry.get(id).ok()) {
                Some(known) => known.profile.serial.bauds.clone(),
                None => merged(registry.iter().map(|known| &known.profile)),
            },
        };
        Self { rates, at: 0 }
    }

    /// The one that is tried, or at which the printer answered.
    pub(super) fn now(&self) -> u32 {
        self.rates.get(self.at).copied().unwrap_or(115_200)
    }

    /// The one at which the printer answered the last time goes first.
    pub(super) fn prefer(&mut self, rate: u32) {
        self.at = self.rates.iter().position(|&known| known == rate).unwrap_or(self.at);
    }

    fn next(&mut self) {
        self.at = (self.at + 1) % self.rates.len().max(1);
    }
}

/// Every rate of the profiles, by the sum of what each place in a list is worth.
fn merged<'a>(profiles: impl Iterator<Item = &'a Profile>) -> Vec<u32> {
    let mut worth: Vec<(u32, usize)> = Vec::new();
    for profile in profiles {
        for (place, &rate) in profile.serial.bauds.iter().enumerate() {
            let points = 60 / (place + 1);
            match worth.iter_mut().find(|(known, _)| *known == rate) {
                Some((_, sum)) => *sum += points,
                None => worth.push((rate, points)),
            }
        }
    }
    worth.sort_by_key(|&(rate, points)| (std::cmp::Reverse(points), rate));
    worth.into_iter().map(|(rate, _)| rate).collect()
}

impl Bench {
    /// Asks until somebody answers; `None` when the thread has been told to leave.
    pub(super) async fn greet(&mut self, port: &mut Port) -> Result<Option<Greeted>, PortLost> {
        let mut told = None;
        loop {
            match self.greet_once(port).await? {
                Ask::Leave => return Ok(None),
                Ask::Greeted(greeted) => return Ok(Some(greeted)),
                Ask::Unanswered(why) => {
                    if told != Some(why) {
                        self.tell_silence(why);
                        told = Some(why);
                    }
                }
            }
        }
    }

    /// Asks at every rate once.
    pub(super) async fn greet_once(&mut self, port: &mut Port) -> Result<Ask, PortLost> {
        let rates = self.rates.rates.len();
        let mut best = None;
        for round in 0..rates {
            if round > 0 {
                self.rates.next();
                port.set_line(self.line_options())?;
                debug!(baud = self.rates.now(), "tries another rate");
            }
            match self.greet_at_rate(port, rates, round).await? {
                Ask::Unanswered(why) => best = best.max(Some(rank(why))),
                found => return Ok(found),
            }
        }
        self.set_up_again(port)?;
        Ok(Ask::Unanswered(match best {
            Some(2) => Unanswered::Deaf,
            Some(1) => Unanswered::Garbled,
            _ => Unanswered::Silent,
        }))
    }

    async fn greet_at_rate(&mut self, port: &mut Port, rates: usize, round: usize) -> Result<Ask, PortLost> {
        let patient = GreetingOptions::default();
        let first = if rates == 1 {
            patient
        } else if round == 0 {
            GreetingOptions { boot_wait: self.patience.first, tries_max: 0, ..patient }
        } else {
            GreetingOptions { boot_wait: Duration::ZERO, retry: self.patience.other, tries_max: 1, ..patient }
        };
        let asked = self.ask(port, first).await?;
        match asked {
            // Text means that the rate is right; whoever speaks deserves all the time there is.
            Ask::Unanswered(Unanswered::Deaf) if rates > 1 => self.ask(port, patient).await,
            asked => Ok(asked),
        }
    }

    async fn ask(&mut self, port: &mut Port, options: GreetingOptions) -> Result<Ask, PortLost> {
        let mut greeting = Greeting::new(options, self.clock.now());
        loop {
            let now = self.clock.now();
            let until = match greeting.poll_output(now) {
                GreetingOutput::Write(bytes) => {
                    self.wirelog.note(now, Speaker::Agent, &bytes);
                    port.write(&bytes)?;
                    continue;
                }
                GreetingOutput::Greeted(greeted) => return Ok(Ask::Greeted(greeted)),
                GreetingOutput::Unanswered(why) => return Ok(Ask::Unanswered(why)),
                GreetingOutput::Wait(until) => until,
            };
            tokio::select! {
                biased;
                () = self.stop.pulled() => {
                    port.discard_unwritten();
                    self.wirelog.note(now, Speaker::Agent, STOP_OF_A_STRANGER);
                    port.write(STOP_OF_A_STRANGER)?;
                }
                order = self.orders.recv() => if self.refuse(order).is_err() {
                    return Ok(Ask::Leave);
                },
                bytes = port.read() => {
                    let bytes = bytes?;
                    let now = self.clock.now();
                    self.wirelog.note(now, Speaker::Printer, bytes);
                    greeting.handle_bytes(now, bytes);
                }
                () = tokio::time::sleep(until - now) => {}
            }
        }
    }

    /// Nobody has answered: another program may have changed the line since it was opened, or the adapter may have kept the
    /// parity of the program before, where some profile knows of such.
    fn set_up_again(&mut self, port: &mut Port) -> Result<(), PortLost> {
        let knows = |known: &KnownProfile| known.profile.serial.parity_workaround;
        let line = self.line_options();
        let parity_workaround = line.parity_workaround || self.options.registry.iter().any(knows);
        debug!(parity_workaround, "nobody answers; the line is set up again");
        port.set_line(LineOptions { parity_workaround, ..line })
    }

    fn tell_silence(&mut self, why: Unanswered) {
        let fault = faults::of_silence(why);
        warn!(code = fault.code(), %why, help = fault.help(), "the printer does not answer");
        self.publish.send_modify(|snapshot| {
            if snapshot.state != PrinterState::Halted {
                snapshot.state = PrinterState::Error;
                snapshot.fault = Some((fault, why.to_string()));
            }
        });
    }
}

/// The more was heard, the nearer it was.
fn rank(why: Unanswered) -> u8 {
    match why {
        Unanswered::Silent => 0,
        Unanswered::Garbled => 1,
        Unanswered::Deaf => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::super::PrinterOptions;
    use super::super::open::tests::pair;
    use super::super::task::tests::{at_port, bench};
    use super::*;

    #[test]
    fn rates_come_from_the_configuration_or_the_profiles() {
        let registry = Registry::built_in();
        let fixed = Rates::new(BaudChoice::Rate(57_600), None, &registry);
        assert_eq!((fixed.now(), fixed.rates.len()), (57_600, 1));
        let mut all = Rates::new(BaudChoice::Auto, None, &registry);
        assert_eq!(all.now(), 115_200, "{all:?}");
        let mut of_profiles = registry.iter().flat_map(|known| &known.profile.serial.bauds);
        assert!(of_profiles.all(|rate| all.rates.contains(rate)), "{all:?}");
        let mut once = all.rates.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.rates.len());
        all.prefer(250_000);
        assert_eq!(all.now(), 250_000);
        let marlin = Rates::new(BaudChoice::Auto, Some("marlin"), &registry);
        assert_eq!(marlin.rates, registry.get("marlin").unwrap().profile.serial.bauds);
    }

    /// Answers only at one rate; at any other its bytes are no text. A pseudo-terminal tells its other end the rate.
    fn board_at(rate: u32, master: OwnedFd) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || {
            let mut heard = [0; 256];
            // The end of the terminal is the end of the board.
            while rustix::io::read(&master, &mut heard).is_ok_and(|count| count > 0) {
                let now = rustix::termios::tcgetattr(&master).unwrap().output_speed();
                let answer: &[u8] =
                    if now == rate { b"FIRMWARE_NAME:Marlin 2.1\nok\n" } else { b"\xff\x80\n" };
                rustix::io::write(&master, answer).unwrap();
            }
        })
    }

    #[tokio::test]
    async fn the_rate_is_found_at_which_the_printer_answers() {
        let (master, path) = pair();
        let board = board_at(250_000, master);
        let options = PrinterOptions { baud: BaudChoice::Auto, ..at_port(path) };
        let (mut bench, _orders) = bench(options);
        let blink = Duration::from_millis(20);
        bench.patience = Patience { first: blink, other: blink };
        let mut port = bench.open_port().unwrap();
        let greeted = bench.greet(&mut port).await.unwrap().unwrap();
        assert_eq!(greeted.report.name.as_deref(), Some("Marlin 2.1"));
        assert_eq!(bench.rates.now(), 250_000);
        assert_eq!(bench.know(greeted).unwrap().baud, 250_000);
        drop(port);
        board.join().unwrap();
    }
}
