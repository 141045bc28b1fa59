//! What the members of a process share: the wheel, and the tables that say whom a link, an
//! attempt to connect, or a file belongs to. Decides nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::limits::FILES_OPEN_MAX;
use crate::proto::machine::{CloseReason, Effect, LinkMap, OpenMode, Os};
use crate::proto::peer::PeersConfig;
use crate::proto::peer::door::Door;
use crate::proto::peer::library::ItemId;
use crate::proto::peer::pack::Packing;
use crate::proto::swarm::{Serving, Unpacker};
use crate::proto::time::Mono;
use crate::proto::wheel::Wheel;
use crate::proto::wire::{LineReader, Message};

#[derive(Debug)]
pub(super) struct Common {
    pub(super) config: PeersConfig,
    pub(super) started: Mono,
    pub(super) wheel: Wheel<Timer>,
    pub(super) sessions: LinkMap<Session>,
    pub(super) dials: BTreeMap<DialId, DialFor>,
    pub(super) files: BTreeMap<FileId, FileFor>,
    pub(super) listener: Listener,
    /// Where to listen; `None`: where we reach the server.
    pub(super) listen_ip: Option<IpAddr>,
    pub(super) door: Door,
    /// Chunks that others asked for, of all members.
    pub(super) serving: Serving,
    /// Those of them that are being packed.
    pub(super) packing: Packing,
    pub(super) unpacker: Unpacker,
    /// When those that wait for chunks hear from us, if not before.
    pub(super) word_at: Mono,
    /// A line that is being encoded.
    pub(super) scratch: Vec<u8>,
    dials_made: u32,
    files_opened: u32,
}

/// Everything that the members wait for; the number is the member's place in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A slot of the grid.
    Tick(u32),
    /// Rows that wait for the disk.
    Flush(u32),
    /// The last answers.
    Settle(u32),
    /// The next attempt to reach the server.
    Redial(u32),
    /// The server's word.
    Reply(u32),
    /// Something to do for sharing, or its deadline.
    Share(u32),
    /// Files of our folder that wait for their turn.
    Present(u32),
    /// Files that are to be taken back, or whose end the server is to hear of.
    Withdraw(u32),
    /// Something that was to be shown.
    Shown(u32),
    /// Chunks that wait for their turn.
    Serve,
    /// A link that has not said which pair it is for.
    Stranger(LinkId),
}

/// What is kept of a link.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) reader: LineReader,
    pub(super) whose: Whose,
    /// Who dialed us over it; `None`: we did.
    pub(super) from: Option<IpAddr>,
    /// Something that was sent over it waits for room.
    pub(super) blocked: bool,
    /// Lines that were sent over it.
    pub(super) said: u64,
}

impl Session {
    pub(super) fn new(whose: Whose) -> Session {
        Session { reader: LineReader::default(), whose, from: None, blocked: false, said: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Accepted, and not yet known.
    Stranger,
    /// A member's link to the server.
    Server(u32),
    /// A member's link to one of the others.
    Pair(u32, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DialFor {
    Server(u32),
    Pair(u32, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFor {
    /// A member's table.
    Table(u32),
    /// A member's samples.
    Samples(u32),
    /// What the folder of a member's copies held before this run.
    Older(u32),
    /// A file of a member's library.
    Item { member: u32, item: ItemId },
}

impl FileFor {
    pub(super) fn member(self) -> u32 {
        match self {
            FileFor::Table(member)
            | FileFor::Samples(member)
            | FileFor::Older(member)
            | FileFor::Item { member, .. } => member,
        }
    }
}

/// Where the members of this process can be reached; one for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    None,
    Asked,
    Ready(u16),
}

impl Common {
    pub(super) fn new(config: PeersConfig) -> Common {
        Common {
            config,
            started: Mono(0),
            wheel: Wheel::new(),
            sessions: LinkMap::default(),
            dials: BTreeMap::new(),
            files: BTreeMap::new(),
            listener: Listener::None,
            listen_ip: None,
            door: Door::default(),
            serving: Serving::new(None),
            packing: Packing::default(),
            unpacker: Unpacker::new(),
            word_at: Mono(0),
            scratch: Vec::new(),
            dials_made: 0,
            files_opened: 0,
        }
    }

    pub(super) fn send(&mut self, link: LinkId, message: &Message<'_>, os: &mut dyn Os) {
        self.scratch.clear();
        message.encode(&mut self.scratch);
        self.send_scratch(link, os);
    }

    /// Sends the line that was encoded, and the octets that belong to it.
    pub(super) fn send_scratch(&mut self, link: LinkId, os: &mut dyn Os) {
        if let Some(session) = self.sessions.get_mut(link) {
            session.said += 1;
        }
        os.perform(Effect::Send { link, bytes: &self.scratch });
    }

    pub(super) fn dial(&mut self, addr: std::net::SocketAddr, whose: DialFor, os: &mut dyn Os) -> DialId {
        let dial = DialId(self.dials_made);
        self.dials_made += 1;
        self.dials.insert(dial, whose);
        os.perform(Effect::Dial { dial, addr });
        dial
    }

    /// Forgets a link and closes it.
    pub(super) fn close(&mut self, link: LinkId, reason: CloseReason, os: &mut dyn Os) {
        self.forget(link);
        os.perform(Effect::Close { link, reason });
    }

    /// Forgets a link that is gone.
    pub(super) fn forget(&mut self, link: LinkId) -> Option<Session> {
        let session = self.sessions.remove(link)?;
        session.from.into_iter().for_each(|from| self.door.leave(from));
        Some(session)
    }

    /// One more whole file may stay open, to be served to others.
    pub(super) fn keep_open(&self) -> bool {
        self.files.len() < FILES_OPEN_MAX
    }

    pub(super) fn new_file(&mut self, whose: FileFor) -> FileId {
        let file = FileId(self.files_opened);
        self.files_opened += 1;
        self.files.insert(file, whose);
        file
    }

    pub(super) fn open_partial(
        &mut self,
        path: &str,
        aside: &str,
        whose: FileFor,
        os: &mut dyn Os,
    ) -> FileId {
        let file = self.new_file(whose);
        os.perform(Effect::Open { file, path, mode: OpenMode::Partial, aside });
        file
    }

    /// Forgets a file and closes it.
    pub(super) fn release(&mut self, file: FileId, os: &mut dyn Os) {
        self.files.remove(&file);
        self.forget_reads(file);
        os.perform(Effect::Release { file });
    }
}
