//! What the printer's sensors have said, told to the backend once.

use spoolway_protocol::event::EventData;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::sensor::{Sensor, SensorKind};

use super::clerk::Clerk;
use super::events::event;
use crate::printer::Snapshot;

impl Clerk {
    pub(super) async fn tell_sensors(&mut self, snapshot: &Snapshot) {
        let Some(runout) = snapshot.runout.as_ref().filter(|runout| runout.count > self.runouts_told) else {
            return;
        };
        self.runouts_told = runout.count;
        let told = EventData::Sensor(Sensor {
            kind: SensorKind::Filament,
            value: "out".to_owned(),
            text: Some(runout.words.clone()).filter(|words| !words.is_empty()),
            extra: Extra::default(),
        });
        let job = self.following.as_ref().map(|following| (&following.job_id, following.subject.attempt));
        let told = event(&told, job, &self.clock.stamp());
        self.note(vec![told]).await;
    }
}
