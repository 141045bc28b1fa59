//! Who is let in of those who dial us, before anything is said: how many links there may be, and how many from one address.
//! Without bounds, as for the peers of a run, everybody is. Knows nothing of what they say.

use std::net::{IpAddr, SocketAddr};

use crate::proto::ids::LinkId;
use crate::proto::limits::GREET_TIMEOUT;
use crate::proto::machine::{CloseReason, Effect, Os, Places, Tell};
use crate::proto::peer::Peers;
use crate::proto::peer::common::{Session, Timer, Whose};
use crate::proto::time::Now;
use crate::proto::wire::{ErrorCode, Message, Role};

/// Places of those who dialed us.
#[derive(Debug, Default)]
pub(super) struct Door {
    bounds: Option<Bounds>,
    inside: Places,
    /// Turned away, in the order of [`Full::NAMES`].
    turned_away: [u64; Full::NAMES.len()],
}

/// How many links there may be.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    links_max: usize,
    /// Of these, accepted from one address.
    per_address_max: usize,
}

/// Why somebody finds no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Links,
    Address,
}

impl Full {
    /// Among the figures, in the order of their numbers.
    const NAMES: [&str; 2] = ["holder.refused_links", "holder.refused_links_per_address"];
}

impl Door {
    /// `links`: those that there are, dialed ones too.
    fn check(&self, from: IpAddr, links: usize) -> Result<(), Full> {
        match self.bounds {
            Some(bounds) if links >= bounds.links_max => Err(Full::Links),
            Some(bounds) if self.inside.of_address(from) >= bounds.per_address_max => Err(Full::Address),
            _ => Ok(()),
        }
    }

    pub(super) fn leave(&mut self, from: IpAddr) {
        self.inside.give_back(from);
    }

    pub(super) fn tell_figures(&self, tell: Tell<'_>) {
        if self.bounds.is_some() {
            std::iter::zip(Full::NAMES, self.turned_away).for_each(|(name, count)| tell(name, count));
        }
    }

    pub(super) fn check_invariants(&self, inside: impl Iterator<Item = IpAddr>) {
        self.inside.check_invariants(inside);
    }
}

impl Peers {
    /// Others are refused when there are so many links, or so many that were dialed from one address.
    pub fn with_links_max(mut self, links_max: usize, per_address_max: usize) -> Peers {
        self.common.door.bounds = Some(Bounds { links_max, per_address_max });
        self
    }

    /// Somebody connected to us, and has to say soon which pair the link is for.
    pub(super) fn let_in(&mut self, link: LinkId, remote: SocketAddr, now: Now, os: &mut dyn Os) {
        let (common, from) = (&mut self.common, remote.ip());
        common.send(link, &Message::greeting(Role::Peer), os);
        let Err(full) = common.door.check(from, common.sessions.len()) else {
            common.door.inside.take(from);
            common.sessions.insert(link, Session { from: Some(from), ..Session::new(Whose::Stranger) });
            common.wheel.insert(Timer::Stranger(link), now.mono + GREET_TIMEOUT);
            return;
        };
        common.door.turned_away[full as usize] += 1;
        let text = match full {
            Full::Links => "no more links are taken here now",
            Full::Address => "no more links are taken from your address now",
        };
        log::debug!("direct link turned away from={remote} why=\"{text}\"");
        common.send(link, &Message::Err { code: ErrorCode::LimitReached, text }, os);
        os.perform(Effect::Close { link, reason: CloseReason::Refused });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::machine::{Input, Machine as _, Origin};
    use crate::proto::peer::{GuestConfig, Orders};
    use crate::proto::time::{Mono, Wall};

    /// What was said to those who were sent away.
    #[derive(Default)]
    struct Closed {
        said: String,
        closed: Vec<(LinkId, String)>,
    }

    impl Os for Closed {
        fn perform(&mut self, effect: Effect<'_>) {
            match effect {
                Effect::Send { bytes, .. } => self.said = String::from_utf8_lossy(bytes).into_owned(),
                Effect::Close { link, reason: CloseReason::Refused } => {
                    self.closed.push((link, std::mem::take(&mut self.said)));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn others_are_let_in_up_to_a_bound_and_from_one_address_up_to_another() {
        let (local, group) = ("10.0.0.1:5555".parse().unwrap(), "lab".parse().unwrap());
        let config =
            GuestConfig { server: local, group, id: None, orders: Orders::default(), upload_limit: None };
        let (mut peers, mut os) = (Peers::guest(config).with_links_max(3, 2), Closed::default());
        let now = Now { mono: Mono(1), wall: Wall(1) };
        let links = [0, 1, 2, 3, 4].map(|index| LinkId { index, generation: 0 });
        let mut knock = |peers: &mut Peers, link, from: &str| {
            let (origin, remote) = (Origin::Accepted, from.parse().unwrap());
            peers.handle_input(Input::LinkUp { link, origin, local, remote }, now, &mut os);
            peers.check_invariants();
            os.closed.drain(..).map(|(_, said)| said).next()
        };
        assert_eq!(knock(&mut peers, links[0], "[fd00::1:1]:1"), None);
        assert_eq!(knock(&mut peers, links[1], "[fd00::2:2]:1"), None, "of the same network");
        let of_address = "ERR limit-reached no more links are taken from your address now\n";
        assert_eq!(knock(&mut peers, links[2], "[fd00::3:3]:1").as_deref(), Some(of_address));
        assert_eq!(knock(&mut peers, links[2], "10.0.0.2:1"), None, "there is room for others");
        let of_all = "ERR limit-reached no more links are taken here now\n";
        assert_eq!(knock(&mut peers, links[3], "10.0.0.3:1").as_deref(), Some(of_all));
        let mut told = Vec::new();
        peers.tell_figures(&mut |name, value| told.push((name.to_owned(), value)));
        assert_eq!(told, Full::NAMES.map(|name| (name.to_owned(), 1)));
        let reason = crate::proto::machine::DownReason::Reset;
        let mut quiet = Closed::default();
        peers.handle_input(Input::LinkDown { link: links[0], reason }, now, &mut quiet);
        assert_eq!(knock(&mut peers, links[4], "[fd00::3:3]:1"), None, "there is room again");
    }
}
