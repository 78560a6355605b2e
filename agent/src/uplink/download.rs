//! One file from a server by HTTPS, by the way on which the relay is reached: proxy, authorities and clock are the same.
//!
//! It reads no further than it was granted, so that whoever takes the bytes sets the pace.

use std::net::IpAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HOST, HeaderMap,
    HeaderName, IF_RANGE, LOCATION, RANGE, USER_AGENT,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use spoolway_agent_core::transfer::{HttpGet, HttpHead};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::RelaySettings;
use super::address::is_public;
use super::failure::{Failure, Retry, Stage};
use super::https_url::{HttpsUrl, HttpsUrlError};
use super::retry_after::retry_after_ms;
use super::way::{self, Secured, Whereto, in_time};
use crate::clock::Clock;
use crate::config::{ClientCert, ClientCertChoice};

/// Largest head of an answer, and the most that is read ahead of what was granted.
const BUFFER_BYTES: usize = 64 * 1024;
/// Redirections of one request that are followed.
const REDIRECTIONS: usize = 5;

/// What is said of a request, and by which.
#[derive(Debug)]
pub(crate) struct Downloaded {
    pub(crate) attempt: u32,
    pub(crate) news: DownloadNews,
}

/// What a server has said, or why it says nothing.
#[derive(Debug)]
pub(crate) enum DownloadNews {
    /// The answer has begun.
    Head(HttpHead),
    /// The next bytes of its body.
    Body(Bytes),
    /// The body has ended as it was announced.
    End,
    /// It cannot be had, or broke off; how long the other end wants to be left alone, in ms.
    Lost { wish_ms: Option<u64>, why: String },
    /// The agent does not go there.
    Unusable(String),
}

/// A request that is under way. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Download {
    attempt: u32,
    granted: watch::Sender<u64>,
    task: AbortHandle,
}

impl Download {
    /// Sends the request; `news` hears of everything, in order, and no faster than it takes it.
    pub(crate) fn start<N: From<Downloaded> + Send + 'static>(
        relay: RelaySettings,
        clock: Clock,
        get: HttpGet,
        news: mpsc::Sender<N>,
    ) -> Self {
        let (granted, seen) = watch::channel(0);
        let attempt = get.attempt;
        let task = tokio::spawn(async move {
            let tell = |word| news.send(Downloaded { attempt, news: word }.into());
            let end = match answer(&relay, &clock, &get).await {
                Ok(response) => {
                    drop(tell(DownloadNews::Head(head_of(&response))).await);
                    carry(response.into_body(), seen, &tell).await
                }
                Err(end) => end,
            };
            drop(tell(end).await);
        });
        Self { attempt, granted, task: task.abort_handle() }
    }

    /// The name of the request.
    pub(crate) const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// So many bytes of the body may be read, from its beginning on.
    pub(crate) fn grant(&self, bytes: u64) {
        self.granted.send_replace(bytes);
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads the body as far as it is granted; gives how it ended.
async fn carry<T, E>(
    mut body: Incoming,
    mut granted: watch::Receiver<u64>,
    tell: &impl Fn(DownloadNews) -> T,
) -> DownloadNews
where
    T: Future<Output = Result<(), E>>,
{
    let mut read = 0;
    loop {
        if granted.wait_for(|granted| *granted > read).await.is_err() {
            return DownloadNews::End;
        }
        match body.frame().await {
            None => return DownloadNews::End,
            Some(Err(error)) => return lost(format!("the answer broke off: {error}")),
            Some(Ok(frame)) => {
                let Ok(bytes) = frame.into_data() else { continue };
                read += bytes.len() as u64;
                if tell(DownloadNews::Body(bytes)).await.is_err() {
                    return DownloadNews::End;
                }
            }
        }
    }
}

/// The answer of whoever has the file, at the end of all redirections.
async fn answer(
    relay: &RelaySettings,
    clock: &Clock,
    get: &HttpGet,
) -> Result<Response<Incoming>, DownloadNews> {
    let refused = |error: HttpsUrlError| DownloadNews::Unusable(error.to_string());
    let mut url = HttpsUrl::parse(get.url.reveal()).map_err(refused)?;
    let mut whereto = Whereto::Anywhere;
    for _ in 0..=REDIRECTIONS {
        let (response, peer) = ask(relay, clock, get, &url, whereto).await?;
        let Some(location) = redirection(&response) else { return Ok(response) };
        // What the owner names may be in the agent's own network. Somebody else in the world does not send it there.
        if peer.is_none_or(is_public) {
            whereto = Whereto::Public;
        }
        url = url.join(&location).map_err(|error| {
            DownloadNews::Unusable(format!("{} leads to where the agent does not go: {error}", url.host()))
        })?;
    }
    Err(DownloadNews::Unusable(format!("{} redirections do not lead to the file", REDIRECTIONS + 1)))
}

async fn ask(
    relay: &RelaySettings,
    clock: &Clock,
    get: &HttpGet,
    url: &HttpsUrl,
    whereto: Whereto,
) -> Result<(Response<Incoming>, Option<IpAddr>), DownloadNews> {
    // Who the agent is concerns the relay alone: nobody else is shown a certificate.
    let client = ClientCert { choice: ClientCertChoice::Off, key_file: None };
    let at = RelaySettings { url: url.authority().clone(), client, ..relay.clone() };
    let secured = way::go_to(&at, clock, None, &mut (), whereto).await;
    let Secured { stream, peer, .. } = secured.map_err(|failure| failed(url, failure))?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_BYTES);
    let shaken = in_time(Stage::Request, builder.handshake(TokioIo::new(stream))).await;
    let shaken = shaken.map_err(|failure| failed(url, failure))?;
    let (mut sender, connection) = shaken.map_err(|error| lost(format!("{}: {error}", url.host())))?;
    // It ends with the answer, or when the answer is dropped.
    tokio::spawn(async move { drop(connection.await) });
    let request = request(get, url).map_err(|error| DownloadNews::Unusable(error.to_string()))?;
    let answered = in_time(Stage::Request, sender.send_request(request)).await;
    let answered = answered.map_err(|failure| failed(url, failure))?;
    let response = answered.map_err(|error| lost(format!("{}: {error}", url.host())))?;
    Ok((response, peer))
}

fn request(get: &HttpGet, url: &HttpsUrl) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let mut request = Request::get(url.path_and_query())
        .header(HOST, url.host_header())
        .header(USER_AGENT, concat!("spoolway-agent/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity");
    if get.offset > 0 {
        request = request.header(RANGE, format!("bytes={}-", get.offset));
    }
    if let Some(etag) = &get.if_range {
        request = request.header(IF_RANGE, etag);
    }
    request.body(Empty::new())
}

/// Where it leads (RFC 9110, section 15.4); a redirection that says nothing of that is an answer like any other.
fn redirection(response: &Response<Incoming>) -> Option<String> {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| word(response.headers(), &LOCATION))?
}

fn head_of(response: &Response<Incoming>) -> HttpHead {
    let headers = response.headers();
    HttpHead {
        status: response.status().as_u16(),
        content_range: word(headers, &CONTENT_RANGE),
        content_length: word(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        content_encoding: word(headers, &CONTENT_ENCODING),
        etag: word(headers, &ETAG),
        retry_after_ms: retry_after_ms(headers),
    }
}

fn word(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
}

fn failed(url: &HttpsUrl, failure: Failure) -> DownloadNews {
    let wish_ms = match failure.retry {
        Retry::Backoff(wish_ms) | Retry::Slowly(wish_ms) => wish_ms,
        Retry::Spread(_) | Retry::At(_) => None,
    };
    DownloadNews::Lost { wish_ms, why: format!("{}: {} ({})", url.host(), failure, failure.fault.code()) }
}

fn lost(why: String) -> DownloadNews {
    DownloadNews::Lost { wish_ms: None, why }
}
