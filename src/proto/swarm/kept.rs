//! Packed chunks that are kept for others who will ask for the same ones, up to a limit. Known by the hash of what
//! is in them, so none can grow old; whether one is right, who hands it in has found out.

use std::collections::{BTreeMap, VecDeque};

use blake3::Hash;

use crate::proto::limits::{KEPT_FRAME_BYTES_MAX, KEPT_FRAMES_BYTES_MAX};

/// Frames by the hashes of their chunks. The oldest makes room for a new one.
#[derive(Debug, Default)]
pub struct Kept {
    frames: BTreeMap<[u8; 32], Box<[u8]>>,
    /// The same hashes, in the order in which they came.
    order: VecDeque<[u8; 32]>,
    bytes: usize,
}

impl Kept {
    /// The chunk with that hash as one zstd frame, if it is kept.
    pub fn get(&self, chunk: &Hash) -> Option<&[u8]> {
        self.frames.get(chunk.as_bytes()).map(|frame| &**frame)
    }

    /// Keeps a frame that holds the chunk with that hash, unless it is long or there already.
    pub fn keep(&mut self, chunk: &Hash, frame: &[u8]) {
        if frame.len() > KEPT_FRAME_BYTES_MAX || self.frames.contains_key(chunk.as_bytes()) {
            return;
        }
        while self.bytes + frame.len() > KEPT_FRAMES_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.frames.remove(&oldest).map_or(0, |frame| frame.len());
        }
        self.bytes += frame.len();
        self.order.push_back(*chunk.as_bytes());
        self.frames.insert(*chunk.as_bytes(), frame.into());
    }

    /// Panics if what is kept and its order contradict each other, or it is too much.
    pub fn check_invariants(&self) {
        assert_eq!(self.frames.len(), self.order.len());
        assert_eq!(self.frames.values().map(|frame| frame.len()).sum::<usize>(), self.bytes);
        assert!(self.bytes <= KEPT_FRAMES_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> Hash {
        blake3::hash(&number.to_le_bytes())
    }

    #[test]
    fn the_first_frame_of_a_chunk_stays() {
        let mut kept = Kept::default();
        assert_eq!(kept.get(&hash(1)), None);
        kept.keep(&hash(1), b"one");
        kept.keep(&hash(1), b"another");
        assert_eq!((kept.get(&hash(1)), kept.get(&hash(2))), (Some(&b"one"[..]), None));
        kept.keep(&hash(2), &vec![0; KEPT_FRAME_BYTES_MAX + 1]);
        assert_eq!(kept.get(&hash(2)), None, "it is too long");
        kept.check_invariants();
    }

    #[test]
    fn the_oldest_makes_room() {
        let (mut kept, frame) = (Kept::default(), vec![7; KEPT_FRAME_BYTES_MAX]);
        let fit = (KEPT_FRAMES_BYTES_MAX / KEPT_FRAME_BYTES_MAX) as u32;
        for number in 0..fit + 3 {
            kept.keep(&hash(number), &frame);
            kept.check_invariants();
        }
        let there = |number: u32| kept.get(&hash(number)).is_some();
        assert!(!there(2) && there(3) && there(fit + 2));
    }
}
