use super::*;

#[test]
fn jobs_are_told_without_their_names() {
    let jobs = [super::super::jobs::tests::job("j1", spoolway_protocol::JobState::Failed, 5)];
    let text = summary(&jobs, false);
    assert!(text.contains("\"name\": \"[name]\"") && text.contains("\"job_id\": \"j1\""), "{text}");
    assert!(summary(&jobs, true).contains("a long name"));
}
