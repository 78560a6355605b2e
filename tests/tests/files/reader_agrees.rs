//! The agent's reader and the reading of a file that the checkers hold prints against are two programs that agree.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use spoolway_agent_core::gcode::{LineError, Reader};
use spoolway_tests::expected::Commands;

type Command = (u64, String);

fn by_the_agent(file: &[u8]) -> (Vec<Command>, Option<LineError>) {
    let mut reader = Reader::new();
    let mut found = Vec::new();
    let mut take = |command: &[u8], at: spoolway_agent_core::gcode::Position| {
        found.push((at.line, String::from_utf8_lossy(command).into_owned()));
    };
    let taken = reader.push(file, &mut take).and_then(|()| reader.finish(&mut take));
    (found, taken.err())
}

fn by_the_checkers(file: &[u8]) -> Vec<Command> {
    Commands::of(Arc::from(file))
        .map(|command| (command.line, String::from_utf8_lossy(&command.text).into_owned()))
        .collect()
}

/// Equal to the end, or to the line at which the agent refuses the file.
fn compare(file: &[u8]) -> Result<usize, String> {
    let (found, error) = by_the_agent(file);
    let mut expected = by_the_checkers(file);
    if let Some(error) = &error {
        expected.retain(|(line, _)| *line < error.line);
    }
    match expected.iter().zip(&found).find(|(expected, found)| expected != found) {
        None if expected.len() == found.len() => Ok(found.len()),
        difference => Err(format!("{difference:?} of {} and {}, {error:?}", expected.len(), found.len())),
    }
}

fn line() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        6 => "G[01]( [XYZEF]-?[0-9]{1,4}(\\.[0-9]{1,4})?){1,5}",
        2 => "[ \t]{0,2}[GMT][0-9]{1,3}( [A-Z][0-9.]{1,5}){0,3}[ \t]{0,2}",
        1 => "[ \t]{0,2}\\([a-z ]{0,9}\\)? ?G1 ?\\(?X[0-9]\\)?",
        2 => "M(0|1|117|118|1170|23) [ -:<-~]{0,20}",
        1 => "N[0-9]{1,4} ?[GM][0-9]{1,3}( X[0-9])?(\\*[0-9]{1,3})?",
        1 => "(N0 )?M110( N0)?",
        1 => "[ -~]{0,12}",
        1 => "M117 [°é\\\\]{1,3}",
        2 => "",
    ];
    let comment = prop_oneof![3 => Just(String::new()), 1 => ";[ -~]{0,30}", 1 => "; °\t;"];
    let end = prop_oneof![4 => Just("\n"), 1 => Just("\r\n")];
    (text, comment, end).prop_map(|(text, comment, end)| format!("{text}{comment}{end}"))
}

fn config() -> ProptestConfig {
    let mut config = ProptestConfig { cases: 2_000, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(20_000);
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn on_whatever_people_write(lines in prop::collection::vec(line(), 0..20)) {
        let file = lines.concat();
        let agreed = compare(file.as_bytes());
        prop_assert!(agreed.is_ok(), "{:?}: {:?}", file, agreed);
    }
}

#[test]
fn on_what_slicers_write() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("the sliced files are there") {
        let path = entry.expect("a file of the folder").path();
        if path.is_dir() {
            continue;
        }
        let file = std::fs::read(&path).expect("a file can be read");
        let agreed = compare(&file);
        assert!(agreed.as_ref().is_ok_and(|count| *count > 1_000), "{}: {agreed:?}", path.display());
        files += 1;
    }
    assert!(files >= 3, "{files} files");
}
