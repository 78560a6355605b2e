//! Processes that only wait for an answer: they hear it, and take nothing that belongs to others.

use std::sync::Arc;

use spoolway_protocol::{Address, AgentId, BackendId};
use spoolway_relay::router::{AgentLogin, Audience, ConnId, NoRoute, Router};

const AGENT: AgentId = AgentId::from_bytes([1; 16]);
const OTHER_AGENT: AgentId = AgentId::from_bytes([2; 16]);

fn farm() -> BackendId {
    "farm".parse().unwrap()
}

fn seat(router: &mut Router<u64>, conn: u64, agent: AgentId) {
    let login = AgentLogin {
        agent,
        owner: farm(),
        organisation: "org".into(),
        boot_id: "boot".parse().unwrap(),
        machine_hash: "ab".repeat(32).parse().unwrap(),
        up: Arc::from("up"),
    };
    router.join_agent(ConnId(conn), conn, login);
}

fn guest(router: &mut Router<u64>, conn: u64, agent: AgentId) {
    router.join_guest(ConnId(conn), conn, (&farm(), "org"), agent);
}

fn to_owner(router: &Router<u64>) -> Audience<u64> {
    router.route_agent(&AGENT, ConnId(1), &Address::Backend(farm())).unwrap()
}

fn answer(router: &Router<u64>) -> Audience<u64> {
    router.route_answer(&AGENT, ConnId(1), &Address::Backend(farm())).unwrap()
}

#[test]
fn a_guest_hears_the_answers_of_its_agent_and_nothing_else() {
    let mut router = Router::default();
    guest(&mut router, 10, AGENT);
    seat(&mut router, 1, AGENT);
    seat(&mut router, 2, OTHER_AGENT);
    guest(&mut router, 11, OTHER_AGENT);
    guest(&mut router, 12, AGENT);
    assert_eq!(to_owner(&router), Audience { server: None, watchers: vec![] });
    assert_eq!(answer(&router), Audience { server: None, watchers: vec![10, 12] });
    let foreign = Address::Backend("other".parse().unwrap());
    assert!(matches!(router.route_answer(&AGENT, ConnId(1), &foreign), Err(NoRoute::Refused(_))));
    assert_eq!(router.one_process_each(|_| true).count(), 0, "nothing is told to a guest");
    assert_eq!(router.route_backend(&farm(), ConnId(10), &Address::Agent(AGENT)), Ok(1), "but it commands");
}

#[test]
fn guests_come_and_go_and_whoever_serves_goes_on_serving() {
    let mut router = Router::default();
    seat(&mut router, 1, AGENT);
    guest(&mut router, 10, AGENT);
    assert_eq!(router.join_backend(ConnId(20), 20, &farm(), "org"), [AGENT], "nobody has served it");
    guest(&mut router, 11, AGENT);
    assert_eq!(answer(&router), Audience { server: Some(20), watchers: vec![10, 11] });
    assert_eq!(router.one_process_each(|_| true).copied().collect::<Vec<_>>(), [20]);
    assert_eq!(router.leave_backend(ConnId(10), &farm()), []);
    assert_eq!(answer(&router), Audience { server: Some(20), watchers: vec![11] });
    assert_eq!(router.leave_backend(ConnId(20), &farm()), [], "a guest does not take over");
    assert_eq!(answer(&router), Audience { server: None, watchers: vec![11] });
    assert_eq!(router.join_backend(ConnId(21), 21, &farm(), "org"), [AGENT]);
    assert_eq!(router.leave_backend(ConnId(11), &farm()), []);
    assert_eq!(router.counts(), (1, 1));
}

fn about(router: &Router<u64>, file: &str) -> Audience<u64> {
    router.route_file(&AGENT, ConnId(1), &Address::Backend(farm()), file).unwrap()
}

fn sender(router: &mut Router<u64>, conn: u64, agent: AgentId, file: &str) -> Option<u64> {
    router.join_sender(ConnId(conn), conn, (&farm(), "org"), (agent, file))
}

#[test]
fn what_is_said_about_a_file_goes_to_the_guest_that_sends_it_and_to_nobody_else() {
    let mut router = Router::default();
    seat(&mut router, 1, AGENT);
    seat(&mut router, 2, OTHER_AGENT);
    assert_eq!(router.join_backend(ConnId(20), 20, &farm(), "org").len(), 2);
    guest(&mut router, 10, AGENT);
    assert_eq!(sender(&mut router, 11, OTHER_AGENT, "f"), None);
    assert_eq!(about(&router, "f"), Audience::only(20), "it goes to another agent");
    assert_eq!(sender(&mut router, 12, AGENT, "f"), None);
    assert_eq!(sender(&mut router, 13, AGENT, "g"), None);
    assert_eq!((about(&router, "f"), about(&router, "g")), (Audience::only(12), Audience::only(13)));
    assert_eq!((about(&router, "h"), to_owner(&router)), (Audience::only(20), Audience::only(20)));
    assert_eq!(answer(&router).watchers, [10, 12, 13], "a guest it is besides");
    assert_eq!(sender(&mut router, 14, AGENT, "f"), Some(12), "the later one takes over");
    assert_eq!(about(&router, "f"), Audience::only(14));
    // The late end of the one before changes nothing.
    assert_eq!(router.leave_backend(ConnId(12), &farm()), []);
    assert_eq!(about(&router, "f"), Audience::only(14));
    assert_eq!(router.leave_backend(ConnId(14), &farm()), []);
    assert_eq!(about(&router, "f"), Audience::only(20));
    let foreign = Address::Backend("other".parse().unwrap());
    assert!(matches!(router.route_file(&AGENT, ConnId(1), &foreign, "g"), Err(NoRoute::Refused(_))));
    assert!(matches!(router.route_file(&AGENT, ConnId(9), &foreign, "g"), Err(NoRoute::Stale)));
}

#[test]
fn a_file_of_another_backend_is_none_of_ours() {
    let mut router = Router::default();
    seat(&mut router, 1, AGENT);
    let other: BackendId = "other".parse().unwrap();
    assert_eq!(router.join_sender(ConnId(30), 30, (&other, "org"), (AGENT, "f")), None);
    assert_eq!(about(&router, "f"), Audience { server: None, watchers: vec![] });
}
