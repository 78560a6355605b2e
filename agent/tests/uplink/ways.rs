//! Networks as they are: whatever stands between an agent and its relay has a fault of its own.

use rcgen::SanType;
use spoolway_agent::config::ProxyChoice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::relay::{FakeRelay, in_time};
use crate::rig::Rig;

/// A port that hears something, says the same to everybody and hangs up.
pub(crate) async fn saying(words: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut heard = [0; 4_096];
                // Whoever has hung up does not want to hear it.
                let _ = tcp.read(&mut heard).await;
                let _ = tcp.write_all(words.as_bytes()).await;
                let _ = tcp.shutdown().await;
                while tcp.read(&mut heard).await.is_ok_and(|count| count > 0) {}
            });
        }
    });
    port
}

#[tokio::test]
async fn what_answers_in_the_relays_place_is_told_apart() {
    for (words, code, told) in [
        (
            "HTTP/1.1 302 Found\r\nlocation: http://login.campus/\r\n\r\n",
            "network.captive_portal",
            "web page",
        ),
        ("<!DOCTYPE html><title>Welcome</title>", "network.captive_portal", "web page"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "tls.failed", "TLS handshake"),
        ("", "tls.failed", "TLS handshake"),
    ] {
        let port = saying(words).await;
        let relay = FakeRelay::start().await;
        let mut rig = Rig::start_with(&relay, |settings| settings.url.port = port);
        let fault = rig.fault().await;
        assert_eq!(fault.code, code, "{words:?}: {}", fault.text);
        assert!(fault.text.contains(told), "{}", fault.text);
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_no_dead_relay() {
    let relay = FakeRelay::start().await;
    // Longer than any label of the DNS, so that no server is asked.
    let mut rig = Rig::start_with(&relay, |settings| settings.url.host = "a".repeat(64));
    let fault = rig.fault().await;
    assert_eq!(fault.code, "network.dns");
    assert!(fault.text.contains("cannot be resolved"), "{}", fault.text);
}

#[tokio::test]
async fn what_a_proxy_answers_is_told_apart() {
    for (words, code, told) in [
        (
            "HTTP/1.1 407 No\r\nproxy-authenticate: Basic realm=\"campus\"\r\ncontent-length: 0\r\n\r\n",
            "proxy.auth",
            "does not accept the password of me (tried again every 5 minutes)",
        ),
        (
            "HTTP/1.1 407 No\r\nproxy-authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n\r\n",
            "proxy.auth",
            "(Negotiate, NTLM)",
        ),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\n<h1>", "proxy.refused", "localhost:"),
        ("HTTP/1.1 503 Busy\r\nretry-after: 9\r\n\r\n", "proxy.refused", "503"),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://login.campus/\r\n\r\n",
            "network.captive_portal",
            "login.campus",
        ),
        ("HTTP/1.1 511 Login\r\n\r\n", "network.captive_portal", "511"),
        ("HTTP/1.1 200 OK\r\n\r\n<html>Welcome", "network.captive_portal", "web page"),
        ("HTTP/1.1 200 OK\r\n\r\nSSH-2.0-OpenSSH_9.2", "proxy.refused", "speaks first"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "proxy.refused", "no HTTP proxy"),
        ("", "proxy.refused", "broke off"),
    ] {
        let port = saying(words).await;
        let relay = FakeRelay::start().await;
        let mut rig = Rig::start_with(&relay, |settings| {
            let proxy = format!("http://me@127.0.0.1:{port}").parse().unwrap();
            settings.proxy.choice = ProxyChoice::At(proxy);
        });
        let fault = rig.fault().await;
        assert_eq!(fault.code, code, "{words:?}: {}", fault.text);
        assert!(fault.text.contains(told), "{words:?}: {}", fault.text);
    }
}

#[tokio::test]
async fn a_proxy_whose_answer_has_a_head_without_end_is_given_up() {
    let long = format!("HTTP/1.1 407 No\r\nproxy-authenticate: Negotiate {}\r\n\r\n", "y".repeat(12_000));
    let endless = format!("HTTP/1.1 407 No\r\nproxy-authenticate: Negotiate {}", "y".repeat(300_000));
    for (words, code, told) in [
        (long, "proxy.auth", "not known here (Negotiate yyy"),
        (endless, "proxy.refused", "no HTTP proxy (message head is too large)"),
    ] {
        let port = saying(words.leak()).await;
        let relay = FakeRelay::start().await;
        let mut rig = Rig::start_with(&relay, |settings| {
            settings.proxy.choice = ProxyChoice::At(format!("http://me@127.0.0.1:{port}").parse().unwrap());
        });
        let fault = rig.fault().await;
        assert_eq!(fault.code, code, "{}", fault.text);
        assert!(fault.text.contains(told), "{}", fault.text);
    }
}

#[tokio::test]
async fn a_proxy_that_is_away_is_no_dead_relay() {
    let relay = FakeRelay::start().await;
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (host, code) in [("127.0.0.1".to_owned(), "proxy.unreachable"), ("a".repeat(64), "network.dns")] {
        let mut rig = Rig::start_with(&relay, |settings| {
            settings.proxy.choice = ProxyChoice::At(format!("http://{host}:{away}").parse().unwrap());
        });
        let fault = rig.fault().await;
        assert_eq!(fault.code, code, "{}", fault.text);
        assert!(fault.text.contains("the proxy"), "{}", fault.text);
    }
}

#[tokio::test]
async fn a_relay_that_refuses_the_websocket_is_the_relays_fault() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let fault = tokio::select! {
        fault = rig.fault() => fault,
        () = relay.answer_all("HTTP/1.1 503 Busy\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n") => unreachable!("it serves for ever"),
    };
    assert_eq!(fault.code, "relay.unreachable");
    assert!(fault.text.contains("503"), "{}", fault.text);
}

#[tokio::test]
async fn a_relay_is_reached_by_its_address_of_version_6() {
    let relay = FakeRelay::start_at("[::1]:0", |leaf| {
        leaf.subject_alt_names.push(SanType::IpAddress("::1".parse().unwrap()));
    });
    let relay = relay.await;
    let mut rig = Rig::start_with(&relay, |settings| settings.url.host = "::1".to_owned());
    let mut peer = relay.accept().await;
    peer.challenge("exporter").await;
    peer.hello_at("[::1]", &rig.key(), true).await;
    peer.say_welcome(serde_json::json!({})).await;
    in_time(rig.until_up()).await;
}
