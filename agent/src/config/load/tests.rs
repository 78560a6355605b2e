//! The layers, their order, and the words of every error.

use std::collections::BTreeSet;

use super::*;
use crate::config::{BaudChoice, DEFAULT_TOML, PortChoice, ProfileChoice, ProxyChoice};

fn paths_in(dir: &Path) -> Paths {
    Paths { config: dir.join("etc"), state: dir.join("state"), runtime: dir.join("run") }
}

fn load_text(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    let loaded = load(&paths_in(dir.path()), Some(&file), [], &[]);
    loaded.map(|loaded| loaded.config).map_err(|error| {
        let text = error.to_string();
        assert!(text.contains("agent.toml"), "{text}");
        text
    })
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn the_shipped_file_equals_the_defaults_and_names_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, DEFAULT_TOML).unwrap();
    let paths = paths_in(dir.path());
    let loaded = load(&paths, Some(&file), [], &[]).unwrap();
    assert_eq!(loaded.config, Config::new(&paths));
    let named: BTreeSet<&str> = loaded.origins.keys().copied().collect();
    assert_eq!(named, keys().collect());
}

#[test]
fn what_is_shown_can_be_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths_in(dir.path());
    let set = variables(&[
        ("SPOOLWAY_AGENT_RELAY_URL", "wss://relay.example:9"),
        ("SPOOLWAY_AGENT_PRINTER_BAUD", "auto"),
        ("SPOOLWAY_AGENT_PRINTER_PORT", "auto"),
    ]);
    let loaded = load(&paths, None, set, &[]).unwrap();
    assert_eq!(
        (&loaded.config.printer.port, loaded.config.printer.baud),
        (&PortChoice::Auto, BaudChoice::Auto)
    );
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, render(&loaded)).unwrap();
    let again = load(&paths, Some(&file), [], &[]).unwrap();
    assert_eq!(again.config, loaded.config);
    assert!(render(&loaded).contains("# SPOOLWAY_AGENT_PRINTER_BAUD"));
}

#[test]
fn later_layers_win() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths_in(dir.path());
    std::fs::create_dir_all(paths.config.join("profiles")).unwrap();
    std::fs::write(
        paths.config_file(),
        "[printer]\nport = \"/dev/file\"\nbaud = 250000\nprofile = \"marlin\"\n[log]\nlevel = \"warn\"\n",
    )
    .unwrap();
    let set = variables(&[
        ("SPOOLWAY_AGENT_PRINTER_PORT", "/dev/variable"),
        ("SPOOLWAY_AGENT_PRINTER_BAUD", "57600"),
        ("SPOOLWAY_AGENT_RELAY_ALLOW_UNBOUND", "true"),
        ("SPOOLWAY_AGENT_CONFIG", "/elsewhere"),
        ("SPOOLWAY_LOG", "info,spoolway_agent=debug"),
        ("UNRELATED", "x"),
    ]);
    let flags = [Flag { key: "printer.port".into(), value: "/dev/flag".into() }];
    let loaded = load(&paths, None, set, &flags).unwrap();
    let config = &loaded.config;
    assert_eq!(config.printer.port.path(), Some(Path::new("/dev/flag")));
    assert_eq!(config.printer.baud, 57_600.into());
    assert_eq!(config.printer.profile, ProfileChoice::Id("marlin".into()));
    assert_eq!(config.log.level, "info,spoolway_agent=debug");
    assert!(config.relay.allow_unbound && !config.relay.ca_only);
    assert_eq!(config.profiles.folder, Some(paths.config.join("profiles")));
    assert_eq!(*loaded.origin("printer.profile"), Origin::File { path: paths.config_file(), line: 4 });
    assert_eq!(*loaded.origin("printer.port"), Origin::Flag);
    assert_eq!(*loaded.origin("socket"), Origin::Default);
}

#[test]
fn a_missing_file_matters_only_when_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths_in(dir.path());
    assert_eq!(load(&paths, None, [], &[]).unwrap().config, Config::new(&paths));
    let error = load(&paths, Some(&dir.path().join("none.toml")), [], &[]).unwrap_err().to_string();
    assert!(error.contains("none.toml: the configuration cannot be read"), "{error}");
    let error = load(&paths, Some(dir.path()), [], &[]).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn errors_name_file_line_key_and_value() {
    let said = |text: &str, parts: &[&str]| {
        let error = load_text(text).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error} lacks one of {parts:?}");
    };
    said("[printer]\n\nbaud = 7\n", &["line 3", "printer.baud = 7", "from 1200 to 4000000"]);
    said("[printer]\nbaud = \"115200\"\n", &["line 2", "printer.baud = \"115200\"", "whole number"]);
    said(
        "[printer]\nprot = \"/dev/x\"\n",
        &["line 2", "`printer.prot`", "\"/dev/x\"", "did you mean `printer.port`"],
    );
    said("port = \"/dev/x\"\n", &["line 1", "`port`", "did you mean `printer.port`"]);
    said("[colours]\nred = 1\n", &["line 2", "no setting `colours.red`"]);
    said("[printer.port]\npath = 1\n", &["line 1", "printer.port = a table", "in quotes"]);
    said("[colours]\n", &["line 1", "no setting `colours`"]);
    said("[printer\n", &["line 1", "not TOML"]);
    said("[log]\nlevel = \"inof\"\n", &["line 2", "log.level = \"inof\""]);
    said("[log]\nformat = \"xml\"\n", &["log.format = \"xml\"", "auto, human, json or journald"]);
    said("[log]\nfiles = true\n", &["log.files"]);
    said("[log]\nfiles = \"yes\"\n", &["log.files = \"yes\"", "auto, always or never"]);
    said("[relay]\nurl = \"http://relay.example\"\n", &["relay.url", "wss://"]);
    said("[relay]\nallow_unbound = 1\n", &["relay.allow_unbound = 1", "true or false"]);
    said("state_dir = \"here\"\n", &["state_dir = \"here\"", "absolute"]);
    said("[spool]\nmax_job_bytes = 99999999999999999999\n", &["spool.max_job_bytes", "whole number"]);
    assert!(load_text("[printer]\n").is_ok());
}

#[test]
fn errors_name_variable_and_flag() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths_in(dir.path());
    let error = |name: &str, value: &str| {
        load(&paths, None, variables(&[(name, value)]), &[]).unwrap_err().to_string()
    };
    let text = error("SPOOLWAY_AGENT_PRINTER_BAUD", "fast");
    assert!(text.starts_with("SPOOLWAY_AGENT_PRINTER_BAUD: printer.baud = fast: must be"), "{text}");
    let text = error("SPOOLWAY_AGENT_PRINTER_PROT", "/dev/x");
    assert!(text.contains("did you mean `SPOOLWAY_AGENT_PRINTER_PORT`"), "{text}");
    let flags = [Flag { key: "printer.bauds".into(), value: "1".into() }];
    let text = load(&paths, None, [], &flags).unwrap_err().to_string();
    assert!(text.starts_with("command line: there is no setting `printer.bauds`"), "{text}");
}

#[test]
fn no_message_repeats_the_password_of_a_proxy() {
    for key in ["relay.proxy", "relay.proxi", "relay.url"] {
        for value in ["http://me:s3cret@proxy.example:3128", "me:s3cret@proxy.example:3128"] {
            let (above, name) = key.split_once('.').unwrap();
            let error = load_text(&format!("[{above}]\n{name} = \"{value}\"\n")).unwrap_err();
            assert!(
                error.contains(key) && error.contains("me:...@proxy") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
    let config = load_text("[relay]\nproxy = \"http://me@proxy.example:3128\"\n").unwrap();
    assert!(matches!(config.relay.proxy.choice, ProxyChoice::At(url) if url.user.as_deref() == Some("me")));
    let config = load_text("[relay]\nproxy = \"none\"\n").unwrap();
    assert_eq!(config.relay.proxy.choice, ProxyChoice::Straight);
}
