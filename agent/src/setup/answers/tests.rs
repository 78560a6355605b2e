//! Files of answers, and that every question has one.

use spoolway_protocol::Fault;

use super::*;
use crate::setup::facts::Complaint;

const FILE: &str = r#"
open = true
printer = "/dev/serial/by-path/usb-0"
token = false
relay = "wss://relay.example.org"
ca = "/boot/firmware/relay-ca.pem"
words = "unseen"
apply = true
again = false
test = "line"
"#;

fn printer(port: &str) -> Answering {
    Answering {
        port: port.into(),
        baud: 115_200,
        firmware: "Marlin".into(),
        machine: None,
        profile: "marlin".into(),
        is_verified: true,
    }
}

fn unpaired() -> Question {
    Question::PairAgain(Complaint::of(Fault::PairExpired, "nobody came"))
}

fn questions() -> Vec<Question> {
    vec![
        Question::Open { ports: Vec::new(), stops_agent: false },
        Question::Which(vec![printer("/dev/a"), printer("/dev/serial/by-path/usb-0")]),
        Question::Token("/boot/t".into()),
        Question::Relay(None),
        Question::Apply { changes: Vec::new(), starts_agent: true },
        unpaired(),
        Question::Test,
    ]
}

#[test]
fn every_question_has_an_answer_in_a_file_and_its_key_says_which() {
    let answers = Answers::parse(FILE).unwrap();
    for question in questions() {
        let answer = answers.to(&question).unwrap_or_else(|| panic!("{question:?}"));
        assert!(question.takes(&answer), "{question:?} {answer:?}");
        assert!(KEYS.contains(&question.key()) && FILE.contains(&format!("\n{} = ", question.key())));
    }
    let without = Answers::parse("printer = \"none\"").unwrap();
    assert_eq!(without.to(&Question::Nobody), Some(Answer::Without));
    for key in KEYS {
        assert!(FILE.contains(&format!("\n{key} = ")), "{key}");
    }
}

#[test]
fn yes_takes_defaults_and_nothing_else_does() {
    let yes = Answers { yes: true, ..Answers::default() };
    for question in questions().into_iter().chain([Question::Nobody]) {
        assert_eq!(yes.to(&question), question.unattended(), "{question:?}");
        assert_eq!(Answers::default().to(&question), None);
    }
}

#[test]
fn a_file_never_says_again_for_ever() {
    let answers = Answers::parse("again = true").unwrap();
    assert_eq!(answers.to(&unpaired()), None);
}

#[test]
fn flags_go_before_the_file() {
    let flags = Answers { test: Some(Test::No), yes: true, ..Answers::default() };
    let both = flags.over(Answers::parse(FILE).unwrap());
    assert_eq!((both.test, both.words, both.yes), (Some(Test::No), Some(Words::Unseen), true));
}

#[test]
fn what_does_not_fit_is_named_and_nothing_secret_is_repeated() {
    for (text, said) in [
        ("open = \"yes\"", "line 1: "),
        ("\nopne = true", "line 2: there is no such answer"),
        ("opens = true", "did you mean `open`?"),
        ("relay = \"http://a\"", "relay: must begin with wss://"),
        ("printer = \"ttyUSB0\"", "printer: must be an absolute path, or \"none\""),
        ("test = \"hot\"", "test: must be no, line, move or print"),
        ("words = \"seen\"", "words: must be \"unseen\""),
        ("ca = \"ca.pem\"", "ca: must be an absolute path"),
        ("token = \"s3cret\"", "line 1: "),
        ("s3cret", "line 1: "),
    ] {
        let error = Answers::parse(text).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("s3cret"), "{text}: {error}");
    }
}
