//! An HTTP proxy of a few lines: it opens tunnels, wants a password, refuses, says nothing, or sends everybody to a web page.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Largest head of a request.
const HEAD_BYTES: usize = 16 * 1024;

/// How a proxy treats whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Everybody gets a tunnel.
    Open,
    /// Only `user:password` does.
    Login(String),
    /// Nobody does.
    Refusing,
    /// Nobody is answered.
    Hanging,
    /// Everybody has to visit a web page first.
    Captive,
}

/// A proxy for this machine: every name leads here, whatever it is.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    /// The first line of every request that got a tunnel.
    tunnels: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Proxy {
    /// A proxy on a free port.
    ///
    /// # Errors
    /// The system gives no port or no thread.
    pub fn open(manner: Manner) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { manner, tunnels: Mutex::default(), is_over: AtomicBool::new(false) });
        let proxy = Arc::clone(&shared);
        thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if proxy.is_over.load(Ordering::Acquire) {
                    return;
                }
                let proxy = Arc::clone(&proxy);
                // Whoever asks while there is no thread sees the connection closed.
                let _ = thread::Builder::new().name("proxy".to_owned()).spawn(move || proxy.serve(client));
            }
        })?;
        Ok(Self { port, shared })
    }

    /// The port to dial.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first line of every request that got a tunnel.
    #[must_use]
    pub fn tunnels(&self) -> Vec<String> {
        self.shared.tunnels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the listener; when that fails it ends with the process.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) {
        let Some(head) = head(&mut client) else { return };
        match self.answer(&head) {
            Some(answer) => {
                // Whoever has gone does not want to hear it.
                let _ = client.write_all(answer.as_bytes());
            }
            None if self.manner == Manner::Hanging => {
                // Until the other end gives up.
                let _ = io::copy(&mut client, &mut io::sink());
            }
            None => self.tunnel(&head, client),
        }
    }

    /// What is said in the tunnel's place; nothing when there is to be one, or nothing is ever said.
    fn answer(&self, head: &str) -> Option<&'static str> {
        let has = |line: &str| head.lines().any(|said| said.eq_ignore_ascii_case(line));
        match &self.manner {
            Manner::Open | Manner::Hanging => None,
            Manner::Login(login)
                if has(&format!("proxy-authorization: Basic {}", STANDARD.encode(login))) =>
            {
                None
            }
            Manner::Login(_) => Some(
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"campus\"\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n",
            ),
            Manner::Refusing => {
                Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            }
            Manner::Captive => Some(
                "HTTP/1.1 302 Found\r\nLocation: http://login.campus.example/\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n",
            ),
        }
    }

    fn tunnel(&self, head: &str, mut client: TcpStream) {
        let first = head.lines().next().unwrap_or_default();
        let target = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
        let port = target.and_then(|target| target.rsplit_once(':')?.1.parse::<u16>().ok());
        let relay = port.and_then(|port| TcpStream::connect(("127.0.0.1", port)).ok());
        let Some(relay) = relay else {
            // As above.
            let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
            return;
        };
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner).push(first.to_owned());
        // Proxies of this version are still about.
        if client.write_all(b"HTTP/1.0 200 Connection established\r\n\r\n").is_err() {
            return;
        }
        let (Ok(from), Ok(to)) = (relay.try_clone(), client.try_clone()) else { return };
        // Without its other half the tunnel is closed, and asked for again.
        let _ = thread::Builder::new().name("proxy back".to_owned()).spawn(move || carry(from, to));
        carry(client, relay);
    }
}

/// Carries until either end is closed, then closes both.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    for end in [from, to] {
        // It may be gone already.
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// A request's head; a client that sends none, or too much, gets nothing.
fn head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
        if head.len() > HEAD_BYTES {
            return None;
        }
    }
    String::from_utf8(head).ok()
}
