//! A small cache with a limited number of entries. Each is found by its key until it expires.

use std::{borrow::Borrow, collections::VecDeque, time::Duration};

/// The cache entries, the oldest first. Meant for tens of entries: a search looks at every one.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: VecDeque<Entry<K, V>>,
    max_entries: usize,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    until: Duration,
}

impl<K: PartialEq, V> Cache<K, V> {
    /// An empty cache.
    #[must_use]
    pub const fn new(max_entries: usize) -> Self {
        Self { entries: VecDeque::new(), max_entries }
    }

    /// The value of a key, unless it has expired.
    pub fn get<Q: PartialEq + ?Sized>(&self, key: &Q, now: Duration) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let entry = self.entries.iter().find(|entry| entry.key.borrow() == key && entry.until > now);
        entry.map(|entry| &entry.value)
    }

    /// Removes the value of a key and returns it, unless it has expired.
    pub fn take<Q: PartialEq + ?Sized>(&mut self, key: &Q, now: Duration) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.entries.iter().position(|entry| entry.key.borrow() == key && entry.until > now)?;
        self.entries.remove(at).map(|entry| entry.value)
    }

    /// Stores a value until then. Returns the values that it replaces: the previous one of this key, and the oldest if there are too many.
    pub fn insert(&mut self, key: K, value: V, until: Duration) -> Vec<V> {
        let mut gone = self.remove_where(|entry| entry.key == key);
        while self.entries.len() >= self.max_entries.max(1) {
            gone.extend(self.entries.pop_front().map(|entry| entry.value));
        }
        self.entries.push_back(Entry { key, value, until });
        gone
    }

    /// Removes the expired values and returns them.
    pub fn expire(&mut self, now: Duration) -> Vec<V> {
        self.remove_where(|entry| entry.until <= now)
    }

    fn remove_where(&mut self, is_meant: impl Fn(&Entry<K, V>) -> bool) -> Vec<V> {
        let mut gone = Vec::new();
        for entry in std::mem::take(&mut self.entries) {
            if is_meant(&entry) {
                gone.push(entry.value);
            } else {
                self.entries.push_back(entry);
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_entry_is_found_by_its_key_until_its_time_is_over() {
        let mut cache: Cache<String, u8> = Cache::new(4);
        assert_eq!(cache.insert("a".into(), 1, at(5)), []);
        assert_eq!((cache.get("a", at(4)), cache.get("a", at(5)), cache.get("b", at(0))), (Some(&1), None, None));
        assert_eq!((cache.take("a", at(4)), cache.take("a", at(4))), (Some(1), None));
    }

    #[test]
    fn what_has_to_go_is_given_back_the_oldest_first() {
        let mut cache: Cache<&str, u8> = Cache::new(2);
        cache.insert("a", 1, at(9));
        cache.insert("b", 2, at(5));
        assert_eq!(cache.insert("a", 3, at(9)), [1], "a key is there once");
        assert_eq!(cache.insert("c", 4, at(9)), [2]);
        assert_eq!((cache.get("a", at(0)), cache.get("b", at(0)), cache.get("c", at(0))), (Some(&3), None, Some(&4)));
    }

    #[test]
    fn what_has_had_its_time_can_be_asked_for() {
        let mut cache: Cache<&str, u8> = Cache::new(4);
        cache.insert("a", 1, at(5));
        cache.insert("b", 2, at(9));
        assert_eq!((cache.expire(at(4)), cache.expire(at(5)), cache.expire(at(5))), (vec![], vec![1], vec![]));
        assert_eq!(cache.get("b", at(5)), Some(&2));
    }
}
