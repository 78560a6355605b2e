//! Pairing over HTTPS: signatures, guesses, single use, bounds, tokens, and the command line beside a relay that runs.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_protocol::pairing::{fingerprint_bytes, words_of};
use spoolway_relay_registry::Registry;

use crate::http::{Answer, Line};
use crate::world::{Machine, World};

const NONCE: [u8; 32] = [5; 32];
const OTHER: [u8; 32] = [6; 32];

/// A start of this machine.
fn start(machine: &Machine) -> Value {
    let commit: String = Sha256::digest(NONCE).iter().map(|byte| format!("{byte:02x}")).collect();
    let info = json!({"host": "pi-left", "printer": "Prusa MK3S", "model": "Raspberry Pi 4", "ver": "1.0.0"});
    json!({"pubkey": STANDARD.encode(machine.public_key()), "info": info, "commit": commit})
}

async fn say(line: &mut Line, machine: &Machine, pair_id: &str, what: &str) -> Answer {
    let mut body = json!({"pair_id": pair_id, "say": what});
    if what == "reveal" {
        body["nonce"] = STANDARD.encode(NONCE).into();
    }
    line.signed("/pair/v1/step", machine, &body).await
}

pub(crate) async fn claim(line: &mut Line, backend: &str, code: &str) -> Answer {
    let body = json!({"code": code, "nonce": STANDARD.encode(OTHER), "keys": [STANDARD.encode([9; 32])]});
    line.as_backend("POST", "/v1/pairings/claim", backend, &body.to_string()).await
}

/// Begun, with id and code.
pub(crate) async fn begun(line: &mut Line, machine: &Machine) -> (String, String) {
    let answer = line.signed("/pair/v1/start", machine, &start(machine)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
    assert!(text("link").ends_with(&format!("/pair/{}", text("code"))), "{}", text("link"));
    (text("pair_id"), text("code"))
}

#[tokio::test]
async fn a_code_four_words_and_two_yeses_let_an_agent_in() {
    let world = World::start(|_| {}).await;
    let mut machine = Machine::new(7);
    let (mut agent, mut backend) = (Line::dial(&world).await, Line::dial(&world).await);
    let (id, code) = begun(&mut agent, &machine).await;
    assert_eq!(say(&mut agent, &machine, &id, "look").await.body, json!({"state": "open"}));
    assert_eq!(say(&mut agent, &machine, &id, "reveal").await.status, 409, "nobody has shown anything yet");
    let seen = claim(&mut backend, "farm", &code.to_lowercase().replace('-', " ")).await;
    assert_eq!(
        (seen.status, &seen.body["state"], &seen.body["info"]["host"]),
        (200, &json!("claimed"), &json!("pi-left"))
    );
    assert_eq!((&seen.body["agent"], &seen.body["nonce"]), (&json!(machine.id), &Value::Null));
    let view = say(&mut agent, &machine, &id, "look").await.body;
    assert_eq!((&view["state"], &view["owner"]["backend"]), (&json!("claimed"), &json!("farm")));
    assert_eq!(say(&mut agent, &machine, &id, "reveal").await.body["state"], "shown");
    let path = format!("/v1/pairings/{id}");
    let seen = backend.as_backend("GET", &path, "farm", "").await.body;
    assert_eq!(seen["nonce"], STANDARD.encode(NONCE));
    assert_eq!(say(&mut agent, &machine, &id, "yes").await.body["state"], "shown");
    assert!(world.registry().agent(&machine.id).unwrap().is_none(), "one yes is not enough");
    let approved = backend.as_backend("POST", &format!("{path}/approve"), "farm", r#"{"name":"left"}"#).await;
    assert_eq!((approved.status, &approved.body["state"]), (200, &json!("paired")));
    assert_eq!(say(&mut agent, &machine, &id, "yes").await.body["state"], "paired", "the answer may be lost");
    assert_eq!(say(&mut agent, &machine, &id, "no").await.status, 409, "what is over does not change");
    let record = world.registry().agent(&machine.id).unwrap().unwrap();
    assert_eq!((record.backend.as_str(), record.name.as_str()), ("farm", "left"));
    let audit: Vec<_> =
        world.registry().audit(2).unwrap().into_iter().map(|row| (row.actor, row.action)).collect();
    let farm = |action: &str| ("b:farm".to_owned(), action.to_owned());
    assert_eq!(audit, [farm("pairing.approve"), farm("agent.pair")]);
    world.agent(&mut machine).await;
}

#[tokio::test]
async fn a_code_is_used_once_and_nobody_else_hears_of_it() {
    let world = World::start(|_| {}).await;
    let machine = Machine::new(7);
    let mut line = Line::dial(&world).await;
    let (id, code) = begun(&mut line, &machine).await;
    assert_eq!(claim(&mut line, "farm", &code).await.status, 200);
    assert_eq!(claim(&mut line, "farm", &code).await.status, 200, "its own claim again");
    assert_eq!(claim(&mut line, "other", &code).await.status, 404);
    let path = format!("/v1/pairings/{id}");
    for (method, path) in
        [("GET", path.clone()), ("POST", format!("{path}/approve")), ("POST", format!("{path}/deny"))]
    {
        assert_eq!(line.as_backend(method, &path, "other", "").await.status, 404, "{path}");
    }
    let denied = line.as_backend("POST", &format!("{path}/deny"), "farm", "").await;
    assert_eq!(denied.body["state"], "denied");
    assert_eq!(say(&mut line, &machine, &id, "look").await.body["state"], "denied");
    let (again, fresh) = begun(&mut line, &machine).await;
    assert!(again != id && fresh != code);
    assert_eq!(say(&mut line, &machine, &id, "look").await.status, 404, "one pairing an agent");
}

#[tokio::test]
async fn guesses_are_counted_and_a_right_one_does_not_show() {
    let world = World::start(|config| config.pairing.wrong_codes_per_minute = 12).await;
    let mut line = Line::dial(&world).await;
    let (_, code) = begun(&mut line, &Machine::new(7)).await;
    for guess in 0..10 {
        assert_eq!(claim(&mut line, "other", &format!("0000-000{guess}")).await.status, 404);
    }
    let locked = claim(&mut line, "other", &code).await;
    assert_eq!((locked.status, &locked.body["code"]), (429, &json!("rate_limited")));
    assert!(locked.retry_after.unwrap() >= 300, "ten an hour: {locked:?}");
    assert_eq!(claim(&mut line, "farm", "K7QX-M4T!").await.status, 400, "that is no guess");
    let mut guesses = 0;
    while claim(&mut line, "farm", "ZZZZ-ZZZZ").await.status == 404 {
        guesses += 1;
    }
    assert!((2..10).contains(&guesses), "all backends together have their measure: {guesses}");
}

#[tokio::test]
async fn only_the_key_that_is_paired_says_anything_and_only_on_its_own_connection() {
    let world = World::start(|_| {}).await;
    let (machine, stranger) = (Machine::new(7), Machine::new(8));
    let mut line = Line::dial(&world).await;
    let (id, _) = begun(&mut line, &machine).await;
    assert_eq!(say(&mut line, &stranger, &id, "no").await.body["code"], "bad_sig");
    assert_eq!(line.signed("/pair/v1/start", &stranger, &start(&machine)).await.status, 403);
    let body = line.sign("/pair/v1/step", &machine, &json!({"pair_id": id, "say": "no"}));
    let mut elsewhere = Line::dial(&world).await;
    assert_eq!(elsewhere.send("POST", "/pair/v1/step", &[], &body).await.status, 403, "another TLS session");
    assert_eq!(line.send("POST", "/pair/v1/start", &[], &body).await.status, 400, "another path");
    assert_eq!(line.send("POST", "/pair/v1/step", &[], "{}").await.status, 400, "no signature");
    assert_eq!(say(&mut line, &machine, "unheard-of", "look").await.status, 404);
    for token in ["Bearer farm.wrong", "Basic x"] {
        assert_eq!(
            line.send("GET", &format!("/v1/pairings/{id}"), &[("authorization", token)], "").await.status,
            401
        );
    }
    assert_eq!(say(&mut line, &machine, &id, "look").await.body["state"], "open", "nothing of it counted");
}

#[tokio::test]
async fn what_strangers_may_take_has_an_end() {
    let world = World::start(|config| config.pairing.waiting = 2).await;
    let mut line = Line::dial(&world).await;
    for seed in [1, 2] {
        begun(&mut line, &Machine::new(seed)).await;
    }
    let third = Machine::new(3);
    let full = line.signed("/pair/v1/start", &third, &start(&third)).await;
    assert_eq!((full.status, &full.body["code"]), (503, &json!("busy")));
    begun(&mut line, &Machine::new(1)).await;
    let mut tries = 4;
    let often = loop {
        let answer = line.signed("/pair/v1/start", &third, &start(&third)).await;
        if answer.status != 503 {
            break answer;
        }
        tries += 1;
    };
    assert_eq!((often.status, often.retry_after.is_some()), (429, true));
    assert!(tries >= 10, "ten a minute from one address, and not {tries}");
    let mut line = Line::dial(&world).await;
    let large = format!(r#"{{"pair_id":"{}"}}"#, "x".repeat(9_000));
    assert!(matches!(line.send("POST", "/pair/v1/step", &[], &large).await.status, 400 | 413));
}

#[tokio::test]
async fn a_revoked_key_is_not_paired_again() {
    let world = World::start(|_| {}).await;
    let machine = world.add_agent(7, "farm");
    let mut line = Line::dial(&world).await;
    let (id, code) = begun(&mut line, &machine).await;
    assert_eq!(claim(&mut line, "other", &code).await.status, 200, "a good one may change its owner");
    assert_eq!(say(&mut line, &machine, &id, "reveal").await.status, 200);
    assert_eq!(say(&mut line, &machine, &id, "yes").await.status, 200);
    world.registry().revoke_agent(&machine.id, 1).unwrap();
    let late = line.as_backend("POST", &format!("/v1/pairings/{id}/approve"), "other", "").await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (403, &json!("revoked")),
        "looked at in the same transaction"
    );
    let again = line.signed("/pair/v1/start", &machine, &start(&machine)).await;
    assert_eq!((again.status, &again.body["code"]), (403, &json!("revoked")));
}

#[tokio::test]
async fn the_page_says_what_to_do_and_nothing_about_the_code() {
    let world = World::start(|_| {}).await;
    let mut line = Line::dial(&world).await;
    let page = line.send("GET", "/pair/k7qx-m4td", &[], "").await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("K7QX-M4TD") && page.text.contains("spoolway-relay pair approve"),
        "{}",
        page.text
    );
    assert_eq!(line.send("GET", "/pair/%3Cscript%3E", &[], "").await.status, 404);
}

#[tokio::test]
async fn the_command_line_approves_at_a_relay_that_runs() {
    let world = World::start(|_| {}).await;
    let mut machine = Machine::new(7);
    let mut line = Line::dial(&world).await;
    let (id, code) = begun(&mut line, &machine).await;
    let (status, text) = world.cli(&["pair", "list"]);
    assert!(status == 0 && text.contains("pi-left") && !text.contains(&code), "{text}");
    assert_eq!(world.cli(&["pair", "approve", "0000-0000", "--backend", "farm"]).0, 1);
    assert_eq!(world.cli(&["pair", "approve", &code]).0, 1, "there are two backends");
    let mut approve = Command::new(env!("CARGO_BIN_EXE_spoolway-relay"))
        .arg("--folder")
        .arg(world.dir.path())
        .args(["pair", "approve", &code, "--backend", "farm", "--key", &STANDARD.encode([9; 32])])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    approve.stdin.take().unwrap().write_all(b"y\n").unwrap();
    let view = loop {
        let view = say(&mut line, &machine, &id, "look").await.body;
        if view["state"] != "open" {
            break view;
        }
    };
    assert_eq!(say(&mut line, &machine, &id, "reveal").await.body["state"], "shown");
    while say(&mut line, &machine, &id, "yes").await.body["state"] != "paired" {}
    let output = tokio::task::spawn_blocking(move || approve.wait_with_output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: [u8; 32] =
        STANDARD.decode(view["owner"]["nonce"].as_str().unwrap()).unwrap().try_into().unwrap();
    let bytes =
        fingerprint_bytes((&machine.public_key(), &NONCE), (&"farm".parse().unwrap(), &theirs), &[[9; 32]]);
    let words = words_of(&Sha256::digest(bytes).into()).join(" ");
    assert!(
        output.status.success() && text.contains(&words) && text.contains("Prusa MK3S"),
        "{words}\n{text}"
    );
    world.agent(&mut machine).await;
}

#[tokio::test]
async fn a_token_lets_as_many_agents_in_as_it_says() {
    let world = World::start(|_| {}).await;
    let key = STANDARD.encode([9; 32]);
    let args = ["enrol", "add", "--backend", "farm", "--uses", "2", "--key", &key];
    let made = world.command().args(args).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let file: toml::Table = String::from_utf8(made.stdout).unwrap().parse().unwrap();
    assert!(file["ca"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    assert_eq!(
        (file["backend"].as_str(), file["relay"].as_str()),
        (Some("farm"), Some("wss://localhost:8443"))
    );
    let token = file["token"].as_str().unwrap();
    let mut line = Line::dial(&world).await;
    let body = |machine: &Machine, token: &str| json!({"pubkey": STANDARD.encode(machine.public_key()), "info": {"host": "pi"}, "token": token});
    let mut machines = [Machine::new(1), Machine::new(2), Machine::new(3)];
    for seed in [0, 0, 1, 0] {
        let machine = &machines[seed];
        let answer = line.signed("/pair/v1/enrol", machine, &body(machine, token)).await;
        assert_eq!(
            (answer.status, &answer.body["backend"]),
            (200, &json!("farm")),
            "the same again costs nothing"
        );
    }
    let rows = world.registry().audit(2).unwrap();
    let enrolled = |seed: usize| (format!("a:{}", machines[seed].id), "agent.enrol".to_owned());
    let audit: Vec<_> = rows.into_iter().map(|row| (row.actor, row.action)).collect();
    assert_eq!(audit, [enrolled(0), enrolled(1)]);
    let answer = line.signed("/pair/v1/enrol", &machines[2], &body(&machines[2], token)).await;
    assert_eq!((answer.status, &answer.body["code"]), (404, &json!("unknown")), "used up");
    let wrong = format!("{token}x");
    assert_eq!(line.signed("/pair/v1/enrol", &machines[0], &body(&machines[0], &wrong)).await.status, 404);
    world.agent(&mut machines[0]).await;
    let id = token.split('.').next().unwrap();
    let (_, list) = world.cli(&["enrol", "list"]);
    assert!(list.contains(id) && list.contains("0 uses left"), "{list}");
    assert_eq!(world.cli(&["enrol", "revoke", id]).0, 0);
    assert_eq!(world.cli(&["enrol", "revoke", id]).0, 1);
    assert_eq!(line.signed("/pair/v1/enrol", &machines[0], &body(&machines[0], token)).await.status, 404);
}
