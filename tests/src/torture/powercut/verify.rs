//! After a cut: the storage opens, and holds everything that somebody outside relies on.

use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use spoolway_agent::spool::{Spool, SpoolOptions};
use spoolway_agent::store::{
    Durability, EventClass, Position, Start, Store, StoreError, StoreOptions, Write,
};

use super::facts::Wanted;
use super::workload::event;

/// What was found after one cut.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What does not hold.
    pub(super) faults: Vec<String>,
    /// Commands, jobs, starts, critical events and files that were promised and looked for.
    pub(super) promises: u64,
    /// Grouped events that were told and are gone, as they may.
    pub(super) grouped_lost: u64,
    /// Whether a new epoch began.
    pub(super) new_epoch: bool,
}

/// Opens what the cut left, looks, writes, and closes.
pub(super) async fn verify(dir: &Path, wanted: &Wanted, mark: u64) -> Found {
    let mut found = Found::default();
    if let Err(error) = look(dir, wanted, mark, &mut found).await {
        found.faults.push(format!("the store cannot be read: {error}"));
    }
    look_at_files(dir, wanted, &mut found);
    found
}

async fn look(dir: &Path, wanted: &Wanted, mark: u64, found: &mut Found) -> Result<(), StoreError> {
    let (store, opened) = Store::open(dir, &StoreOptions::default())?;
    match &opened.start {
        Start::Corrupt { detail, .. } => found.faults.push(format!("the database was set aside: {detail}")),
        Start::Fresh | Start::Clean | Start::Unclean | Start::Missing => {}
    }
    found.new_epoch = opened.start != Start::Clean;
    let next = Position { epoch: opened.epoch, seq: opened.next_seq };
    if let Some((last, _)) = wanted.told.last_key_value().filter(|(last, _)| **last >= next) {
        found.faults.push(format!("{next:?} would be given again, {last:?} was told"));
    }
    look_at_promises(&store, wanted, found).await?;
    look_at_events(&store, wanted, found).await?;
    let given = store.commit(vec![event(EventClass::Critical, mark)], Durability::Promise).await?;
    if given.positions != [next] {
        found.faults.push(format!("{next:?} was announced and {:?} given", given.positions));
    }
    store.close().await
}

async fn look_at_promises(store: &Store, wanted: &Wanted, found: &mut Found) -> Result<(), StoreError> {
    for cmd_id in &wanted.commands {
        if store.command(cmd_id).await?.is_none() {
            found.faults.push(format!("{cmd_id} was received and is forgotten"));
        }
    }
    for (job_id, rev) in &wanted.jobs {
        match store.job(job_id).await? {
            None => found.faults.push(format!("{job_id} was accepted and is forgotten")),
            Some(job) if job.rev < *rev => {
                found.faults.push(format!("{job_id} was at revision {rev} and is at {}", job.rev));
            }
            Some(_) => {}
        }
    }
    for (job_id, attempt) in &wanted.starts {
        let (job_id, attempt) = (job_id.clone(), *attempt);
        let again = Write::InsertAttempt { job_id, attempt, started_ms: 2, detail_json: None };
        match store.commit(vec![again], Durability::Promise).await {
            Err(StoreError::AlreadyStarted { .. }) => {}
            other => found.faults.push(format!("attempt {attempt} would be started twice: {other:?}")),
        }
    }
    found.promises += (wanted.commands.len() + wanted.jobs.len() + wanted.starts.len()) as u64;
    Ok(())
}

async fn look_at_events(store: &Store, wanted: &Wanted, found: &mut Found) -> Result<(), StoreError> {
    let held = store.events_after(Position::default(), usize::MAX, u64::MAX).await?;
    let held: std::collections::BTreeMap<_, _> =
        held.into_iter().map(|stored| (stored.position, stored.event.data_json)).collect();
    for (at, mark) in &wanted.told {
        if held.get(at).is_some_and(|says| *says != mark.to_string()) {
            found.faults.push(format!("{at:?} names two events"));
        }
    }
    let lost: Vec<_> = wanted.events.iter().filter(|at| !held.contains_key(at)).collect();
    if let Some(first) = lost.first() {
        found.faults.push(format!("{} critical events are lost, the first is {first:?}", lost.len()));
    }
    let oldest = held.keys().next().copied().unwrap_or_default();
    let behind = wanted.told.range(oldest..).filter(|(at, _)| !held.contains_key(at)).count();
    found.grouped_lost += (behind - lost.iter().filter(|at| **at >= &oldest).count()) as u64;
    found.promises += wanted.events.len() as u64;
    Ok(())
}

fn look_at_files(dir: &Path, wanted: &Wanted, found: &mut Found) {
    let options = SpoolOptions { reserve_bytes: 0, ..SpoolOptions::default() };
    let spool = match Spool::open(&dir.join("spool"), options) {
        Ok(spool) => spool,
        Err(error) => return found.faults.push(format!("the spool does not open: {error}")),
    };
    let stored = spool.bodies().unwrap_or_default();
    let names = stored.iter().map(|body| &body.name);
    // What bears a final name is whole, also when nobody was told of it yet.
    for sha256 in wanted.bodies.iter().chain(names) {
        if let Err(error) = check_file(&spool, sha256) {
            found.faults.push(format!("file {sha256}: {error:#}"));
        }
    }
    found.promises += wanted.bodies.len() as u64;
}

fn check_file(spool: &Spool, sha256: &str) -> anyhow::Result<()> {
    let mut body = spool.read(sha256)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match body.read(&mut piece)? {
            0 => break,
            len => hash.update(&piece[..len]),
        }
    }
    let is: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    anyhow::ensure!(is == sha256, "it has become {is}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_missing_or_given_twice_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &StoreOptions::default()).unwrap();
        let given = store.commit(vec![event(EventClass::Critical, 7)], Durability::Promise).await.unwrap();
        store.close().await.unwrap();
        let mut wanted = Wanted::default();
        wanted.told.insert(given.positions[0], 7);
        wanted.events.insert(given.positions[0]);
        let fine = verify(dir.path(), &wanted, 8).await;
        assert!(fine.faults.is_empty() && fine.promises == 1, "{fine:?}");

        wanted.told.insert(given.positions[0], 6);
        wanted.told.insert(Position { epoch: 1, seq: 90 }, 5);
        wanted.events.insert(Position { epoch: 1, seq: 90 });
        wanted.commands.insert("c".to_owned());
        wanted.jobs.insert("j".to_owned(), 1);
        wanted.starts.insert(("j".to_owned(), 1));
        wanted.bodies.insert("ab".repeat(32));
        let bad = verify(dir.path(), &wanted, 9).await;
        for words in [
            "given again",
            "received and is forgotten",
            "accepted and is forgotten",
            "started twice",
            "names two events",
            "critical events are lost",
            "file abab",
        ] {
            assert!(bad.faults.iter().any(|fault| fault.contains(words)), "{words}: {:?}", bad.faults);
        }
    }
}
