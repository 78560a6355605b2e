//! Plays systemd's part for one program: keeps the descriptor that the program hands over, and starts the next process
//! with it (`sd_pid_notify_with_fds(3)`, `sd_listen_fds(3)`).
//!
//! Messages wait in the socket until [`DescriptorStore::attend`] or the next start; a descriptor in a message is open
//! like any other, so it outlives its sender there, too.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Longest notification that is understood.
const MESSAGE_BYTES: usize = 4_096;
/// Descriptors in one message at most.
const AT_ONCE: usize = 8;
/// The process id is known only in the child, and the first descriptor has to be number 3: a shell sets both and becomes
/// the program. The descriptor comes as its standard output.
const WITH_DESCRIPTOR: &str = r#"export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&1 >/dev/null"#;

/// What was asked of the store so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Descriptors that came.
    pub stored: u64,
    /// How often they were to be let go.
    pub removed: u64,
    /// `READY=1`.
    pub ready: u64,
    /// What a store for one descriptor of this name has no room for; nor does systemd keep what it has already.
    pub refused: u64,
}

/// A store with room for one descriptor, as `FileDescriptorStoreMax=1` makes it.
#[derive(Debug)]
pub struct DescriptorStore {
    socket: UnixDatagram,
    path: PathBuf,
    name: String,
    kept: Option<OwnedFd>,
    asked: Asked,
}

impl DescriptorStore {
    /// A store for a descriptor of this name, with its socket in a folder.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join("notify.sock");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path, name: name.to_owned(), kept: None, asked: Asked::default() })
    }

    /// Takes what was sent meanwhile.
    ///
    /// # Errors
    /// The socket fails.
    pub fn attend(&mut self) -> io::Result<()> {
        while let Some((text, descriptors)) = self.receive()? {
            self.take(&text, descriptors);
        }
        self.let_go_of_the_dead();
        Ok(())
    }

    /// The other end of a port that was pulled out is gone: systemd lets go of it by itself.
    fn let_go_of_the_dead(&mut self) {
        if self.kept.as_ref().is_some_and(has_hung_up) {
            self.kept = None;
        }
    }

    /// What was asked of it so far.
    #[must_use]
    pub fn asked(&self) -> Asked {
        self.asked
    }

    /// Whether a descriptor is kept.
    #[must_use]
    pub fn is_keeping(&self) -> bool {
        self.kept.is_some()
    }

    /// A command that is told of the store, and holds what is kept.
    ///
    /// # Errors
    /// The socket fails, or the system has no more descriptors.
    pub fn command(&mut self, program: &Path, words: &[String]) -> io::Result<Command> {
        self.attend()?;
        let mut command = match &self.kept {
            Some(kept) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", WITH_DESCRIPTOR, "sh"]).arg(program).env("LISTEN_FDNAMES", &self.name);
                command.stdout(Stdio::from(kept.try_clone()?));
                command
            }
            None => {
                let mut command = Command::new(program);
                command.stdout(Stdio::null());
                command
            }
        };
        command.args(words).env("NOTIFY_SOCKET", &self.path);
        Ok(command)
    }

    fn receive(&self) -> io::Result<Option<(String, Vec<OwnedFd>)>> {
        let mut bytes = [0; MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let got = match recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Ok(got) => got.bytes,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(other) => return Err(other.into()),
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sent) = message {
                descriptors.extend(sent);
            }
        }
        Ok(Some((String::from_utf8_lossy(&bytes[..got]).into_owned(), descriptors)))
    }

    fn take(&mut self, text: &str, mut descriptors: Vec<OwnedFd>) {
        let said: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let is_said = |key: &str| said.get(key) == Some(&"1");
        let is_ours = said.get("FDNAME") == Some(&self.name.as_str());
        self.asked.ready += u64::from(is_said("READY"));
        self.let_go_of_the_dead();
        match (is_said("FDSTORE"), is_said("FDSTOREREMOVE"), descriptors.pop()) {
            (true, _, Some(descriptor)) if is_ours && descriptors.is_empty() && self.kept.is_none() => {
                self.asked.stored += 1;
                self.kept = Some(descriptor);
            }
            (_, true, None) if is_ours => {
                self.asked.removed += 1;
                self.kept = None;
            }
            (false, false, None) => {}
            _ => self.asked.refused += 1,
        }
    }
}

fn has_hung_up(descriptor: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(descriptor, PollFlags::empty())];
    let looked = poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    looked.is_ok() && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;
    use crate::process::ChildProcess;

    fn say(store: &DescriptorStore, text: &str, descriptor: Option<BorrowedFd<'_>>) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect(&store.path).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let sent: Vec<_> = descriptor.into_iter().collect();
        assert!(sent.is_empty() || control.push(SendAncillaryMessage::ScmRights(&sent)));
        sendmsg(&socket, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::empty()).unwrap();
    }

    fn start(store: &mut DescriptorStore, folder: &Path, script: &str) -> ChildProcess {
        let words = ["-c".to_owned(), script.to_owned()];
        let command = store.command(Path::new("/bin/sh"), &words).unwrap();
        ChildProcess::spawn_command("shell", command, folder.join("log")).unwrap()
    }

    #[test]
    fn a_descriptor_outlives_its_process_and_is_the_third_of_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = DescriptorStore::open(folder.path(), "printer").unwrap();
        let (mut far, near) = UnixStream::pair().unwrap();
        say(&store, "FDSTORE=1\nFDNAME=printer", Some(near.as_fd()));
        say(&store, "READY=1", None);
        drop(near);
        let answers = folder.path().join("answers");
        let ask = format!(
            r#"read -r said <&3; echo "$said $LISTEN_FDS $LISTEN_FDNAMES" >{0}; [ "$LISTEN_PID" = $$ ]"#,
            answers.display()
        );
        for word in ["one", "two"] {
            writeln!(far, "{word}").unwrap();
            let mut child = start(&mut store, folder.path(), &ask);
            assert!(child.wait(Duration::from_secs(30)).unwrap().success(), "{}", child.log_tail());
            assert_eq!(std::fs::read_to_string(&answers).unwrap(), format!("{word} 1 printer\n"));
        }
        let asked = Asked { stored: 1, ready: 1, ..Asked::default() };
        assert_eq!((store.asked(), store.is_keeping()), (asked, true));
    }

    #[test]
    fn what_is_let_go_or_has_hung_up_is_not_handed_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = DescriptorStore::open(folder.path(), "printer").unwrap();
        let (far, near) = UnixStream::pair().unwrap();
        say(&store, "FDSTORE=1\nFDNAME=printer", Some(near.as_fd()));
        say(&store, "FDSTOREREMOVE=1\nFDNAME=printer", None);
        say(&store, "FDSTORE=1\nFDNAME=other", Some(near.as_fd()));
        store.attend().unwrap();
        assert_eq!(store.asked(), Asked { stored: 1, removed: 1, refused: 1, ready: 0 });
        assert!(!store.is_keeping());
        say(&store, "FDNAME=printer\nFDSTORE=1", Some(near.as_fd()));
        say(&store, "FDNAME=printer\nFDSTORE=1", Some(near.as_fd()));
        store.attend().unwrap();
        assert_eq!(store.asked(), Asked { stored: 2, removed: 1, refused: 2, ready: 0 });
        drop((far, near));
        // What another test starts at this moment has a copy of both until it is another program.
        let began = Instant::now();
        while store.is_keeping() {
            store.attend().unwrap();
            assert!(began.elapsed() < Duration::from_secs(30), "the other end is gone");
        }
        let mut child =
            start(&mut store, folder.path(), r#"[ -z "$LISTEN_FDS" ] && [ -n "$NOTIFY_SOCKET" ]"#);
        assert!(child.wait(Duration::from_secs(30)).unwrap().success());
    }
}
