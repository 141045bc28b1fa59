//! Chunks that go out packed: each is read into memory first, for a link one at a time, and the next one when
//! the link has taken it. Decides which chunks these are; whose turn it is, `serve` knows.

use crate::proto::ids::{FileId, LinkId};
use crate::proto::limits::{
    KEPT_FRAME_BYTES_MAX, PACKED_CHUNK_BYTES_MAX, PACKED_CHUNK_BYTES_MIN, PACKS_UNDER_WAY_MAX,
};
use crate::proto::machine::{Effect, Os};
use crate::proto::peer::common::{Common, Timer, Whose};
use crate::proto::peer::library::{Item, ItemId};
use crate::proto::peer::member::Member;
use crate::proto::peer::other::Way;
use crate::proto::peer::serve::serve;
use crate::proto::swarm::{Kept, Packer, Request};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::Message;

/// What packs, and what it waits for; one for all members of a process.
#[derive(Debug, Default)]
pub(super) struct Packing {
    packer: Packer,
    /// At most [`PACKS_UNDER_WAY_MAX`], in the order in which they were asked of the disk.
    under_way: Vec<UnderWay>,
    /// What went out packed, or came in so, and others will ask for.
    kept: Kept,
    /// Octets of these that went out in this turn; never more than [`KEPT_FRAME_BYTES_MAX`].
    kept_sent: usize,
}

/// A chunk that is being read.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    file: FileId,
    offset: u64,
    purpose: Purpose,
}

/// What a chunk is read for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    /// To send it. Its link is held meanwhile.
    Send(LinkId, Request),
    /// To see whether packing pays for that file of that member.
    Look(u32, ItemId),
}

/// How a chunk whose turn it is goes out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    /// As it is, now.
    Plain,
    /// So too, and the next ones packed if this one shows that it pays.
    Look,
    /// Packed, when the link has taken what it has.
    Wait,
    /// Packed, when the disk has brought an earlier one.
    Full,
    /// Packed as it is kept, now.
    Kept,
    /// So too, in the next turn: others want something of this one.
    Spent,
    /// Packed, when this has been read.
    Read { file: FileId, offset: u64, len: u64 },
}

impl Member {
    pub(super) fn plan(&self, place: u32, link: LinkId, request: Request, common: &Common) -> Plan {
        let served = self.library.at(request.file);
        let range = served.manifest.as_ref().and_then(|manifest| manifest.range(request.chunk));
        let agreed = matches!(self.others.at(place).way, Way::Open { zstd: true, .. });
        let (Some(file), Some((offset, len)), true) = (served.source_of(request.chunk), range, agreed) else {
            return Plan::Plain;
        };
        if served.fit.is_paused() || !(PACKED_CHUNK_BYTES_MIN..=PACKED_CHUNK_BYTES_MAX).contains(&len) {
            Plan::Plain
        } else if !served.fit.pays() {
            Plan::Look
        } else if common.sessions.get(link).is_some_and(|session| session.blocked) {
            Plan::Wait
        } else if let Some(octets) = common.packing.kept_octets(served, request.chunk) {
            let fits = common.packing.kept_sent + octets <= KEPT_FRAME_BYTES_MAX;
            if fits { Plan::Kept } else { Plan::Spent }
        } else if common.packing.under_way.len() >= PACKS_UNDER_WAY_MAX {
            Plan::Full
        } else {
            Plan::Read { file, offset, len }
        }
    }

    /// Has a chunk read to see whether packing pays for its file, unless one is or the disk has enough to do. Nobody
    /// waits for that.
    pub(super) fn look_at(&self, item: ItemId, chunk: u64, common: &mut Common, os: &mut dyn Os) {
        let looked_at = self.library.at(item);
        let range = looked_at.manifest.as_ref().and_then(|manifest| manifest.range(chunk));
        let (Some(file), Some((offset, len))) = (looked_at.source_of(chunk), range) else { return };
        let under_way = &mut common.packing.under_way;
        let busy = under_way.len() >= PACKS_UNDER_WAY_MAX || under_way.iter().any(|piece| piece.file == file);
        if !busy && (PACKED_CHUNK_BYTES_MIN..=PACKED_CHUNK_BYTES_MAX).contains(&len) {
            under_way.push(UnderWay { file, offset, purpose: Purpose::Look(self.index, item) });
            os.perform(Effect::Read { file, offset, len });
        }
    }

    /// A chunk is in memory: it goes out packed, or as it is if that does not pay or the disk could not bring it.
    fn send_read(
        &mut self,
        (link, place): (LinkId, u32),
        request: Request,
        bytes: &[u8],
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Request { file: item, chunk, len } = request;
        let served = self.library.at_mut(item);
        let is_held = served.source_of(chunk).is_some() && bytes.len() as u64 == len;
        let Common { packing, scratch, .. } = common;
        let packed = is_held.then(|| packing.packer.pack(bytes, &mut served.fit)).flatten();
        let Some(packed) = packed else {
            let sent = self.send_chunk((link, place), item, chunk, common, os);
            return self.count_served(item, (sent, sent), now);
        };
        // Who has a run has others that want the same of it. Hashed, for the file may have changed on the disk.
        if let (true, Some(hash)) = (self.guest.is_none(), served.hash(chunk))
            && blake3::hash(bytes) == *hash
        {
            packing.kept.keep(hash, packed);
        }
        let octets = send_frame(link, (served, chunk), packed, scratch, os);
        common.serving.refund(len - octets);
        self.remember_sent(place, item, chunk);
        self.count_served(item, (len, octets), now);
    }

    /// A chunk goes out packed as it is kept.
    pub(super) fn send_kept(
        &mut self,
        (link, place): (LinkId, u32),
        request: Request,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Request { file: item, chunk, len } = request;
        let served = self.library.at(item);
        let Common { packing, scratch, serving, .. } = common;
        let Some(packed) = served.hash(chunk).and_then(|hash| packing.kept.get(hash)) else { return };
        let octets = send_frame(link, (served, chunk), packed, scratch, os);
        packing.kept_sent += octets as usize;
        serving.refund(len - octets);
        self.remember_sent(place, item, chunk);
        self.count_served(item, (len, octets), now);
    }
}

/// Announces a packed chunk and sends it; returns its octets.
fn send_frame(
    link: LinkId,
    (served, chunk): (&Item, u64),
    packed: &[u8],
    scratch: &mut Vec<u8>,
    os: &mut dyn Os,
) -> u64 {
    let octets = packed.len() as u64;
    scratch.clear();
    Message::Chunk { file: served.name.as_str(), chunk, octets, zstd: true }.encode(scratch);
    os.perform(Effect::Send { link, bytes: scratch });
    os.perform(Effect::Send { link, bytes: packed });
    octets
}

impl Packing {
    /// Where packed chunks are kept.
    pub(super) fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// What is kept may go out again.
    pub(super) fn begin_turn(&mut self) {
        self.kept_sent = 0;
    }

    fn kept_octets(&self, served: &Item, chunk: u64) -> Option<usize> {
        Some(self.kept.get(served.hash(chunk)?)?.len())
    }
}

impl Common {
    /// Has a chunk read, in order to send it packed.
    pub(super) fn read_to_send(
        &mut self,
        link: LinkId,
        request: Request,
        (file, offset, len): (FileId, u64, u64),
        os: &mut dyn Os,
    ) {
        self.serving.hold(link);
        self.packing.under_way.push(UnderWay { file, offset, purpose: Purpose::Send(link, request) });
        os.perform(Effect::Read { file, offset, len });
    }

    /// A link takes its turns again, unless it is full or waits for the disk.
    pub(super) fn let_go(&mut self, link: LinkId) {
        let mut under_way = self.packing.under_way.iter();
        let reads = under_way.any(|piece| matches!(piece.purpose, Purpose::Send(of, _) if of == link));
        let blocked = self.sessions.get(link).is_none_or(|session| session.blocked);
        if !reads && !blocked {
            self.serving.let_go(link);
        }
    }

    /// A file is closed: nobody will say what is in it. What was to be sent of it waits for its turn again, and is
    /// denied then, or sent from where it is by then.
    pub(super) fn forget_reads(&mut self, file: FileId) {
        while let Some(at) = self.packing.under_way.iter().position(|piece| piece.file == file) {
            if let Purpose::Send(link, request) = self.packing.under_way.remove(at).purpose
                && self.sessions.get(link).is_some()
            {
                self.serving.put_back(link, request);
                self.let_go(link);
            }
            self.wheel.insert(Timer::Serve, Mono(0));
        }
    }

    /// Panics if a link that waits for the disk is not held, or there are too many.
    pub(super) fn check_packing(&self) {
        assert!(self.packing.under_way.len() <= PACKS_UNDER_WAY_MAX);
        assert!(self.packing.kept_sent <= KEPT_FRAME_BYTES_MAX);
        self.packing.kept.check_invariants();
        for piece in &self.packing.under_way {
            assert!(self.files.contains_key(&piece.file), "what is read is open");
            if let Purpose::Send(link, _) = piece.purpose {
                let waits = self.serving.is_held(link) || self.sessions.get(link).is_none();
                assert!(waits, "one chunk of a link is read at a time");
            }
        }
        self.serving.check_invariants();
    }
}

/// The disk has brought a chunk; none of its bytes if it could not.
pub(super) fn on_read(
    members: &mut [Member],
    common: &mut Common,
    (file, offset): (FileId, u64),
    bytes: &[u8],
    now: Now,
    os: &mut dyn Os,
) {
    let under_way = &mut common.packing.under_way;
    let found = under_way.iter().position(|piece| (piece.file, piece.offset) == (file, offset));
    let Some(purpose) = found.map(|at| under_way.remove(at).purpose) else { return };
    match purpose {
        Purpose::Send(link, request) => {
            if let Some(Whose::Pair(member, place)) = common.sessions.get(link).map(|session| session.whose) {
                common.let_go(link);
                members[member as usize].send_read((link, place), request, bytes, common, now, os);
            }
        }
        Purpose::Look(member, item) => {
            common.packing.packer.pack(bytes, &mut members[member as usize].library.at_mut(item).fit);
        }
    }
    serve(members, common, now, os);
}
