//! A guest: a member without a run, that offers files, gets files, and asks who has them. Decides
//! what to say to the server and when everything is done.

use std::collections::VecDeque;

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{FileName, Name};
use crate::proto::limits::{
    ASK_AGAIN_PAUSE, ASK_PERIOD, FIRST_CONTACT_TIMEOUT, LOOK_PERIOD, SOURCES_DIALED_MAX,
};
use crate::proto::machine::Os;
use crate::proto::peer::common::{Common, DialFor, Timer};
use crate::proto::peer::library::{ItemId, State};
use crate::proto::peer::member::{Member, Stage};
use crate::proto::peer::other::Way;
use crate::proto::peer::report::Outcome;
use crate::proto::peer::status::FileStatus;
use crate::proto::peer::talk::Talk;

use crate::proto::time::{Mono, Now, Period};
use crate::proto::wire::Message;

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
    /// The files of the offers, in their order.
    pub(super) offered: Vec<ItemId>,
    pub(super) wanted: Option<ItemId>,
    /// Commands that the server has not answered, in order.
    pub(super) asked: VecDeque<Asked>,
    /// Files that the server is to hear of, in order.
    pub(super) to_register: VecDeque<ItemId>,
    /// Files that the server had no room for, and when it hears of them again.
    pub(super) put_off: Vec<ItemId>,
    pub(super) put_off_until: Mono,
    /// Offers that were opened, and those of them that are being looked at.
    pub(super) opened: usize,
    pub(super) looked_at: usize,
    /// Why the server refused the last `DOWNLOAD`.
    pub(super) refusal: Option<String>,
    /// The answer to `find`.
    pub(super) found: Vec<Holder>,
    pub(super) available: Option<bool>,
    /// When something of the wanted file came last, or may still come.
    progress_at: Mono,
    /// When the server is asked for the file again.
    next_ask: Mono,
    /// When it is told again what has come.
    pub(super) next_news: Mono,
    /// When the file was here.
    pub(super) got_at: Option<Mono>,
    /// How the files stood at the end.
    pub(super) left: Option<Vec<FileStatus>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Register(ItemId),
    Download,
    Search,
}

impl Guest {
    pub(super) fn new(orders: Orders) -> Guest {
        Guest {
            orders,
            offered: Vec::new(),
            wanted: None,
            asked: VecDeque::new(),
            to_register: VecDeque::new(),
            put_off: Vec::new(),
            put_off_until: Mono(0),
            opened: 0,
            looked_at: 0,
            refusal: None,
            found: Vec::new(),
            available: None,
            progress_at: Mono(0),
            next_ask: Mono(0),
            next_news: Mono(0),
            got_at: None,
            left: None,
        }
    }

    pub(super) fn has_got(&self) -> bool {
        self.got_at.is_some()
    }
}

impl Member {
    /// The server knows us: tells it what there is, and asks what is to be asked, again after each break.
    pub(super) fn begin_visit(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        guest.asked.clear();
        guest.to_register.clear();
        guest.put_off.clear();
        guest.progress_at = now.mono;
        (guest.next_ask, guest.next_news) = (now.mono, now.mono);
        for item in 0..self.library.len() as ItemId {
            self.register(item, common, os);
        }
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
        let got = self.guest.as_ref().and_then(|guest| guest.wanted).is_some_and(|item| self.is_got(item));
        let Some(guest) = &mut self.guest else { return };
        let served = guest
            .orders
            .get
            .as_ref()
            .is_none_or(|get| got && now.mono - *guest.got_at.get_or_insert(now.mono) >= get.stay);
        let found = guest.orders.find.is_none() || guest.available.is_some();
        if served && found && guest.orders.offers.is_empty() {
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
        self.register_put_off(common, now, os);
        self.report_news(common, now, os);
        if !got {
            self.ask_for_file(common, now, os);
        }
        let fetching = self.library.iter().any(|item| item.picker().is_some());
        let next_look = now.mono + if fetching { ASK_PERIOD } else { LOOK_PERIOD };
        let timer = Timer::Share(self.index);
        if common.wheel.deadline(&timer).is_none_or(|deadline| deadline > next_look) {
            common.wheel.insert(timer, next_look);
        }
    }

    /// The one chunk that is to be got, if it is not the whole file.
    pub(super) fn only_chunk(&self) -> Option<u64> {
        self.guest.as_ref()?.orders.get.as_ref()?.chunk
    }

    /// The wanted file is here, or the one chunk of it that is wanted.
    fn is_got(&self, item: ItemId) -> bool {
        let only = self.only_chunk();
        let wanted = self.library.at(item);
        wanted.is_whole()
            || only.is_some_and(|chunk| wanted.picker().is_some_and(|picker| picker.stored().contains(chunk)))
    }

    pub(super) fn direct_links(&self) -> usize {
        self.others.iter().filter(|other| matches!(other.way, Way::Open { .. })).count()
    }

    /// Asks the server what the file consists of and who has some of it, again and again while
    /// nobody is there who could give what is missing.
    fn ask_for_file(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some(guest) = &mut self.guest else { return };
        let Some(get) = &guest.orders.get else { return };
        let wanted = guest.wanted.map(|item| self.library.at(item));
        let fed = wanted.is_some_and(|item| match &item.state {
            State::Fetching { picker, .. } => picker.is_busy(),
            // The disk is at work, or has no room; neither is a matter of who is there.
            State::Checking { .. } | State::Storing { .. } | State::Whole { .. } => true,
            State::Wanted => item.manifest.is_some(),
        });
        if fed {
            guest.progress_at = now.mono;
        }
        if now.mono - guest.progress_at >= get.wait {
            let (name, wait) = (&get.name, Period(get.wait));
            let mut why = match wanted.and_then(|item| item.picker()) {
                Some(_) => format!("nobody who holds the rest of {name} has been there for {wait}"),
                None => match &guest.refusal {
                    Some(text) => format!("the server refused: {text}"),
                    None => format!("nobody has offered {name} for {wait}"),
                },
            };
            for liar in self.others.iter().filter(|other| !other.is_trusted()) {
                why += &format!("; {} was given up, it brought wrong bytes", liar.id);
            }
            return self.fail(&why, common, now, os);
        }
        let busy = guest.asked.contains(&Asked::Download);
        if let (false, false, true, Some(link)) =
            (fed, busy, guest.next_ask <= now.mono, self.contact.joined())
        {
            guest.next_ask = now.mono + ASK_AGAIN_PAUSE;
            guest.asked.push_back(Asked::Download);
            let file = get.name.clone();
            common.send(link, &Message::Download { file: file.as_str() }, os);
        }
    }

    fn dial_sources(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let mut linked = self.others.iter().filter(|other| other.way != Way::None).count();
        // Those that have a link may have nothing to give, and no others: there must be a way out.
        let mut dialing =
            self.others.iter().filter(|other| matches!(other.way, Way::Dialing(_) | Way::Asking(_))).count();
        let starved =
            self.guest.as_ref().is_some_and(|guest| now.mono - guest.progress_at >= ASK_AGAIN_PAUSE);
        let index = self.index;
        let library = &self.library;
        for (place, other) in self.others.iter_mut().enumerate() {
            let wanted = other.takes_part.iter().any(|item| library.at(*item).picker().is_some());
            let idle = other.way == Way::None && other.next_try <= now.mono && other.is_trusted();
            let room = linked < SOURCES_DIALED_MAX || (starved && dialing < SOURCES_DIALED_MAX);
            if wanted && idle && room {
                let dial = common.dial(other.addr, DialFor::Pair(index, place as u32), os);
                other.way = Way::Dialing(dial);
                linked += 1;
                dialing += 1;
            }
        }
    }
}
