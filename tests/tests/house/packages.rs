//! What the Debian packages are made of is there, and asks nobody anything.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tree::{files, metadata, read, root, text};

/// Crate folder and package.
const PACKAGES: [(&str, &str); 2] = [("agent", "spoolway-agent"), ("relay/tools", "spoolway-relay")];
/// What `packaging/build` makes: the programs, their manual pages and completions.
const BUILT: &str = "target/release/";

fn manifest(folder: &str) -> toml::Table {
    read(&format!("{folder}/Cargo.toml")).parse().unwrap()
}

fn deb(folder: &str) -> toml::Table {
    manifest(folder)["package"]["metadata"]["deb"].as_table().unwrap().clone()
}

/// Where each file of a package comes from and goes.
fn assets(folder: &str) -> Vec<(String, String)> {
    let deb = deb(folder);
    let assets = deb["assets"].as_array().unwrap().iter();
    let word = |asset: &toml::Value, at: usize| asset[at].as_str().unwrap().to_owned();
    assets.map(|asset| (word(asset, 0), word(asset, 1))).collect()
}

#[test]
fn every_file_of_a_package_is_there() {
    for (folder, name) in PACKAGES {
        let assets = assets(folder);
        assert!(assets.len() > 8, "{name}");
        for (from, _) in assets.iter().filter(|(from, _)| !from.starts_with(BUILT)) {
            assert!(root().join(folder).join(from).exists(), "{name}: {from}");
        }
        let deb = deb(folder);
        for key in ["changelog", "maintainer-scripts"] {
            let path = Path::new(folder).join(deb[key].as_str().unwrap());
            assert!(root().join(&path).exists(), "{name}: {}", path.display());
        }
        // Neither of the two is listed: cargo-deb finds them by their names.
        for ending in ["service", "sysusers"] {
            assert!(root().join(format!("systemd/{name}.{ending}")).exists(), "{name}.{ending}");
        }
    }
}

/// A conffile makes dpkg ask as soon as somebody else has written it, and whoever upgrades by night does not answer.
#[test]
fn no_package_has_a_file_in_etc() {
    for (folder, name) in PACKAGES {
        for (_, to) in assets(folder) {
            assert!(to.starts_with("usr/"), "{name}: {to}");
        }
        assert!(!deb(folder).contains_key("conf-files"), "{name}");
    }
}

#[test]
fn every_unit_and_rule_is_in_a_package() {
    let listed: BTreeSet<String> =
        PACKAGES.iter().flat_map(|(folder, _)| assets(folder)).map(|(from, _)| from).collect();
    for path in files("systemd", "") {
        let name = path.trim_start_matches("systemd/");
        let is_found = PACKAGES.iter().any(|(_, package)| {
            let found = [".service", "@.service", ".sysusers"];
            found.iter().any(|ending| name == format!("{package}{ending}"))
        });
        let is_listed = listed.iter().any(|from| from.trim_start_matches("../") == path);
        assert!(is_found != is_listed, "{path} is in no package, or twice");
    }
}

#[test]
fn what_runs_is_not_stopped_by_an_upgrade() {
    for (folder, name) in PACKAGES {
        let deb = deb(folder);
        let units = &deb["systemd-units"];
        for key in ["stop-on-upgrade", "restart-after-upgrade", "start"] {
            assert_eq!(units[key].as_bool(), Some(false), "{name}: {key}");
        }
    }
}

/// `systemctl restart` of a program that ends again and again has no end of its own, and a package manager waits for it.
#[test]
fn both_packages_start_their_programs_within_a_bound_and_in_the_same_way() {
    let [agent, relay] = ["agent", "relay"].map(|name| read(&format!("packaging/{name}/postinst")));
    let way = |script: &str| script.split_once("#DEBHELPER#").unwrap().0.to_owned();
    assert_eq!(way(&agent), way(&relay));
    for script in [agent, relay] {
        let starts: Vec<_> = script.lines().filter(|line| line.contains("deb-systemd-invoke ")).collect();
        assert!(!starts.is_empty());
        for line in starts {
            let ahead = line.split_once("deb-systemd-invoke ").unwrap().0.trim_end();
            let (bounded, seconds) = ahead.rsplit_once(' ').unwrap();
            assert!(bounded.ends_with("timeout") && seconds.parse::<u32>().is_ok(), "{line}");
        }
        let commands = script.lines().filter(|line| !line.starts_with('#'));
        assert!(
            !commands.into_iter().any(|line| line.contains("systemctl restart")),
            "it waits without an end"
        );
    }
}

#[test]
fn the_packages_changelog_begins_with_this_version() {
    let packages = metadata(&["--no-deps"]);
    let packages = packages["packages"].as_array().unwrap();
    let agent = packages.iter().find(|package| text(package, "name") == "spoolway-agent").unwrap();
    let begin = format!("spoolway ({}-1) ", text(agent, "version"));
    assert!(read("packaging/changelog").starts_with(&begin), "{begin:?}");
}

#[test]
fn maintainers_scripts_leave_room_for_what_is_generated() {
    for path in files("packaging/agent", "").into_iter().chain(files("packaging/relay", "")) {
        if ["preinst", "postinst", "prerm", "postrm"].iter().any(|script| path.ends_with(script)) {
            let script = read(&path);
            assert!(script.starts_with("#!/bin/sh\nset -e\n"), "{path}");
            assert_eq!(script.matches("\n#DEBHELPER#\n").count(), 1, "{path}");
        }
    }
}
