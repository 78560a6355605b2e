//! Who may try what how often, counted over all connections of this process.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use spoolway_protocol::{AgentId, BackendId};

use crate::config;
use crate::limits::{Network, Tally, neighbourhood};

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60_000;
/// How many minutes of logins, and seconds of commands, may come at once: a link that breaks now and then is no attack, and behind it
/// there is more than one command.
const AT_ONCE: u32 = 5;
/// Most of each kind that are remembered; who has tried least is forgotten first.
const REMEMBERED: usize = 16_384;

/// See the module.
#[derive(Debug)]
pub(crate) struct Admission(Mutex<Tallies>);

#[derive(Debug)]
struct Tallies {
    free: Vec<Network>,
    strangers: Tally<IpAddr>,
    logins: Tally<AgentId>,
    by_backend: Tally<BackendId>,
    by_agent: Tally<AgentId>,
}

impl Tallies {
    fn new(limits: &config::Limits) -> Self {
        let (minutes, seconds) = (u64::from(AT_ONCE) * MINUTE_MS, u64::from(AT_ONCE) * SECOND_MS);
        let of = |rate: u32| rate.saturating_mul(AT_ONCE);
        Self {
            free: limits.free_networks.clone(),
            strangers: Tally::within(MINUTE_MS, limits.address_failures_per_minute, REMEMBERED),
            logins: Tally::within(minutes, of(limits.agent_logins_per_minute), REMEMBERED),
            by_backend: Tally::within(seconds, of(limits.backend_commands_per_s), REMEMBERED),
            by_agent: Tally::within(seconds, of(limits.agent_commands_per_s), REMEMBERED),
        }
    }
}

impl Admission {
    /// Nobody has tried anything yet.
    pub(crate) fn new(limits: &config::Limits) -> Self {
        Self(Mutex::new(Tallies::new(limits)))
    }

    /// Other limits hold from now on; what was tried before is forgotten.
    pub(crate) fn change(&self, limits: &config::Limits) {
        *self.tallies() = Tallies::new(limits);
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has connected, and counts as a failure until he is [known](Self::known). Returns as whom he is counted, if he is.
    ///
    /// # Errors
    /// Too many from there have not said who they are.
    pub(crate) fn stranger(&self, address: IpAddr, now_ms: u64) -> Result<Option<IpAddr>, u64> {
        let mut tallies = self.tallies();
        if tallies.free.iter().any(|network| network.contains(address)) {
            return Ok(None);
        }
        let key = neighbourhood(address);
        tallies.strangers.take(&key, now_ms).map(|()| Some(key))
    }

    /// It is somebody whom this relay serves.
    pub(crate) fn known(&self, key: IpAddr) {
        self.tallies().strangers.forgive(&key);
    }

    /// An agent has proven who it is.
    ///
    /// # Errors
    /// After how many ms it may come again.
    pub(crate) fn login(&self, agent: &AgentId, now_ms: u64) -> Result<(), u64> {
        self.tallies().logins.take(agent, now_ms)
    }

    /// A backend commands an agent. What is urgent counts for the backend alone: a stop is never one command too many for a machine.
    ///
    /// # Errors
    /// After how many ms it may command again.
    pub(crate) fn command(
        &self,
        backend: &BackendId,
        agent: &AgentId,
        is_urgent: bool,
        now_ms: u64,
    ) -> Result<(), u64> {
        let mut tallies = self.tallies();
        if !is_urgent {
            tallies.by_agent.look(agent, now_ms)?;
        }
        tallies.by_backend.take(backend, now_ms)?;
        if !is_urgent {
            tallies.by_agent.count(agent, now_ms);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_stop_passes_where_a_command_is_one_too_many() {
        let limits =
            config::Limits { agent_commands_per_s: 3, backend_commands_per_s: 9, ..Config::default().limits };
        let admission = Admission::new(&limits);
        let (farm, agents) = ("farm".parse().unwrap(), [1, 2].map(|byte| AgentId::from_bytes([byte; 16])));
        let command = |agent: usize, urgent| admission.command(&farm, &agents[agent], urgent, 0);
        assert!((0..15).all(|_| command(0, false) == Ok(())));
        assert_eq!(command(0, false), Err(334));
        assert_eq!(command(1, false), Ok(()), "another agent");
        assert!((0..29).all(|_| command(0, true) == Ok(())));
        assert_eq!(command(0, true), Err(112), "all that the backend may");
    }

    #[test]
    fn whoever_is_known_or_comes_from_a_free_network_is_not_counted() {
        let limits = config::Limits {
            address_failures_per_minute: 2,
            free_networks: vec!["192.0.2.0/24".parse().unwrap()],
            ..Config::default().limits
        };
        let admission = Admission::new(&limits);
        let (campus, street) = ("192.0.2.7".parse().unwrap(), "198.51.100.7".parse().unwrap());
        assert!((0..100).all(|_| admission.stranger(campus, 0) == Ok(None)));
        for _ in 0..100 {
            let key = admission.stranger(street, 0).unwrap().unwrap();
            admission.known(key);
        }
        assert!((0..2).all(|_| admission.stranger(street, 0) == Ok(Some(street))));
        assert_eq!(admission.stranger(street, 0), Err(30_000));
    }
}
