//! What a backend may have under way by HTTP at a time is set, told with the setting's name, and taken over while a relay runs.

use serde_json::json;
use spoolway_protocol::AgentId;
use spoolway_relay::config::{Config, Limits};

use crate::http::{Answer, Line};
use crate::world::{HANG, World};

const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// One kind of request that stays where it is while its agent says nothing.
struct Kind {
    method: &'static str,
    /// For the request of this number.
    path: fn(AgentId, u32) -> String,
    body: fn(u32) -> String,
    /// For this many: of all, and of each backend.
    set: fn(&mut Limits, usize, usize),
    setting: &'static str,
}

fn cmd_id(n: u32) -> String {
    format!("0199c5c0-7c00-7000-8000-0000000000{n:02}")
}

fn command(n: u32) -> String {
    let actor = json!({"id": "anna", "role": "operator"});
    json!({"cmd_id": cmd_id(n), "seq": n, "kind": "job.pause", "args": {"job_id": "j"}, "actor": actor})
        .to_string()
}

const KINDS: [Kind; 3] = [
    Kind {
        method: "PUT",
        path: |agent, n| format!("/v1/agents/{agent}/commands/{}", cmd_id(n)),
        body: command,
        set: |limits, all, each| (limits.http_requests, limits.http_requests_of_backend) = (all, each),
        setting: "limits.http_requests",
    },
    Kind {
        method: "PUT",
        path: |agent, n| format!("/v1/agents/{agent}/jobs/job-{n}?cmd_id={}&seq={n}&sha256={SHA}", cmd_id(n)),
        body: |_| "G28\n".to_owned(),
        set: |limits, all, each| (limits.pushes, limits.pushes_of_backend) = (all, each),
        setting: "limits.pushes",
    },
    Kind {
        method: "GET",
        path: |_, _| "/v1/events".to_owned(),
        body: |_| String::new(),
        set: |limits, all, each| (limits.event_streams, limits.event_streams_of_backend) = (all, each),
        setting: "limits.event_streams",
    },
];

/// A relay with an agent of each backend that is connected and says nothing, and its requests by number.
struct Bench {
    world: World,
    agents: Vec<(&'static str, AgentId, crate::world::Client)>,
    kind: &'static Kind,
    begun: u32,
}

impl Bench {
    async fn start(kind: &'static Kind, all: usize, each: usize) -> Self {
        let world = World::start(|config| (kind.set)(&mut config.limits, all, each)).await;
        let mut agents = Vec::new();
        for (seed, backend) in [(1, "farm"), (2, "other")] {
            let mut machine = world.add_agent(seed, backend);
            let client = world.agent(&mut machine).await;
            agents.push((backend, machine.id, client));
        }
        Self { world, agents, kind, begun: 0 }
    }

    async fn begin(&mut self, backend: usize) -> Line {
        let (name, agent, _) = &self.agents[backend];
        self.begun += 1;
        let token = format!("Bearer {name}.secret");
        let headers = [("authorization", token.as_str()), ("prefer", "wait=30")];
        let mut line = Line::dial(&self.world).await;
        let (path, body) = ((self.kind.path)(*agent, self.begun), (self.kind.body)(self.begun));
        line.begin(self.kind.method, &path, &headers, &body).await;
        line
    }

    /// One that has its place: it has come to the agent, or the stream is open.
    async fn taken(&mut self, backend: usize) -> Line {
        let mut line = self.begin(backend).await;
        if self.kind.method == "GET" {
            assert_eq!(line.answer().await.status, 200);
        } else {
            assert_eq!(self.agents[backend].2.json().await["t"], "cmd");
        }
        line
    }

    async fn refused(&mut self, backend: usize) {
        let answer: Answer = self.begin(backend).await.answer().await;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert_eq!((answer.status, &answer.body["code"], answer.retry_after), (503, &json!("busy"), Some(5)));
        assert!(detail.contains(self.kind.setting), "{detail}");
    }

    async fn set(&mut self, all: usize, each: usize) {
        let mut config: Config = self.world.config.clone();
        (self.kind.set)(&mut config.limits, all, each);
        self.world.reloads.send(config.clone()).await.unwrap();
        // What is sent behind it is only taken when it was taken over, since one waits at most.
        for _ in 0..2 {
            self.world.reloads.send(config.clone()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_backend_has_under_way_is_bounded_as_it_is_set_and_so_is_what_all_have() {
    for kind in &KINDS {
        let all = async {
            let mut bench = Bench::start(kind, 3, 2).await;
            let mut held = vec![bench.taken(0).await, bench.taken(0).await];
            bench.refused(0).await;
            held.push(bench.taken(1).await);
            bench.refused(1).await;
        };
        tokio::time::timeout(HANG, all).await.expect(kind.setting);
    }
}

#[tokio::test]
async fn another_bound_holds_at_once_and_ends_nothing() {
    for kind in &KINDS {
        let all = async {
            let mut bench = Bench::start(kind, 9, 1).await;
            let mut held = vec![bench.taken(0).await];
            bench.refused(0).await;
            bench.set(9, 3).await;
            held.push(bench.taken(0).await);
            bench.set(1, 9).await;
            bench.refused(0).await;
            bench.refused(1).await;
            bench.set(9, 3).await;
            held.push(bench.taken(0).await);
            bench.refused(0).await;
        };
        tokio::time::timeout(HANG, all).await.expect(kind.setting);
    }
}
