//! What systemd and udev are given: files that can be read, start our programs, and name folders that the programs use.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{files, metadata, read, text};

/// Sections and the keys of ours that belong into each.
const UNIT: [&str; 7] = [
    "Description",
    "Documentation",
    "After",
    "Wants",
    "StartLimitIntervalSec",
    "StartLimitBurst",
    "ConditionPathExists",
];
const INSTALL: [&str; 1] = ["WantedBy"];

/// One of several agents.
const INSTANCE: &str = "systemd/spoolway-agent@.service";
/// What installs packages for an agent.
const UPDATER: &str = "systemd/spoolway-update@.service";

/// Keys with their values, by section. A key may stand several times.
fn parse(path: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut sections: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut section = None;
    for (number, line) in read(path).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = Some(name.to_owned());
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{path}:{}: {line}", number + 1));
        let is_word = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric());
        assert!(is_word && value.trim() == value, "{path}:{}: {line}", number + 1);
        let section = section.clone().unwrap_or_else(|| panic!("{path}: {key} stands in no section"));
        sections.entry(section).or_default().push((key.to_owned(), value.to_owned()));
    }
    sections
}

fn value<'a>(service: &'a [(String, String)], key: &str) -> Option<&'a str> {
    service.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

fn programs() -> BTreeSet<String> {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap().iter();
    let targets = packages.flat_map(|package| package["targets"].as_array().unwrap());
    targets
        .filter(|target| target["kind"][0] == "bin")
        .map(|target| text(target, "name").to_owned())
        .collect()
}

#[test]
fn every_unit_can_be_read_and_starts_a_program_of_ours() {
    let programs = programs();
    let units = files("systemd", ".service");
    // What runs once, as root, and what it says.
    let once = [
        ("systemd/spoolway-enrol.service", "enrol"),
        ("systemd/spoolway-setup.service", "setup --yes --boot"),
    ];
    let [(enrol, _), (setup, _)] = once;
    let (agent, relay) = ("systemd/spoolway-agent.service", "systemd/spoolway-relay.service");
    assert_eq!(units, [agent, INSTANCE, enrol, relay, setup, UPDATER]);
    for path in units.iter().filter(|path| *path != UPDATER) {
        let path = path.clone();
        let unit = parse(&path);
        assert_eq!(unit.keys().collect::<Vec<_>>(), ["Install", "Service", "Unit"], "{path}");
        let known = |section: &str, known: &[&str]| {
            unit[section].iter().all(|(key, _)| known.contains(&key.as_str()))
        };
        assert!(known("Unit", &UNIT) && known("Install", &INSTALL), "{path}");
        let service = &unit["Service"];
        let started = value(service, "ExecStart").unwrap();
        let (program, arguments) = started.split_once(' ').unwrap();
        let name = program.strip_prefix("/usr/bin/").unwrap();
        assert_eq!(value(service, "NoNewPrivileges"), Some("yes"), "{path}");
        assert_eq!(value(service, "ProtectSystem"), Some("strict"), "{path}");
        if let Some((_, words)) = once.iter().find(|(unit, _)| *unit == path) {
            assert!(programs.contains(name) && arguments == *words, "{path}: {started}");
            continue;
        }
        assert!(programs.contains(name) && path.contains(name) && arguments == "run", "{path}: {started}");
        for key in ["User", "StateDirectory", "ConfigurationDirectory", "Restart", "TimeoutStopSec"] {
            assert!(value(service, key).is_some(), "{path} has no {key}");
        }
    }
}

/// Root's updater installs packages, so it is shut off from little; it starts when an agent asks, and its copy goes first.
#[test]
fn the_updater_is_started_by_what_an_agent_leaves() {
    let unit = parse(UPDATER);
    let starts: Vec<_> = unit["Service"].iter().filter(|(key, _)| key == "ExecStart").collect();
    let starts: Vec<_> = starts.iter().map(|(_, value)| value.as_str()).collect();
    let copy = "-/var/lib/spoolway-update/updater update apply";
    assert_eq!(starts, [copy, "/usr/bin/spoolway-agent update apply"]);
    assert!(unit["Unit"].iter().all(|(key, _)| UNIT.contains(&key.as_str())));
    for (path, state, instance) in [
        ("spoolway-update.path", "/var/lib/spoolway", "main"),
        ("spoolway-update@.path", "/var/lib/spoolway@%i", "%i"),
    ] {
        let unit = parse(&format!("systemd/{path}"));
        let watched: Vec<_> = unit["Path"].iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert!(watched.contains(&format!("PathExists={state}/update/request.toml")), "{path}");
        assert!(watched.contains(&format!("Unit=spoolway-update@{instance}.service")), "{path}");
    }
}

/// What is mended in one of the two has to be mended in the other.
#[test]
fn one_of_several_agents_differs_by_its_folders_only() {
    let of_one = read("systemd/spoolway-agent.service");
    let settings = |unit: &str| -> Vec<String> {
        unit.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    let mut expected = of_one.replace("print agent\n", "print agent (%i)\n");
    expected = expected
        .replace("Wants=spoolway-update.path", "Wants=spoolway-update@%i.path\nWants=spoolway-update.path");
    for folder in ["ConfigurationDirectory", "StateDirectory", "RuntimeDirectory"] {
        expected = expected.replace(&format!("{folder}=spoolway\n"), &format!("{folder}=spoolway@%i\n"));
    }
    // The folder of the first agent is given to its group by tmpfiles.d, which cannot know the names of the others.
    expected = expected.replace("ConfigurationDirectoryMode=0750", "ConfigurationDirectoryMode=0755");
    assert_eq!(settings(&read(INSTANCE)), settings(&expected));
    let folders = spoolway_agent::paths::Paths::of_instance(&"left".parse().unwrap());
    assert_eq!(folders.socket().to_str(), Some("/run/spoolway@left/agent.sock"));
}

#[test]
fn a_token_is_looked_for_where_the_unit_waits_for_it() {
    let unit = parse("systemd/spoolway-enrol.service");
    let conditions = unit["Unit"].iter().filter(|(key, _)| key == "ConditionPathExists");
    let paths: Vec<_> = conditions.map(|(_, path)| path.trim_start_matches('|')).collect();
    assert_eq!(paths, spoolway_agent::pairing::TOKEN_FILES);
    // What is refused is not tried again; the program says so with this code.
    assert_eq!(value(&unit["Service"], "RestartPreventExitStatus"), Some("64 78"));
}

#[test]
fn answers_are_looked_for_where_the_unit_waits_for_them_and_the_ports_are_those_of_the_agent() {
    let unit = parse("systemd/spoolway-setup.service");
    let conditions = unit["Unit"].iter().filter(|(key, _)| key == "ConditionPathExists");
    let paths: Vec<_> = conditions.filter_map(|(_, path)| path.strip_prefix('|')).collect();
    assert_eq!(paths, spoolway_agent::setup::ANSWER_FILES);
    let done = value(&unit["Service"], "ExecStartPost").unwrap().rsplit(' ').next().unwrap();
    assert!(unit["Unit"].iter().any(|(_, path)| path.strip_prefix('!') == Some(done)), "{done}");
    assert_eq!(value(&unit["Service"], "RestartPreventExitStatus"), Some("64 78"));
    let devices = |unit: &str| -> Vec<String> {
        let service = parse(unit).remove("Service").unwrap();
        service.into_iter().filter(|(key, _)| key == "DeviceAllow").map(|(_, value)| value).collect()
    };
    assert_eq!(devices("systemd/spoolway-setup.service"), devices("systemd/spoolway-agent.service"));
}

#[test]
fn a_unit_promises_to_notify_only_where_the_program_does() {
    for (unit, folder) in
        [("systemd/spoolway-agent.service", "agent"), ("systemd/spoolway-relay.service", "relay/tools")]
    {
        let sources = files(&format!("{folder}/src"), ".rs");
        let says = |word: &str| sources.iter().any(|path| read(path).contains(word));
        let unit = parse(unit);
        let kind = value(&unit["Service"], "Type").unwrap();
        assert_eq!(kind, if says("NotifyState::Ready") { "notify" } else { "exec" }, "{folder}");
        let is_watched = value(&unit["Service"], "WatchdogSec").is_some();
        assert_eq!(is_watched, says("NotifyState::Watchdog"), "{folder}");
    }
}

#[test]
fn the_printers_port_and_the_journal_outlive_the_agent() {
    let unit = parse("systemd/spoolway-agent.service");
    let service = &unit["Service"];
    let expected = [
        ("FileDescriptorStoreMax", "1"),
        ("NotifyAccess", "main"),
        ("RuntimeDirectoryPreserve", "restart"),
        ("RestartSec", "0"),
        ("RestartForceExitStatus", "SIGHUP SIGPIPE"),
    ];
    for (key, wanted) in expected {
        assert_eq!(value(service, key), Some(wanted), "{key}");
    }
    assert_eq!(value(&unit["Unit"], "StartLimitIntervalSec"), Some("0"));
}

/// systemd starts anew with an agent what is part of it, and gives up what is started too often.
#[test]
fn what_is_part_of_an_agent_is_started_with_it_however_often_it_ends() {
    let path = parse("systemd/spoolway-update@.path");
    assert_eq!(value(&path["Unit"], "PartOf"), Some("spoolway-agent@%i.service"));
    assert_eq!(value(&path["Unit"], "StartLimitIntervalSec"), Some("0"));
}

/// Any of them may be the only one that runs, and an update that was broken off waits for its updater.
#[test]
fn every_agent_brings_along_who_looks_for_an_update_that_was_broken_off() {
    for unit in ["systemd/spoolway-agent.service", "systemd/spoolway-agent@.service"] {
        let unit = parse(unit);
        assert!(unit["Unit"].iter().any(|(key, wanted)| key == "Wants" && wanted == "spoolway-update.path"));
    }
    let path = parse("systemd/spoolway-update.path");
    assert!(path["Path"].iter().any(|(_, file)| file == "/var/lib/spoolway-update/order.toml"));
}

#[test]
fn folders_of_the_units_are_those_of_the_programs() {
    let unit = parse("systemd/spoolway-agent.service");
    let runtime = value(&unit["Service"], "RuntimeDirectory").unwrap();
    assert_eq!(format!("/run/{runtime}/agent.sock"), spoolway_agent::paths::SYSTEM_SOCKET);
    let configuration = value(&unit["Service"], "ConfigurationDirectory").unwrap();
    assert_eq!(format!("/etc/{configuration}/agent.toml"), spoolway_agent::paths::SYSTEM_CONFIG);
}

#[test]
fn users_of_the_units_are_made() {
    for name in ["spoolway-agent", "spoolway-relay"] {
        let unit = parse(&format!("systemd/{name}.service"));
        let service = &unit["Service"];
        let made = read(&format!("systemd/{name}.sysusers"));
        let lines: Vec<Vec<&str>> = made
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
            .collect();
        let is_made = |kind: &str, name: &str| lines.iter().any(|line| line[0] == kind && line[1] == name);
        assert!(is_made("u", value(service, "User").unwrap()), "{name}");
        assert!(is_made("g", value(service, "Group").unwrap()), "{name}");
        assert!(lines.iter().all(|line| ["u", "g", "m"].contains(&line[0])), "{name}");
        let tmpfiles = read(&format!("systemd/{name}.tmpfiles"));
        for line in tmpfiles.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let fields: Vec<_> = line.split_whitespace().collect();
            assert!(fields.len() >= 5 && fields[1].starts_with('/'), "{name}: {line}");
        }
    }
}

#[test]
fn udev_rules_are_made_of_matches_and_assignments() {
    let rules = read("systemd/60-spoolway.rules");
    let rules = rules.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut found = 0;
    for rule in rules {
        found += 1;
        for part in rule.split(", ") {
            let quotes = part.matches('"').count();
            let has_operator = ["==\"", "!=\"", "+=\"", "=\""].iter().any(|operator| part.contains(operator));
            assert!(has_operator && quotes == 2 && part.ends_with('"'), "{rule}: {part}");
        }
    }
    assert!(found > 0);
}
