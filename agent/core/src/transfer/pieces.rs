//! Bytes of any length into the pieces of a file, each held against its digest where the offer has one.

use sha2::{Digest, Sha256};
use spoolway_protocol::ids::Sha256Hex;
use spoolway_protocol::limits::{CHUNK_PAYLOAD_BYTES, PIECE_BYTES};
use spoolway_protocol::offer::FileSpec;

/// A piece that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// It is the one that was announced, or nothing was announced of it.
    Good { offset: u64, bytes: Vec<u8> },
    /// It is another one, and forgotten.
    Bad { offset: u64 },
}

/// Where the file stands, and the beginning of the next piece.
#[derive(Debug)]
pub(super) struct Pieces {
    size: u64,
    /// Bytes of every piece but the last.
    len: u64,
    hashes: Option<Vec<Sha256Hex>>,
    /// Where the piece begins that is coming.
    start: u64,
    held: Vec<u8>,
}

impl Pieces {
    /// Nothing has come. Digests that do not fit the file are left out: [`check_manifest`] has refused them before.
    pub(super) fn new(file: &FileSpec) -> Self {
        let hashes = file.chunks_sha256.clone().filter(|_| check_manifest(file).is_ok());
        let len = if hashes.is_some() { u64::from(file.chunk) } else { CHUNK_PAYLOAD_BYTES as u64 };
        Self { size: file.size, len, hashes, start: 0, held: Vec::new() }
    }

    /// Goes on behind what lies on the disk, which always ends with a piece.
    pub(super) fn go_to(&mut self, offset: u64) {
        self.held.clear();
        self.start = offset.min(self.size);
    }

    /// The next byte that is wanted.
    pub(super) fn next(&self) -> u64 {
        self.start + self.held.len() as u64
    }

    pub(super) fn is_whole(&self) -> bool {
        self.start == self.size
    }

    /// Takes bytes up to the end of the piece, and gives it when it is whole.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Option<Piece> {
        let end = self.size.min(self.start - self.start % self.len + self.len);
        let missing = usize::try_from(end - self.next()).unwrap_or(usize::MAX);
        let (now, later) = bytes.split_at(missing.min(bytes.len()));
        *bytes = later;
        self.held.extend_from_slice(now);
        if self.next() < end || self.held.is_empty() {
            return None;
        }
        let (offset, bytes) = (self.start, std::mem::take(&mut self.held));
        if !self.is_announced(offset, &bytes) {
            return Some(Piece::Bad { offset });
        }
        self.start = end;
        Some(Piece::Good { offset, bytes })
    }

    /// A piece that is not whole from its beginning cannot be checked by itself; the digest of the whole file holds.
    fn is_announced(&self, offset: u64, bytes: &[u8]) -> bool {
        let Some(hashes) = &self.hashes else { return true };
        let number = usize::try_from(offset / self.len).unwrap_or(usize::MAX);
        let announced = hashes.get(number).filter(|_| offset.is_multiple_of(self.len));
        announced.is_none_or(|announced| announced.0 == <[u8; 32]>::from(Sha256::digest(bytes)))
    }
}

/// Whether the digests of an offer's pieces can be used.
///
/// # Errors
/// What is wrong with them, for whoever has made the offer.
pub fn check_manifest(file: &FileSpec) -> Result<(), String> {
    let Some(hashes) = &file.chunks_sha256 else { return Ok(()) };
    if !PIECE_BYTES.contains(&file.chunk) || !file.chunk.is_power_of_two() {
        let (least, most) = (PIECE_BYTES.start(), PIECE_BYTES.end());
        return Err(format!(
            "file.chunk is {}; with file.chunks_sha256 it has to be a power of two from {least} to {most}",
            file.chunk
        ));
    }
    let pieces = file.size.div_ceil(u64::from(file.chunk));
    if hashes.len() as u64 != pieces {
        return Err(format!(
            "file.chunks_sha256 has {} digests; {} bytes make {pieces} pieces of {}",
            hashes.len(),
            file.size,
            file.chunk
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64, chunk: u32, hashes: Option<usize>) -> FileSpec {
        let sha256 = Sha256Hex([7; 32]);
        let mut spec =
            serde_json::json!({"file_id": "f", "size": size, "sha256": sha256, "chunk": chunk, "name": "n"});
        if let Some(count) = hashes {
            spec["chunks_sha256"] = serde_json::json!(vec![sha256; count]);
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn digests_that_do_not_fit_are_named() {
        for good in [file(9, 7, None), file(0, 4_096, Some(0)), file(65_537, 65_536, Some(2))] {
            assert_eq!(check_manifest(&good), Ok(()));
        }
        for (bad, word) in [
            (file(65_536, 65_536, Some(2)), "1 pieces"),
            (file(9, 5_000, Some(1)), "power of two"),
            (file(9, 2_048, Some(1)), "from 4096"),
            (file(9, 524_288, Some(1)), "to 262144"),
        ] {
            let why = check_manifest(&bad).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn bytes_of_any_length_make_pieces() {
        let body: Vec<u8> = (0..20_000_u32).map(|at| (at % 251) as u8).collect();
        let hashes: Vec<_> =
            body.chunks(4_096).map(|piece| Sha256Hex(Sha256::digest(piece).into())).collect();
        for len in [1, 7, 4_096, 5_000, 20_000] {
            let spec = FileSpec { chunks_sha256: Some(hashes.clone()), ..file(20_000, 4_096, None) };
            let (mut pieces, mut disk) = (Pieces::new(&spec), Vec::new());
            assert!(pieces.hashes.is_some());
            for mut bytes in body.chunks(len) {
                while !bytes.is_empty() {
                    match pieces.take(&mut bytes) {
                        None => {}
                        Some(Piece::Good { offset, bytes }) => {
                            assert_eq!(offset, disk.len() as u64);
                            disk.extend(bytes);
                        }
                        Some(bad) => panic!("{bad:?}"),
                    }
                }
            }
            assert!(pieces.is_whole() && disk == body, "{len}");
        }
    }

    #[test]
    fn a_bad_piece_is_forgotten_and_comes_again() {
        let hashes = [b"aaaa", b"bbbb"].map(|piece| Sha256Hex(Sha256::digest(piece.repeat(1_024)).into()));
        let spec = FileSpec { chunks_sha256: Some(hashes.to_vec()), ..file(8_192, 4_096, None) };
        let mut pieces = Pieces::new(&spec);
        let (good, bad) = ([b'a'; 4_096], [b'x'; 4_096]);
        assert!(matches!(pieces.take(&mut &good[..]), Some(Piece::Good { offset: 0, .. })));
        assert_eq!(pieces.take(&mut &bad[..]), Some(Piece::Bad { offset: 4_096 }));
        assert_eq!(pieces.next(), 4_096);
        assert!(matches!(pieces.take(&mut &[b'b'; 4_096][..]), Some(Piece::Good { offset: 4_096, .. })));
        assert!(pieces.is_whole());
    }
}
