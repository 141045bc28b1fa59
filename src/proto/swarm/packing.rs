//! Chunks made shorter for the wire, one zstd frame each, and made whole again. Decides which setting
//! suits a file, and when to leave it alone; sends nothing, and does not know whether what it unpacks is right.

use std::fmt;

use zstd_safe::{CCtx, CParameter, DCtx, Strategy};

use crate::proto::limits::{
    PACK_PAUSE_MAX, PACK_PAUSE_MIN, PACK_SAVING, PACKED_CHUNK_BYTES_MAX, UNPACK_BUFFERS_MAX,
};

/// How matches are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    /// Among the last few lines: in a table each row is nearly the one before it, and what lies further back
    /// only looks alike. Shorter than level 1 by a third there, and faster.
    Near,
    /// Level 1, for everything else.
    Far,
}

/// What is known of a file: whether packing it pays, and how. One for which it does not is left alone, longer each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fit {
    pays: bool,
    /// What was shortest for the chunk that was tried first.
    setting: Option<Setting>,
    /// Chunks to leave alone after the next one that does not pay.
    pause: u32,
    /// Chunks to leave alone now.
    left: u32,
}

impl Fit {
    /// A file whose kind is known, or whose chunks come in packed.
    pub fn good() -> Fit {
        Fit { pays: true, ..Fit::default() }
    }

    /// Packing paid last time; before the first time, it does not.
    pub fn pays(&self) -> bool {
        self.pays
    }

    /// The next chunk is left alone.
    pub fn is_paused(&self) -> bool {
        self.left > 0
    }

    /// A chunk was left alone.
    pub fn pass(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    fn learn(&mut self, best: Option<Setting>) {
        if best.is_some() {
            *self = Fit { pays: true, setting: best, pause: 0, left: 0 };
        } else if self.left == 0 {
            let pause = (self.pause * 2).clamp(PACK_PAUSE_MIN, PACK_PAUSE_MAX);
            *self = Fit { pays: false, setting: None, pause, left: pause };
        }
    }
}

/// Makes chunks shorter. Its memory is used again for each.
pub struct Packer {
    near: Frames,
    far: Frames,
}

/// A setting of zstd, and what it made last.
struct Frames {
    context: CCtx<'static>,
    bytes: Vec<u8>,
}

impl Packer {
    /// One that has packed nothing.
    pub fn new() -> Packer {
        let near = [
            CParameter::CompressionLevel(1),
            CParameter::Strategy(Strategy::ZSTD_fast),
            CParameter::HashLog(6),
            CParameter::MinMatch(6),
        ];
        Packer { near: Frames::new(&near), far: Frames::new(&[CParameter::CompressionLevel(1)]) }
    }

    /// The chunk as one zstd frame; `None` if that saves less than a part in [`PACK_SAVING`]. `fit` is that of
    /// its file.
    pub fn pack(&mut self, plain: &[u8], fit: &mut Fit) -> Option<&[u8]> {
        let most = plain.len() - plain.len() / PACK_SAVING;
        let mut len = |setting| {
            let tried = fit.setting.is_none_or(|best| best == setting);
            let frames = if setting == Setting::Near { &mut self.near } else { &mut self.far };
            tried.then(|| frames.make(plain, most)).flatten().map(|len| (len, setting))
        };
        let (near, far) = (len(Setting::Near), len(Setting::Far));
        let best = [near, far].into_iter().flatten().min_by_key(|(len, _)| *len);
        fit.learn(best.map(|(_, setting)| setting));
        best.map(|(len, setting)| match setting {
            Setting::Near => &self.near.bytes[..len],
            Setting::Far => &self.far.bytes[..len],
        })
    }
}

impl Frames {
    fn new(parameters: &[CParameter]) -> Frames {
        let mut context = CCtx::create();
        for parameter in parameters {
            context.set_parameter(*parameter).expect("a parameter that zstd has");
        }
        Frames { context, bytes: Vec::new() }
    }

    /// Its length, if that is at most `most`.
    fn make(&mut self, plain: &[u8], most: usize) -> Option<usize> {
        if self.bytes.len() < most {
            self.bytes.resize(most.max(PACKED_CHUNK_BYTES_MAX as usize), 0);
        }
        self.context.compress2(&mut self.bytes[..most], plain).ok()
    }
}

/// Makes chunks whole again. Its memory is used again for each.
pub struct Unpacker {
    context: DCtx<'static>,
    plain: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

/// What a frame begins with; others that zstd would pass over or read do not count.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Unpacker {
    /// One that has unpacked nothing.
    pub fn new() -> Unpacker {
        Unpacker { context: DCtx::create(), plain: Vec::new(), spare: Vec::new() }
    }

    /// The bytes of a chunk of `len` bytes; `None` if `packed` is not exactly one frame of so many bytes that
    /// needs no dictionary. Writes nothing beyond `len`, whatever the frame says of itself.
    pub fn unpack(&mut self, packed: &[u8], len: usize) -> Option<&[u8]> {
        let whole = zstd_safe::find_frame_compressed_size(packed) == Ok(packed.len());
        if !packed.starts_with(&MAGIC) || !whole {
            return None;
        }
        if self.plain.len() < len {
            self.plain.resize(len, 0);
        }
        let plain = &mut self.plain[..len];
        (self.context.decompress(plain, packed) == Ok(len)).then_some(&*plain)
    }

    /// The bytes of a chunk of `len` bytes that was unpacked last.
    ///
    /// # Panics
    /// If nothing of that length was.
    pub fn last(&self, len: usize) -> &[u8] {
        &self.plain[..len]
    }

    /// A buffer for what comes in.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// A buffer that is not needed any more.
    pub fn take_back(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < UNPACK_BUFFERS_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

impl Default for Packer {
    fn default() -> Packer {
        Packer::new()
    }
}

impl Default for Unpacker {
    fn default() -> Unpacker {
        Unpacker::new()
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packer")
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unpacker")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEN: usize = PACKED_CHUNK_BYTES_MAX as usize;

    /// Rows as a run writes them; their last digits are noise.
    fn rows(len: usize) -> Vec<u8> {
        let (mut text, mut row, mut noise) = (Vec::new(), 0u64, 1u64);
        while text.len() < len {
            row += 1;
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (second, ms, ns) = (row / 200, row / 2 * 10 % 1000, (noise >> 33) % 1_000_000);
            let time = format!("02:{:02}:{:02}.{ms:03}{ns:06}", second / 60 % 60, second % 60);
            text.extend_from_slice(
                format!("| {row} | 10.0.0.7 | 10.0.0.1 | 2026-11-21 | {time} |\n").as_bytes(),
            );
        }
        text.truncate(len);
        text
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
        bytes
    }

    fn packed(plain: &[u8]) -> Vec<u8> {
        Packer::new().pack(plain, &mut Fit::default()).expect("it pays").to_vec()
    }

    /// A frame of our own making: one segment that says it has `size` bytes, and blocks.
    fn frame(size: u32, blocks: &[&[u8]]) -> Vec<u8> {
        let mut frame = [&MAGIC[..], &[0xa0], &size.to_le_bytes()].concat();
        blocks.iter().for_each(|block| frame.extend_from_slice(block));
        frame
    }

    /// A block of one byte many times over.
    fn run_block(len: u32, last: bool) -> Vec<u8> {
        let header = len << 3 | 1 << 1 | u32::from(last);
        [&header.to_le_bytes()[..3], b"\0"].concat()
    }

    #[test]
    fn rows_shrink_to_under_a_tenth_and_come_back() {
        let (plain, mut fit) = (rows(LEN), Fit::default());
        let (mut packer, mut unpacker) = (Packer::new(), Unpacker::new());
        for _ in 0..3 {
            let packed = packer.pack(&plain, &mut fit).unwrap();
            assert!(packed.len() * 10 < plain.len(), "{} of {}", packed.len(), plain.len());
            assert_eq!(unpacker.unpack(packed, LEN), Some(&plain[..]));
        }
        assert_eq!(fit.setting, Some(Setting::Near));
    }

    #[test]
    fn what_does_not_shrink_is_left_alone_and_seldom_looked_at() {
        let (plain, mut fit) = (noise(LEN), Fit::default());
        let (mut packer, mut looks) = (Packer::new(), Vec::new());
        for chunk in 0..4096 {
            if fit.is_paused() {
                fit.pass();
            } else {
                looks.push(chunk);
                assert_eq!(packer.pack(&plain, &mut fit), None);
            }
        }
        assert_eq!(looks, [0, 17, 50, 115, 244, 501, 1014, 2039, 3064, 4089]);
        fit.left = 0;
        assert!(
            packer.pack(&rows(LEN), &mut fit).is_some() && !fit.is_paused(),
            "its end is of another kind"
        );
    }

    #[test]
    fn several_that_did_not_pay_at_once_count_as_one() {
        let mut fit = Fit::default();
        (0..4).for_each(|_| fit.learn(None));
        assert_eq!((fit.left, fit.pause), (PACK_PAUSE_MIN, PACK_PAUSE_MIN));
    }

    #[test]
    fn more_or_less_than_the_chunk_is_refused() {
        let (plain, mut unpacker) = (rows(5000), Unpacker::new());
        let packed = packed(&plain);
        for len in [0, 1, 4999, 5001, LEN] {
            assert_eq!(unpacker.unpack(&packed, len), None, "{len}");
        }
        for cut in 0..packed.len() {
            assert_eq!(unpacker.unpack(&packed[..cut], 5000), None, "cut at {cut}");
        }
        assert_eq!(unpacker.unpack(&packed, 5000), Some(&plain[..]));
    }

    #[test]
    fn only_one_frame_is_taken() {
        let (plain, mut unpacker) = (rows(5000), Unpacker::new());
        let packed = packed(&plain);
        let half = [super::tests::packed(&plain[..2500]), super::tests::packed(&plain[2500..])].concat();
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0][..], &packed].concat();
        let empty = frame(0, &[&[1, 0, 0]]);
        for bad in [
            half,
            [&packed[..], b"\n"].concat(),
            [&packed[..], &empty[..]].concat(),
            [&empty[..], &packed[..]].concat(),
            skippable,
            b"\x50\x2a\x4d\x18\0\0\0\0".to_vec(),
            plain.clone(),
            Vec::new(),
        ] {
            assert_eq!(unpacker.unpack(&bad, 5000), None);
        }
    }

    /// Checksums are not sent: the hash of the chunk tells. But nothing longer or shorter comes out.
    #[test]
    fn a_bit_that_flipped_gives_as_many_bytes_or_none() {
        let plain = rows(2000);
        let (packed, mut unpacker) = (packed(&plain), Unpacker::new());
        for bit in 0..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let unpacked = unpacker.unpack(&flipped, plain.len());
            assert!(unpacked.is_none_or(|bytes| bytes.len() == plain.len()), "bit {bit}");
        }
        assert_eq!(unpacker.unpack(&packed, plain.len()), Some(&plain[..]), "none of them left a trace");
    }

    #[test]
    fn a_dictionary_is_not_at_hand() {
        let mut named = packed(&rows(5000));
        assert_eq!(named[4], 0x60, "one segment, two bytes of size, no dictionary");
        named[4] |= 1;
        named.insert(5, 7);
        assert_eq!(zstd_safe::get_dict_id_from_frame(&named).map(|id| id.get()), Some(7));
        assert_eq!(Unpacker::new().unpack(&named, 5000), None);
    }

    /// 8192 blocks of 128 KiB of zeros are 32 kB: a GiB. What they say of themselves does not help them.
    #[test]
    fn a_bomb_does_not_go_off() {
        let blocks: Vec<Vec<u8>> = (0..8192).map(|block| run_block(128 << 10, block == 8191)).collect();
        let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
        let mut unpacker = Unpacker::new();
        for size in [1 << 30, LEN as u32, 0] {
            assert_eq!(unpacker.unpack(&frame(size, &blocks), LEN), None);
        }
        let fair = frame(LEN as u32, &[&run_block(128 << 10, false), &run_block(128 << 10, true)]);
        assert_eq!(unpacker.unpack(&fair, LEN), Some(&[0; LEN][..]), "the same, but as long as the chunk");
        assert_eq!(unpacker.plain.len(), LEN);
    }

    #[test]
    fn buffers_are_used_again_and_not_hoarded() {
        let mut unpacker = Unpacker::new();
        for _ in 0..2 * UNPACK_BUFFERS_MAX {
            unpacker.take_back(Vec::with_capacity(100));
        }
        let buffers: Vec<Vec<u8>> = (0..=UNPACK_BUFFERS_MAX).map(|_| unpacker.buffer()).collect();
        assert_eq!(buffers.iter().filter(|buffer| buffer.capacity() > 0).count(), UNPACK_BUFFERS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(plain in prop::collection::vec(0u8..4, 100..3000)) {
            let mut packer = Packer::new();
            if let Some(packed) = packer.pack(&plain, &mut Fit::default()) {
                prop_assert!(packed.len() <= plain.len() - plain.len() / PACK_SAVING);
                let mut unpacker = Unpacker::new();
                prop_assert_eq!(unpacker.unpack(packed, plain.len()), Some(&plain[..]));
            }
        }

        #[test]
        fn any_octets_are_unpacked_or_refused(mut octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut unpacker = Unpacker::new();
            prop_assert!(unpacker.unpack(&octets, 1000).is_none_or(|plain| plain.len() == 1000));
            octets.splice(..0, MAGIC);
            prop_assert!(unpacker.unpack(&octets, 1000).is_none_or(|plain| plain.len() == 1000));
        }
    }
}
