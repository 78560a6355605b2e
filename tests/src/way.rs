//! A TCP way that can be broken: it swallows everything, or nobody gets through; and that is as slow as one wishes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How often each half of a connection looks at the state of the way.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bytes carried at once.
const AT_ONCE: usize = 16 * 1024;

/// How a way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Passage {
    /// Everything passes.
    Open = 0,
    /// Connections stay open and swallow what is sent; new ones get no answer.
    Swallowing = 1,
    /// Connections are cut, and so is every new one.
    Cut = 2,
}

/// A port of this machine that leads to another one.
#[derive(Debug)]
pub struct Way {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    target: AtomicU16,
    passage: AtomicU8,
    swallowed: AtomicU64,
    bytes_per_s: AtomicU64,
    is_over: AtomicBool,
}

impl Way {
    /// A port that leads nowhere yet.
    ///
    /// # Errors
    /// The system gives no port or no thread.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (port, shared) = (listener.local_addr()?.port(), Arc::new(Shared::default()));
        let way = Arc::clone(&shared);
        thread::Builder::new().name("way".to_owned()).spawn(move || {
            for host in listener.incoming().map_while(Result::ok) {
                if way.is_over.load(Ordering::Acquire) {
                    return;
                }
                let way = Arc::clone(&way);
                // Whoever dials while the way cannot be opened sees it closed and dials again.
                let _ = thread::Builder::new().name("way".to_owned()).spawn(move || way.join(host));
            }
        })?;
        Ok(Self { port, shared })
    }

    /// The port to dial.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on it leads to this port of the same machine.
    pub fn lead_to(&self, port: u16) {
        self.shared.target.store(port, Ordering::Release);
    }

    /// Makes it so. A connection of which something was swallowed is cut once things pass again.
    pub fn set(&self, passage: Passage) {
        self.shared.passage.store(passage as u8, Ordering::Release);
    }

    /// Each connection carries no more than this in each direction from now on; 0: as much as it can.
    pub fn limit(&self, bytes_per_s: u64) {
        self.shared.bytes_per_s.store(bytes_per_s, Ordering::Release);
    }

    /// Bytes that came and went nowhere.
    #[must_use]
    pub fn swallowed(&self) -> u64 {
        self.shared.swallowed.load(Ordering::Acquire)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the listener; when that fails it ends with the process.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn passage(&self) -> Passage {
        match self.passage.load(Ordering::Acquire) {
            1 => Passage::Swallowing,
            2 => Passage::Cut,
            _ => Passage::Open,
        }
    }

    fn join(self: Arc<Self>, host: TcpStream) {
        match self.passage() {
            Passage::Open => {}
            Passage::Swallowing => return self.carry(host, None),
            Passage::Cut => return,
        }
        let target = SocketAddr::from(([127, 0, 0, 1], self.target.load(Ordering::Acquire)));
        let Ok(relay) = TcpStream::connect(target) else { return };
        let (Ok(back_from), Ok(back_to)) = (relay.try_clone(), host.try_clone()) else { return };
        let way = Arc::clone(&self);
        // Without its other half the way is closed, and dialled again.
        let _ = thread::Builder::new()
            .name("way back".to_owned())
            .spawn(move || way.carry(back_from, Some(back_to)));
        self.carry(host, Some(relay));
    }

    /// As long as so many bytes take on a way of this speed.
    fn pace(&self, count: usize) {
        let bytes_per_s = self.bytes_per_s.load(Ordering::Acquire);
        if bytes_per_s > 0 {
            thread::sleep(Duration::from_secs_f64(count as f64 / bytes_per_s as f64));
        }
    }

    /// Carries until either end is closed or the way is cut.
    fn carry(&self, mut from: TcpStream, mut to: Option<TcpStream>) {
        // Without a time-out the end would not be noticed; the carrying itself does not need it.
        let _ = from.set_read_timeout(Some(LOOK_EVERY));
        let mut buffer = vec![0; AT_ONCE];
        let mut has_swallowed = to.is_none();
        while !self.is_over.load(Ordering::Acquire) {
            let read = from.read(&mut buffer);
            let passage = self.passage();
            if passage == Passage::Cut || (passage == Passage::Open && has_swallowed) {
                break;
            }
            let count = match read {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    continue;
                }
                Err(_) => break,
            };
            if passage == Passage::Swallowing {
                has_swallowed = true;
                self.swallowed.fetch_add(count as u64, Ordering::AcqRel);
                continue;
            }
            if to.as_mut().is_none_or(|to| to.write_all(&buffer[..count]).is_err()) {
                break;
            }
            self.pace(count);
        }
        for end in [Some(from), to].into_iter().flatten() {
            // It may be gone already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that sends everything back.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut end in listener.incoming().map_while(Result::ok) {
                let mut back = end.try_clone().unwrap();
                thread::spawn(move || io::copy(&mut end, &mut back));
            }
        });
        port
    }

    fn dial(way: &Way) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", way.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    fn passes(stream: &mut TcpStream) -> bool {
        let mut back = [0; 4];
        stream.write_all(b"ping").is_ok() && stream.read_exact(&mut back).is_ok() && &back == b"ping"
    }

    #[test]
    fn what_passes_is_cut_and_passes_again() {
        let way = Way::open().unwrap();
        way.lead_to(echo());
        let mut stream = dial(&way);
        assert!(passes(&mut stream));
        way.set(Passage::Cut);
        // The end comes, and whoever dials meanwhile gets the same.
        assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
        assert!(!passes(&mut dial(&way)));
        way.set(Passage::Open);
        assert!(passes(&mut dial(&way)));
    }

    #[test]
    fn a_way_that_swallows_says_nothing_and_ends_when_it_opens() {
        let way = Way::open().unwrap();
        way.lead_to(echo());
        let (mut old, before) = (dial(&way), way.swallowed());
        assert!(passes(&mut old));
        way.set(Passage::Swallowing);
        let mut new = dial(&way);
        for stream in [&mut old, &mut new] {
            stream.write_all(b"lost").unwrap();
        }
        while way.swallowed() < before + 8 {
            thread::yield_now();
        }
        way.set(Passage::Open);
        for stream in [&mut old, &mut new] {
            assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
        }
        assert!(passes(&mut dial(&way)));
    }
}
