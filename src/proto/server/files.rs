//! What guests and members say about files, and who is told of whom. The catalog knows the files;
//! here are the links.

use crate::proto::gcra::Gcra;
use crate::proto::ids::{FileName, LinkId, Name};
use crate::proto::limits::{
    ANSWERS_BYTES_MAX, COMMAND_PAUSE, COMMANDS_BURST, HOLDERS_LISTED_MAX, REGISTER_TIMEOUT,
    REGISTERS_BYTES_MAX, SEARCH_CHUNKS_MAX,
};
use crate::proto::machine::{Effect, Os};
use crate::proto::server::catalog::{Meeting, Registered, Who};
use crate::proto::server::chat::{FileWord, Registering};
use crate::proto::server::directory::{Refusal, refuse, ticket};
use crate::proto::server::registry::kept;
use crate::proto::server::talk::Taking;
use crate::proto::server::{Server, Timer};
use crate::proto::swarm::{Manifest, ManifestError};
use crate::proto::time::{Mono, Now};
use crate::proto::wire::{self, Availability, ErrorCode, Message, Numbers, Portion};

/// Lines of one link, those about a run aside.
const COMMANDS: Gcra = Gcra::new(COMMANDS_BURST, COMMAND_PAUSE);
/// The work of looking at one member for an answer, in bytes of answer.
const LOOK_BYTES: usize = 64;

impl Server {
    /// The lines that are not about a run.
    pub(super) fn on_other_line(
        &mut self,
        link: LinkId,
        message: &Message<'_>,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        if is_counted(message) && !self.admit(link, now) {
            self.status.links_too_fast += 1;
            self.expel(link, ErrorCode::TooFast, "lines come faster than 2000 a second", now, os);
            return Ok(());
        }
        let is_told_by_program = matches!(
            message,
            Message::Have { .. }
                | Message::Report { .. }
                | Message::Withdraw { .. }
                | Message::Chat(wire::Chat::Ack { .. })
        );
        if !is_told_by_program {
            self.note_command(link, now);
        }
        match *message {
            Message::Hello { id, port, group, key } => self.on_hello(link, (id, group, key), port, now, os),
            Message::Register { file, bytes, chunk_bytes, octets, held } => {
                self.on_register(link, file, (bytes, chunk_bytes), octets, held, now, os)
            }
            Message::Withdraw { file } => self.on_withdraw(link, file, os),
            Message::Download { file } => self.on_download(link, file, os),
            Message::Have { file, first, last } => self.on_have(link, file, (first, last), os),
            Message::Report { file, id, chunk } => self.on_report(link, file, &id, chunk),
            Message::SearchFile { file } => self.on_search(link, file, None, os),
            Message::SearchChunk { file, chunks } => self.on_search(link, file, Some(chunks), os),
            Message::Chat(ref line) => self.on_chat(link, line, now, os),
            ref other => refuse(ErrorCode::OutOfPlace, format!("{} is not said to a server", other.verb())),
        }
    }

    // --- REGISTER -----------------------------------------------------------------------------

    #[allow(clippy::too_many_arguments)] // one line of the protocol
    fn on_register(
        &mut self,
        link: LinkId,
        file: &str,
        sizes: (u64, u64),
        octets: u64,
        portion: Portion,
        now: Now,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        if octets > REGISTERS_BYTES_MAX as u64 {
            // Too much to be thrown away; what comes behind it cannot be found.
            self.expel(link, ErrorCode::LimitReached, "so many hashes are not taken", now, os);
            return Ok(());
        }
        let checked = self.check_register(link, file, sizes, octets);
        let session = self.sessions.get_mut(link).expect("a line has a session");
        session.talk.announced = octets;
        if let Err(refusal) = checked {
            session.talk.taking = if octets > 0 { Taking::Refused } else { Taking::Nothing };
            self.status.files_refused += 1;
            return Err(refusal);
        }
        let file = file.parse().expect("checked by the parser");
        if octets == 0 {
            return self.register(link, file, sizes, portion, &[], os);
        }
        let announced = octets as usize;
        session.talk.taking = Taking::Register { file, sizes, portion, announced, octets: Vec::new() };
        self.octets_announced += announced;
        self.wheel.insert(Timer::Octets(link), now.mono + REGISTER_TIMEOUT);
        Ok(())
    }

    fn check_register(
        &self,
        link: LinkId,
        file: &str,
        (bytes, chunk_bytes): (u64, u64),
        octets: u64,
    ) -> Result<(), Refusal> {
        let who = self.known(link)?;
        Manifest::check_offer(bytes, chunk_bytes, octets).map_err(bad_manifest)?;
        if self.octets_announced + octets as usize > REGISTERS_BYTES_MAX {
            let text = "too many files are being registered at once; try again";
            return refuse(ErrorCode::LimitReached, text);
        }
        self.catalog.check_register(&who, file, bytes.div_ceil(chunk_bytes))
    }

    pub(super) fn on_octets(&mut self, link: LinkId, bytes: &[u8], last: bool, now: Now, os: &mut dyn Os) {
        let Some(session) = self.sessions.get_mut(link) else { return };
        if let Taking::Register { octets, .. } = &mut session.talk.taking {
            octets.extend_from_slice(bytes);
        }
        if !last {
            return;
        }
        let Taking::Register { file, sizes, portion, octets, .. } = self.drop_octets(link) else { return };
        if let Err((code, text)) = self.register(link, file, sizes, portion, &octets, os) {
            self.status.files_refused += 1;
            self.complain(link, code, &text, now, os);
        }
    }

    pub(super) fn on_octets_timeout(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        self.expel(link, ErrorCode::OutOfPlace, "the hashes of a file did not come in time", now, os);
    }

    fn register(
        &mut self,
        link: LinkId,
        file: FileName,
        (bytes, chunk_bytes): (u64, u64),
        portion: Portion,
        octets: &[u8],
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let who = self.known(link)?;
        let name = file.clone();
        let manifest = Manifest::from_offer(file, bytes, chunk_bytes, octets).map_err(bad_manifest)?;
        // Who comes back has many files to register, and each may have many holders.
        self.charge(link, (2 + self.catalog.parts(&who.group, name.as_str())) * LOOK_BYTES)
            .map_err(|(_, text)| (ErrorCode::LimitReached, text))?;
        let chunks = manifest.chunks();
        let apart = self.apart_from(&who, name.as_str());
        let file = kept(who.group, &manifest).into_owned();
        self.check_bound(&who, &file)?;
        let registered = self.catalog.register(&who, manifest, portion, &apart)?;
        let holders = registered.holders;
        self.status.files_registered += 1;
        let level = if registered.is_news { log::Level::Info } else { log::Level::Debug };
        log::log!(
            level,
            "file registered group={} file={name} id={} holds={} bytes={bytes} chunks={chunks} holders={holders}",
            who.group,
            who.id,
            portion.as_str()
        );
        self.conclude_register(Registering { link, who, file, word: FileWord::Registered(registered) }, os);
        Ok(())
    }

    /// Answers who has registered a file, and tells those who may want it; or who has withdrawn one.
    pub(super) fn answer_register(&mut self, registering: &Registering, os: &mut dyn Os) {
        let Registering { link, who, ref file, ref word } = *registering;
        let file: &str = &file.name;
        let FileWord::Registered(Registered { holders, is_news }) = *word else {
            return self.send(link, &Message::OkWithdraw { file }, os);
        };
        self.send(link, &Message::OkRegister { file, holders }, os);
        if is_news {
            self.forgive_command(link);
            let apart = self.apart_from(&who, file);
            let meeting = self.catalog.introduce(&who, file, &apart);
            for other in &meeting.others {
                self.tell_source(&who, &Who { id: *other, ..who }, file, os);
            }
            self.tell_others(&who, &meeting, file, os);
        }
    }

    // --- The others ---------------------------------------------------------------------------

    fn on_download(&mut self, link: LinkId, file: &str, os: &mut dyn Os) -> Result<(), Refusal> {
        let who = self.known(link)?;
        self.charge(link, self.catalog.parts(&who.group, file) * LOOK_BYTES)?;
        if let Err(refusal) = self.catalog.download(&who, file) {
            return match self.registry.chunks(&who.group, file) {
                Some(_) => refuse(ErrorCode::UnknownFile, format!("nobody who holds {file} is online")),
                None => Err(refusal),
            };
        }
        let apart = self.apart_from(&who, file);
        let meeting = self.catalog.introduce(&who, file, &apart);
        let mut answer = std::mem::take(&mut self.scratch);
        answer.clear();
        for other in &meeting.others {
            if let Some(line) = self.source(&who, &Who { id: *other, ..who }, file) {
                answer.extend_from_slice(b"* ");
                line.encode(&mut answer);
            }
        }
        let manifest = self.catalog.manifest(&who.group, file)?;
        let (bytes, chunk_bytes, octets) = (manifest.bytes(), manifest.chunk_bytes(), manifest.octets());
        Message::OkDownload { file, bytes, chunk_bytes, octets }.encode(&mut answer);
        manifest.encode_hashes(&mut answer);
        os.perform(Effect::Send { link, bytes: &answer });
        self.note_answer(link, answer.len());
        self.scratch = answer;
        if meeting.is_news {
            self.status.downloads += 1;
            let sources = meeting.others.len();
            log::info!("download group={} file={file} id={} sources={sources}", who.group, who.id);
        }
        self.tell_others(&who, &meeting, file, os);
        Ok(())
    }

    fn on_have(
        &mut self,
        link: LinkId,
        file: &str,
        (first, last): (u64, u64),
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let who = self.known(link)?;
        if self.catalog.have(&who, file, first, last)? {
            log::info!("file complete group={} file={file} id={}", who.group, who.id);
        }
        self.note_have(&who, file, os);
        Ok(())
    }

    fn on_report(&mut self, link: LinkId, file: &str, of: &Name, chunk: u64) -> Result<(), Refusal> {
        let who = self.known(link)?;
        if self.are_apart(&who, &Who { id: *of, ..who }) {
            return refuse(ErrorCode::UnknownMember, format!("{of} is no source of {file} for you"));
        }
        let is_new = self.catalog.report(&who, file, of, chunk)?;
        self.status.chunks_reported += 1;
        if is_new {
            log::warn!(
                "wrong chunk reported group={} file={file} chunk={chunk} holder={of} by={}",
                who.group,
                who.id
            );
        }
        Ok(())
    }

    fn on_search(
        &mut self,
        link: LinkId,
        file: &str,
        numbers: Option<Numbers<'_>>,
        os: &mut dyn Os,
    ) -> Result<(), Refusal> {
        let who = self.known(link)?;
        let is_for_chunks = numbers.is_some();
        let shared = self.catalog.manifest(&who.group, file).map(|manifest| manifest.chunks());
        let known = shared.or_else(|refusal| self.registry.chunks(&who.group, file).ok_or(refusal));
        let chunks_total = known.as_ref().map_or(0, |chunks| *chunks);
        let mut wanted = Vec::new();
        if let Some(numbers) = numbers {
            known?;
            for number in numbers.iter() {
                if number == 0 || number > chunks_total {
                    return refuse(ErrorCode::UnknownChunk, unknown_chunk(file, chunks_total));
                }
                if wanted.len() == SEARCH_CHUNKS_MAX {
                    let text = format!("a search names at most {SEARCH_CHUNKS_MAX} chunks");
                    return refuse(ErrorCode::LimitReached, text);
                }
                wanted.push(number - 1);
            }
        }
        let cost = LOOK_BYTES.max(2 * wanted.len());
        self.charge(link, (1 + self.catalog.parts(&who.group, file)) * cost)?;
        let apart = self.apart_from(&who, file);
        self.scratch.clear();
        let (mut found, chunks) = (Availability::NotAvailable, chunks_total);
        let holders = self.catalog.holders(&who.group, file, is_for_chunks.then_some(&wanted));
        for (id, held) in holders.filter(|(id, _)| !apart.contains(id)).take(HOLDERS_LISTED_MAX) {
            found = Availability::Available;
            self.scratch.extend_from_slice(b"* ");
            Message::Holder { id: *id, held, chunks }.encode(&mut self.scratch);
        }
        let answer = match is_for_chunks {
            true => Message::OkSearchChunk { found },
            false => Message::OkSearchFile { found },
        };
        answer.encode(&mut self.scratch);
        os.perform(Effect::Send { link, bytes: &self.scratch });
        Ok(())
    }

    // --- Who is told of whom ------------------------------------------------------------------

    /// The line that tells `to` about `about`, if both are here.
    fn source<'a>(&self, to: &Who, about: &Who, file: &'a str) -> Option<Message<'a>> {
        let (reader, source) = (self.contact(to)?, self.contact(about)?);
        let ticket = ticket((&to.id, reader.key), (&about.id, source.key));
        let addr = self.sessions.get(reader.link).map_or(source.addr, |session| session.reaches(source.addr));
        Some(Message::Source { file, id: about.id, addr, ticket })
    }

    fn tell_source(&mut self, to: &Who, about: &Who, file: &str, os: &mut dyn Os) {
        if let (Some(line), Some(contact)) = (self.source(to, about, file), self.contact(to)) {
            self.send(contact.link, &line, os);
        }
    }

    fn tell_others(&mut self, about: &Who, meeting: &Meeting, file: &str, os: &mut dyn Os) {
        for other in meeting.others.iter().filter(|_| meeting.is_news) {
            self.tell_source(&Who { id: *other, ..*about }, about, file, os);
        }
    }

    // --- Bounds -------------------------------------------------------------------------------

    /// Answers about files are long; who asks for more without reading is refused, before work is done.
    pub(super) fn charge(&mut self, link: LinkId, bytes: usize) -> Result<(), Refusal> {
        let session = self.sessions.get_mut(link).expect("a line has a session");
        if session.talk.owed_bytes > ANSWERS_BYTES_MAX {
            return refuse(ErrorCode::TooFast, "take the earlier answers first");
        }
        session.talk.owed_bytes += bytes;
        Ok(())
    }

    /// Whether a line comes no faster than agreed.
    fn admit(&mut self, link: LinkId, now: Now) -> bool {
        let session = self.sessions.get_mut(link).expect("a line has a session");
        COMMANDS.take(&mut session.talk.commands_until, 1, now.mono)
    }

    /// A line that was admitted a moment ago has cost as much as so many.
    pub(super) fn note_work(&mut self, link: LinkId, commands: u64) {
        if let Some(session) = self.sessions.get_mut(link) {
            COMMANDS.charge(&mut session.talk.commands_until, commands, Mono(0));
        }
    }

    fn forgive_command(&mut self, link: LinkId) {
        if let Some(session) = self.sessions.get_mut(link) {
            COMMANDS.refund(&mut session.talk.commands_until, 1);
        }
    }

    pub(super) fn note_answer(&mut self, link: LinkId, bytes: usize) {
        if let Some(session) = self.sessions.get_mut(link) {
            session.talk.owed_bytes += bytes;
        }
    }
}

/// Lines about files, and those of the messenger.
fn is_counted(message: &Message<'_>) -> bool {
    matches!(
        message,
        Message::Chat(_)
            | Message::Register { .. }
            | Message::Withdraw { .. }
            | Message::Download { .. }
            | Message::Have { .. }
            | Message::Report { .. }
            | Message::SearchFile { .. }
            | Message::SearchChunk { .. }
    )
}

fn bad_manifest(error: ManifestError) -> Refusal {
    (ErrorCode::BadArgument, error.to_string())
}

fn unknown_chunk(file: &str, chunks: u64) -> String {
    match chunks {
        0 => format!("{file} is empty"),
        1 => format!("{file} has 1 chunk"),
        chunks => format!("{file} has {chunks} chunks, and they count from 1"),
    }
}
