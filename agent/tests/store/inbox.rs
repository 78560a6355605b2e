//! Commands are stored once and stay known after they are forgotten.

use super::*;

#[tokio::test]
async fn a_command_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let list = vec![Write::InsertCommand(command("a", 7)), Write::InsertCommand(command("b", 8))];
    assert!(store.commit(list.clone(), Promise).await.unwrap().duplicates.is_empty());
    let set = |status: &str, result: Option<&str>| Write::SetCommand {
        cmd_id: "a".to_owned(),
        status: status.to_owned(),
        result_json: result.map(str::to_owned),
    };
    store.commit(vec![set("executing", None)], Promise).await.unwrap();
    assert_eq!(store.open_commands().await.unwrap().len(), 2);
    store.commit(vec![set("done", Some("{\"ok\":true}"))], Promise).await.unwrap();
    for again in ["done", "failed", "executing"] {
        let twice = store.commit(vec![set(again, Some("{}"))], Promise).await;
        assert_eq!(twice, Err(StoreError::CommandEnded("a".to_owned())), "nothing ends twice");
    }

    assert_eq!(store.commit(list, Promise).await.unwrap().duplicates, ["a", "b"]);
    let known = store.command("a").await.unwrap().unwrap();
    assert_eq!((known.status.as_str(), known.result_json.as_deref()), ("done", Some("{\"ok\":true}")));
    assert_eq!(known.command, command("a", 7));
    let open: Vec<_> =
        store.open_commands().await.unwrap().into_iter().map(|row| row.command.cmd_id).collect();
    assert_eq!(open, ["b"]);
    assert_eq!(store.highest_command_seq().await.unwrap(), 8);
    let unknown = Write::SetCommand { cmd_id: "z".to_owned(), status: "done".to_owned(), result_json: None };
    assert_eq!(store.commit(vec![unknown], Promise).await, Err(StoreError::NoSuchCommand("z".to_owned())));
}

#[tokio::test]
async fn a_forgotten_command_is_still_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for first in (1..=4400u64).step_by(400) {
        let mut list = Vec::new();
        for seq in first..first + 400 {
            let cmd_id = format!("c{seq}");
            list.push(Write::InsertCommand(command(&cmd_id, seq)));
            list.push(Write::SetCommand { cmd_id, status: "done".to_owned(), result_json: None });
        }
        store.commit(list, Grouped).await.unwrap();
    }
    assert_eq!(store.command("c1").await.unwrap(), None, "the oldest were pruned");
    assert!(store.command("c4400").await.unwrap().is_some());
    let late = store.commit(vec![Write::InsertCommand(command("c1", 1))], Promise).await.unwrap();
    assert_eq!(late.duplicates, ["c1"]);
    assert!(store.knows_command("c1", 1).await.unwrap() && store.knows_command("c4400", 9999).await.unwrap());
    assert!(!store.knows_command("new", 4401).await.unwrap());
    assert_eq!(store.highest_command_seq().await.unwrap(), 4400);
    store.commit(vec![Write::ResetCommands], Promise).await.unwrap();
    assert_eq!(store.highest_command_seq().await.unwrap(), 0);
    let anew = store.commit(vec![Write::InsertCommand(command("c1", 1))], Promise).await.unwrap();
    assert!(anew.duplicates.is_empty());
}

#[tokio::test]
async fn too_many_open_commands_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let list = (1..=1024).map(|seq| Write::InsertCommand(command(&format!("c{seq}"), seq))).collect();
    store.commit(list, Grouped).await.unwrap();
    let one_more = store.commit(vec![Write::InsertCommand(command("c1025", 1025))], Promise).await;
    assert_eq!(one_more, Err(StoreError::InboxFull { open: 1024 }));
    let too_long = (0..1025).map(|_| critical()).collect();
    let refused = store.commit(too_long, Grouped).await;
    assert_eq!(refused, Err(StoreError::TooManyWrites { found: 1025, limit: 1024 }));
}
