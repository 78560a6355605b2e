//! The chapters of the story, and the moves of jobs that each of them is told for.

use std::fmt::Write as _;

use serde_json::json;
use spoolway_agent::config::BedConfirm;
use spoolway_agent::local::PrintWishes;
use spoolway_agent::printer::{RunEnd, RunPhase};
use spoolway_agent_core::stream::Progress;
use spoolway_protocol::Fault;
use spoolway_protocol::JobState::{
    self, AwaitingBedClear, AwaitingOperator, Cancelled, Completed, Failed, Fetching, Interrupted, Offered,
    Paused, Preflight, Printing, Queued, Recovering, Starting, Verified,
};

use super::story::{Dead, LONG_AGO_MS, SMALL, Story, TODAY_MS, WIDE, behind, nobody_reads};

/// Part of the story: the shorter each is, the fewer moves are made again for each kill.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chapter {
    /// Two copies, a pause, a hold, and the bed in between.
    Copies,
    /// A start by command that brings the word about the bed, and a printer that goes away.
    Interruption,
    /// Printers that go away again and again, and plans by which the part goes on.
    Recovery,
    /// A cancel, and a file that is no G-code.
    Endings,
    /// Files of the backend that come, do not come, or are others.
    Transfer,
    /// Files that a person has to look at first.
    Operator,
    /// Jobs that wait for the bed for ever.
    Bed,
    /// Jobs that end, or are held, before their time has come.
    Waiting,
    /// Prints that end as they begin.
    Starts,
    /// Prints that end while they are held, or before their first line.
    Pauses,
    /// A job that is over and is tried once more, and again.
    Anew,
}

impl Chapter {
    pub(super) const ALL: [Self; 11] = [
        Self::Copies,
        Self::Interruption,
        Self::Recovery,
        Self::Endings,
        Self::Transfer,
        Self::Operator,
        Self::Bed,
        Self::Waiting,
        Self::Starts,
        Self::Pauses,
        Self::Anew,
    ];

    /// The moves that it has to make.
    pub(super) const fn edges(self) -> &'static [(JobState, JobState)] {
        match self {
            Self::Copies => &[
                (Offered, Verified),
                (Verified, Queued),
                (Queued, Preflight),
                (Preflight, Starting),
                (Starting, Printing),
                (Printing, Paused),
                (Paused, Printing),
                (Printing, Queued),
                (Preflight, AwaitingBedClear),
                (AwaitingBedClear, Queued),
                (AwaitingBedClear, Preflight),
                (Printing, Completed),
            ],
            Self::Interruption => {
                &[(AwaitingBedClear, Preflight), (Printing, Interrupted), (Interrupted, Cancelled)]
            }
            Self::Recovery => &[
                (Interrupted, Recovering),
                (Recovering, Interrupted),
                (Recovering, Paused),
                (Recovering, Printing),
                (Recovering, Cancelled),
            ],
            Self::Endings => &[(Printing, Cancelled), (Preflight, Failed)],
            Self::Transfer => &[
                (Offered, Fetching),
                (Fetching, Verified),
                (Offered, Cancelled),
                (Offered, Failed),
                (Fetching, Cancelled),
                (Fetching, Failed),
            ],
            Self::Operator => &[
                (Preflight, AwaitingOperator),
                (AwaitingOperator, Queued),
                (AwaitingOperator, Preflight),
                (AwaitingOperator, Failed),
                (AwaitingOperator, Cancelled),
            ],
            Self::Bed => &[(AwaitingBedClear, Cancelled), (AwaitingBedClear, Failed)],
            Self::Waiting => {
                &[(Preflight, Cancelled), (Preflight, Queued), (Queued, Cancelled), (Queued, Failed)]
            }
            Self::Starts => &[(Starting, Failed), (Starting, Interrupted), (Starting, Cancelled)],
            Self::Pauses => {
                &[(Printing, Failed), (Paused, Failed), (Paused, Interrupted), (Paused, Cancelled)]
            }
            Self::Anew => &[(Cancelled, Queued), (Failed, Queued), (Completed, Queued)],
        }
    }

    pub(super) const fn bed(self) -> BedConfirm {
        match self {
            Self::Copies | Self::Interruption | Self::Bed => BedConfirm::Required,
            _ => BedConfirm::NotRequired,
        }
    }
}

impl Story<'_> {
    pub(super) async fn tell(&mut self, chapter: Chapter) -> Result<(), Dead> {
        match chapter {
            Chapter::Copies => self.copies().await,
            Chapter::Interruption => self.interruption().await,
            Chapter::Recovery => self.recovery().await,
            Chapter::Endings => self.endings().await,
            Chapter::Transfer => self.transfer().await,
            Chapter::Operator => self.operator().await,
            Chapter::Bed => self.bed().await,
            Chapter::Waiting => self.waiting().await,
            Chapter::Starts => self.starts().await,
            Chapter::Pauses => self.pauses().await,
            Chapter::Anew => self.anew().await,
        }
    }

    async fn copies(&mut self) -> Result<(), Dead> {
        let id = self.print(SMALL, PrintWishes { copies: 2, ..PrintWishes::default() }).await?;
        let run = self.started().await?;
        self.run(&id, run, RunPhase::Printing, Printing).await?;
        self.run(&id, run, RunPhase::Paused, Paused).await?;
        self.run(&id, run, RunPhase::Printing, Printing).await?;
        self.run(&id, run, RunPhase::Ended(RunEnd::Completed), AwaitingBedClear).await?;
        self.hold(&id).await?;
        self.until(&id, Queued).await?;
        self.release(&id).await?;
        self.until(&id, AwaitingBedClear).await?;
        self.clear().await?;
        let run = self.started().await?;
        self.run(&id, run, RunPhase::Printing, Printing).await?;
        self.run(&id, run, RunPhase::Ended(RunEnd::Completed), Completed).await
    }

    async fn interruption(&mut self) -> Result<(), Dead> {
        let (first, run) = self.start().await?;
        self.run(&first, run, RunPhase::Ended(RunEnd::Completed), Completed).await?;
        let second = self.print_until(SMALL, AwaitingBedClear).await?;
        self.rig.command("job.start", json!({"job_id": second, "attempt": 1, "bed_epoch": 1})).await;
        let run = self.started().await?;
        self.run(&second, run, RunPhase::Printing, Printing).await?;
        self.lose(&second, run, 4, Interrupted).await?;
        self.clear().await?;
        self.until(&second, Cancelled).await
    }

    async fn recovery(&mut self) -> Result<(), Dead> {
        let id = self.print(&tall(), PrintWishes::default()).await?;
        let run = self.started().await?;
        self.rig.run_behind(run, RunPhase::Printing, 60, behind(60));
        self.until(&id, Printing).await?;
        self.reset(&id, run, behind(60)).await?;
        let run = self.recover(&id).await?;
        self.reset(&id, run, Progress::default()).await?;
        let run = self.recover(&id).await?;
        self.run(&id, run, RunPhase::Paused, Paused).await?;
        self.reset(&id, run, Progress::default()).await?;
        let run = self.recover(&id).await?;
        self.rig.run_behind(run, RunPhase::Printing, 90, behind(90));
        self.until(&id, Printing).await?;
        self.reset(&id, run, behind(90)).await?;
        let run = self.recover(&id).await?;
        self.run(&id, run, RunPhase::Ended(RunEnd::Cancelled), Cancelled).await
    }

    /// The board restarts under the job.
    async fn reset(&mut self, id: &str, run: u64, progress: Progress) -> Result<(), Dead> {
        let end = RunEnd::Interrupted(Fault::FirmwareReset, "it restarted".to_owned());
        self.rig.run_behind(run, RunPhase::Ended(end), 60, progress);
        self.until(id, Interrupted).await
    }

    async fn endings(&mut self) -> Result<(), Dead> {
        let (id, run) = self.start().await?;
        self.run(&id, run, RunPhase::Printing, Printing).await?;
        self.run(&id, run, RunPhase::Ended(RunEnd::Cancelled), Cancelled).await?;
        self.print_until("%PDF-1.7 this is no G-code\n\u{7}\n", Failed).await.map(drop)
    }

    async fn transfer(&mut self) -> Result<(), Dead> {
        self.rig.clock.learn_relay_time(TODAY_MS);
        self.rig.connect().await;
        self.offer("a", b"G28\nG1 X1\n", json!({})).await?;
        self.serve(b"G28\nG1 X1\n").await?;
        self.until("a", Queued).await?;
        self.offer("b", b"G28\nG1 X2\n", json!({})).await?;
        self.until("b", Fetching).await?;
        self.offer("c", b"G28\nG1 X3\n", json!({})).await?;
        self.cancel("c").await?;
        self.offer("d", b"G28\nG1 X4\n", json!({"not_after": LONG_AGO_MS})).await?;
        self.until("d", Failed).await?;
        self.cancel("b").await?;
        while self.rig.asked().is_some() {}
        self.offer("e", b"G28\nG1 X5\n", json!({})).await?;
        self.serve(b"G28\nG1 X6\n").await?;
        self.until("e", Failed).await
    }

    async fn operator(&mut self) -> Result<(), Dead> {
        let late = self.print_until(WIDE, AwaitingOperator).await?;
        self.hold(&late).await?;
        self.until(&late, Queued).await?;
        self.release(&late).await?;
        self.until(&late, AwaitingOperator).await?;
        self.command("job.start", json!({"job_id": late, "attempt": 1})).await?;
        self.until(&late, AwaitingOperator).await?;
        self.expire(&late).await?;
        let unwanted = self.print_until(WIDE, AwaitingOperator).await?;
        self.cancel(&unwanted).await?;
        let accepted = self.print_until(WIDE, AwaitingOperator).await?;
        self.accept(&accepted).await?;
        let run = self.started().await?;
        self.run(&accepted, run, RunPhase::Ended(RunEnd::Completed), Completed).await
    }

    async fn bed(&mut self) -> Result<(), Dead> {
        let (first, run) = self.start().await?;
        self.run(&first, run, RunPhase::Ended(RunEnd::Completed), Completed).await?;
        let unwanted = self.print_until(SMALL, AwaitingBedClear).await?;
        self.cancel(&unwanted).await?;
        let late = self.print_until(SMALL, AwaitingBedClear).await?;
        self.expire(&late).await
    }

    async fn waiting(&mut self) -> Result<(), Dead> {
        for is_wanted in [false, true] {
            let id = self.print_held().await?;
            let go_on = nobody_reads();
            self.release(&id).await?;
            self.until(&id, Preflight).await?;
            if is_wanted {
                self.hold(&id).await?;
                drop(go_on);
                self.until(&id, Queued).await?;
                self.cancel(&id).await?;
            } else {
                self.cancel(&id).await?;
            }
        }
        let late = self.print_held().await?;
        self.expire(&late).await?;
        // The printer is switched off while the file is being read, and on again.
        let id = self.print_held().await?;
        let go_on = nobody_reads();
        self.release(&id).await?;
        self.until(&id, Preflight).await?;
        self.rig.power(false);
        drop(go_on);
        self.until(&id, Queued).await?;
        self.rig.power(true);
        let run = self.started().await?;
        self.run(&id, run, RunPhase::Ended(RunEnd::Completed), Completed).await
    }

    async fn starts(&mut self) -> Result<(), Dead> {
        let (id, run) = self.start().await?;
        self.lose(&id, run, 0, Failed).await?;
        let (id, run) = self.start().await?;
        self.lose(&id, run, 4, Interrupted).await?;
        self.give_up(&id).await?;
        let (id, run) = self.start().await?;
        self.run(&id, run, RunPhase::Ended(RunEnd::Cancelled), Cancelled).await
    }

    async fn pauses(&mut self) -> Result<(), Dead> {
        let (id, run) = self.start().await?;
        self.run(&id, run, RunPhase::Printing, Printing).await?;
        self.lose(&id, run, 0, Failed).await?;
        for (sent, end) in [(0, Failed), (4, Interrupted)] {
            let (id, run) = self.start().await?;
            self.run(&id, run, RunPhase::Paused, Paused).await?;
            self.lose(&id, run, sent, end).await?;
            if end == Interrupted {
                self.give_up(&id).await?;
            }
        }
        let (id, run) = self.start().await?;
        self.run(&id, run, RunPhase::Paused, Paused).await?;
        self.run(&id, run, RunPhase::Ended(RunEnd::Cancelled), Cancelled).await
    }

    async fn anew(&mut self) -> Result<(), Dead> {
        self.print_held().await?;
        self.offer("a", SMALL.as_bytes(), json!({})).await?;
        self.until("a", Queued).await?;
        let run = self.attempt("a", 1).await?;
        self.run("a", run, RunPhase::Ended(RunEnd::Cancelled), Cancelled).await?;
        let run = self.attempt("a", 2).await?;
        self.lose("a", run, 0, Failed).await?;
        let run = self.attempt("a", 3).await?;
        self.run("a", run, RunPhase::Ended(RunEnd::Completed), Completed).await?;
        let run = self.attempt("a", 4).await?;
        self.run("a", run, RunPhase::Ended(RunEnd::Completed), Completed).await
    }
}

/// A part that is high enough for a plan to go on with it.
fn tall() -> String {
    let mut text =
        "M140 S60\nM104 S210\nM190 S60\nM109 S210\nG28\nG90\nM82\nG92 E0\nG1 Z0.2 F600\n".to_owned();
    for step in 1..=200 {
        writeln!(text, "G1 X{} Y{} E{step} F6000", 20 + step % 2 * 10, 20 + step / 2).unwrap();
    }
    text
}
