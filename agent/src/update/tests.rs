//! The two files: what is asked arrives, and nothing that somebody else has put there does.

use std::fs;
use std::os::unix::fs::symlink;

use spoolway_protocol::event::UpdateWord;

use super::*;

fn request() -> Request {
    Request {
        id: "0199c7a2-3b1e-7c44-8a11-5e0d9b7c2f61".parse().unwrap(),
        version: Some("0.2.0-1".to_owned()),
        not_after: 1_760_068_800_000,
    }
}

#[test]
fn a_request_is_found_once_and_a_verdict_lies_in_roots_own_folder() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("spoolway");
    fs::create_dir(&state).unwrap();
    assert!(Found::look(&state).is_none());
    ask(&state, &request()).unwrap();
    let found = Found::look(&state).unwrap();
    assert_eq!(found.request, Ok(request()));
    found.remove().unwrap();
    found.remove().unwrap();
    assert!(Found::look(&state).is_none());
    ask(&state, &request()).unwrap();
    withdraw(&state).unwrap();
    withdraw(&state).unwrap();
    assert!(Found::look(&state).is_none());

    assert_eq!(verdict(&state), None);
    let word = Verdict::new(request().id, UpdateWord::RolledBack);
    judge(&state, &word).unwrap();
    assert_eq!(verdict(&state), Some(word));
    assert!(dir.path().join("spoolway-update/verdict.toml").is_file());
    fs::write(dir.path().join("spoolway-update/verdict.toml"), "half a ve").unwrap();
    assert_eq!(verdict(&state), None);
}

/// Whoever owns the state folder may put anything there.
#[test]
fn a_request_that_is_no_plain_small_file_of_its_owner_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("spoolway");
    fs::create_dir_all(state.join(FOLDER)).unwrap();
    let path = state.join(FOLDER).join(REQUEST);
    let secret = dir.path().join("secret");
    fs::write(&secret, toml::to_string(&request()).unwrap()).unwrap();

    symlink(&secret, &path).unwrap();
    assert!(Found::look(&state).unwrap().request.is_err(), "a link");
    Found::look(&state).unwrap().remove().unwrap();
    assert!(secret.exists(), "what it leads to stays");

    fs::hard_link(&secret, &path).unwrap();
    assert_eq!(Found::look(&state).unwrap().request, Err("it has more than one name".to_owned()));
    fs::remove_file(&path).unwrap();

    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
    assert_eq!(Found::look(&state).unwrap().request, Err("it is no regular file".to_owned()));
    Found::look(&state).unwrap().remove().unwrap();

    fs::create_dir(&path).unwrap();
    assert!(Found::look(&state).unwrap().request.is_err(), "a folder");
    Found::look(&state).unwrap().remove().unwrap();
    assert!(!path.exists());

    for (text, why) in [
        ("#".repeat(5_000), "larger than"),
        ("id = 1".to_owned(), "expected"),
        (toml::to_string(&request()).unwrap() + "url = \"https://elsewhere\"\n", "unknown field `url`"),
        (toml::to_string(&request()).unwrap().replace("0.2.0-1", "0.2.0-1 -o X"), "its version is none"),
    ] {
        fs::write(&path, text).unwrap();
        let refused = Found::look(&state).unwrap().request.unwrap_err();
        assert!(refused.contains(why) || why == "expected", "{refused}");
    }

    fs::remove_dir_all(state.join(FOLDER)).unwrap();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    fs::write(dir.path().join("elsewhere").join(REQUEST), toml::to_string(&request()).unwrap()).unwrap();
    symlink(dir.path().join("elsewhere"), state.join(FOLDER)).unwrap();
    assert!(Found::look(&state).is_none(), "a folder that is a link");
}
