//! The guide's example is a valid profile, and its table says what the files say.
//!
//! `UPDATE_DOCS=1 cargo test -p spoolway-firmware-profiles --test guide` writes the table anew.

use std::fs;
use std::path::PathBuf;

use spoolway_firmware_profiles::profile::Status;
use spoolway_firmware_profiles::{HostWaits, Origin, Profile, Registry, Sequence, Window, advice, parse};

const BEGIN: &str = "<!-- profiles: begin -->\n";
const END: &str = "<!-- profiles: end -->";

fn guide() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/profiles.md")
}

fn table() -> String {
    let mut table =
        "| id | firmware | window | order of lines | heat waits by the agent | status | sources |\n\
                     |---|---|---|---|---|---|---|\n"
            .to_owned();
    for known in Registry::built_in().iter() {
        table.push_str(&row(&known.profile));
    }
    table
}

fn row(profile: &Profile) -> String {
    let flow = &profile.flow;
    let window = match flow.window {
        Window::OneLine => "one line".to_owned(),
        Window::Bytes => format!("{} bytes", flow.rx_bytes - 1),
        Window::BytesAndQueue => format!("{} bytes and {} lines", flow.rx_bytes - 1, flow.queue_lines),
        Window::AdvancedOk => format!("{} bytes, more where `ok` says so", flow.rx_bytes - 1),
        Window::CharacterCount => format!("{} characters", flow.rx_bytes - 1),
        Window::UsbBackPressure => format!("{} lines, USB holds back", flow.max_lines),
    };
    let order = match profile.recovery.sequence {
        Sequence::Verified => "checked",
        Sequence::Unverified => "not checked",
    };
    let waits = match profile.temperature.host_waits {
        HostWaits::Never => "never",
        HostWaits::WhenDeaf => "without emergency parser",
        HostWaits::Always => "always",
    };
    let status = match profile.status {
        Status::Verified => "verified",
        Status::Unverified => "**unverified**",
    };
    let sources = profile.sources.join("; ");
    format!("| {} | {} | {window} | {order} | {waits} | {status} | {sources} |\n", profile.id, profile.name)
}

#[test]
fn the_table_says_what_the_files_say() {
    let text = fs::read_to_string(guide()).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (said, tail) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(guide(), format!("{head}{BEGIN}{}{END}{tail}", table())).unwrap();
        return;
    }
    assert_eq!(said, table(), "write it anew with UPDATE_DOCS=1");
}

#[test]
fn the_example_is_valid_and_needs_no_advice() {
    let text = fs::read_to_string(guide()).unwrap();
    let (_, rest) = text.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let origin = Origin::File("attic-ender.toml".into());
    let profile = match parse(&origin, example) {
        Ok(profile) => profile,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(profile.flow.rx_bytes, 1024);
    assert_eq!(advice(&profile, &origin), Vec::<String>::new());
}
