use super::*;

const UNIT: &str = "spoolway-agent.service";

/// Asks a journalctl that was told what to say.
fn all(script: &str, wanted: Wanted) -> Result<Vec<LogLine>, Failure> {
    let mut program = Command::new("sh");
    program.args(["-c", script, "journalctl"]);
    let mut journal = Journal::ask_program(program, UNIT, wanted)?;
    std::iter::from_fn(|| journal.next().transpose()).collect()
}

#[test]
fn entries_of_ours_and_of_systemd_become_lines() {
    let script = r#"cat <<'END'
{"__REALTIME_TIMESTAMP":"1760000000123456","PRIORITY":"4","TARGET":"spoolway_agent::desk","MESSAGE":"print interrupted job=j1 line=7","F_JOB":"j1","F_LINE":"7"}
{"__REALTIME_TIMESTAMP":"1760000001000000","PRIORITY":"3","SYSLOG_IDENTIFIER":"systemd","MESSAGE":"Main process exited, code=killed"}
not json
{"__REALTIME_TIMESTAMP":"1760000002000000","MESSAGE":[27,91,50,74]}
END"#;
    let lines = all(script, Wanted::default()).unwrap();
    let said: Vec<_> =
        lines.iter().map(|line| (line.level, line.target.as_str(), line.text.as_str())).collect();
    assert_eq!(
        said,
        [
            (Level::Warn, "spoolway_agent::desk", "print interrupted"),
            (Level::Error, "systemd", "Main process exited, code=killed"),
            (Level::Info, "", "\u{1b}[2J"),
        ]
    );
    assert_eq!(lines[0].at_ms, 1_760_000_000_123);
    assert_eq!(lines[0].fields, [("job".to_owned(), "j1".to_owned()), ("line".to_owned(), "7".to_owned())]);
    assert!(!lines[2].human(false).contains('\u{1b}'));
}

#[test]
fn it_is_asked_for_the_unit_and_the_time() {
    let script = r#"printf '{"__REALTIME_TIMESTAMP":"1","MESSAGE":"%s"}\n' "$*""#;
    let wanted = Wanted { lines: Some(5), since_ms: Some(1_760_000_000_999), follow: true };
    let asked = all(script, wanted).unwrap();
    let words =
        "--unit spoolway-agent.service --output json --no-pager --lines 5 --since @1760000000 --follow";
    assert_eq!(asked[0].text, words);
    assert!(all(script, Wanted::default()).unwrap()[0].text.ends_with("--lines all"));
}

#[test]
fn whoever_may_not_read_it_is_told() {
    for hint in [
        "No journal files were opened due to insufficient permissions.",
        "Hint: You are currently not seeing messages from other users and the system.",
    ] {
        for code in [0, 1] {
            let failure = all(&format!("echo '{hint}' >&2; exit {code}"), Wanted::default()).unwrap_err();
            assert!(failure.text().contains("may not read the journal"), "{}", failure.text());
            assert!(failure.help().contains("systemd-journal"));
        }
    }
    let failure = all("echo 'no such unit' >&2; exit 1", Wanted::default()).unwrap_err();
    assert!(failure.text().ends_with("cannot be asked: no such unit"), "{}", failure.text());
    let failure =
        Journal::ask_program(Command::new("/nonexistent/journalctl"), UNIT, Wanted::default()).unwrap_err();
    assert!(failure.text().contains("cannot be asked: No such file"), "{}", failure.text());
}
