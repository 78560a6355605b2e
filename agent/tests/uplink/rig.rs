//! An agent that is nothing but its uplink; the test plays the desk.

use std::sync::Arc;

use serde_json::json;
use spoolway_agent::bus::{HelloState, INBOUND, Inbound, OUTBOUND, Outbound, Telemetered, Wishes};
use spoolway_agent::clock::Clock;
use spoolway_agent::config::{ClientCert, Proxy};
use spoolway_agent::health::Promise;
use spoolway_agent::identity::Identity;
use spoolway_agent::printer::EmergencyStop;
use spoolway_agent::store::{
    Durability, EventClass, NewEvent, OutboxStatus, Position, Store, StoreOptions, Write,
};
use spoolway_agent::uplink::{RelaySettings, UplinkParts, run, this_agent};
use spoolway_agent::view::{FaultView, LinkView};
use spoolway_protocol::printer::PrinterSummary;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::relay::{FakeRelay, in_time};

pub(crate) struct Rig {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    pub(crate) outbound: mpsc::Sender<Outbound>,
    pub(crate) telemetered: watch::Sender<Telemetered>,
    pub(crate) wishes: watch::Sender<Wishes>,
    pub(crate) view: watch::Receiver<LinkView>,
    pub(crate) emergency: EmergencyStop,
    pub(crate) stop: CancellationToken,
    _hello: watch::Sender<HelloState>,
    uplink: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// An uplink to this relay, which it trusts.
    pub(crate) fn start(relay: &FakeRelay) -> Self {
        Self::start_with(relay, |_| {})
    }

    pub(crate) fn start_with(relay: &FakeRelay, change: impl FnOnce(&mut RelaySettings)) -> Self {
        Self::start_at(relay, Clock::start().unwrap(), change)
    }

    /// By this clock.
    pub(crate) fn start_at(relay: &FakeRelay, clock: Clock, change: impl FnOnce(&mut RelaySettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { group_ms: 2, ..StoreOptions::default() };
        let (store, _) = Store::open(dir.path(), &options).unwrap();
        let identity = Arc::new(Identity::open(dir.path()).unwrap());
        let url = format!("wss://localhost:{}", relay.port).parse().unwrap();
        let mut settings = RelaySettings {
            url,
            ca_file: Some(relay.ca_file()),
            ca_only: false,
            allow_unbound: false,
            client: ClientCert::default(),
            proxy: Proxy::default(),
        };
        change(&mut settings);
        let (to_desk, inbound) = mpsc::channel(INBOUND);
        let (outbound, from_desk) = mpsc::channel(OUTBOUND);
        let (hello, said) = watch::channel(HelloState { cmd_seq: 5, printers: vec![printer()] });
        let (telemetered, measured) = watch::channel(Telemetered::default());
        let (wishes, wished) = watch::channel(Wishes::default());
        let (shows, view) = watch::channel(LinkView::default());
        let stop = CancellationToken::new();
        let emergency = EmergencyStop::default();
        let parts = UplinkParts {
            relay: settings,
            identity: Arc::clone(&identity),
            clock,
            store: store.clone(),
            inbound: to_desk,
            stop: emergency.clone(),
            outbound: from_desk,
            hello: said,
            telemetered: measured,
            wishes: wished,
            view: shows,
            printer_id: "p0".parse().unwrap(),
            agent: this_agent(),
            promise: Promise::default(),
            seed: 7,
        };
        let uplink = tokio::spawn({
            let stop = stop.clone();
            async move { drop(run(parts, stop).await) }
        });
        Self {
            store,
            identity,
            inbound,
            outbound,
            telemetered,
            wishes,
            view,
            emergency,
            stop,
            _hello: hello,
            uplink,
            _dir: dir,
        }
    }

    pub(crate) fn key(&self) -> Vec<u8> {
        self.identity.public_key().to_vec()
    }

    /// Commits an event whose data is its number.
    pub(crate) async fn event(&self, number: u64) -> Position {
        let event = NewEvent {
            cls: EventClass::Critical,
            kind: "job.state".to_owned(),
            printer_id: Some("p0".to_owned()),
            job_id: None,
            attempt: None,
            ts_json: r#"{"w":1,"m":1,"b":"b","c":"none"}"#.to_owned(),
            data_json: json!({"to": "queued", "rev": number}).to_string(),
        };
        let committed = self.store.commit(vec![Write::Event(event)], Durability::Promise).await.unwrap();
        committed.positions[0]
    }

    /// Waits until the outbox is as it should be.
    pub(crate) async fn outbox_until(&self, good: impl Fn(&OutboxStatus) -> bool) {
        in_time(async {
            while !good(&self.store.outbox_status().await.unwrap()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) async fn fault(&mut self) -> FaultView {
        let view = in_time(self.view.wait_for(|view| view.fault.is_some())).await.unwrap();
        view.fault.clone().unwrap()
    }

    pub(crate) async fn until_up(&mut self) {
        in_time(self.view.wait_for(|view| view.up)).await.unwrap();
    }

    pub(crate) async fn inbound(&mut self) -> Inbound {
        in_time(self.inbound.recv()).await.expect("the uplink runs")
    }

    /// Stops the uplink and waits for its end.
    pub(crate) async fn stopped(self) -> watch::Receiver<LinkView> {
        self.stop.cancel();
        in_time(self.uplink).await.unwrap();
        self.view
    }
}

fn printer() -> PrinterSummary {
    serde_json::from_value(json!({
        "printer_id": "p0", "profile": "marlin", "fw": "Marlin 2.1", "fingerprint": "usb",
        "state": "idle", "state_rev": 1, "bed_epoch": 2,
    }))
    .unwrap()
}
