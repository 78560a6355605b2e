//! A server of one file by HTTPS, with ranges, as object storage has them. It notes what it is asked for.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Bytes that are written at once.
const AT_ONCE: usize = 64 * 1024;
/// Lines of a request's head.
const HEAD_LINES: usize = 64;

/// The first byte that each request wanted.
type Asked = Arc<Mutex<Vec<u64>>>;

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct FileServer {
    port: u16,
    asked: Asked,
    task: JoinHandle<()>,
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FileServer {
    /// Serves `file` as `localhost`; its certificate, which vouches for itself, is added to the bundle `ca_file`.
    ///
    /// # Errors
    /// There is no port, no certificate, or the bundle cannot be written.
    pub async fn start(file: Arc<[u8]>, ca_file: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let before = std::fs::read_to_string(ca_file).unwrap_or_default();
        std::fs::write(ca_file, before + &made.cert.pem())?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).ok().context("a key")?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let asked = Asked::default();
        let (acceptor, noted) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, file, noted) = (acceptor.clone(), Arc::clone(&file), Arc::clone(&noted));
                tokio::spawn(async move {
                    // Whoever hangs up in the middle asks again.
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        drop(serve(stream, &file, &noted).await);
                    }
                });
            }
        });
        Ok(Self { port, asked, task })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first byte that each request wanted, in the order in which they came.
    #[must_use]
    pub fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    file: &[u8],
    noted: &Mutex<Vec<u64>>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut from = None;
    for _ in 0..HEAD_LINES {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse::<usize>().ok().filter(|from| *from < file.len());
        }
        if line.is_empty() {
            break;
        }
    }
    noted.lock().unwrap_or_else(PoisonError::into_inner).push(from.unwrap_or(0) as u64);
    let size = file.len();
    let head = match from {
        None => format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n"),
        Some(from) => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{size}\r\n",
            size - from,
            size - 1
        ),
    };
    let head = head + "ETag: \"one\"\r\nAccept-Ranges: bytes\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for part in file[from.unwrap_or(0)..].chunks(AT_ONCE) {
        stream.write_all(part).await?;
    }
    stream.shutdown().await
}
