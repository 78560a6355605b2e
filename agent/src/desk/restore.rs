//! Begins where the last run ended: jobs, commands, and what was left half done.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use spoolway_agent_core::Moment;
use spoolway_agent_core::job::Bed;
use spoolway_agent_core::recovery::Loss;
use spoolway_agent_core::stream::Stats;
use spoolway_agent_core::update::Now;
use spoolway_protocol::event::{AgentStarted, EventData, Gap, JobStateChanged, PrevExit};
use spoolway_protocol::job::Outcome;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, JobId};
use tokio::sync::mpsc;
use tracing::warn;

use super::Parts;
use super::book::{Book, Entry};
use super::clerk::{Clerk, Done};
use super::events::event;
use super::intake::Intake;
use super::losses::{Heat, Lost};
use super::moves::Reason;
use super::permits::Permits;
use super::post_mortem::Evidence;
use super::update::Updates;
use super::usage::{RunFacts, Times, filament_of};
use crate::attempt::Begun;
use crate::bus::Inbound;
use crate::line_journal::{Found, Mark};
use crate::post_mortem::Shelf;
use crate::printer::{Order, Ticket};
use crate::store::{Dropped, Durability, Opened, Start, Store, StoreError, Write};

/// Names of single values in the store.
pub(super) const BED_EPOCH: &str = "bed_epoch";
pub(super) const BED_CLEAR: &str = "bed_clear";
pub(super) const BED_JOB: &str = "bed_job";

impl Clerk {
    pub(super) async fn open(
        parts: Parts,
        done: mpsc::Sender<Done>,
    ) -> anyhow::Result<(Self, mpsc::Receiver<Inbound>, impl Future<Output = ()>)> {
        let Parts { clock, identity, store, opened, spool, journal, printer, port, backend, inbound, .. } =
            parts;
        let (journal, left) = journal;
        let Parts { outbound, hello, telemetry, wishes, link, rotator, preflight: own_rules, .. } = parts;
        let crate::config::Bed { confirm } = parts.bed;
        let intake = Intake::open(&store, &clock).await?;
        let gives_records = backend.borrow().records;
        let permits = Permits::open(backend, &store).await?;
        let (settings, preflight_rules) = super::settings::restore(&store, &own_rules).await?;
        let now = Now { at: clock.now(), boot: clock.boot_id(), unix_ms: clock.trusted_unix_ms() };
        let updates = Updates::restore(&store, parts.update.allow, now).await?;
        wishes.send_replace(super::telemetry::restore(&store).await?);
        let (orders, stop, snapshot) =
            (printer.orders.clone(), printer.stop.clone(), printer.snapshot.clone());
        let taken = printer.taken.clone();
        let bed = restore_bed(&store, &opened).await?;
        let bed_job = store.meta(BED_JOB).await?.and_then(|id| JobId::new(id).ok());
        let mut clerk = Self {
            began: clock.now(),
            clock,
            shelf: Shelf::of(store.area().dir()),
            gives_records,
            identity,
            store,
            spool,
            journal,
            orders,
            stop,
            stopped_ahead: VecDeque::new(),
            snapshot,
            port,
            preflight_rules,
            own_rules,
            settings,
            updates,
            outbound,
            hello,
            telemetry,
            wishes,
            link,
            done,
            rotator,
            book: Book::new(permits.are_required()),
            permits,
            intake,
            fetch: None,
            writing: Arc::default(),
            transfer_settings: parts.transfer,
            relay: parts.relay,
            preflight: None,
            following: None,
            drafting: false,
            judged_with: None,
            connected: false,
            trust: super::trust::Trust::default(),
            printer_state: PrinterState::Offline,
            printer_rev: 0,
            prompt: None,
            bed,
            bed_confirm: confirm,
            bed_job,
            readied: None,
            alarms_told: 0,
            runouts_told: 0,
            window: None,
            runs: 0,
            stopping: false,
            forget: None,
            restart: false,
            successor: None,
            changed: true,
            moved: false,
            storage_fault: None,
            rest_until: None,
            upkeep_due: Moment::ZERO,
            budget: super::budget::Budget::default(),
            health_due: Moment::ZERO,
            dropped: Dropped::default(),
            imports: 0,
        };
        clerk.tell_start(&opened.start).await;
        clerk.restore_maintenance().await?;
        let lost_database = matches!(opened.start, Start::Missing | Start::Corrupt { .. });
        clerk.restore_jobs(taken, lost_database, &left).await?;
        Ok((clerk, inbound, printer.join()))
    }

    async fn tell_start(&mut self, start: &Start) {
        let prev_exit = match start {
            Start::Fresh => PrevExit::First,
            Start::Clean => PrevExit::Clean,
            Start::Unclean => PrevExit::Unclean,
            Start::Missing => PrevExit::DatabaseMissing,
            Start::Corrupt { .. } => PrevExit::DatabaseDamaged,
        };
        let stamp = self.clock.stamp();
        let started = EventData::AgentStarted(AgentStarted {
            prev_exit,
            boot_id: self.clock.boot_id().clone(),
            ver: env!("CARGO_PKG_VERSION").to_owned(),
            extra: Extra::default(),
        });
        let mut writes = vec![event(&started, None, &stamp)];
        if let Start::Corrupt { set_aside, detail } = start {
            let fault = Fault::StoreCorrupt;
            warn!(code = fault.code(), set_aside = %set_aside.display(), detail, help = fault.help(), "database set aside");
        }
        if matches!(start, Start::Corrupt { .. } | Start::Missing) {
            // How many were lost cannot be known any more.
            let cls = spoolway_protocol::event::EventClass::Critical;
            let gap = EventData::Gap(Gap { dropped: 0, cls, extra: Extra::default() });
            writes.push(event(&gap, None, &stamp));
        }
        drop(self.promise(writes).await);
    }

    async fn restore_jobs(
        &mut self,
        taken: Option<Ticket>,
        lost_database: bool,
        left: &Found,
    ) -> Result<(), StoreError> {
        if matches!(left, Found::Damaged | Found::OtherVersion(_)) {
            warn!(?left, "the line journal cannot be read; where an interrupted print stood is not known");
        }
        for row in self.store.jobs().await? {
            match Entry::from_row(&row) {
                Some(entry) => drop(self.book.put(entry)),
                None => warn!(job = row.job_id, "a job of another version is left alone"),
            }
        }
        if let Some(ticket) = taken {
            self.take_up(ticket, lost_database, left).await;
        }
        let ids: Vec<JobId> = self.book.entries.keys().cloned().collect();
        let goes_on = self.following.as_ref().map(|run| run.job_id.clone());
        for id in ids.into_iter().filter(|id| goes_on.as_ref() != Some(id)) {
            self.restore_job(&id, left).await?;
        }
        self.settle_records(lost_database).await?;
        self.sweep_parts();
        Ok(())
    }

    /// A job that was being printed is interrupted: it is not known what the printer has done, and nothing starts again by
    /// itself.
    async fn restore_job(&mut self, id: &JobId, left: &Found) -> Result<(), StoreError> {
        let entry = self.book.entries.get_mut(id).expect("the id comes from the book");
        let held_printer = entry.job.state().holds_printer();
        let expected_rev = entry.job.rev();
        let Some(changed) = entry.job.after_restart() else { return Ok(()) };
        let fault = Fault::AgentRestarted;
        let mut reason = Reason::fault(fault, fault.summary());
        if !held_printer {
            let writes = self.write_move(id, expected_rev, EventData::JobState(changed), &reason);
            return self.promise(writes).await;
        }
        let entry = self.book.entries.get_mut(id).expect("the id comes from the book");
        let mark = left.of(id.as_str(), entry.job.attempt());
        let loss = Loss::of_restart(mark.is_none_or(|mark| mark.boot == self.clock.boot_id().to_string()));
        entry.detail.lost = Some(match mark {
            Some(mark) => Lost::at_mark(loss, mark),
            None => Lost::new(loss, Heat::default(), &self.clock.stamp()),
        });
        if let Some(mark) = mark {
            entry.detail.stand_at(mark.commands, mark.position());
        }
        let line = entry.detail.line;
        reason.text = Some(format!("{}; at or behind line {line}", loss.sentence()));
        warn!(job = %id, line, code = fault.code(), help = fault.help(), "print was interrupted");
        let changed = JobStateChanged { loss: Some(loss.as_str().to_owned()), ..changed };
        let facts = self.facts_of(id, mark).await?;
        self.count_time(id, &facts);
        let mut writes = self.write_move(id, expected_rev, EventData::JobState(changed), &reason);
        writes.extend(self.write_result(id, Outcome::Interrupted, &reason, Some(&facts)));
        self.promise(writes).await?;
        self.keep_record(id, &reason, Evidence::of_mark(facts.begun.started, mark));
        drop(self.orders.send(Order::MakeSafe).await);
        Ok(())
    }

    /// What is known of an attempt that ended while the agent was away.
    async fn facts_of(&self, id: &JobId, mark: Option<&Mark>) -> Result<RunFacts, StoreError> {
        let entry = &self.book.entries[id];
        let begun = Begun::of(&self.store, id, entry.job.attempt()).await?;
        let times = Times::until(begun.started.as_ref(), mark);
        let (sha256, counted) = (entry.sha256().to_string(), entry.detail.counted());
        let filament_mm = filament_of(self.spool.clone(), sha256, counted).await;
        Ok(RunFacts { begun, times, filament_mm, stats: Stats::default() })
    }
}

async fn number(store: &Store, key: &str) -> Result<u64, StoreError> {
    Ok(store.meta(key).await?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Where the database was lost nobody knows what is on the bed; an epoch far above every one before is never mistaken for one
/// of them.
async fn restore_bed(store: &Store, opened: &Opened) -> Result<Bed, StoreError> {
    const STARTS_BITS: u32 = 20;
    let stored = store.meta(BED_EPOCH).await?.and_then(|text| text.parse().ok());
    if let Some(epoch) = stored {
        return Ok(Bed::restore(epoch, number(store, BED_CLEAR).await?));
    }
    if !matches!(opened.start, Start::Missing | Start::Corrupt { .. }) {
        return Ok(Bed::default());
    }
    let bed = Bed::unknown(opened.epoch << STARTS_BITS);
    let writes = vec![meta(BED_EPOCH, bed.epoch()), meta(BED_CLEAR, bed.clear_epoch())];
    store.commit(writes, Durability::Promise).await?;
    Ok(bed)
}

/// Named values that a commit carries along.
pub(super) fn meta(key: &str, value: impl ToString) -> Write {
    Write::PutMeta { key: key.to_owned(), value: value.to_string() }
}
