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

/// Empty records of these jobs, each of its first attempt.
fn records(dir: &Path, jobs: &[&str]) -> Records {
    let shelf = Shelf::of(dir);
    std::fs::create_dir(dir.join(crate::post_mortem::FOLDER)).unwrap();
    for (at, job) in jobs.iter().enumerate() {
        let path = dir.join(crate::post_mortem::FOLDER).join(format!("{at:08}-{job}.1.json"));
        std::fs::write(path, "{}").unwrap();
    }
    let kept = shelf.list().unwrap();
    Records(Ok((shelf, kept)))
}

#[test]
fn a_job_is_meant_by_as_much_of_its_id_as_is_its_own_with_an_agent_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let records = records(dir.path(), &["a1-cab9", "a2-77f0"]);
    let jobs = [super::super::jobs::tests::job("a1-0001", spoolway_protocol::JobState::Failed, 5)];
    let which = |jobs: Option<&[JobView]>, typed: &str| {
        wanted(jobs, &records, typed).map_err(|no| no.text().to_owned())
    };
    assert_eq!(which(None, "cab9").as_deref(), Ok("a1-cab9"));
    assert_eq!(which(None, "a2").as_deref(), Ok("a2-77f0"));
    assert!(which(None, "a").unwrap_err().contains("may be any of 2 jobs: a1-cab9, a2-77f0"));
    // The agent's own jobs come first, and a record may be left of one that it has lost.
    assert_eq!(which(Some(&jobs), "a1").as_deref(), Ok("a1-0001"));
    assert_eq!(which(Some(&jobs), "cab9").as_deref(), Ok("a1-cab9"));
    for agent in [&jobs[..], &[]] {
        assert_eq!(which(Some(agent), "nosuch").unwrap_err(), "the agent has no job \"nosuch\"");
    }
    // Without one there is nothing better than a bundle without it.
    assert_eq!(which(None, "nosuch").as_deref(), Ok("nosuch"));
}

#[test]
fn a_record_that_is_not_there_or_is_none_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let records = records(dir.path(), &["a1-cab9", "a2-77f0"]);
    let told = |only| {
        let parts = records.parts(only).into_iter();
        parts.map(|(name, found)| (name, found.unwrap_err())).collect::<Vec<_>>()
    };
    assert_eq!(told(Some("j9")), [("post-mortem".to_owned(), "there is no record of job j9".to_owned())]);
    let names: Vec<String> = told(None).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["post-mortem/a1-cab9.1.json", "post-mortem/a2-77f0.1.json"]);
    assert_eq!(told(Some("a2-77f0")).len(), 1);
    let unseen = Records(Err("Permission denied".to_owned()));
    assert_eq!(unseen.parts(None), [("post-mortem".to_owned(), Err("Permission denied".to_owned()))]);
}
