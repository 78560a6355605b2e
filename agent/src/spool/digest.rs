//! How far the digest of a half body is, kept beside its frames so that the next process need not read them back.
//!
//! The row is written in the transaction that makes the frames durable, so bytes and digest cannot disagree. One that
//! does not fit is as good as none: the frames are read back then.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use super::SpoolError;

/// Changes whenever the columns mean something else.
const FORM: i64 = 1;

/// One row. `state` is written as the library writes it, and `sha256` is what it gives, so that another version of the library which reads it
/// otherwise is found out. `seal` is the digest of all of them, and looked at first: a state of which a bit has turned is not handed to the library.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS digest(
  id INTEGER PRIMARY KEY CHECK(id = 1), form INTEGER NOT NULL, frames INTEGER NOT NULL, line_ends INTEGER NOT NULL,
  state BLOB NOT NULL, sha256 BLOB NOT NULL, seal BLOB NOT NULL);
";

/// What is known of a body's first frames without reading them.
#[derive(Clone, Default)]
pub(super) struct SoFar {
    /// Whole frames from the start.
    pub(super) frames: u64,
    /// Line ends in them.
    pub(super) line_ends: u64,
    /// Of their raw bytes.
    pub(super) hash: Sha256,
}

impl SoFar {
    /// What is kept, unless it does not fit: of another form, damaged, or as another version of the library wrote it.
    pub(super) fn load(conn: &Connection) -> Result<Option<Self>, SpoolError> {
        let sql = "SELECT frames, line_ends, state, sha256, seal FROM digest WHERE form = ?1";
        let row = conn.query_row(sql, [FORM], |row| {
            let blob = |at| row.get::<_, Vec<u8>>(at);
            Ok((row.get(0)?, row.get(1)?, blob(2)?, blob(3)?, blob(4)?))
        });
        match row.optional() {
            Ok(row) => Ok(row.and_then(|(frames, line_ends, state, sha256, seal)| {
                let is_whole = seal_of(frames, line_ends, &state, &sha256)[..] == seal[..];
                let hash = is_whole.then(|| hash_of(&state)).flatten()?;
                (hash.clone().finalize()[..] == sha256[..]).then_some(Self { frames, line_ends, hash })
            })),
            // A column that holds something else than it should.
            Err(rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::IntegralValueOutOfRange(..)) => {
                Ok(None)
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Keeps it; the caller has begun the transaction that stores the frames.
    pub(super) fn save(&self, conn: &Connection) -> Result<(), SpoolError> {
        let (state, sha256) = (self.hash.serialize(), self.hash.clone().finalize());
        let seal = seal_of(self.frames, self.line_ends, &state, &sha256);
        conn.prepare_cached(
            "INSERT OR REPLACE INTO digest(id, form, frames, line_ends, state, sha256, seal)
             VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![FORM, self.frames, self.line_ends, &state[..], &sha256[..], seal])?;
        Ok(())
    }
}

fn seal_of(frames: u64, line_ends: u64, state: &[u8], sha256: &[u8]) -> [u8; 32] {
    let mut seal = Sha256::new();
    for part in [&frames.to_le_bytes()[..], &line_ends.to_le_bytes(), state, sha256] {
        seal.update(part);
    }
    seal.finalize().into()
}

/// Forgets what is kept; the caller has begun a transaction.
pub(super) fn forget(conn: &Connection) -> Result<(), SpoolError> {
    conn.execute("DELETE FROM digest", [])?;
    Ok(())
}

fn hash_of(state: &[u8]) -> Option<Sha256> {
    let state = SerializedState::<Sha256>::try_from(state).ok()?;
    Sha256::deserialize(&state).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn database() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(SCHEMA).unwrap();
        conn
    }

    proptest! {
        /// Whatever the pieces, and wherever the hash is kept and taken up again, it is the plain digest of the whole.
        #[test]
        fn a_digest_that_is_kept_goes_on_as_the_plain_one(
            bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let (conn, mut from) = (database(), 0);
            let mut so_far = SoFar::default();
            for cut in cuts {
                so_far.hash.update(&bytes[from..cut]);
                from = cut;
                so_far.frames += 1;
                so_far.line_ends += 3;
                so_far.save(&conn).unwrap();
                let again = SoFar::load(&conn).unwrap().unwrap();
                prop_assert_eq!((again.frames, again.line_ends), (so_far.frames, so_far.line_ends));
                so_far = again;
            }
            so_far.hash.update(&bytes[from..]);
            prop_assert_eq!(so_far.hash.finalize(), Sha256::digest(&bytes));
        }

        /// A bit that has turned anywhere in the row is found.
        #[test]
        fn a_row_that_is_not_as_it_was_written_is_not_believed(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            bit in any::<prop::sample::Index>(),
        ) {
            let conn = database();
            let so_far = SoFar { frames: 5, line_ends: 77, hash: Sha256::new_with_prefix(&bytes) };
            so_far.save(&conn).unwrap();
            let mut state = so_far.hash.serialize().to_vec();
            let bit = bit.index(state.len() * 8);
            state[bit / 8] ^= 1 << (bit % 8);
            conn.execute("UPDATE digest SET state = ?1", [state]).unwrap();
            prop_assert!(SoFar::load(&conn).unwrap().is_none());
        }
    }

    #[test]
    fn what_is_of_another_form_or_shape_is_not_believed() {
        let conn = database();
        assert!(SoFar::load(&conn).unwrap().is_none());
        let spoil = [
            "form = 2",
            "frames = frames + 1",
            "frames = -1",
            "frames = 'many'",
            "line_ends = line_ends - 1",
            "state = x'00'",
            "state = 'text'",
            "state = zeroblob(length(state))",
            "sha256 = zeroblob(32)",
            "seal = x''",
            "seal = zeroblob(32)",
        ];
        for what in spoil {
            let so_far = SoFar { frames: 5, line_ends: 77, hash: Sha256::new_with_prefix([7; 5_000]) };
            so_far.save(&conn).unwrap();
            assert!(SoFar::load(&conn).unwrap().is_some());
            conn.execute(&format!("UPDATE digest SET {what}"), []).unwrap();
            assert!(SoFar::load(&conn).unwrap().is_none(), "{what}");
        }
    }
    /// A state that is whole, and that the library reads otherwise than the one that wrote it.
    #[test]
    fn a_state_that_gives_another_digest_is_not_believed() {
        let conn = database();
        let state = Sha256::new_with_prefix([7; 5_000]).serialize();
        let sha256 = Sha256::digest([8; 5_000]);
        let seal = seal_of(5, 77, &state, &sha256);
        let sql = "INSERT INTO digest VALUES(1, ?1, 5, 77, ?2, ?3, ?4)";
        conn.execute(sql, params![FORM, &state[..], &sha256[..], seal]).unwrap();
        assert!(SoFar::load(&conn).unwrap().is_none());
    }
}
