//! Whatever a file looks like: what was wanted is set, and every other byte is where it was.

use proptest::prelude::*;

use super::*;
use crate::config::{BaudChoice, DEFAULT_TOML, Loaded, PortChoice, ProfileChoice, load};
use crate::paths::Paths;

const PORT: &str = "/dev/serial/by-path/pci-0-usb-0:1.2:1.0-port0";

fn chosen() -> Vec<Change> {
    vec![
        Change { key: "printer.port", value: Wanted::Text(PORT.to_owned()) },
        Change { key: "printer.baud", value: Wanted::Number(250_000) },
        Change { key: "printer.profile", value: Wanted::Text("marlin".to_owned()) },
    ]
}

fn loaded(text: &str) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    let folder = |name: &str| dir.path().join(name);
    let paths = Paths { config: folder("etc"), state: folder("state"), runtime: folder("run") };
    load(&paths, Some(&file), [], &[]).unwrap()
}

fn is_chosen(text: &str) {
    let config = loaded(text).config;
    assert_eq!(config.printer.port, PortChoice::Path(PORT.into()), "{text}");
    assert_eq!(config.printer.baud, BaudChoice::Rate(250_000), "{text}");
    assert_eq!(config.printer.profile, ProfileChoice::Id("marlin".into()), "{text}");
}

#[test]
fn the_shipped_file_keeps_every_line_that_was_not_meant() {
    let now = rewrite(DEFAULT_TOML, &chosen()).unwrap();
    is_chosen(&now);
    let differing = DEFAULT_TOML.lines().zip(now.lines()).filter(|(was, is)| was != is).count();
    assert_eq!((differing, now.lines().count()), (3, DEFAULT_TOML.lines().count()));
    assert_eq!(rewrite(&now, &chosen()).unwrap(), now, "what is so already stays");
}

#[test]
fn each_way_to_write_a_section_is_kept() {
    let port = Change { key: "printer.port", value: Wanted::Text("/dev/b".to_owned()) };
    let set = |text: &str| rewrite(text, std::slice::from_ref(&port)).unwrap();
    for (was, is) in [
        ("", "[printer]\nport = \"/dev/b\"\n"),
        ("# mine", "# mine\n\n[printer]\nport = \"/dev/b\"\n"),
        ("[printer]\nport = '/dev/a' # left\n", "[printer]\nport = \"/dev/b\" # left\n"),
        ("[printer]", "[printer]\nport = \"/dev/b\"\n"),
        ("[printer] # it\n# end", "[printer] # it\nport = \"/dev/b\"\n# end"),
        ("[printer]\nbaud = 9600", "[printer]\nbaud = 9600\nport = \"/dev/b\"\n"),
        (
            "[printer]\nvolume_mm = [1,\n 2,\n 3] # mm\n\n[log]\nlevel = \"warn\"\n",
            "[printer]\nvolume_mm = [1,\n 2,\n 3] # mm\nport = \"/dev/b\"\n\n[log]\nlevel = \"warn\"\n",
        ),
        ("printer.baud = 9600\n[log]\n", "printer.baud = 9600\nprinter.port = \"/dev/b\"\n[log]\n"),
        ("printer = { baud = 9600 }\n", "printer = { port = \"/dev/b\", baud = 9600 }\n"),
        ("printer = {}\n", "printer = { port = \"/dev/b\" }\n"),
        ("\"printer\".\"port\" = \"/dev/a\"\n", "\"printer\".\"port\" = \"/dev/b\"\n"),
        ("[printer]\r\nbaud = 9600\r\n", "[printer]\r\nbaud = 9600\r\nport = \"/dev/b\"\r\n"),
        (
            "[printer]\nport = \"\"\"\n/dev/a\"\"\" # two lines\n",
            "[printer]\nport = \"/dev/b\" # two lines\n",
        ),
    ] {
        assert_eq!(set(was), is, "of {was:?}");
    }
    let root = [Change { key: "socket", value: Wanted::Text("/run/x".to_owned()) }];
    assert_eq!(rewrite("# mine\n[log]\n", &root).unwrap(), "socket = \"/run/x\"\n# mine\n[log]\n");
    assert_eq!(rewrite("socket = '' # it\n", &root).unwrap(), "socket = \"/run/x\" # it\n");
}

#[test]
fn what_cannot_be_changed_in_its_place_is_refused() {
    let port = [Change { key: "printer.port", value: Wanted::Text("/dev/b".to_owned()) }];
    for text in
        ["printer = 1\n", "[[printer]]\nport = '/dev/a'\n", "[printer.port]\n", "[printer.port]\nx = 1\n"]
    {
        assert_eq!(rewrite(text, &port), Err(RewriteError::Place("printer.port")), "{text}");
    }
    assert!(matches!(rewrite("[printer\n", &port), Err(RewriteError::Syntax(_))));
    let unknown = [Change { key: "printer.prot", value: Wanted::Number(1) }];
    assert_eq!(rewrite("", &unknown), Err(RewriteError::UnknownKey("printer.prot".to_owned())));
}

/// A line that an administrator may have written, of the section with this place.
fn line(section: usize) -> impl Strategy<Value = String> {
    let settings: &'static [&'static str] = match section {
        0 => &[
            "port = '/dev/ttyACM7'",
            "baud = 0x2580",
            "profile = \"prusa-mk\"",
            "nozzle_mm = 0.4",
            "volume_mm = [\n  220, 220, # X and Y\n  250,\n]",
            "model = \"\"\"Ender \\\n  3 # no comment\"\"\"",
        ],
        1 => &["level = 'info'", "format = \"json\""],
        _ => &["url = \"wss://relay.example\"", "ca_only = true"],
    };
    let comment = "[ -~äöü#\\[\\]=]{0,30}".prop_map(|text| format!("# {text}"));
    let setting = (prop::sample::select(settings), "( *| *# [a-z =\\[\"]{0,12})")
        .prop_map(|(setting, comment)| format!("{setting}{comment}"));
    prop_oneof![comment, Just(String::new()), setting]
}

/// A file in its sections, each setting at most once, ended by one kind of newline, with or without the last one.
fn file() -> impl Strategy<Value = String> {
    let lines = |section| prop::collection::vec(line(section), 0..8);
    let order = Just(vec![0, 1, 2]).prop_shuffle();
    (order, lines(0), lines(1), lines(2), any::<[bool; 5]>()).prop_map(|(order, a, b, c, with)| {
        let bodies = [a, b, c];
        let mut text = Vec::new();
        for section in order.into_iter().filter(|&section| with[section]) {
            text.push(format!("[{}]", ["printer", "log", "relay"][section]));
            let mut seen = Vec::new();
            for line in &bodies[section] {
                let name = line.split(" = ").next().unwrap_or_default().to_owned();
                if line.starts_with('#') || line.is_empty() || !seen.contains(&name) {
                    text.push(line.clone());
                    seen.push(name);
                }
            }
        }
        let newline = if with[3] { "\r\n" } else { "\n" };
        let text = text.join("\n").replace('\n', newline);
        if with[4] { text + newline } else { text }
    })
}

/// The comments in the order in which they stand. A value that is exchanged may have had none inside.
fn comments(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.find("# ").map(|at| &line[at..])).collect()
}

proptest! {
    #[test]
    fn comments_and_settings_survive_and_what_was_chosen_is_loaded(text in file()) {
        let now = rewrite(&text, &chosen()).unwrap();
        is_chosen(&now);
        prop_assert_eq!(comments(&text), comments(&now));
        let (was, is) = (loaded(&text).config, loaded(&now).config);
        let back = |mut config: crate::config::Config| {
            config.printer = was.printer.clone();
            (config.printer, config.preflight, config.log, config.relay)
        };
        prop_assert_eq!(back(is), back(was.clone()));
        prop_assert_eq!(rewrite(&now, &chosen()).unwrap(), now, "once more changes nothing");
    }

    #[test]
    fn no_text_makes_it_fall_over(text in "\\PC{0,80}", lines in "(\\[?printer\\]?\\.?|port|=|\\{|\\}|\"|'|\n|#| |1){0,30}") {
        for text in [text, lines] {
            if let Ok(now) = rewrite(&text, &chosen()) {
                prop_assert!(rewrite(&now, &chosen()).is_ok(), "{}", now);
            }
        }
    }
}

#[test]
fn what_is_typed_is_toml_where_the_key_takes_it_so_and_else_text() {
    for (key, typed, written) in [
        ("printer.baud", "250000", "250000"),
        ("printer.baud", "auto", "\"auto\""),
        ("printer.port", "/dev/ttyUSB0", "\"/dev/ttyUSB0\""),
        ("printer.port", "\"/dev/ttyUSB0\"", "\"/dev/ttyUSB0\""),
        ("printer.model", "42", "\"42\""),
        ("printer.volume_mm", "[250, 210, 210]", "[250, 210, 210]"),
        ("printer.parity_workaround", " true", "true"),
        ("relay.url", "wss://relay.example.org", "\"wss://relay.example.org\""),
        ("relay.url", "", "\"\""),
        ("log.level", "info,spoolway_agent=debug", "\"info,spoolway_agent=debug\""),
    ] {
        let change = Change::typed(key, typed).unwrap();
        assert_eq!((change.key, change.value.to_string().as_str()), (key, written));
    }
    for (key, typed, said) in [
        ("printer.bauds", "1", "did you mean `printer.baud`?"),
        ("printer.baud", "12", "from 1200 to 4000000"),
        ("printer.baud", "1\nport = 2", "must be a whole number"),
        ("printer.parity_workaround", "yes", "must be true or false"),
        ("printer.port", "ttyUSB0", "must be an absolute path"),
        ("printer", "1", "there is no setting"),
    ] {
        let error = Change::typed(key, typed).unwrap_err().to_string();
        assert!(error.contains(said), "{key}={typed}: {error}");
    }
}

#[test]
fn every_key_can_be_set_to_what_is_shown_of_it() {
    let was = loaded(DEFAULT_TOML);
    for key in keys() {
        let change = Change::typed(key, &was.shown(key)).unwrap_or_else(|error| panic!("{key}: {error}"));
        let text = rewrite("# mine\n", &[change]).unwrap();
        let now = loaded(&text);
        assert_eq!(now.shown(key), was.shown(key), "{text}");
        assert!(matches!(now.origin(key), crate::config::Origin::File { .. }), "{text}");
    }
}
