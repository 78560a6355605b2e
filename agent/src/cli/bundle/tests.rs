use super::*;

#[test]
fn jobs_are_told_without_their_names() {
    let jobs = [super::super::jobs::tests::job("j1", spoolway_protocol::JobState::Failed, 5)];
    let text = summary(&jobs, false);
    assert!(text.contains("\"name\": \"[name]\"") && text.contains("\"job_id\": \"j1\""), "{text}");
    assert!(summary(&jobs, true).contains("a long name"));
}

#[test]
fn a_log_names_nobody_and_no_part() {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = vec![
        field("job", "j1"),
        field("file", "Anna's vase.gcode"),
        field("actor", "anna"),
        field("file", "/var/lib/spoolway/wire.log"),
    ];
    let line = LogLine {
        at_ms: 0,
        level: Level::Info,
        target: String::new(),
        text: "print starts".to_owned(),
        fields,
    };
    assert_eq!(without_people(line.clone(), true), line);
    let values: Vec<String> =
        without_people(line, false).fields.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["j1", "[name]", "[name]", "/var/lib/spoolway/wire.log"]);
}
