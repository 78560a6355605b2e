//! What the guard has found, told to the backend once.

use spoolway_protocol::FaultCode;
use spoolway_protocol::event::{EventData, PrinterError};
use spoolway_protocol::raw::Extra;

use super::clerk::Clerk;
use super::events::event;
use crate::printer::Snapshot;
use crate::view::FaultView;

impl Clerk {
    pub(super) async fn tell_alarms(&mut self, snapshot: &Snapshot) {
        let news = snapshot.alarms.iter().filter(|alarm| alarm.number > self.alarms_told);
        let stamp = self.clock.stamp();
        let job = self.following.as_ref().map(|following| (&following.job_id, following.subject.attempt));
        let writes: Vec<_> = news
            .map(|alarm| {
                let error = EventData::PrinterError(PrinterError {
                    code: FaultCode(alarm.wrong.fault().code().to_owned()),
                    text: alarm.text.clone(),
                    resend_ratio: None,
                    extra: Extra::default(),
                });
                event(&error, job, &stamp)
            })
            .collect();
        let last = snapshot.alarms.last().map_or(0, |alarm| alarm.number);
        if !writes.is_empty() && self.promise(writes).await.is_ok() {
            self.alarms_told = last;
        }
    }
}

/// Alarms that are not over.
pub(super) fn standing(snapshot: &Snapshot) -> Vec<FaultView> {
    let standing = snapshot.alarms.iter().filter(|alarm| !alarm.is_over);
    standing.map(|alarm| FaultView::new(alarm.wrong.fault(), alarm.text.clone())).collect()
}
