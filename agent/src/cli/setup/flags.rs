//! The flags of `setup`: one for each question, and a file that says the same.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::{Exit, Failure, absolute};
use crate::setup::{
    ANSWER_FILES, Answers, PrinterAnswer, RelayAnswer, Test, Words, read_printer, read_relay, read_test,
    read_words,
};

/// Largest file of answers that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// How to set up.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetupFlags {
    /// Ask nothing: what is not answered by a flag or FILE takes its default, and nothing moves, is heated or paired.
    #[arg(long)]
    yes: bool,
    /// File of answers (TOML): the other flags by their names, such as `relay = "wss://relay.example.org"`.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Take the file of answers that lies on the boot partition.
    #[arg(long, conflicts_with = "answers")]
    boot: bool,
    /// Whether ports may be opened to ask who is there, and the agent stopped for it. Opening resets many boards.
    #[arg(long, value_name = "yes|no", value_parser = parse_switch)]
    open: Option<bool>,
    /// The printer's port; `none` goes on where no printer answers.
    #[arg(long, value_name = "PATH|none", value_parser = parse_printer)]
    printer: Option<PrinterAnswer>,
    /// The relay to pair with, as wss://host or wss://host:port; `none` for an agent that is used at its machine only.
    #[arg(long, value_name = "URL|none", value_parser = read_relay)]
    relay: Option<RelayAnswer>,
    /// Authority that signed the relay's certificate (PEM), if it is a private one.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Whether a token on the boot partition is taken.
    #[arg(long, value_name = "yes|no", value_parser = parse_switch)]
    token: Option<bool>,
    /// `unseen`: nobody compares the four words at this end. Only where nobody can be between this machine and the relay.
    #[arg(long, value_name = "unseen", value_parser = read_words)]
    words: Option<Words>,
    /// Whether the configuration is written and the agent started.
    #[arg(long, value_name = "yes|no", value_parser = parse_switch)]
    apply: Option<bool>,
    /// `no`: a pairing that failed is not tried again.
    #[arg(long, value_name = "no", value_parser = parse_switch)]
    again: Option<bool>,
    /// A small test at the end: `line` moves nothing, `move` heats nothing, `print` heats and prints.
    #[arg(long, value_name = "no|line|move|print", value_parser = read_test)]
    test: Option<Test>,
}

impl SetupFlags {
    /// What the flags say, and where they say nothing the file.
    pub(in crate::cli) fn answers(self) -> Result<Answers, Failure> {
        let at_boot = ANSWER_FILES.iter().map(PathBuf::from).find(|path| self.boot && path.exists());
        if self.boot && at_boot.is_none() {
            let text = format!("there are no answers: neither {}", ANSWER_FILES.join(" nor "));
            let help = "Write them there, or name another file with --answers.";
            return Err(Failure::new(Exit::Usage, text, None, help));
        }
        let file = self.answers.or(at_boot).as_deref().map(read).transpose()?;
        let ca = self.ca.as_deref().map(absolute).transpose()?.map(PathBuf::from);
        let said = Answers {
            yes: self.yes,
            open: self.open,
            printer: self.printer,
            token: self.token,
            relay: self.relay,
            ca,
            words: self.words,
            apply: self.apply,
            again: self.again,
            test: self.test,
        };
        Ok(said.over(file.unwrap_or_default()))
    }
}

fn read(path: &Path) -> Result<Answers, Failure> {
    let failed = |why: String| {
        let help = "Correct the file of answers; `spoolway-agent setup --help` says what there is.";
        Failure::new(Exit::Usage, format!("{}: {why}", path.display()), None, help)
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    read.map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(format!("larger than {MAX_BYTES} bytes")));
    }
    Answers::parse(&text).map_err(|error| failed(error.to_string()))
}

/// A path as the shell has it, or `none`.
fn parse_printer(text: &str) -> Result<PrinterAnswer, String> {
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    match (text, path.to_str()) {
        ("none", _) => Ok(PrinterAnswer::Without),
        (_, Some(path)) => read_printer(path),
        (_, None) => Err("must be UTF-8 text".to_owned()),
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("must be yes or no".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::super::args::{Arguments, Command};
    use super::*;

    fn flags(words: &[&str]) -> SetupFlags {
        let words = [&["spoolway-agent", "setup"], words].concat();
        let Command::Setup(flags) = Arguments::try_parse_from(words).unwrap().command else {
            panic!("setup")
        };
        flags
    }

    #[test]
    fn every_answer_has_a_flag_that_goes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("answers.toml");
        std::fs::write(&file, "test = \"line\"\nrelay = \"none\"\nopen = false\n").unwrap();
        let words = [
            "--yes",
            "--open=yes",
            "--printer=/dev/ttyUSB0",
            "--relay=wss://relay.example.org",
            "--ca=/ca.pem",
            "--token=no",
            "--words=unseen",
            "--apply=yes",
            "--again=no",
            "--test=move",
        ];
        let all = flags(&words).answers().unwrap();
        let said = |answers: &Answers| {
            [
                answers.yes,
                answers.open == Some(true),
                answers.printer == Some(PrinterAnswer::At("/dev/ttyUSB0".into())),
                matches!(answers.relay, Some(RelayAnswer::At(_))),
                answers.ca == Some("/ca.pem".into()),
                answers.token == Some(false),
                answers.words == Some(Words::Unseen),
                answers.apply == Some(true),
                answers.again == Some(false),
                answers.test == Some(Test::Move),
            ]
        };
        assert_eq!(said(&all), [true; 10], "{all:?}");
        let both = [&["--answers", file.to_str().unwrap()], &words[..]].concat();
        assert_eq!(flags(&both).answers().unwrap(), all);
        let from_file = flags(&["--answers", file.to_str().unwrap()]).answers().unwrap();
        assert_eq!((from_file.test, from_file.open), (Some(Test::Line), Some(false)));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        for (text, said) in
            [(None, "No such file"), (Some("relay = 1"), "line 1"), (Some("a = 1"), "no such answer")]
        {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("answers.toml");
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let failed = flags(&["--answers", file.to_str().unwrap()]).answers().unwrap_err();
            assert!(
                failed.text().contains("answers.toml") && failed.text().contains(said),
                "{}",
                failed.text()
            );
            assert_eq!(failed.exit(), Exit::Usage);
        }
    }
}
