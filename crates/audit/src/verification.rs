//! The check of the record: what was changed, removed, reordered or inserted, and where. It reads the chain once from its beginning, in pages of any
//! size, and holds nothing but its place. It cannot know of an event that was removed before it got its place, nor that the end of the record was cut
//! off with its seals, unless it is told a head that somebody noted (docs/audit.md).

use std::fmt;

use crate::{
    chain::{BATCH, Head, Link, SealClaims},
    event::{StoredEvent, detail_digest},
};

/// An event is in the chain soon after it arrived. One that claims to have arrived this long before a seal that lacks it was inserted later. No
/// statement of the app takes as long.
const LATE_MS: i64 = 5 * 60 * 1000;
/// An event waits for seconds where something watches the installation, and for the next person elsewhere.
const LONG_MS: i64 = 24 * 60 * 60 * 1000;

/// A detail that is kept apart from its event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredDetail {
    /// Its salt.
    pub salt: String,
    /// Itself.
    pub detail: Detail,
}

/// What a detail says, which may be stored sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Detail {
    /// This.
    Read(String),
    /// Nobody knows: whoever checks does not have its key.
    Unread,
    /// Its key does not open it: it was changed.
    Damaged,
}

/// A place in the chain, with what is stored for it now.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The place.
    pub link: Link,
    /// The event, unless it is gone.
    pub event: Option<StoredEvent>,
    /// Its detail, unless it has none or it was erased.
    pub detail: Option<StoredDetail>,
    /// Whether the account of the event was not erased, so that its detail must be there.
    pub has_account: bool,
}

/// A seal and what its signature says.
#[derive(Clone, Debug)]
pub struct CheckedSeal {
    /// The first position of the row: seals are read in its order.
    pub first_position: i64,
    /// What was signed; `None`: the signature is not one of a known key.
    pub claims: Option<SealClaims>,
    /// When the key that signed was retired or revoked, in milliseconds since the epoch.
    pub retired_at: Option<i64>,
}

/// A host that read its key just before a revocation may sign once more; and hosts seal within seconds.
const RETIREMENT_TOLERANCE_MS: i64 = 60 * 1000;

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The event is not what it was when it got its place.
    Changed {
        /// Its position.
        position: i64,
        /// Its id.
        event_id: String,
    },
    /// The event is gone; its place is still there.
    Removed {
        /// Its position.
        position: i64,
        /// Its id.
        event_id: String,
    },
    /// Positions are missing in the chain.
    Gap {
        /// The first one.
        first: i64,
        /// The last one.
        last: i64,
    },
    /// The place does not follow from the one before: it was changed, moved or put there.
    Broken {
        /// The position.
        position: i64,
        /// The event that stands there.
        event_id: String,
    },
    /// The event claims another time than that of its arrival, or to have been there before the chain.
    InsertedLate {
        /// Its position.
        position: i64,
        /// Its id.
        event_id: String,
    },
    /// The event has no place and waits for none: it went past the database's triggers.
    Inserted {
        /// Its id.
        event_id: String,
    },
    /// The event waits for its place and is gone.
    RemovedBeforeSealed {
        /// Its id.
        event_id: String,
    },
    /// The detail of the event is not what it was.
    DetailChanged {
        /// Its position.
        position: i64,
        /// Its id.
        event_id: String,
    },
    /// The detail is gone although the account still exists, so nobody erased it.
    DetailRemoved {
        /// Its position.
        position: i64,
        /// Its id.
        event_id: String,
    },
    /// What was signed is not what is there.
    SealBroken {
        /// The first position that the seal is about.
        first: i64,
        /// The last one.
        last: i64,
    },
    /// The seal is not signed with a known key.
    SealUnsigned {
        /// The first position that the seal is about.
        first: i64,
    },
    /// The seal is signed with a key that was retired or revoked before: by whoever else has it.
    SealByRetiredKey {
        /// The first position that the seal is about.
        first: i64,
        /// The last one.
        last: i64,
    },
    /// No seal is about these positions.
    Unsealed {
        /// The first one.
        first: i64,
        /// The last one.
        last: i64,
    },
    /// The record ends before a head that was noted earlier.
    CutOff {
        /// The position of that head.
        noted: i64,
        /// The last position there is.
        last: i64,
    },
    /// The record is another one than at a head that was noted earlier.
    Replaced {
        /// The position of that head.
        noted: i64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { position, event_id } => write!(f, "event {event_id} at position {position} was changed"),
            Self::Removed { position, event_id } => write!(f, "event {event_id} at position {position} was removed"),
            Self::Gap { first, last } => write!(f, "positions {first} to {last} were removed from the chain"),
            Self::Broken { position, event_id } => write!(
                f,
                "position {position}, where event {event_id} stands, does not follow from the one before: it was changed, moved or put there"
            ),
            Self::InsertedLate { position, event_id } => write!(
                f,
                "event {event_id} at position {position} claims another time than that at which it came: it was inserted later"
            ),
            Self::Inserted { event_id } => {
                write!(
                    f,
                    "event {event_id} has no place in the chain and waits for none: it was inserted past the triggers"
                )
            }
            Self::RemovedBeforeSealed { event_id } => {
                write!(f, "event {event_id} was removed before it got its place")
            }
            Self::DetailChanged { position, event_id } => {
                write!(f, "the detail of event {event_id} at position {position} was changed")
            }
            Self::DetailRemoved { position, event_id } => {
                write!(
                    f,
                    "the detail of event {event_id} at position {position} was removed, and its account was not erased"
                )
            }
            Self::SealBroken { first, last } => {
                write!(f, "positions {first} to {last} are not what was signed")
            }
            Self::SealUnsigned { first } => {
                write!(f, "the seal from position {first} on is not signed with a known key of this installation")
            }
            Self::SealByRetiredKey { first, last } => write!(
                f,
                "positions {first} to {last} are sealed with a key that was retired or revoked before: somebody else has it"
            ),
            Self::Unsealed { first, last } => write!(f, "positions {first} to {last} have no seal: it was removed"),
            Self::CutOff { noted, last } => {
                write!(f, "the record ends at position {last}, and there were {noted} before: its end was cut off")
            }
            Self::Replaced { noted } => {
                write!(f, "position {noted} is not what was noted: the record was replaced")
            }
        }
    }
}

/// What can have an innocent reason, and what somebody does who rewrites the record and has the installation sign it anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// The event claims to be older than a seal that lacks it.
    OlderThanSeal {
        /// Its position.
        position: i64,
        /// Its id.
        event_id: String,
    },
    /// The event was sealed long after it arrived.
    SealedLongAfter {
        /// Its position.
        position: i64,
        /// When it was sealed, in milliseconds since the epoch.
        sealed_at: i64,
    },
    /// Events are excused from having places as if they were from before the chain, which has others already.
    LateBacklog,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OlderThanSeal { position, event_id } => write!(
                f,
                "event {event_id} at position {position} claims to be older than a seal that lacks it: it was inserted later, or the database's clock was set back"
            ),
            Self::LateBacklog => f.write_str(
                "the table audit_backlog names events from before the chain, which was begun long ago: somebody put a row there to excuse them",
            ),
            Self::SealedLongAfter { position, .. } => write!(
                f,
                "position {position} was sealed more than a day after its event: nobody used the installation and nothing watched it meanwhile, or the record was taken apart and sealed anew"
            ),
        }
    }
}

/// The check, as far as it has come. Seals go in before the places that they are about.
#[derive(Debug, Default)]
pub struct Verification {
    head: Head,
    /// The newest seal that was read and ends after the head.
    seal: Option<CheckedSeal>,
    /// The last position that seals are about so far. `None`: the newest cannot be read.
    covered: Option<i64>,
    sealed_at: i64,
    /// When the newest seal was made that left nothing waiting but what came after it.
    complete_at: i64,
    has_arrivals: bool,
    noted: Option<Head>,
    found_noted: bool,
    erased_details: u64,
    unread_details: u64,
    findings: Vec<Finding>,
    warnings: Vec<Warning>,
}

/// Findings that are kept, and warnings. Whoever replaced everything need not be told each event.
const MAX_FINDINGS: usize = 1000;

impl Verification {
    /// Begins; `noted` is a head that somebody noted before, from the log or from the page.
    #[must_use]
    pub fn new(noted: Option<Head>) -> Self {
        Self { noted, covered: Some(0), ..Self::default() }
    }

    /// The position up to which it has come, where the next page begins.
    #[must_use]
    pub const fn position(&self) -> i64 {
        self.head.position
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    fn warn(&mut self, warning: Warning) {
        if self.warnings.len() < MAX_FINDINGS {
            self.warnings.push(warning);
        }
    }

    /// The next places and the seals that begin among them, both in order.
    pub fn page(&mut self, entries: Vec<Entry>, seals: Vec<CheckedSeal>) {
        let mut seals = seals.into_iter().peekable();
        for entry in entries {
            while let Some(seal) = seals.next_if(|seal| seal.first_position <= entry.link.position) {
                self.begin_seal(seal);
            }
            self.entry(entry);
        }
        for seal in seals {
            self.begin_seal(seal);
        }
    }

    fn begin_seal(&mut self, seal: CheckedSeal) {
        self.end_seal();
        let expected = self.covered.map(|covered| covered.saturating_add(1));
        if seal.claims.is_none() {
            self.find(Finding::SealUnsigned { first: seal.first_position });
        } else if let Some(first) = expected.filter(|expected| seal.first_position > *expected) {
            self.find(Finding::Unsealed { first, last: seal.first_position.saturating_sub(1) });
        }
        self.covered = seal.claims.as_ref().map(|claims| claims.last);
        self.seal = Some(seal);
    }

    /// What the seal says about its last place was compared when that came; here is one that never came.
    fn end_seal(&mut self) {
        if let Some(CheckedSeal { claims: Some(claims), .. }) = self.seal.take()
            && claims.last > self.head.position
        {
            self.find(Finding::SealBroken { first: claims.first, last: claims.last });
        }
    }

    fn entry(&mut self, Entry { link, event, detail, has_account }: Entry) {
        let expected = self.head.position.saturating_add(1);
        let (position, event_id) = (link.position, link.event_id.clone());
        if position > expected {
            self.find(Finding::Gap { first: expected, last: position.saturating_sub(1) });
        } else if link.hash_after(&self.head.hash) != link.hash {
            self.find(Finding::Broken { position, event_id: event_id.clone() });
        }
        match &event {
            None => self.find(Finding::Removed { position, event_id: event_id.clone() }),
            Some(event) if event.digest() != link.digest => {
                self.find(Finding::Changed { position, event_id: event_id.clone() });
            }
            Some(event) => self.check_detail(position, event, detail.as_ref(), has_account),
        }
        let claims_otherwise = link.arrived_at != 0 && event.as_ref().is_some_and(|event| event.at != link.arrived_at);
        if claims_otherwise || link.arrived_at == 0 && self.has_arrivals {
            self.find(Finding::InsertedLate { position, event_id });
        } else if self.has_arrivals && link.arrived_at.saturating_add(LATE_MS) < self.complete_at {
            self.warn(Warning::OlderThanSeal { position, event_id });
        } else if let Some(sealed_at) = self.sealing_at()
            && link.arrived_at != 0
            && link.arrived_at.saturating_add(LONG_MS) < sealed_at
        {
            self.warn(Warning::SealedLongAfter { position, sealed_at });
        }
        self.has_arrivals |= link.arrived_at != 0;
        self.head = Head { position, hash: link.hash };
        self.compare_with_noted();
        self.compare_with_seal();
    }

    /// When the places that come now were sealed.
    fn sealing_at(&self) -> Option<i64> {
        Some(self.seal.as_ref()?.claims.as_ref()?.sealed_at)
    }

    fn check_detail(&mut self, position: i64, event: &StoredEvent, detail: Option<&StoredDetail>, has_account: bool) {
        let event_id = event.id.clone();
        match (&event.detail_digest, detail) {
            (Some(digest), Some(StoredDetail { salt, detail })) => match detail {
                Detail::Read(text) if detail_digest(salt, text) == *digest => {}
                Detail::Read(_) | Detail::Damaged => self.find(Finding::DetailChanged { position, event_id }),
                Detail::Unread => self.unread_details = self.unread_details.saturating_add(1),
            },
            (Some(_), None) if has_account => self.find(Finding::DetailRemoved { position, event_id }),
            (Some(_), None) => self.erased_details = self.erased_details.saturating_add(1),
            (None, Some(_)) => self.find(Finding::DetailChanged { position, event_id }),
            _ => {}
        }
    }

    fn compare_with_noted(&mut self) {
        let Some(noted) = self.noted.as_ref().filter(|noted| noted.position == self.head.position) else { return };
        self.found_noted = true;
        if *noted != self.head {
            let noted = noted.position;
            self.find(Finding::Replaced { noted });
        }
    }

    fn compare_with_seal(&mut self) {
        let Some(seal) = &self.seal else { return };
        let Some(claims) = &seal.claims else { return };
        if claims.last != self.head.position {
            return;
        }
        let fits = claims.hash == self.head.hash && claims.first == seal.first_position;
        let (first, last, sealed_at) = (claims.first, claims.last, claims.sealed_at);
        // Whoever has the key says any time, but comes after the seals before.
        let at_least = sealed_at.max(self.sealed_at);
        let is_retired =
            seal.retired_at.is_some_and(|retired_at| retired_at.saturating_add(RETIREMENT_TOLERANCE_MS) < at_least);
        self.seal = None;
        self.sealed_at = sealed_at;
        // A full batch left others waiting; and behind what was recorded before the chain, everything waits.
        if self.has_arrivals && last.saturating_sub(first).saturating_add(1) < i64::from(BATCH) {
            self.complete_at = sealed_at;
        }
        if !fits {
            self.find(Finding::SealBroken { first, last });
        } else if is_retired {
            self.find(Finding::SealByRetiredKey { first, last });
        }
    }

    /// An event that has no place and waits for none.
    pub fn outside(&mut self, event_id: String) {
        self.find(Finding::Inserted { event_id });
    }

    /// Some events count as recorded before there was a chain and have no places yet: innocent only before everything else has.
    pub fn backlog(&mut self) {
        if self.has_arrivals {
            self.warn(Warning::LateBacklog);
        }
    }

    /// An arrival whose event is gone.
    pub fn arrival_without_event(&mut self, event_id: String) {
        self.find(Finding::RemovedBeforeSealed { event_id });
    }

    /// Ends the check.
    #[must_use]
    pub fn finish(mut self) -> Verified {
        self.end_seal();
        if let Some(covered) = self.covered.filter(|covered| *covered < self.head.position) {
            self.find(Finding::Unsealed { first: covered.saturating_add(1), last: self.head.position });
        }
        if let Some(noted) = self.noted.take().filter(|_| !self.found_noted) {
            let finding = if noted.position > self.head.position {
                Finding::CutOff { noted: noted.position, last: self.head.position }
            } else {
                Finding::Replaced { noted: noted.position }
            };
            self.find(finding);
        }
        let Self { head, sealed_at, erased_details, unread_details, findings, warnings, .. } = self;
        Verified { head, sealed_at, erased_details, unread_details, findings, warnings }
    }
}

/// What a check came to.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The end of the chain: to note for the next check.
    pub head: Head,
    /// When the newest seal was made, in milliseconds since the epoch; 0 if there is none.
    pub sealed_at: i64,
    /// Details that were erased with their accounts.
    pub erased_details: u64,
    /// Details that are sealed with keys which whoever checks does not have: that they are there is all that is known of them.
    pub unread_details: u64,
    /// What is wrong, at most a thousand. Empty: nothing.
    pub findings: Vec<Finding>,
    /// What somebody should explain, at most a thousand.
    pub warnings: Vec<Warning>,
}

#[cfg(test)]
mod tests;
