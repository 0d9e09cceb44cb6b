//! The audit log of an organisation: every administrative act, in a chain of hashes, so that a line that was removed, put in
//! or changed shows. The store appends [`Record`]s and keeps count and hash of the newest beside the log: a cut-off end
//! shows as well.
//!
//! A chain proves that a log is whole to whoever has noted a hash of it elsewhere; it does not stop who may write both.

use std::fmt;

use aws_lc_rs::digest;
use convene_types::{AccountId, OrgId};

/// Longest detail: JSON of what changed.
pub const MAX_DETAIL_BYTES: usize = 4_096;

const CONTEXT: &[u8] = b"convene audit 1";

/// A link of the chain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Before the first record.
    pub const START: Self = Self([0; 32]);
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Who; 0: the command line or the server itself.
    pub actor: AccountId,
    /// From where: an address, or nothing.
    pub from: String,
    /// What: `member.remove`. A stable name.
    pub act: String,
    /// To whom or what: `account:17`.
    pub target: String,
    /// JSON of what changed. No numbers, no secrets.
    pub detail: String,
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// 1, 2, 3... without holes.
    pub number: u64,
    /// What was done.
    pub entry: Entry,
    /// Over all of it and the record before.
    pub hash: Hash,
}

/// Where a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the newest record; 0: there is none.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// Of an empty log.
    pub const START: Self = Self { number: 0, hash: Hash::START };

    /// The next record.
    #[must_use]
    pub fn append(self, org: OrgId, entry: Entry) -> Record {
        let number = self.number.saturating_add(1);
        let hash = link(org, self.hash, number, &entry);
        Record { number, entry, hash }
    }
}

impl Record {
    /// Where a log that ends with this one ends.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash }
    }
}

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// This number does not follow.
    #[error("audit record {0} is missing")]
    Missing(u64),
    /// It is not what was written.
    #[error("audit record {0} was changed, or one before it")]
    Changed(u64),
    /// The end is not where it was noted.
    #[error("the audit log does not end as noted, with record {0}")]
    End(u64),
}

/// Checks a stretch of the log that follows `from`, a part at a time. Answers where it ends.
pub fn verify<'a>(org: OrgId, from: Head, records: impl IntoIterator<Item = &'a Record>) -> Result<Head, Fault> {
    let mut head = from;
    for record in records {
        let next = head.number.saturating_add(1);
        if record.number != next {
            return Err(Fault::Missing(next));
        }
        if link(org, head.hash, record.number, &record.entry) != record.hash {
            return Err(Fault::Changed(record.number));
        }
        head = record.head();
    }
    Ok(head)
}

/// The same against where the log was noted to end.
pub fn verify_end(found: Head, noted: Head) -> Result<(), Fault> {
    if found == noted { Ok(()) } else { Err(Fault::End(noted.number)) }
}

fn link(org: OrgId, before: Hash, number: u64, entry: &Entry) -> Hash {
    let Entry { at_ms, actor, from, act, target, detail } = entry;
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(CONTEXT);
    context.update(&before.0);
    for value in [org.0, number, actor.0] {
        context.update(&value.to_be_bytes());
    }
    context.update(&at_ms.to_be_bytes());
    for text in [from, act, target, detail] {
        // Lengths before texts: no two entries are the same bytes.
        context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Hash(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORG: OrgId = OrgId(7);

    fn log(count: u64) -> Vec<Record> {
        let mut head = Head::START;
        let entry =
            |n: u64| Entry { at_ms: 5, actor: AccountId(n % 2), act: "member.remove".into(), ..Entry::default() };
        let make = |n| {
            let record = head.append(ORG, entry(n));
            head = record.head();
            record
        };
        (0..count).map(make).collect()
    }

    fn check(records: &[Record], noted: Head) -> Result<(), Fault> {
        verify_end(verify(ORG, Head::START, records)?, noted)
    }

    #[test]
    fn a_whole_log_is_sound_and_each_fault_shows() {
        let records = log(5);
        let noted = records[4].head();
        assert_eq!(check(&records, noted), Ok(()));
        // By parts as well.
        let middle = verify(ORG, Head::START, &records[..2]).unwrap();
        assert_eq!(verify(ORG, middle, &records[2..]), Ok(noted));

        let mut removed = records.clone();
        removed.remove(2);
        assert_eq!(check(&removed, noted), Err(Fault::Missing(3)));
        assert_eq!(check(&records[..4], noted), Err(Fault::End(5)));
        assert_eq!(check(&[], noted), Err(Fault::End(5)));
        let mut renumbered = removed;
        for (record, number) in renumbered.iter_mut().zip(1..) {
            record.number = number;
        }
        assert_eq!(check(&renumbered, noted), Err(Fault::Changed(3)));
        assert_eq!(verify(OrgId(8), Head::START, &records), Err(Fault::Changed(1)));
    }

    #[test]
    fn text_cannot_move_from_field_to_field() {
        let entry = |act: &str, target: &str| Entry { act: act.into(), target: target.into(), ..Entry::default() };
        let hash = |entry| Head::START.append(ORG, entry).hash;
        assert_ne!(hash(entry("ab", "c")), hash(entry("a", "bc")));
    }

    proptest! {
        #[test]
        fn any_change_of_any_record_shows(count in 1_u64..12, at in 0_usize..12, what in 0_u8..6) {
            let records = log(count);
            let noted = records.last().unwrap().head();
            let mut changed = records;
            let at = at % changed.len();
            let entry = &mut changed[at].entry;
            match what {
                0 => entry.at_ms += 1,
                1 => entry.actor = AccountId(99),
                2 => entry.from.push('x'),
                3 => entry.act.push('x'),
                4 => entry.target.push('x'),
                _ => entry.detail.push('x'),
            }
            prop_assert_eq!(check(&changed, noted), Err(Fault::Changed(changed[at].number)));
            // Whoever makes the hashes anew ends elsewhere than noted.
            let mut head = Head::START;
            for record in &mut changed {
                *record = head.append(ORG, record.entry.clone());
                head = record.head();
            }
            prop_assert_eq!(check(&changed, noted), Err(Fault::End(count)));
        }
    }
}
