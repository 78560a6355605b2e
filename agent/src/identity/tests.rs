//! An identity is made once, stays, and is for its owner only; its key is replaced whatever the power does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ring::signature::{ED25519, UnparsedPublicKey};

use super::*;

#[test]
fn an_identity_is_made_once_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::open(&dir.path().join("deep/state")).unwrap();
    let again = Identity::open(&dir.path().join("deep/state")).unwrap();
    assert_eq!(first.agent_id(), again.agent_id());
    assert_eq!(first.key().kid(), again.key().kid());
    assert_eq!(STANDARD.decode(first.public_key_b64()).unwrap(), first.public_key());
    let other = Identity::open(dir.path()).unwrap();
    assert_ne!(first.agent_id(), other.agent_id());
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(dir.path().join(FOLDER)), 0o700);
    assert_eq!(mode(dir.path().join(FOLDER).join(KEY)), 0o600);
}

#[test]
fn the_id_is_the_head_of_the_digest_and_signatures_fit() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::open(dir.path()).unwrap();
    assert_eq!(identity.agent_id().as_bytes()[..], Sha256::digest(identity.public_key())[..16]);
    let signature = identity.key().sign(b"hello");
    UnparsedPublicKey::new(&ED25519, identity.public_key()).verify(b"hello", &signature).unwrap();
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Identity::open(dir.path()).unwrap();
    let path = dir.path().join(FOLDER).join(KEY);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Identity::open(dir.path()).err().unwrap();
    assert!(matches!(error, OpenIdentityError::TooOpen { mode: 0o640, .. }));
    assert!(error.to_string().contains("0640") && error.help().contains("chmod 600"));
}

#[test]
fn a_file_that_is_no_key_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    Identity::open(dir.path()).unwrap();
    let path = dir.path().join(FOLDER).join(KEY);
    fs::write(&path, "nonsense").unwrap();
    assert!(matches!(Identity::open(dir.path()), Err(OpenIdentityError::BadKey { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"nonsense");
}

#[test]
fn counters_rise_over_restarts_whatever_the_clock_says() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::open(dir.path()).unwrap();
    assert_eq!(identity.next_hello_ctr(1_000), 1_000);
    assert_eq!(identity.next_hello_ctr(1_000), 1_001);
    assert_eq!(identity.next_hello_ctr(5), 1_002);
    let again = Identity::open(dir.path()).unwrap();
    assert_eq!(again.last_hello_ctr(), 1_002);
    assert_eq!(again.next_hello_ctr(5), 1_003);
    fs::write(dir.path().join(FOLDER).join(COUNTER), "junk").unwrap();
    assert_eq!(Identity::open(dir.path()).unwrap().next_hello_ctr(7), 7);
}

fn reopened(dir: &Path) -> Identity {
    Identity::open(dir).unwrap()
}

#[test]
fn a_key_is_followed_by_another_and_the_agent_stays_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::open(dir.path()).unwrap();
    let (agent, first) = (identity.agent_id(), identity.public_key());
    assert!(identity.lineage().is_none() && identity.offer_next().is_none() && identity.changed().is_none());
    for links in 1..=3 {
        let before = identity.public_key();
        identity.prepare().unwrap();
        let (next, rotate) = identity.offer_next().unwrap();
        let signed = spoolway_protocol::identity::link_bytes(&agent, &before, next.public());
        for (key, sig) in [(&before, &rotate.link.sig_old), (next.public(), &rotate.link.sig_new)] {
            UnparsedPublicKey::new(&ED25519, key).verify(&signed, &sig.0).unwrap();
        }
        identity.switch(links).unwrap();
        assert_eq!(identity.public_key(), before, "it signs until the owner was told of the next one");
        let changed = identity.changed().unwrap();
        assert_eq!((changed.kid_old, changed.kid), (key_id(&before), next.kid()));
        identity.adopt().unwrap();
        assert_eq!(identity.public_key(), *next.public());
        assert_eq!(
            identity.on_disk(),
            OnDisk {
                links: usize::try_from(links).unwrap(),
                since_ms: links,
                is_prepared: false,
                is_untold: false
            }
        );
        let (by, last) = identity.offer_last().unwrap();
        assert_eq!((by.public(), &last.pubkey_old.0[..]), (next.public(), &before[..]));
        let again = reopened(dir.path());
        assert_eq!((again.agent_id(), again.public_key()), (agent, identity.public_key()));
        assert_eq!(again.lineage().unwrap().first.0, first);
    }
    let folder = dir.path().join(FOLDER);
    assert!(!folder.join(NEXT).exists());
    assert_eq!(fs::metadata(folder.join(KEYS)).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn whatever_the_power_does_the_next_start_has_a_key_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(FOLDER);
    let identity = Identity::open(dir.path()).unwrap();
    let first = identity.public_key();
    // A key lies there, and nobody has signed for it.
    fs::write(folder.join(NEXT), files::new_key().unwrap().as_ref()).unwrap();
    fs::set_permissions(folder.join(NEXT), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!reopened(dir.path()).on_disk().is_prepared);
    identity.prepare().unwrap();
    let next = *identity.offer_next().unwrap().0.public();
    let again = reopened(dir.path());
    assert!(again.on_disk().is_prepared && again.public_key() == first);
    again.prepare().unwrap();
    assert_eq!(*again.offer_next().unwrap().0.public(), next, "the same one: the relay may have it already");
    again.switch(5).unwrap();
    // The power goes before the rename; another command of this program may look as well.
    let after = reopened(dir.path());
    assert!(after.public_key() == next && after.on_disk().is_untold);
    again.adopt().unwrap();
    assert_eq!(again.public_key(), next);
    after.adopt().unwrap();
    assert!(!reopened(dir.path()).on_disk().is_untold);
}

#[test]
fn a_folder_that_was_mixed_up_is_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(FOLDER);
    let identity = Identity::open(dir.path()).unwrap();
    let before = fs::read(folder.join(KEY)).unwrap();
    identity.prepare().unwrap();
    identity.switch(5).unwrap();
    identity.adopt().unwrap();
    let whole = fs::read(folder.join(KEY)).unwrap();
    fs::write(folder.join(KEY), before).unwrap();
    let error = Identity::open(dir.path()).err().unwrap();
    assert!(error.to_string().contains("names another key than agent.p8") && error.help().contains("backup"));
    fs::write(folder.join(KEY), whole).unwrap();
    fs::write(folder.join(KEYS), "{").unwrap();
    assert!(matches!(Identity::open(dir.path()), Err(OpenIdentityError::BadKeys { .. })));
}
