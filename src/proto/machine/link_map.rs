//! What a machine keeps for each of its links, found by [`LinkId`] in constant time; the id of a
//! link that is gone finds nothing.

use crate::proto::ids::LinkId;

/// A table keyed by links. Walks in the order of their places in the driver's table. What belongs to a link has its
/// own place in memory: a table of ten thousand that grows would leave holes of megabytes behind.
#[derive(Debug)]
pub struct LinkMap<T> {
    places: Vec<Option<(u32, Box<T>)>>,
    len: usize,
}

impl<T> Default for LinkMap<T> {
    fn default() -> LinkMap<T> {
        LinkMap { places: Vec::new(), len: 0 }
    }
}

impl<T> LinkMap<T> {
    /// Adds what belongs to a new link.
    ///
    /// # Panics
    /// If the place is taken: the driver reuses a place only after the link is gone.
    pub fn insert(&mut self, link: LinkId, value: T) {
        let index = link.index as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        let before = self.places[index].replace((link.generation, Box::new(value)));
        assert!(before.is_none(), "two links in one place");
        self.len += 1;
    }

    /// Takes out what belongs to a link.
    pub fn remove(&mut self, link: LinkId) -> Option<T> {
        let place = self.places.get_mut(link.index as usize)?;
        let (_, value) = place.take_if(|(generation, _)| *generation == link.generation)?;
        self.len -= 1;
        Some(*value)
    }

    /// How many links there are.
    #[allow(clippy::len_without_is_empty)] // nobody asks
    pub fn len(&self) -> usize {
        self.len
    }

    /// What belongs to a link.
    pub fn get(&self, link: LinkId) -> Option<&T> {
        match self.places.get(link.index as usize)? {
            Some((generation, value)) if *generation == link.generation => Some(value),
            _ => None,
        }
    }

    /// What belongs to a link.
    pub fn get_mut(&mut self, link: LinkId) -> Option<&mut T> {
        match self.places.get_mut(link.index as usize)? {
            Some((generation, value)) if *generation == link.generation => Some(value),
            _ => None,
        }
    }

    /// All links, in order.
    pub fn iter(&self) -> impl Iterator<Item = (LinkId, &T)> {
        self.iter_from(0)
    }

    /// All links whose place in the driver's table is `first` or a later one, in order.
    pub fn iter_from(&self, first: u32) -> impl Iterator<Item = (LinkId, &T)> {
        self.places.iter().enumerate().skip(first as usize).filter_map(|(index, place)| {
            let (generation, value) = place.as_ref()?;
            Some((LinkId { index: index as u32, generation: *generation }, &**value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let old = LinkId { index: 3, generation: 1 };
        let new = LinkId { index: 3, generation: 2 };
        let mut map = LinkMap::default();
        map.insert(old, "old");
        assert_eq!(map.remove(new), None);
        assert_eq!(map.remove(old), Some("old"));
        map.insert(new, "new");
        assert_eq!(map.get(old), None);
        assert_eq!(map.get_mut(old), None);
        assert_eq!(map.remove(old), None);
        assert_eq!(map.get(new), Some(&"new"));
        assert_eq!(map.iter().map(|(link, _)| link).collect::<Vec<_>>(), [new]);
    }
}
