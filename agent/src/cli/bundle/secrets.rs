//! What is known to be secret, or to name somebody, on this machine.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cli::Whereabouts;
use crate::identity::FOLDER;
use crate::redact::Redactor;
use crate::view::JobView;

/// Variables of the environment that may hold a login.
const VARIABLES: [&str; 6] =
    ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// A larger file holds no secret of ours.
const SECRET_BYTES: u64 = 16 * 1024;

/// Everything that this user can read and nobody else is to: the redaction looks for it wherever it may have got to.
pub(super) fn redactor(whereabouts: &Whereabouts, jobs: &[JobView], names: bool) -> Redactor {
    let mut redactor = Redactor::default();
    for login in VARIABLES.iter().filter_map(|name| std::env::var(name).ok()).filter_map(login_of) {
        redactor.secret(&login);
    }
    if let Ok((loaded, _)) = whereabouts.load_of_agent() {
        let password = loaded.config.relay.proxy.password_file.as_ref();
        password.into_iter().for_each(|file| know_lines(&mut redactor, file));
        // Keys are in no part of a bundle; should one get into a log all the same, it goes.
        for file in fs::read_dir(loaded.config.state_dir.join(FOLDER)).into_iter().flatten().flatten() {
            know_key(&mut redactor, &file.path());
        }
    }
    for job in jobs.iter().filter(|_| !names) {
        redactor.file(&job.name);
    }
    if !names {
        ["USER", "SUDO_USER", "LOGNAME"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .filter(|user| user != "root")
            .for_each(|user| redactor.name(&user));
    }
    redactor
}

/// The password of an address, if it has one.
fn login_of(address: String) -> Option<String> {
    let behind = address.split_once("://").map_or(address.as_str(), |(_, behind)| behind);
    let (login, _) = behind.rsplit_once('@')?;
    login.split_once(':').map(|(_, password)| password.to_owned())
}

fn know_lines(redactor: &mut Redactor, file: &Path) {
    /// Shorter lines are numbers and words that stand in everything.
    const LINE_CHARS: usize = 4;
    let is_small = fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() <= SECRET_BYTES);
    let text = if is_small { fs::read_to_string(file).unwrap_or_default() } else { String::new() };
    for line in text.lines().map(str::trim).filter(|line| line.len() >= LINE_CHARS) {
        redactor.secret(line);
    }
}

/// A private key as a text would have it.
fn know_key(redactor: &mut Redactor, file: &Path) {
    let is_key = file.extension().is_some_and(|ending| ending == "p8");
    let is_small = fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() <= SECRET_BYTES);
    if is_key
        && is_small
        && let Ok(key) = fs::read(file)
    {
        redactor.secret(&STANDARD.encode(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_an_address_is_known() {
        for (address, password) in [
            ("http://anna:pa55@proxy:3128", Some("pa55")),
            ("anna:p@ss@proxy:3128", Some("p@ss")),
            ("http://anna@proxy:3128", None),
            ("http://proxy:3128", None),
        ] {
            assert_eq!(login_of(address.to_owned()).as_deref(), password);
        }
    }

    #[test]
    fn files_with_secrets_are_known_line_by_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "hunter2\n\n12\n").unwrap();
        let mut redactor = Redactor::default();
        know_lines(&mut redactor, file.path());
        assert_eq!(redactor.text("hunter2 12"), "[redacted] 12");
        know_lines(&mut redactor, Path::new("/nonexistent"));
    }
}
