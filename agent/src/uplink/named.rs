//! The files that the way to the relay takes, looked at before anybody goes it.

use std::sync::Arc;

use super::client_cert::Answer;
use super::proxy::read_password;
use super::tls::connector;
use crate::clock::Clock;
use crate::config::Relay;

/// Whether they are there and are what they have to be, by the functions that read them on the way.
///
/// # Errors
/// Names the setting, the file, and what is wrong with it.
pub(crate) fn check_files(relay: &Relay) -> Result<(), String> {
    let answer = Answer::by(&relay.client, None)?;
    // Whom it trusts alone may be what the pairing brings.
    let ca_only = relay.ca_only && relay.ca_file.is_some();
    let clock = Clock::start().map_err(|error| error.to_string())?;
    connector(relay.ca_file.as_deref(), ca_only, Arc::clone(&answer), clock)
        .map_err(|error| error.to_string())?;
    relay.proxy.password_file.as_deref().map_or(Ok(()), |file| read_password(file).map(drop))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{ClientCert, ClientCertChoice, Proxy};

    #[test]
    fn a_file_that_is_not_there_or_is_something_else_is_named() {
        assert_eq!(check_files(&Relay::default()), Ok(()));
        assert_eq!(
            check_files(&Relay { ca_only: true, ..Relay::default() }),
            Ok(()),
            "its pairing may have one"
        );
        let dir = tempfile::tempdir().unwrap();
        let (nothing, text) = (dir.path().join("nothing"), dir.path().join("text"));
        std::fs::write(&text, "no PEM\n").unwrap();
        let named = |relay: Relay| check_files(&relay).unwrap_err();
        for file in [&nothing, &text] {
            let of = |key: &str| format!("{key} = {}: ", file.display());
            let ca_file = Some(PathBuf::from(file));
            let said = named(Relay { ca_file, ..Relay::default() });
            assert!(said.starts_with(&of("relay.ca_file")), "{said}");
            let client = ClientCert { choice: ClientCertChoice::File(file.clone()), key_file: None };
            let said = named(Relay { client, ..Relay::default() });
            assert!(said.starts_with(&of("relay.client_cert")), "{said}");
        }
        let proxy = Proxy { password_file: Some(nothing.clone()), ..Proxy::default() };
        let said = named(Relay { proxy, ..Relay::default() });
        assert!(said.starts_with(&format!("relay.proxy_password_file = {}: ", nothing.display())), "{said}");
    }
}
