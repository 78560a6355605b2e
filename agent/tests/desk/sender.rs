//! What is said to whoever sends the file of a job: what is wanted of it, and when no more is.

use serde_json::json;
use sha2::{Digest, Sha256};
use spoolway_agent::bus::Outbound;

use super::rig::Rig;

/// What is said to whoever sends a file, next: the byte from which on it is wanted, or the job that wants no more of it and why.
async fn said_of_file(rig: &mut Rig) -> Result<u64, (String, Option<String>)> {
    loop {
        match rig.outbound.recv().await.unwrap() {
            Outbound::ChunkGet(get) => return Ok(get.offset),
            Outbound::ChunkDone(done) => {
                return Err((done.job_id.to_string(), done.code.map(|code| code.0)));
            }
            Outbound::Receipt(_) | Outbound::Nack(_) | Outbound::FileUrlRequest(_) => {}
        }
    }
}

#[tokio::test]
async fn whoever_offers_a_job_again_is_told_what_it_still_wants_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open_without_printer(dir.path());
    rig.connect().await;
    let body = b"G28\nG1 X1\n";
    let sha256: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let args = |job: &str, sha256: &str| {
        json!({
            "job_id": job, "rev": 1, "owner": "farm", "start": "manual", "sources": [{"kind": "relay"}],
            "file": {"file_id": job, "size": body.len(), "sha256": sha256, "chunk": 65_536, "name": "part.gcode"},
        })
    };
    let good = args("one", &sha256);
    for _ in 0..3 {
        rig.command("job.offer", good.clone()).await;
        assert_eq!(said_of_file(&mut rig).await, Ok(0), "it is asked at once");
    }
    rig.command("job.offer", good.clone()).await;
    let get = loop {
        if let Outbound::ChunkGet(get) = rig.outbound.recv().await.unwrap() {
            break get;
        }
    };
    rig.send_file(&get, body).await;
    let whole = Err(("one".to_owned(), None));
    assert_eq!(said_of_file(&mut rig).await, whole);
    rig.command("job.offer", good).await;
    assert_eq!(said_of_file(&mut rig).await, whole, "it was told before");
    rig.command("job.offer", args("two", &sha256)).await;
    assert_eq!(said_of_file(&mut rig).await, Err(("two".to_owned(), None)), "it is here already");
    let full = json!({"size": u64::MAX / 2});
    let mut large = args("three", &"ab".repeat(32));
    large["file"].as_object_mut().unwrap().extend(full.as_object().unwrap().clone());
    rig.command("job.offer", large).await;
    let (job, code) = said_of_file(&mut rig).await.unwrap_err();
    assert_eq!((job.as_str(), code.as_deref()), ("three", Some("job.file_too_large")));
}
