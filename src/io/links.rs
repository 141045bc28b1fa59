//! The table of links, and their ids. Never touches what is in it.

use slab::Slab;

use crate::io::link::Link;
use crate::proto::ids::LinkId;

/// Links by id. The id of a link that is gone finds nothing.
#[derive(Debug, Default)]
pub(super) struct Links {
    places: Slab<Link>,
    /// How often each place has been given up.
    generations: Vec<u32>,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The id that the next link gets.
    pub(super) fn next_id(&self) -> LinkId {
        let place = self.places.vacant_key();
        LinkId { index: place as u32, generation: self.generations.get(place).copied().unwrap_or(0) }
    }

    pub(super) fn insert(&mut self, link: Link) -> LinkId {
        let id = self.next_id();
        let place = self.places.insert(link);
        if place == self.generations.len() {
            self.generations.push(0);
        }
        id
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        let link = self.places.get(id.index as usize)?;
        (self.generations[id.index as usize] == id.generation).then_some(link)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let link = self.places.get_mut(id.index as usize)?;
        (self.generations[id.index as usize] == id.generation).then_some(link)
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Link> {
        self.get(id)?;
        let generation = &mut self.generations[id.index as usize];
        *generation = generation.wrapping_add(1);
        self.places.try_remove(id.index as usize)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.places.iter().map(|(_, link)| link)
    }

    /// All links of a machine. Looks at every link: for the end of a machine only.
    pub(super) fn of_machine(&self, machine: usize) -> Vec<LinkId> {
        let own = self.places.iter().filter(|(_, link)| link.machine == machine);
        own.map(|(place, _)| LinkId { index: place as u32, generation: self.generations[place] }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::link::State;
    use crate::proto::limits::READ_BUDGET_BYTES_MIN;
    use crate::proto::time::SECOND_NS;

    fn link(machine: usize) -> Link {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Link::new(mio::net::TcpStream::from_std(stream), machine, State::Open)
    }

    #[test]
    fn an_old_id_finds_nothing() {
        let mut links = Links::default();
        let first = links.insert(link(0));
        let second = links.insert(link(1));
        assert_eq!(links.of_machine(1), [second]);
        assert!(links.remove(first).is_some());
        assert!(links.get(first).is_none() && links.remove(first).is_none());
        let third = links.insert(link(2));
        assert_eq!((third.index, third.generation), (first.index, first.generation + 1));
        assert!(links.get(first).is_none() && links.get_mut(first).is_none());
        assert_eq!(links.get(third).unwrap().machine, 2);
        assert_eq!(links.len(), 2);
    }

    #[test]
    fn a_tick_that_was_held_up_does_not_wait_behind_floods_the_next_time() {
        let mut link = link(0);
        link.news.bulky = false;
        link.note_cost(50, SECOND_NS);
        assert!(!link.news.bulky);
        link.note_cost(READ_BUDGET_BYTES_MIN, SECOND_NS);
        assert!(link.news.bulky);
    }

    #[test]
    fn an_idle_link_costs_little() {
        // And nothing on the heap: see `queue`.
        assert!(size_of::<Link>() <= 136, "{}", size_of::<Link>());
    }

    #[test]
    fn the_next_id_is_the_one_given() {
        let mut links = Links::default();
        for _ in 0..3 {
            let next = links.next_id();
            assert_eq!(links.insert(link(0)), next);
            links.remove(next);
        }
    }
}
