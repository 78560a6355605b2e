//! What changes while a relay runs: a renewed certificate, whose certificates are wanted, and other limits. Connected peers keep their
//! session.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use spoolway_relay_tls::{Certificate, Clients, written_at};
use tokio::sync::mpsc;
use tokio::time::sleep;
use toml::Table;

use crate::config::{Config, Tls};
use crate::hub::Hub;

const DAY_MS: u64 = 86_400_000;
/// The settings that are taken over without a new start, besides those of client certificates.
const LIVE: &str = "limits";

/// What is renewed, and the relay that uses it.
pub(crate) struct Renewal {
    /// Whose limits they are.
    pub(crate) hub: Arc<Hub>,
    /// The certificate in use.
    pub(crate) certificate: Arc<Certificate>,
    /// Whose certificates are wanted.
    pub(crate) clients: Arc<Clients>,
}

impl Renewal {
    /// Looks at the files of TLS every `tls.reload_ms`, and takes over what `reloads` brings.
    pub(crate) async fn watch(self, mut config: Config, mut reloads: mpsc::Receiver<Config>) {
        let mut seen = self.written_at(&config.tls);
        let mut told = None;
        loop {
            self.look_at_its_end(config.tls.warn_days, &mut told);
            tokio::select! {
                () = sleep(Duration::from_millis(config.tls.reload_ms)) => {
                    let written = self.written_at(&config.tls);
                    if written != seen && self.reload_files(&config.tls) {
                        (seen, told) = (written, None);
                    }
                }
                Some(new) = reloads.recv() => {
                    self.take_over(&mut config, new);
                    let written = self.written_at(&config.tls);
                    if self.reload_files(&config.tls) {
                        (seen, told) = (written, None);
                    }
                }
            }
        }
    }

    /// When the files were last written.
    fn written_at(&self, tls: &Tls) -> (Option<(SystemTime, SystemTime)>, Option<SystemTime>) {
        (self.certificate.written_at(), written_at(Path::new(&tls.client_ca)))
    }

    /// Certificate and key may be written one after the other: what does not fit together yet is looked at again.
    fn reload_files(&self, tls: &Tls) -> bool {
        let (own, theirs) =
            (self.certificate.reload(), self.clients.reload(tls.client_certs, &tls.client_ca));
        match &own {
            Ok(()) => tracing::info!("certificate loaded"),
            Err(error) => tracing::warn!(%error, "the old certificate stays"),
        }
        if let Err(error) = &theirs {
            tracing::warn!(%error, "whose certificates are wanted stays as it was");
        }
        own.is_ok() && theirs.is_ok()
    }

    fn take_over(&self, config: &mut Config, new: Config) {
        let (certs, authorities) = (new.tls.client_certs, new.tls.client_ca.clone());
        (config.tls.client_certs, config.tls.client_ca) = (certs, authorities);
        for section in differing(config, &new) {
            if section == LIVE {
                config.limits = new.limits.clone();
                self.hub.set_limits(new.limits.clone());
                tracing::info!("limits taken over");
            } else {
                tracing::warn!(section, "what has changed there waits for the next start");
            }
        }
    }

    /// It is told once a day, and once when it has come.
    fn look_at_its_end(&self, warn_days: u64, told: &mut Option<u64>) {
        let Some(ends_ms) = self.certificate.ends_ms() else {
            return tracing::debug!("it cannot be read from the certificate when it ends");
        };
        self.hub.certificate_ends_ms.store(ends_ms, Ordering::Relaxed);
        let left_ms = ends_ms.saturating_sub(self.hub.clock.now().unix_ms);
        let begun_days = left_ms.div_ceil(DAY_MS);
        if left_ms < warn_days.saturating_mul(DAY_MS) && told.replace(begun_days) != Some(begun_days) {
            self.hub.certificate_ends_soon(left_ms);
        }
    }
}

/// Sections in which two configurations differ.
fn differing(one: &Config, other: &Config) -> Vec<String> {
    let table = |config| Table::try_from(config).unwrap_or_default();
    let (one, other) = (table(one), table(other));
    one.keys().filter(|section| one.get(*section) != other.get(*section)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_differ_are_named() {
        let config = Config::default();
        let mut other = config.clone();
        assert_eq!(differing(&config, &other), [""; 0]);
        other.limits.max_sockets += 1;
        other.drain.spread_ms += 1;
        assert_eq!(differing(&config, &other), ["drain", "limits"]);
    }
}
