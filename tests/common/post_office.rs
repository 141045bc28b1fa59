//! What a server, its store and its clients do around the book of messages, each in a few lines, with a model
//! that checks every list and every delivery.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tickmesh::proto::chat::{
    Audience, BlockLasts, Chat, ChatConfig, Gone, Keep, MailLoad, Posted, Rate, Reader, Refusal, Seen, Sent,
    Step, WaitingMail,
};
use tickmesh::proto::ids::{LinkId, Name};
use tickmesh::proto::time::{Mono, Now, Wall};
use tickmesh::sim::Rng;

const SECOND: u64 = 1_000_000_000;

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Refused, or the store could not keep it: its sender was told.
    Refused,
    /// The store has not answered yet, and neither has its sender been.
    Pending,
    /// It went to a link, and that link is not known to have it.
    Trial,
    /// The store has it, or had it until it was delivered.
    Kept,
    /// Nobody promised anything, or the promise did not reach that far.
    Over,
    /// Its sender was blocked when its turn came.
    Skipped,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub from: Name,
    pub to: Name,
    pub fate: Fate,
    pub is_shown: bool,
    pub is_to_guest: bool,
}

/// What the store is asked for.
enum Job {
    Put { to: Name, number: u64, id: usize },
    Forget { to: Name, upto: u64 },
    Reserve { to: Name, upto: u64 },
    Block { user: Name, other: Name, is_blocked: bool },
    Load(MailLoad),
}

/// What survives.
#[derive(Default)]
struct Disk {
    users: BTreeMap<Name, (u64, BTreeMap<u64, usize>)>,
    blocks: BTreeSet<(Name, Name)>,
}

#[derive(Default)]
struct Client {
    link: Option<LinkId>,
    /// Number and message, on their way.
    pipe: VecDeque<(Option<u64>, usize)>,
    last_seen: u64,
    is_ack_due: bool,
    /// The last message shown from each, and of a plain client on this link.
    last_from: BTreeMap<Name, usize>,
    left: Option<Mono>,
}

pub struct PostOffice {
    pub chat: Chat,
    pub messages: Vec<Message>,
    pub store_works: bool,
    clients: BTreeMap<Name, Client>,
    blocks: BTreeSet<(Name, Name)>,
    disk: Disk,
    jobs: VecDeque<Job>,
    now: Mono,
    links: u32,
}

fn is_guest(name: &Name) -> bool {
    name.as_str().starts_with("visitor")
}

fn acks(name: &Name) -> bool {
    name.as_str().starts_with("acks")
}

fn text(id: usize) -> String {
    format!("{id:<width$}", width = 10 + id % 50)
}

fn new_chat() -> Chat {
    Chat::new(ChatConfig { rate: Rate::default(), idle_timeout: Duration::from_secs(60) })
}

impl PostOffice {
    pub fn new(names: &[Name]) -> PostOffice {
        let mut disk = Disk::default();
        disk.users
            .extend(names.iter().filter(|name| !is_guest(name)).map(|name| (*name, Default::default())));
        let mut office = PostOffice {
            chat: new_chat(),
            messages: Vec::new(),
            store_works: true,
            clients: names.iter().map(|name| (*name, Client::default())).collect(),
            blocks: BTreeSet::new(),
            disk,
            jobs: VecDeque::new(),
            now: Mono(0),
            links: 0,
        };
        office.rebuild();
        office
    }

    pub fn check(&self) {
        self.chat.check_invariants();
    }

    /// Something is on its way.
    pub fn is_busy(&self) -> bool {
        !self.jobs.is_empty()
            || self.clients.values().any(|client| !client.pipe.is_empty() || client.is_ack_due)
    }

    // --- What people do ----------------------------------------------------------------------

    pub fn login(&mut self, name: &Name) {
        self.links += 1;
        let link = LinkId { index: self.links % 50, generation: self.links };
        let expected = self.audience(name);
        let reader = if acks(name) { Reader::Acks } else { Reader::Plain };
        let (told, load, reserve) = if is_guest(name) {
            match self.chat.login_guest(*name, link, Mono(0), self.now) {
                Ok(told) => (names(told), None, None),
                Err(refusal) => return self.check_login_refused(name, refusal),
            }
        } else {
            match self.chat.login(*name, link, reader, self.now) {
                Ok(login) => (names(login.told), login.load, login.reserve),
                Err(refusal) => return self.check_login_refused(name, refusal),
            }
        };
        assert_eq!(told, expected, "who is told that {name} came");
        let client = self.clients.get_mut(name).unwrap();
        assert_eq!(client.link, None);
        client.link = Some(link);
        if !acks(name) {
            client.last_from.clear();
        }
        self.jobs.extend(reserve.map(|upto| Job::Reserve { to: *name, upto }));
        self.jobs.extend(load.map(Job::Load));
    }

    fn check_login_refused(&self, name: &Name, refusal: Refusal) {
        assert_eq!((refusal, self.is_online(name)), (Refusal::AlreadyOnline, true));
    }

    pub fn message(&mut self, from: &Name, to: &Name) {
        let id = self.messages.len();
        let is_to_guest = is_guest(to);
        self.messages.push(Message {
            from: *from,
            to: *to,
            fate: Fate::Refused,
            is_shown: false,
            is_to_guest,
        });
        let now = Now { mono: self.now, wall: Wall(self.now.0) };
        let result = self.chat.message(from, to, &text(id), now);
        let guests = is_guest(from) || is_guest(to);
        let expected = match () {
            () if !self.is_online(from) => Some(Refusal::NotLoggedIn),
            () if from == to => Some(Refusal::Yourself),
            () if is_guest(to) && !self.is_online(to) => match self.clients[to].left {
                Some(_) => Some(Refusal::Offline),
                None => Some(Refusal::Unknown),
            },
            () if self.blocks.contains(&(*to, *from)) => Some(Refusal::BlockedYou),
            () if guests && !self.is_online(to) => Some(Refusal::Offline),
            () => None,
        };
        match (result, expected) {
            (Err(refusal), Some(expected)) => assert_eq!(refusal, expected),
            (Err(refusal), None) => assert_eq!(refusal, Refusal::MailboxFull),
            (Ok(posted), None) => self.posted(id, posted),
            (Ok(posted), Some(refusal)) => panic!("{refusal} was expected, not {posted:?}"),
        }
    }

    fn posted(&mut self, id: usize, posted: Posted) {
        let to = self.messages[id].to;
        match posted.sent {
            Sent::Now { link, number } => {
                assert_eq!(self.clients[&to].link, Some(link), "the link is the recipient's");
                self.messages[id].fate = if number.is_some() { Fate::Trial } else { Fate::Over };
                self.send(&to, number, id);
            }
            Sent::Kept { number } => {
                self.messages[id].fate = Fate::Pending;
                self.jobs.push_back(Job::Put { to, number, id });
            }
        }
        self.jobs.extend(posted.load.map(Job::Load));
        self.jobs.extend(posted.reserve.map(|upto| Job::Reserve { to, upto }));
    }

    pub fn broadcast(&mut self, from: &Name) {
        let blocked_by = |name: &Name| self.blocks.contains(&(*name, *from));
        let others = self.clients.keys().filter(|name| *name != from && self.is_online(name));
        let (blockers, expected): (Vec<Name>, Vec<Name>) = others.copied().partition(blocked_by);
        match self.chat.broadcast(from, "all") {
            Ok(broadcast) => {
                assert_eq!(broadcast.is_blocked_by_some, !blockers.is_empty());
                assert_eq!(names(broadcast.told), expected);
            }
            Err(refusal) => assert_eq!((refusal, self.is_online(from)), (Refusal::NotLoggedIn, false)),
        }
    }

    pub fn block(&mut self, user: &Name, other: &Name) {
        let result = self.chat.block(user, other);
        let is_new = self.blocks.contains(&(*user, *other));
        match result {
            Ok(lasts) => {
                assert!(user != other && !is_new);
                self.blocks.insert((*user, *other));
                self.put_block(lasts, user, other, true);
            }
            Err(Refusal::Yourself) => assert_eq!(user, other),
            Err(Refusal::AlreadyBlocked) => assert!(is_new),
            Err(refusal) => self.check_guest_gone(user, other, refusal),
        }
    }

    pub fn unblock(&mut self, user: &Name, other: &Name) {
        match self.chat.unblock(user, other) {
            Ok(lasts) => {
                assert!(self.blocks.remove(&(*user, *other)));
                self.put_block(lasts, user, other, false);
            }
            Err(Refusal::Yourself) => assert_eq!(user, other),
            Err(Refusal::NotBlocked) => assert!(!self.blocks.contains(&(*user, *other))),
            Err(refusal) => self.check_guest_gone(user, other, refusal),
        }
    }

    fn check_guest_gone(&self, user: &Name, other: &Name, refusal: Refusal) {
        let gone = if refusal == Refusal::NotLoggedIn { user } else { other };
        assert!(is_guest(gone) && !self.is_online(gone), "{refusal}");
    }

    fn put_block(&mut self, lasts: BlockLasts, user: &Name, other: &Name, is_blocked: bool) {
        assert_eq!(lasts == BlockLasts::Always, !is_guest(user) && !is_guest(other));
        if lasts == BlockLasts::Always {
            self.jobs.push_back(Job::Block { user: *user, other: *other, is_blocked });
        }
    }

    pub fn start_private(&mut self, from: &Name, to: &Name) {
        if let Ok(private) = self.chat.start_private(from, to) {
            assert_eq!(
                (Some(private.from), Some(private.to)),
                (self.clients[from].link, self.clients[to].link)
            );
            assert!(!self.blocks.contains(&(*to, *from)) && !is_guest(from) && !is_guest(to));
        }
    }

    pub fn list(&mut self, asker: &Name, seconds: u64) {
        let Ok(whoelse) = self.chat.whoelse(asker, None) else {
            return assert!(!self.is_online(asker));
        };
        let may_see = |name: &Name| name != asker && !self.blocks.contains(&(*name, *asker));
        let seen: BTreeSet<Name> = self.clients.keys().filter(|name| may_see(name)).copied().collect();
        let (online, away): (Vec<Name>, Vec<Name>) = seen.into_iter().partition(|name| self.is_online(name));
        assert_eq!(names(whoelse), online);
        let from = Mono(self.now.0.saturating_sub(seconds * SECOND));
        let away: BTreeSet<Name> = away
            .into_iter()
            .filter(|name| self.clients[name].left.is_some_and(|left| left >= from))
            .collect();
        // Page by page, one at a time.
        let (mut listed, mut after) = (Vec::new(), None);
        while let Some(seen) = self.chat.whoelsesince(asker, seconds, self.now, after).unwrap().next() {
            listed.push(seen);
            after = Some(seen);
        }
        let there: Vec<Name> =
            listed.iter().filter(|seen| seen.left.is_none()).map(|seen| seen.name).collect();
        let gone: Vec<&Seen> = listed.iter().filter(|seen| seen.left.is_some()).collect();
        assert_eq!(there, online);
        assert_eq!(gone.iter().map(|seen| seen.name).collect::<BTreeSet<Name>>(), away);
        assert!(gone.len() == away.len() && gone.is_sorted_by(|one, next| one.left >= next.left));
    }

    pub fn remove(&mut self, name: &Name) {
        if is_guest(name) {
            return assert_eq!(self.chat.remove_user(name, self.now).err(), Some(Refusal::Unknown));
        }
        self.drain_pipe(name, usize::MAX);
        let expected = self.audience(name);
        if let Some(gone) = self.chat.remove_user(name, self.now).unwrap() {
            assert_eq!(names(gone.told), expected);
            assert_eq!(gone.keep, []);
        }
        // An operator's removal and return are done while nothing else waits for the disk.
        self.store(usize::MAX, &mut Rng::new(0));
        self.disk.users.insert(*name, Default::default());
        self.disk.blocks.retain(|(user, other)| user != name && other != name);
        self.blocks.retain(|(user, other)| user != name && other != name);
        self.clients.insert(*name, Client::default());
        for message in self.messages.iter_mut().filter(|message| message.to == *name) {
            message.fate = Fate::Over;
        }
        self.chat.add_user(*name, WaitingMail::default(), self.now).unwrap();
    }

    // --- What clients and links do -----------------------------------------------------------

    fn send(&mut self, to: &Name, number: Option<u64>, id: usize) {
        let message = &self.messages[id];
        assert_eq!(message.to, *to, "nothing goes to the wrong one");
        assert!(!self.blocks.contains(&(*to, message.from)), "{to} has blocked {}", message.from);
        self.clients.get_mut(to).unwrap().pipe.push_back((number, id));
        if let (false, Some(number)) = (acks(to), number) {
            // What the kernel took has come as far as anybody knows. Now and then that takes a while.
            if !id.is_multiple_of(3) {
                let step = self.chat.on_delivered(to, number);
                self.done(to, step);
            }
        }
    }

    /// A client reads some of what has come.
    pub fn read(&mut self, name: &Name, count: usize) {
        self.drain_pipe(name, count);
        if !acks(name) && self.is_online(name) {
            let step = self.chat.on_delivered(name, u64::MAX);
            self.done(name, step);
        }
    }

    fn drain_pipe(&mut self, name: &Name, count: usize) {
        let client = self.clients.get_mut(name).unwrap();
        for (number, id) in client.pipe.drain(..count.min(client.pipe.len())) {
            if acks(name) {
                if let Some(number) = number {
                    client.is_ack_due = true;
                    if number <= client.last_seen {
                        continue;
                    }
                    client.last_seen = number;
                }
                assert!(!self.messages[id].is_shown, "message {id} is shown twice");
            }
            let message = &mut self.messages[id];
            message.is_shown = true;
            let before = client.last_from.insert(message.from, id);
            assert!(
                before.is_none_or(|before| before < id),
                "{before:?} came before {id} from {}",
                message.from
            );
        }
    }

    pub fn acknowledge(&mut self, name: &Name) {
        let client = self.clients.get_mut(name).unwrap();
        if std::mem::take(&mut client.is_ack_due) && client.link.is_some() {
            let number = client.last_seen;
            let step = self.chat.ack(name, number).unwrap();
            self.done(name, step);
        }
        if self.is_online(name) {
            assert_eq!(self.chat.ack(name, u64::MAX).err(), Some(Refusal::NeverSent));
        }
    }

    fn done(&mut self, name: &Name, step: Step) {
        self.jobs.extend(step.forget.map(|upto| Job::Forget { to: *name, upto }));
        self.jobs.extend(step.load.map(Job::Load));
    }

    /// An orderly end: the client has read all.
    pub fn logout(&mut self, name: &Name, rng: &mut Rng) {
        self.read(name, usize::MAX);
        if rng.chance(0.5) {
            self.acknowledge(name);
        }
        self.end(name);
    }

    /// Some of what was on its way is lost, and what the client wanted to say.
    pub fn break_link(&mut self, name: &Name, rng: &mut Rng) {
        let count = rng.index(self.clients[name].pipe.len() + 1);
        self.drain_pipe(name, count);
        let lost = std::mem::take(&mut self.clients.get_mut(name).unwrap().pipe);
        for (_, id) in lost.into_iter().filter(|_| !acks(name)) {
            // Perhaps the kernel had taken it.
            self.messages[id].fate = Fate::Over;
        }
        self.end(name);
    }

    fn end(&mut self, name: &Name) {
        let expected = self.audience(name);
        match self.chat.logout(name, self.now) {
            Ok(Gone { link, told, keep, .. }) => {
                assert_eq!(names(told), expected, "who is told that {name} went");
                self.on_end(name, link, keep);
            }
            Err(refusal) => assert_eq!((refusal, self.is_online(name)), (Refusal::NotLoggedIn, false)),
        }
    }

    fn on_end(&mut self, name: &Name, link: LinkId, keep: Vec<Keep>) {
        let client = self.clients.get_mut(name).unwrap();
        assert_eq!(client.link.take(), Some(link));
        (client.is_ack_due, client.left) = (false, Some(self.now));
        for Keep { to, number, from, text, .. } in keep {
            let id: usize = text.trim().parse().unwrap();
            assert_eq!((to, from), (self.messages[id].to, self.messages[id].from));
            self.jobs.push_back(Job::Put { to, number, id });
        }
        if is_guest(name) {
            self.blocks.retain(|(user, other)| user != name && other != name);
        }
    }

    // --- What the store does -----------------------------------------------------------------

    pub fn store(&mut self, count: usize, rng: &mut Rng) {
        for _ in 0..count {
            let Some(job) = self.jobs.pop_front() else { return };
            let fails = !self.store_works && rng.chance(0.5);
            match job {
                Job::Put { to, id, .. } if fails => {
                    let fate = &mut self.messages[id].fate;
                    *fate = if *fate == Fate::Pending { Fate::Refused } else { Fate::Over };
                    self.chat.not_kept(&to, &self.messages[id].from, text(id).len());
                }
                Job::Put { to, number, id } => {
                    let (last, mail) = self.disk.users.get_mut(&to).unwrap();
                    *last = number.max(*last);
                    assert_eq!(mail.insert(number, id), None, "a number is given once");
                    if self.messages[id].fate != Fate::Over {
                        self.messages[id].fate = Fate::Kept;
                    }
                }
                Job::Reserve { to, .. } if fails => self.chat.on_reserve_failed(&to),
                Job::Reserve { to, upto } => {
                    let last = &mut self.disk.users.get_mut(&to).unwrap().0;
                    *last = upto.max(*last);
                    self.chat.on_reserved(&to, upto);
                }
                Job::Forget { to, upto } if !fails => {
                    self.disk.users.get_mut(&to).unwrap().1.retain(|number, _| *number > upto);
                }
                Job::Load(load) if fails => self.chat.mail_load_failed(&load.to),
                Job::Load(load) => self.load(&load),
                Job::Block { user, other, is_blocked: true } if !fails => {
                    self.disk.blocks.insert((user, other));
                }
                Job::Block { user, other, is_blocked: false } if !fails => {
                    self.disk.blocks.remove(&(user, other));
                }
                Job::Forget { .. } | Job::Block { .. } => {}
            }
        }
    }

    fn load(&mut self, load: &MailLoad) {
        let MailLoad { to, after, rows_max } = load;
        let rows = self.disk.users[to].1.range(after + 1..).take(*rows_max as usize);
        let rows: Vec<(u64, usize)> = rows.map(|(number, id)| (*number, *id)).collect();
        for (number, id) in rows {
            let from = self.messages[id].from;
            match self.chat.mail_row(to, &from, number, text(id).len()) {
                Some(link) => {
                    assert_eq!(self.clients[to].link, Some(link));
                    self.send(to, Some(number), id);
                }
                None if self.blocks.contains(&(*to, from)) => self.messages[id].fate = Fate::Skipped,
                None => {}
            }
        }
        let step = self.chat.mail_loaded(to);
        self.done(to, step);
    }

    pub fn retry(&mut self, name: &Name) {
        let load = self.chat.retry_load(name);
        self.jobs.extend(load.map(Job::Load));
    }

    // --- What servers do ---------------------------------------------------------------------

    pub fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Everybody is sent away and all is stored; then the next life begins.
    pub fn restart(&mut self, rng: &mut Rng) {
        let names: Vec<Name> = self.clients.keys().copied().collect();
        for name in &names {
            self.break_link(name, rng);
        }
        self.store_works = true;
        self.store(usize::MAX, rng);
        assert_eq!(self.chat.online(), 0);
        self.rebuild();
    }

    /// What was not stored is lost.
    pub fn crash(&mut self, rng: &mut Rng) {
        self.jobs.clear();
        for message in &mut self.messages {
            if matches!(message.fate, Fate::Pending | Fate::Trial) {
                message.fate = Fate::Over;
            }
        }
        let names: Vec<Name> = self.clients.keys().copied().collect();
        for name in &names {
            self.break_link(name, rng);
        }
        self.jobs.clear();
        self.rebuild();
    }

    fn rebuild(&mut self) {
        self.chat = new_chat();
        for (name, (last, mail)) in &self.disk.users {
            let bytes = mail.values().map(|id| text(*id).len() as u32).sum();
            let mail = WaitingMail { last: *last, count: mail.len() as u32, bytes };
            self.chat.add_user(*name, mail, self.now).unwrap();
        }
        self.blocks.clone_from(&self.disk.blocks);
        for (user, other) in &self.blocks {
            assert_eq!(self.chat.block(user, other), Ok(BlockLasts::Always));
        }
        for client in self.clients.values_mut() {
            client.left = None;
        }
    }

    fn is_online(&self, name: &Name) -> bool {
        self.clients[name].link.is_some()
    }

    /// Who should hear of somebody's coming and going.
    fn audience(&self, name: &Name) -> Vec<Name> {
        let hears = |other: &&Name| {
            *other != name && self.is_online(other) && !self.blocks.contains(&(*name, **other))
        };
        self.clients.keys().filter(hears).copied().collect()
    }
}

fn names(told: Audience<'_>) -> Vec<Name> {
    told.map(|(name, _)| name).collect()
}
