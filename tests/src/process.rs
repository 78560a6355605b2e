//! Child processes that really die: started from a program file, stopped by closing a pipe, killed by id.
//!
//! A child says what its parent has to know in lines on its standard output and lives until its standard input
//! ends. The kernel closes that pipe when the parent is gone, however it went, so no child is left behind.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Lines of a child that may wait for the parent; then the child waits.
const LINES: usize = 64;
/// Longest line of a child.
const LINE_BYTES: u64 = 1 << 20;
/// Time between two looks at a child that is expected to end.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a child that is dropped has to leave by itself.
const FAREWELL: Duration = Duration::from_secs(3);
/// How much of a log is shown.
const TAIL_LINES: usize = 15;

/// A running child.
#[derive(Debug)]
pub struct ChildProcess {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl ChildProcess {
    /// Starts `program` with its standard error in `log`. It gets a process group of its own, so that a Ctrl-C in the
    /// terminal reaches the parent alone, which then ends its children in order.
    ///
    /// # Errors
    /// The program or the log cannot be opened.
    pub fn spawn(name: &str, program: &Path, arguments: &[String], log: &Path) -> io::Result<Self> {
        let errors = File::options().create(true).append(true).open(log)?;
        Self::spawn_with(name, program, arguments, &[], (errors, log.to_owned()))
    }

    /// The same with further environment variables and with its standard error in an open file, of which the path is
    /// read for messages.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn_with(
        name: &str,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, OsString)],
        (errors, log): (File, PathBuf),
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(errors);
        Self::spawn_command(name, command, log)
    }

    /// The same with a command of which only the standard input is still to be given. It can say something only where its
    /// standard output is a pipe.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn_command(name: &str, mut command: Command, log: PathBuf) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).process_group(0).spawn()?;
        let input = child.stdin.take();
        let (sender, lines) = sync_channel(LINES);
        let Some(output) = child.stdout.take() else {
            return Ok(Self { name: name.to_owned(), child, input, lines, log });
        };
        std::thread::Builder::new().name(format!("{name} lines")).spawn(move || {
            let mut output = BufReader::new(output);
            loop {
                let mut line = String::new();
                match (&mut output).take(LINE_BYTES).read_line(&mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                if sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { name: name.to_owned(), child, input, lines, log })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the child is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next line that the child says.
    ///
    /// # Errors
    /// It says nothing within the time, or has ended.
    pub fn line(&self, within: Duration) -> io::Result<String> {
        self.lines.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                io::Error::new(io::ErrorKind::TimedOut, format!("the {} says nothing", self.name))
            }
            RecvTimeoutError::Disconnected => {
                io::Error::new(io::ErrorKind::UnexpectedEof, format!("the {} has ended", self.name))
            }
        })
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Closes its standard input, which tells it to end in order.
    pub fn ask_to_end(&mut self) {
        self.input = None;
    }

    /// SIGTERM, which programs that do not listen to a pipe end on in order.
    ///
    /// # Errors
    /// The system refuses.
    pub fn terminate(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It goes on for longer.
    pub fn wait(&mut self, within: Duration) -> io::Result<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the {} does not end", self.name),
                ));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// SIGKILL: it gets no chance to tidy up.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.ask_to_end();
        if self.wait(FAREWELL).is_err() {
            // It may have ended in between; there is nothing more to do.
            let _ = self.kill();
        }
    }
}

/// In a child: does something once the parent closes the pipe or is gone; whoever is not over after `grace` is ended.
///
/// # Errors
/// The system gives no thread.
pub fn when_parent_leaves(grace: Duration, leave: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        let mut nothing = [0; 64];
        let mut input = io::stdin().lock();
        while input.read(&mut nothing).is_ok_and(|got| got > 0) {}
        leave();
        std::thread::sleep(grace);
        eprintln!("not over in time");
        std::process::exit(1);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> ChildProcess {
        ChildProcess::spawn("shell", Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], log)
            .unwrap()
    }

    #[test]
    fn a_child_speaks_ends_when_asked_and_leaves_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut child = shell("echo ready; echo oops >&2; cat; echo over; exit 3", &log);
        let long = Duration::from_secs(30);
        assert_eq!(child.line(long).unwrap(), "ready");
        assert!(child.ended().unwrap().is_none());
        child.ask_to_end();
        assert_eq!(child.line(long).unwrap(), "over");
        assert_eq!(child.wait(long).unwrap().code(), Some(3));
        assert_eq!(child.line(long).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(child.log_tail(), "oops");
    }

    #[test]
    fn a_killed_child_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = shell("echo ready; cat", &dir.path().join("log"));
        child.line(Duration::from_secs(30)).unwrap();
        let id = child.id();
        assert!(!child.kill().unwrap().success());
        let pid = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
