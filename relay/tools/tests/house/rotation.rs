//! An agent's key is replaced: who may, how long both are good, and what a stolen old one is worth.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use spoolway_protocol::AgentId;
use spoolway_protocol::identity::{OVERLAP_MS, link_bytes};
use spoolway_protocol::pairing::FORGET_PATH;
use spoolway_relay_registry::{AgentKeys, Registry};

use crate::http::{Answer, Line};
use crate::world::{Machine, World};

const PATH: &str = "/pair/v1/rotate";

/// The same agent with another key.
fn next(machine: &Machine, seed: u8) -> Machine {
    let mut next = Machine::new(seed);
    (next.id, next.hello_ctr) = (machine.id, machine.hello_ctr + 1_000);
    next
}

fn link(agent: &AgentId, old: &Machine, new: &Machine) -> Value {
    let bytes = link_bytes(agent, &old.public_key(), &new.public_key());
    let sig = |by: &Machine| STANDARD.encode(by.sign(&bytes));
    json!({"pubkey": STANDARD.encode(new.public_key()), "sig_old": sig(old), "sig_new": sig(new)})
}

fn body(old: &Machine, new: &Machine) -> Value {
    let link = link(&old.id, old, new);
    json!({"agent_id": old.id, "pubkey_old": STANDARD.encode(old.public_key()), "link": link})
}

async fn rotate(line: &mut Line, old: &Machine, new: &Machine) -> Answer {
    line.signed(PATH, new, &body(old, new)).await
}

fn verdict(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or_default())
}

/// The relay's verdict on a login, and whatever it says.
async fn login(world: &World, machine: &mut Machine) -> String {
    let mut client = world.agent_socket().await;
    let said = client.hello(machine).await;
    match said["t"].as_str().unwrap() {
        "reject" => said["body"]["code"].as_str().unwrap().to_owned(),
        kind => kind.to_owned(),
    }
}

/// As if this agent's last change of the key were so long ago.
fn age(world: &World, by_ms: u64) {
    let registry = rusqlite::Connection::open(world.dir.path().join("registry.db")).unwrap();
    let sql = "UPDATE old_key SET replaced_ms = replaced_ms - ?1, until_ms = until_ms - ?1";
    assert_eq!(registry.execute(sql, [by_ms]).unwrap(), 1);
}

#[tokio::test]
async fn both_keys_are_good_for_a_week_and_then_the_old_one_is_refused_by_name() {
    let world = World::start(|_| {}).await;
    let mut old = world.add_agent(1, "farm");
    let mut backend = world.backend("farm").await;
    let mut session = world.agent(&mut old).await;
    assert_eq!(backend.json().await["t"], "presence");
    let mut new = next(&old, 2);
    let mut line = Line::dial(&world).await;
    for _ in 0..2 {
        let rotated = rotate(&mut line, &old, &new).await;
        assert_eq!((rotated.status, &rotated.body["agent_id"]), (200, &json!(old.id)), "{rotated:?}");
        assert!(rotated.body["old_until_ms"].as_u64().unwrap() > OVERLAP_MS);
    }
    let told = backend.json().await;
    assert_eq!((&told["t"], &told["body"]["kind"]), (&json!("security"), &json!("key_changed")), "{told}");
    assert_eq!(told["body"]["severity"], "warning");
    session.send(r#"{"v":1,"t":"hb","body":{"n":1}}"#).await;
    assert_eq!(session.json().await["t"], "hb.ack", "the session goes on");
    assert_eq!(login(&world, &mut old).await, "welcome");
    new.hello_ctr = old.hello_ctr;
    assert_eq!(login(&world, &mut new).await, "welcome");
    age(&world, OVERLAP_MS);
    old.hello_ctr = new.hello_ctr;
    assert_eq!(login(&world, &mut old).await, "key_retired");
    assert_eq!(login(&world, &mut new).await, "welcome");
    let rows = world.registry().audit(9).unwrap();
    let by_agent =
        rows.iter().filter(|row| row.action == "agent.rotate" && row.actor == format!("a:{}", old.id));
    assert_eq!(by_agent.count(), 1);
}

#[tokio::test]
async fn a_stolen_old_key_follows_nothing_and_a_stranger_neither() {
    let world = World::start(|_| {}).await;
    let one = world.add_agent(1, "farm");
    let (two, three) = (next(&one, 2), next(&one, 3));
    let mut line = Line::dial(&world).await;
    assert_eq!(rotate(&mut line, &one, &two).await.status, 200);
    let thief = next(&one, 9);
    assert_eq!(
        verdict(&rotate(&mut line, &one, &thief).await),
        (403, "retired"),
        "within the overlap as well"
    );
    age(&world, OVERLAP_MS);
    assert_eq!(verdict(&rotate(&mut line, &one, &thief).await), (403, "retired"));
    assert_eq!(verdict(&rotate(&mut line, &two, &one).await), (403, "retired"), "it does not come back");
    assert_eq!(verdict(&rotate(&mut line, &thief, &three).await), (403, "bad_sig"));
    let unknown = Machine::new(7);
    assert_eq!(verdict(&rotate(&mut line, &unknown, &next(&unknown, 8)).await), (404, "unknown"));
    let mut forged = body(&two, &three);
    forged["link"]["sig_old"] = forged["link"]["sig_new"].clone();
    assert_eq!(verdict(&line.signed(PATH, &three, &forged).await), (403, "bad_sig"), "without the old key");
    let whole = body(&two, &three);
    assert_eq!(verdict(&line.signed(PATH, &two, &whole).await), (403, "bad_sig"), "not by the new key");
    let keys = world.registry().keys(&one.id).unwrap().unwrap();
    assert_eq!((keys.current, keys.old.len()), (two.public_key(), 1));
}

/// Somebody has a copy of the key. The agent gets a new one, and a person ends the old one at once.
#[tokio::test]
async fn a_stolen_key_that_was_replaced_is_ended_at_once_by_a_person() {
    let world = World::start(|_| {}).await;
    let mut thief = world.add_agent(1, "farm");
    let mut agent = next(&thief, 2);
    let mut line = Line::dial(&world).await;
    assert_eq!(rotate(&mut line, &thief, &agent).await.status, 200);
    let mut session = world.agent(&mut thief).await;
    let id = agent.id.to_string();
    assert_eq!(world.cli(&["agent", "lock", &id]).0, 0);
    assert_eq!(session.close_code().await, 4090, "whoever is in is closed");
    for machine in [&mut thief, &mut agent] {
        assert_ne!(login(&world, machine).await, "welcome");
    }
    assert_eq!(world.cli(&["agent", "release", &id]).0, 0);
    assert_eq!(login(&world, &mut thief).await, "key_retired", "though a week is not over");
    assert_eq!(login(&world, &mut agent).await, "welcome");
    let forgets = line.signed(FORGET_PATH, &thief, &json!({"agent_id": agent.id})).await;
    assert_eq!(verdict(&forgets), (403, "bad_sig"), "nor has it the agent forgotten");
    let rows = world.registry().audit(9).unwrap();
    assert_eq!(rows.iter().filter(|row| row.action == "agent.lock").count(), 1);
    assert_eq!(world.cli(&["agent", "lock", &Machine::new(9).id.to_string()]).0, 1, "nobody knows it");
}

#[tokio::test]
async fn who_is_revoked_has_no_key_any_more_and_a_good_old_one_may_end_it() {
    let world = World::start(|_| {}).await;
    let mut one = world.add_agent(1, "farm");
    let mut two = next(&one, 2);
    let mut line = Line::dial(&world).await;
    assert_eq!(rotate(&mut line, &one, &two).await.status, 200);
    let mut session = world.agent(&mut one).await;
    two.hello_ctr = one.hello_ctr;
    let forgotten = line.signed(FORGET_PATH, &one, &json!({"agent_id": one.id})).await;
    assert_eq!(forgotten.status, 200, "{forgotten:?}");
    assert_eq!(session.close_code().await, 4003);
    assert_eq!(login(&world, &mut one).await, "revoked");
    assert_eq!(login(&world, &mut two).await, "revoked");
    assert_eq!(verdict(&rotate(&mut line, &two, &next(&two, 3)).await), (403, "revoked"));
    let other = world.add_agent(5, "farm");
    world.registry().quarantine_agent(&other.id, Some(1)).unwrap();
    assert_eq!(verdict(&rotate(&mut line, &other, &next(&other, 6)).await), (403, "quarantined"));
}

/// A start of a pairing with a key that has followed others.
fn start(machine: &Machine, lineage: Option<Value>) -> Value {
    let mut start =
        json!({"pubkey": STANDARD.encode(machine.public_key()), "info": {}, "commit": "ab".repeat(32)});
    if let Some(lineage) = lineage {
        start["lineage"] = lineage;
    }
    start
}

#[tokio::test]
async fn an_agent_is_the_same_at_another_relay_whatever_key_it_has_by_then() {
    let world = World::start(|_| {}).await;
    let first = Machine::new(1);
    let (second, third) = (next(&first, 2), next(&first, 3));
    let links = json!([link(&first.id, &first, &second), link(&first.id, &second, &third)]);
    let lineage = json!({"first": STANDARD.encode(first.public_key()), "links": links});
    let mut line = Line::dial(&world).await;
    let begun = line.signed("/pair/v1/start", &third, &start(&third, Some(lineage.clone()))).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    let body = json!({"code": begun.body["code"], "nonce": STANDARD.encode([6; 32])}).to_string();
    let seen = line.as_backend("POST", "/v1/pairings/claim", "farm", &body).await;
    assert_eq!((&seen.body["agent"], &seen.body["lineage"]), (&json!(first.id), &lineage));
    let mut cut = lineage.clone();
    cut["links"].as_array_mut().unwrap().remove(0);
    let strange = line.signed("/pair/v1/start", &third, &start(&third, Some(cut))).await;
    assert_eq!(verdict(&strange), (400, "bad_field"));
    // A relay that knows an older key of it takes the newer one, and never the other way round.
    let token = |id: &str| {
        let secret_hash = spoolway_relay::auth::hash_of_secret("s");
        let expires_ms = u64::MAX >> 1;
        let backend = "farm".parse().unwrap();
        let (id, uses_left) = (id.to_owned(), 9);
        spoolway_relay_registry::EnrolmentRecord { id, backend, secret_hash, uses_left, expires_ms }
    };
    use spoolway_relay_registry::Pairings as _;
    world.registry().add_enrolment(&token("t")).unwrap();
    let enrol = |machine: &Machine, lineage: Option<&Value>| {
        let mut body = start(machine, lineage.cloned());
        body["token"] = json!("t.s");
        body
    };
    let at_first = line.signed("/pair/v1/enrol", &first, &enrol(&first, None)).await;
    assert_eq!(at_first.status, 200, "{at_first:?}");
    let later = line.signed("/pair/v1/enrol", &third, &enrol(&third, Some(&lineage))).await;
    assert_eq!(later.status, 200, "{later:?}");
    assert_eq!(world.registry().keys(&first.id).unwrap().unwrap().current, third.public_key());
    for path in ["/pair/v1/enrol", "/pair/v1/start"] {
        let back = line.signed(path, &first, &enrol(&first, None)).await;
        assert_eq!(verdict(&back), (403, "retired"), "{path}");
    }
}
