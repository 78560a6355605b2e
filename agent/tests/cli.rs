//! The program as a person meets it: what it prints and how it exits.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program with a home of its own and nothing of ours in its environment.
fn agent(home: &Path, words: &[&str]) -> Output {
    command(home, words).output().unwrap()
}

fn command(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spoolway-agent"));
    command.args(words).env_clear().env("HOME", home);
    // What systemd would say; so it is the same for root and for anybody else.
    for (name, folder) in
        [("CONFIGURATION_DIRECTORY", "etc"), ("STATE_DIRECTORY", "state"), ("RUNTIME_DIRECTORY", "run")]
    {
        command.env(name, home.join(folder));
    }
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn home_with(config: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("etc")).unwrap();
    std::fs::write(home.path().join("etc/agent.toml"), config).unwrap();
    home
}

#[test]
fn id_is_stable_and_names_the_relays_command() {
    let home = tempfile::tempdir().unwrap();
    let first = agent(home.path(), &["id"]);
    assert_eq!(code(&first), 0, "{}", stderr(&first));
    assert_eq!(first.stdout, agent(home.path(), &["id"]).stdout);
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&agent(home.path(), &["id", "--json"]))).unwrap();
    let (id, key) = (json["agent_id"].as_str().unwrap(), json["public_key"].as_str().unwrap());
    assert!(
        stdout(&first)
            .ends_with(&format!("spoolway-relay agent add --id {id} --key {key} --backend BACKEND\n"))
    );
}

#[test]
fn a_key_open_to_others_is_refused_with_advice() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    agent(home.path(), &["id"]);
    let key = home.path().join("state/identity/agent.p8");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = agent(home.path(), &["id"]);
    assert_eq!(code(&refused), 1);
    assert!(
        stderr(&refused).contains("mode 0644") && stderr(&refused).contains("chmod 600"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn without_an_agent_commands_say_how_to_start_one() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("none.sock");
    for words in [&["status"][..], &["jobs"], &["pause"], &["estop"], &["logs"], &["print", "a.gcode"]] {
        let words = [words, &["--socket", socket.to_str().unwrap()]].concat();
        let output = agent(home.path(), &words);
        assert_eq!(code(&output), 69, "{words:?}");
        let text = stderr(&output);
        assert!(text.starts_with("error: no agent answers at "), "{text}");
        assert!(text.contains("none.sock") && text.contains("[agent.unreachable]"), "{text}");
        assert!(text.contains("  try: Start the agent"), "{text}");
        assert!(!text.contains('\x1b') && output.stdout.is_empty());
    }
}

#[test]
fn a_stop_waits_for_nobody_who_mends_the_configuration() {
    let home = home_with("bauds = 1\n");
    let broken = agent(home.path(), &["estop"]);
    assert_eq!(code(&broken), 78, "no agent runs here: {}", stderr(&broken));
    assert!(stderr(&broken).contains("there is no setting `bauds`"), "{}", stderr(&broken));
    let runtime = home.path().join("run");
    std::fs::create_dir(&runtime).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(runtime.join("agent.sock")).unwrap();
    let asked = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let stop = agent(home.path(), &["estop"]);
    asked.join().unwrap();
    assert_eq!(code(&stop), 69, "it was asked, and was silent: {}", stderr(&stop));
}

#[test]
fn one_of_several_agents_is_started_by_its_own_unit() {
    let home = tempfile::tempdir().unwrap();
    let output = agent(home.path(), &["--instance", "left", "status"]);
    let text = stderr(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("`sudo systemctl start spoolway-agent@left`"), "{text}");
}

/// As cron, Ansible and `ssh -n` start it.
#[test]
fn without_an_agent_lines_of_a_job_are_found_by_the_end_of_its_id() {
    let home = home_with("");
    let folder = home.path().join("state/log");
    std::fs::create_dir_all(&folder).unwrap();
    let line = |job: &str| {
        format!(
            "{{\"fields\":{{\"job\":\"{job}\"}},\"level\":\"info\",\"message\":\"of {job}\",\"target\":\"t\",\"ts\":\"2026-11-29T19:18:49.123Z\"}}\n"
        )
    };
    std::fs::write(folder.join("agent.log"), [line("a1-cab9"), line("a2-77f0")].concat()).unwrap();
    let asked = |job: &str| agent(home.path(), &["logs", "--files", "--job", job]);
    for job in ["cab9", "a1-cab9"] {
        let found = asked(job);
        assert_eq!((code(&found), stdout(&found).lines().count()), (0, 1), "{}", stderr(&found));
        assert!(stdout(&found).contains("of a1-cab9"));
    }
    let either = asked("a");
    assert!(code(&either) != 0 && stderr(&either).contains("may be any of 2 jobs"), "{}", stderr(&either));
    let none = asked("nosuch");
    assert!(code(&none) != 0 && stderr(&none).contains("job.unknown"), "{}", stderr(&none));

    // What else there is of help is packed all the same, and the record is said to be missing.
    let out = home.path().join("bundle.tar.zst");
    let words = ["bundle", "--no-doctor", "--job", "nosuch", "--out", out.to_str().unwrap()];
    let packed = agent(home.path(), &words);
    assert_eq!(code(&packed), 0, "{}", stderr(&packed));
    assert!(stdout(&packed).contains("post-mortem: there is no record of job nosuch"), "{}", stdout(&packed));
}

#[test]
fn pairing_where_nobody_can_answer_says_what_else_there_is_and_begins_nothing() {
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let (input, output) = std::io::pipe().unwrap();
    drop(output);
    for ended in [Stdio::null(), Stdio::from(std::fs::File::open(&empty).unwrap()), Stdio::from(input)] {
        let mut pair = command(home.path(), &["pair", "--relay", "wss://localhost:1"]);
        let refused = pair.stdin(ended).output().unwrap();
        let text = stderr(&refused).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((code(&refused), stdout(&refused).as_str()), (64, ""), "{text}");
        for part in ["nobody can be asked", "at its end", "ssh -t", "--yes", "spoolway-agent enrol"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!home.path().join("state").exists(), "no key was made");
    }
}

#[test]
fn a_code_is_explained_without_an_agent_and_without_a_configuration() {
    let home = home_with("[printer]\nbuad = 250000\n");
    let known = agent(home.path(), &["explain", "[agent.unreachable]", "4001"]);
    assert_eq!((code(&known), stderr(&known).as_str()), (0, ""));
    let text = stdout(&known);
    assert!(text.starts_with("agent.unreachable (this program)\n  means The command did not"), "{text}");
    assert!(text.contains("\n4001 (close code)\n") && !text.contains('\x1b'), "{text}");
    let all = agent(home.path(), &["explain"]);
    assert_eq!(code(&all), 0);
    assert!(stdout(&all).contains("\n  port.missing "), "{}", stdout(&all));
    let unknown = agent(home.path(), &["explain", "port.lots"]);
    assert_eq!((code(&unknown), stdout(&unknown).as_str()), (64, ""));
    assert!(stderr(&unknown).contains("`port.lost`"), "{}", stderr(&unknown));
}

#[test]
fn broken_configurations_exit_78_and_name_the_line() {
    let home = home_with("[printer]\nbuad = 250000\n");
    for words in [&["config", "check"][..], &["config", "show"], &["run"], &["id"]] {
        let output = agent(home.path(), words);
        assert_eq!(code(&output), 78, "{words:?}");
        let text = stderr(&output);
        for part in [
            "agent.toml, line 2",
            "`printer.buad`",
            "250000",
            "did you mean `printer.baud`?",
            "[config.broken]",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
    let missing = agent(home.path(), &["--config", "/nowhere/agent.toml", "config", "check"]);
    assert_eq!(code(&missing), 78);
    assert!(stderr(&missing).contains("/nowhere/agent.toml"), "{}", stderr(&missing));
    let flag = agent(home.path(), &["run", "--config", "/dev/null", "--baud", "7"]);
    assert_eq!(code(&flag), 78);
}

#[test]
fn the_configuration_is_checked_with_what_it_names() {
    let home = tempfile::tempdir().unwrap();
    let fine = agent(home.path(), &["config", "check"]);
    let file = home.path().join("etc/agent.toml");
    let expected = format!("There is no {}; the defaults are fine.\n", file.display());
    assert_eq!((code(&fine), stdout(&fine)), (0, expected));
    let home = home_with("[printer]\nprofile = \"marlni\"\n");
    let unknown = agent(home.path(), &["config", "check"]);
    assert_eq!(code(&unknown), 78);
    assert!(
        stderr(&unknown).contains("agent.toml, line 2") && stderr(&unknown).contains("[profile.unknown]")
    );
    let shown = agent(home.path(), &["config", "show"]);
    assert!(stdout(&shown).contains("profile = \"marlni\""), "{}", stdout(&shown));
}

#[test]
fn wrong_usage_exits_64_and_help_exits_0() {
    let home = tempfile::tempdir().unwrap();
    for words in [
        &["dance"][..],
        &[],
        &["print"],
        &["run", "--baud", "fast"],
        &["cancel", "two", "jobs"],
        &["logs", "--level", "loud"],
    ] {
        let output = agent(home.path(), words);
        assert_eq!(code(&output), 64, "{words:?}");
        assert!(!output.stderr.is_empty());
    }
    for words in [&["--help"][..], &["--version"], &["print", "--help"]] {
        let output = agent(home.path(), words);
        assert_eq!(code(&output), 0, "{words:?}");
        assert!(output.stderr.is_empty() && stdout(&output).contains("spoolway-agent"), "{words:?}");
    }
}

#[test]
fn profiles_are_listed_and_the_unverified_ones_marked() {
    let home = tempfile::tempdir().unwrap();
    let list = agent(home.path(), &["profiles"]);
    assert_eq!(code(&list), 0);
    let text = stdout(&list);
    let row = |id: &str| text.lines().find(|line| line.starts_with(&format!("{id} "))).unwrap();
    for id in ["generic", "flashforge"] {
        assert!(row(id).contains(" unverified ") && row(id).ends_with("built in"), "{}", row(id));
    }
    assert!(row("marlin").contains(" verified ") && text.lines().count() > 17, "{text}");
}

#[test]
fn a_profile_is_shown_with_its_origin_and_can_be_used_as_it_is_shown() {
    let home = home_with("");
    let shown = stdout(&agent(home.path(), &["profiles", "show", "marlin"]));
    assert!(shown.starts_with("# Profile `marlin`, built in.\n") && shown.contains("\n[flow]\n"), "{shown}");
    let folder = home.path().join("etc/profiles");
    std::fs::create_dir(&folder).unwrap();
    let mine = shown.replace("id = \"marlin\"", "id = \"attic\"").replace("priority = 0", "priority = 5");
    std::fs::write(folder.join("attic.toml"), mine).unwrap();
    let attic = agent(home.path(), &["profiles", "show", "attic"]);
    assert!(stdout(&attic).starts_with("# Profile `attic`, /"), "{}", stdout(&attic));
    assert!(stdout(&attic).contains("etc/profiles/attic.toml.\n"), "{}", stdout(&attic));

    std::fs::write(folder.join("broken.toml"), "id = ").unwrap();
    let broken = agent(home.path(), &["profiles", "show", "broken"]);
    assert_eq!(code(&broken), 78);
    assert!(stderr(&broken).contains("broken.toml, line 1, column 6"), "{}", stderr(&broken));
    let unknown = agent(home.path(), &["profiles", "show", "marlim"]);
    assert_eq!(code(&unknown), 78);
    assert!(stderr(&unknown).contains("known are anycubic, attic, "), "{}", stderr(&unknown));
}

#[test]
fn a_profile_is_checked_and_what_is_probably_not_meant_is_told() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mine.toml");
    std::fs::write(&file, "id = \"mine\"\nspeed = 3\n").unwrap();
    let bad = agent(home.path(), &["profiles", "check", file.to_str().unwrap()]);
    assert_eq!(code(&bad), 78);
    let text = stderr(&bad);
    assert!(text.contains("mine.toml") && text.contains("[profile.bad]"), "{text}");
    assert!(text.contains("speed = 3: unknown key") && text.contains("(line 2)"), "{text}");

    let hides = home.path().join("marlin.toml");
    std::fs::write(&hides, stdout(&agent(home.path(), &["profiles", "show", "marlin"]))).unwrap();
    let good = agent(home.path(), &["profiles", "check", hides.to_str().unwrap()]);
    assert_eq!(code(&good), 0, "{}", stderr(&good));
    let text = stdout(&good);
    assert!(text.contains("profile `marlin` (Marlin) is fine."), "{text}");
    assert!(text.contains("  note: it takes the place of the built-in profile `marlin`"), "{text}");
}
