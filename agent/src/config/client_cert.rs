//! What a relay is shown that asks for a client certificate.

use std::path::PathBuf;

use super::settings::{Setting, optional, quoted};

/// What a relay is shown that asks for a client certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCert {
    /// Which one.
    pub choice: ClientCertChoice,
    /// PEM file with the key of a certificate that is a file; without it the key stands in that file as well.
    pub key_file: Option<PathBuf>,
}

/// Which certificate is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ClientCertChoice {
    /// One that the agent makes from its own key.
    #[default]
    OwnKey,
    /// None.
    Off,
    /// One that somebody has issued: a PEM file, leaf first.
    File(PathBuf),
}

const OWN_KEY: &str = "own-key";
const OFF: &str = "off";

pub(super) const CERT: Setting = Setting {
    key: "relay.client_cert",
    take: |config, given| {
        config.relay.client.choice = match given.text()? {
            OWN_KEY => ClientCertChoice::OwnKey,
            OFF => ClientCertChoice::Off,
            _ => {
                let refused =
                    || "must be \"own-key\", \"off\", or the absolute path of a PEM file".to_owned();
                ClientCertChoice::File(given.path().ok().flatten().ok_or_else(refused)?)
            }
        };
        Ok(())
    },
    show: |config| match &config.relay.client.choice {
        ClientCertChoice::OwnKey => quoted(OWN_KEY),
        ClientCertChoice::Off => quoted(OFF),
        ClientCertChoice::File(path) => quoted(path.display()),
    },
};

pub(super) const KEY: Setting = Setting {
    key: "relay.client_key",
    take: |config, given| {
        config.relay.client.key_file = given.path()?;
        Ok(())
    },
    show: |config| optional(config.relay.client.key_file.as_ref().map(|path| path.display())),
};

#[cfg(test)]
mod tests {
    use super::super::settings::Given;
    use super::*;
    use crate::config::Config;
    use crate::paths::Paths;

    #[test]
    fn a_word_or_a_path_is_taken_and_shown() {
        let mut config = Config::new(&Paths::find(|_| None, true).unwrap());
        let file = ClientCertChoice::File("/etc/agent.pem".into());
        for (text, choice) in
            [("off", ClientCertChoice::Off), ("/etc/agent.pem", file), ("own-key", ClientCertChoice::OwnKey)]
        {
            (CERT.take)(&mut config, &Given::Text(text.to_owned())).unwrap();
            assert_eq!((&config.relay.client.choice, (CERT.show)(&config)), (&choice, quoted(text)));
        }
        for text in ["", "on", "agent.pem"] {
            let why = (CERT.take)(&mut config, &Given::Text(text.to_owned())).unwrap_err();
            assert!(why.contains("own-key"), "{text}: {why}");
        }
    }
}
