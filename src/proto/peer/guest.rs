//! A guest: a member without a run, that offers files, gets files, and asks who has them. Decides
//! what to say to the server and when everything is done.

use std::collections::{BTreeSet, VecDeque};

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{FileName, Name};
use crate::proto::limits::{ASK_PERIOD, CHUNKS_MAX, FIRST_CONTACT_TIMEOUT, LOOK_PERIOD, SOURCES_DIALED_MAX};
use crate::proto::machine::Os;
use crate::proto::peer::common::{Common, DialFor, Timer};
use crate::proto::peer::library::{ItemId, Told};
use crate::proto::peer::member::{Member, Stage};
use crate::proto::peer::other::Way;
use crate::proto::peer::presented::Presented;
use crate::proto::peer::report::Outcome;
use crate::proto::peer::status::FileStatus;
use crate::proto::peer::talk::{Talk, Talker};
use crate::proto::peer::want::Want;
use crate::proto::swarm::{Manifest, ManifestError};
use crate::proto::time::{Mono, Now};

/// What a user of files sets.
#[derive(Clone, Debug)]
pub struct GuestConfig {
    /// The server that knows who holds what.
    pub server: SocketAddr,
    /// The group whose files these are.
    pub group: Name,
    /// What to be called; `None`: what the server chooses.
    pub id: Option<Name>,
    /// What to do.
    pub orders: Orders,
    /// Most bytes a second that are sent to others; `None`: no limit.
    pub upload_limit: Option<u64>,
}

/// What a guest is to do. It ends when all is done; one that offers files, when it is asked to.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Files to offer.
    pub offers: Vec<Offer>,
    /// A file to get.
    pub get: Option<Get>,
    /// Who has a file?
    pub find: Option<Find>,
    /// Talk, and do what is typed.
    pub talk: Option<Talk>,
    /// Most files that are offered of those that other machines of the driver present
    /// ([`Input::Presented`](crate::proto::machine::Input::Presented)); they lie in its folder. With any it ends only when it is asked to.
    pub presented_max: usize,
}

/// A file to offer.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Where it lies, below the machine's folder.
    pub path: String,
    /// What it is called.
    pub name: FileName,
    /// How many chunks to cut it into; `None`: what is usual for its size.
    pub chunks: Option<u64>,
}

/// A file to get.
#[derive(Clone, Debug)]
pub struct Get {
    /// What it is called.
    pub name: FileName,
    /// Only this chunk of it, counted from 0.
    pub chunk: Option<u64>,
    /// How long to wait while nobody is there who holds what is missing.
    pub wait: Duration,
    /// How long to go on serving others when it is here.
    pub stay: Duration,
}

/// A file to find.
#[derive(Clone, Debug)]
pub struct Find {
    /// What it is called.
    pub name: FileName,
    /// Chunks of it, counted from 1; none: any.
    pub chunks: Vec<u64>,
}

/// Somebody who holds some of a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// Its name.
    pub id: String,
    /// Chunks that it holds.
    pub chunks_held: u64,
    /// Chunks that the file has.
    pub chunks: u64,
}

/// What a member without a run keeps beside its library.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) orders: Orders,
    /// What it offers.
    pub(super) offered: Vec<Offered>,
    /// Of these, those that are still to be looked at.
    pub(super) to_look_at: VecDeque<usize>,
    /// What it gets.
    pub(super) wants: Vec<Want>,
    /// Commands that the server has not answered, in order.
    pub(super) asked: VecDeque<Asked>,
    /// Files that the server is to hear of, in order.
    pub(super) to_register: VecDeque<ItemId>,
    /// Files of which it is to hear that we take no part in them any more, unless we do by then.
    pub(super) to_withdraw: BTreeSet<ItemId>,
    /// Files that the server had no room for, and when it hears of them again.
    pub(super) put_off: Vec<ItemId>,
    pub(super) put_off_until: Mono,
    /// Offers that are being looked at.
    pub(super) looked_at: usize,
    /// The answer to `find`.
    pub(super) found: Vec<Holder>,
    pub(super) available: Option<bool>,
    /// When it is told again what has come.
    pub(super) next_news: Mono,
    /// Files that other machines have for it.
    pub(super) presented: Presented,
    /// What it says and shows, if it talks.
    pub(super) talker: Option<Box<Talker>>,
    /// How the files stood at the end.
    pub(super) left: Option<Vec<FileStatus>>,
}

/// Something that it offers.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) item: ItemId,
    pub(super) path: String,
    pub(super) cut: Cut,
    /// Bytes of the chunks in which it was offered until now, if it may be offered so again.
    pub(super) former: Option<u64>,
}

/// How a file that is offered is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// As is usual for its size.
    Usual,
    /// Into so many chunks.
    Count(u64),
    /// Into chunks of so many bytes, as it was before.
    AsBefore(u64),
}

impl Cut {
    /// Bytes of the chunks of a file of that size.
    pub(super) fn chunk_bytes(self, bytes: u64) -> Result<u64, ManifestError> {
        match self {
            Cut::Count(count) => Manifest::chunk_bytes_of_count(bytes, count),
            Cut::AsBefore(chunk_bytes) if bytes.div_ceil(chunk_bytes) <= CHUNKS_MAX => Ok(chunk_bytes),
            Cut::Usual | Cut::AsBefore(_) => Ok(Manifest::chunk_bytes_for(bytes)),
        }
    }
}

/// What the server is to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Register(ItemId),
    Withdraw(ItemId),
    Download(FileName),
    Search,
    /// What a user has typed.
    Command,
    /// A word whose answer does not matter.
    Farewell,
}

impl Guest {
    pub(super) fn new(mut orders: Orders) -> Guest {
        let talker = orders.talk.take().map(|talk| Box::new(Talker::new(talk)));
        let wants = orders.get.iter().map(|get| Want::new(get.clone(), Mono(0))).collect();
        Guest {
            orders,
            offered: Vec::new(),
            to_look_at: VecDeque::new(),
            wants,
            asked: VecDeque::new(),
            to_register: VecDeque::new(),
            to_withdraw: BTreeSet::new(),
            put_off: Vec::new(),
            put_off_until: Mono(0),
            looked_at: 0,
            found: Vec::new(),
            available: None,
            next_news: Mono(0),
            presented: Presented::default(),
            talker,
            left: None,
        }
    }

    pub(super) fn offers(&self, item: ItemId) -> bool {
        self.offered.iter().any(|offered| offered.item == item)
    }

    /// A file is still to be looked at.
    pub(super) fn waits(&self, item: ItemId) -> bool {
        self.to_look_at.iter().any(|place| self.offered[*place].item == item)
    }

    /// One more file to look at and offer, or the same once more.
    pub(super) fn offer(&mut self, item: ItemId, offer: Offer) {
        let cut = offer.chunks.map_or(Cut::Usual, Cut::Count);
        let offered = Offered { item, path: offer.path, cut, former: None };
        let place = match self.offered.iter().position(|former| former.item == item) {
            Some(place) => {
                self.offered[place] = offered;
                place
            }
            None => {
                self.offered.push(offered);
                self.offered.len() - 1
            }
        };
        self.to_look_at.push_back(place);
    }
}

impl Member {
    /// The server knows us: tells it what there is, and asks what is to be asked, again after each break.
    pub(super) fn begin_visit(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        let unheard = guest.asked.drain(..).filter_map(|asked| match asked {
            Asked::Withdraw(item) => Some(item),
            _ => None,
        });
        guest.to_withdraw.extend(unheard);
        // The server goes by what it heard before.
        let is_still_there = |item: &ItemId| {
            let known = self.library.at(*item);
            known.told != Told::Nothing && known.trouble.is_some()
        };
        guest.to_withdraw.extend((0..self.library.len() as ItemId).filter(is_still_there));
        guest.to_register = (0..self.library.len() as ItemId).collect();
        guest.put_off.clear();
        guest.presented.told = None;
        guest.ask_anew(now.mono);
        guest.next_news = now.mono;
        self.register_more(common, os);
        // Before anything is asked for: it may be of the same name.
        self.withdraw_more(common, now, os);
        self.search(common, os);
        self.drive_guest(common, now, os);
    }

    /// Does what can be done now: asks for the file, dials those who have some of it, ends.
    pub(super) fn drive_guest(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        if self.stage != Stage::Sharing {
            return;
        }
        self.close_silent(common, now, os);
        self.dial_sources(common, now, os);
        self.give_up_privates(common, now, os);
        self.note_got(now);
        let Some(guest) = &mut self.guest else { return };
        let is_served = |want: &Want| want.got_at.is_some_and(|got_at| now.mono - got_at >= want.get.stay);
        let served = guest.wants.iter().all(is_served);
        let found = guest.orders.find.is_none() || guest.available.is_some();
        let is_over = served && found && guest.orders.offers.is_empty();
        if is_over && guest.talker.is_none() && !guest.stays() {
            self.outcome = Outcome::Complete;
            return self.end("done", common, os);
        }
        if !found && self.contact.joined().is_none() {
            let give_up = *self.alone_until.get_or_insert(now.mono + FIRST_CONTACT_TIMEOUT);
            if now.mono >= give_up {
                let why = format!("the server at {} is gone and did not come back", common.config.server);
                return self.fail(&why, common, now, os);
            }
        }
        self.look_at_folder(now, os);
        self.register_put_off(common, now, os);
        self.report_news(common, now, os);
        self.ask_for_files(common, now, os);
        let fetching = self.library.iter().any(|item| item.picker().is_some());
        let next_look = now.mono + if fetching { ASK_PERIOD } else { LOOK_PERIOD };
        let timer = Timer::Share(self.index);
        if common.wheel.deadline(&timer).is_none_or(|deadline| deadline > next_look) {
            common.wheel.insert(timer, next_look);
        }
    }

    pub(super) fn direct_links(&self) -> usize {
        self.others.iter().filter(|other| matches!(other.way, Way::Open { .. })).count()
    }

    fn dial_sources(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let mut linked = self.others.iter().filter(|other| other.way != Way::None).count();
        // Those that have a link may have nothing to give, and no others: there must be a way out.
        let mut dialing =
            self.others.iter().filter(|other| matches!(other.way, Way::Dialing(_) | Way::Asking(_))).count();
        let starved = self.guest.as_ref().is_some_and(|guest| guest.is_starved(now.mono));
        let own = self.name();
        let blocked = self.guest.as_ref().and_then(|guest| guest.talker.as_ref());
        let blocked = blocked.map(|talker| talker.blocked());
        let index = self.index;
        let library = &self.library;
        for (place, other) in self.others.iter_mut().enumerate() {
            let wanted = other.takes_part.iter().any(|item| library.at(*item).picker().is_some());
            let idle = other.way == Way::None && other.next_try <= now.mono && other.is_trusted();
            let room = linked < SOURCES_DIALED_MAX || (starved && dialing < SOURCES_DIALED_MAX);
            let is_smaller = own.is_some_and(|own| own < other.id);
            let talks = other.private.is_dialed(is_smaller, now.mono) && other.addr.port() != 0;
            let is_blocked = blocked.is_some_and(|blocked| blocked.contains(&other.id));
            if (wanted && room || talks) && idle && !is_blocked {
                let dial = common.dial(other.addr, DialFor::Pair(index, place as u32), os);
                other.way = Way::Dialing(dial);
                linked += 1;
                dialing += 1;
            }
        }
    }
}
