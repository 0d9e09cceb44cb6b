//! The tree of departments, positions, and who stands where in it. The store loads a [`Tree`] for each change; readers of
//! the directory keep one.
//!
//! Invariant: every department hangs below the root (id 0) by a path without circle, at most [`MAX_DEPTH`] long.

use std::collections::{HashMap, HashSet};

use convene_types::{DeptId, PositionId};

use crate::error::{Code, Refusal};

/// The organisation itself.
pub const ROOT: DeptId = DeptId(0);
/// Levels below the root. Paths are walked for every change and every name in the directory.
pub const MAX_DEPTH: usize = 16;
/// Departments of one organisation: the tree is loaded whole to change it.
pub const MAX_DEPARTMENTS: usize = 20_000;
/// Positions of one organisation.
pub const MAX_POSITIONS: usize = 2_000;
/// Departments that one member is in.
pub const MAX_PLACES: usize = 16;
/// Longest name of a department or position.
pub const MAX_NAME_BYTES: usize = 128;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Department {
    /// Its id; never [`ROOT`].
    pub id: DeptId,
    /// What it stands below.
    pub parent: DeptId,
    /// Unlike that of its siblings.
    pub name: String,
    /// Lower stands first; equal ones by name.
    pub rank: i32,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In this department; [`ROOT`]: in none.
    pub dept: DeptId,
    /// As what.
    pub position: Option<PositionId>,
}

/// Whether a name can be shown: of departments, positions, organisations, people.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let good = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.trim() == name
        && !name.chars().any(|c| c.is_control() || is_invisible(c));
    if good { Ok(()) } else { Err(Code::BadName.into()) }
}

/// Marks that turn the direction of text or take no room: names that look like others are made with them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Where a member may stand: the first place is the one that is shown. Existence is the store's to check.
pub fn check_places(places: &[Place]) -> Result<(), Refusal> {
    if places.len() > MAX_PLACES {
        return Err(Code::TooMany.into());
    }
    let mut seen = HashSet::new();
    if places.iter().all(|place| seen.insert(place.dept)) { Ok(()) } else { Err(Code::BadValue.into()) }
}

/// All departments of an organisation.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    by_id: HashMap<DeptId, Department>,
    children: HashMap<DeptId, Vec<DeptId>>,
}

impl Tree {
    /// From rows that were checked when they were written.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Department>) -> Self {
        let mut tree = Self::default();
        for row in rows {
            tree.children.entry(row.parent).or_default().push(row.id);
            tree.by_id.insert(row.id, row);
        }
        tree
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A department.
    #[must_use]
    pub fn get(&self, id: DeptId) -> Option<&Department> {
        self.by_id.get(&id)
    }

    /// Departments right below, in the order in which they are shown.
    #[must_use]
    pub fn children(&self, id: DeptId) -> Vec<&Department> {
        let mut found: Vec<_> = self.child_ids(id).iter().filter_map(|child| self.get(*child)).collect();
        found.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
        found
    }

    /// Whether something stands below it.
    #[must_use]
    pub fn has_children(&self, id: DeptId) -> bool {
        !self.child_ids(id).is_empty()
    }

    fn child_ids(&self, id: DeptId) -> &[DeptId] {
        self.children.get(&id).map_or(&[], Vec::as_slice)
    }

    /// From the top down to `id`, itself included. Empty for the root and for what is not there.
    #[must_use]
    pub fn path(&self, id: DeptId) -> Vec<DeptId> {
        let mut path: Vec<_> = self.upwards(id).collect();
        path.reverse();
        path
    }

    /// From `id` up to the top.
    fn upwards(&self, id: DeptId) -> impl Iterator<Item = DeptId> {
        let above = move |at: &&Department| self.get(at.parent);
        std::iter::successors(self.get(id), above).map(|department| department.id).take(MAX_DEPTH)
    }

    /// Whether `id` is `top`, or stands below it. Everything stands below the root.
    #[must_use]
    pub fn is_within(&self, id: DeptId, top: DeptId) -> bool {
        top == ROOT || self.upwards(id).any(|above| above == top)
    }

    /// `id` and all below it.
    #[must_use]
    pub fn branch(&self, id: DeptId) -> Vec<DeptId> {
        self.levels(id).into_iter().flatten().collect()
    }

    /// The branch below `id` by levels, the first of which is `id` alone.
    fn levels(&self, id: DeptId) -> Vec<Vec<DeptId>> {
        let mut levels = vec![vec![id]];
        // No row can make this longer than the deepest tree.
        while let Some(last) = levels.last().filter(|last| !last.is_empty() && levels.len() <= MAX_DEPTH + 1) {
            let next: Vec<_> = last.iter().flat_map(|id| self.child_ids(*id)).copied().collect();
            levels.push(next);
        }
        levels.retain(|level| !level.is_empty());
        levels
    }

    fn check_parent(&self, parent: DeptId) -> Result<(), Refusal> {
        if parent == ROOT || self.by_id.contains_key(&parent) { Ok(()) } else { Err(Code::NotFound.into()) }
    }

    fn check_sibling(&self, parent: DeptId, name: &str, oneself: Option<DeptId>) -> Result<(), Refusal> {
        check_name(name)?;
        let same = |id: &DeptId| Some(*id) != oneself && self.get(*id).is_some_and(|other| other.name == name);
        if self.child_ids(parent).iter().any(same) { Err(Code::NameTaken.into()) } else { Ok(()) }
    }

    /// Whether a department of this name can be made there.
    pub fn check_insert(&self, parent: DeptId, name: &str) -> Result<(), Refusal> {
        self.check_parent(parent)?;
        self.check_sibling(parent, name, None)?;
        if self.by_id.len() >= MAX_DEPARTMENTS {
            return Err(Code::TooMany.into());
        }
        if self.path(parent).len() >= MAX_DEPTH { Err(Code::DepartmentTooDeep.into()) } else { Ok(()) }
    }

    /// Whether a department can have this parent and name.
    pub fn check_change(&self, id: DeptId, parent: DeptId, name: &str) -> Result<(), Refusal> {
        self.get(id).ok_or(Code::NotFound)?;
        self.check_parent(parent)?;
        if parent != ROOT && self.is_within(parent, id) {
            return Err(Code::DepartmentCycle.into());
        }
        self.check_sibling(parent, name, Some(id))?;
        let depth = self.path(parent).len().saturating_add(self.levels(id).len());
        if depth > MAX_DEPTH { Err(Code::DepartmentTooDeep.into()) } else { Ok(()) }
    }

    /// Whether a department can go. Members are the store's to count.
    pub fn check_remove(&self, id: DeptId, members: u64) -> Result<(), Refusal> {
        self.get(id).ok_or(Code::NotFound)?;
        if members > 0 || !self.child_ids(id).is_empty() { Err(Code::DepartmentNotEmpty.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(id: u64, parent: u64, name: &str) -> Department {
        Department { id: DeptId(id), parent: DeptId(parent), name: name.into(), rank: 0 }
    }

    /// 1 > 2 > 3, 1 > 4, 5
    fn tree() -> Tree {
        Tree::new([row(1, 0, "a"), row(2, 1, "b"), row(3, 2, "c"), row(4, 1, "d"), row(5, 0, "e")])
    }

    fn code(result: Result<(), Refusal>) -> Option<Code> {
        result.err().map(|refusal| refusal.code)
    }

    #[test]
    fn paths_and_branches() {
        let ids = |ids: &[u64]| ids.iter().copied().map(DeptId).collect::<Vec<_>>();
        assert_eq!(tree().path(DeptId(3)), ids(&[1, 2, 3]));
        assert_eq!((tree().path(ROOT), tree().path(DeptId(9))), (vec![], vec![]));
        assert_eq!(tree().branch(DeptId(1)), ids(&[1, 2, 4, 3]));
        assert!(tree().is_within(DeptId(3), DeptId(1)) && !tree().is_within(DeptId(5), DeptId(1)));
        let shown = Tree::new([Department { rank: 2, ..row(1, 0, "a") }, row(2, 0, "z"), row(3, 0, "b")]);
        assert_eq!(shown.children(ROOT).iter().map(|row| row.id.0).collect::<Vec<_>>(), [3, 2, 1]);
    }

    #[test]
    fn changes_are_checked() {
        let rows = [
            (2, 5, "b", None),
            (2, 0, "a", Some(Code::NameTaken)),
            (2, 1, "b", None),
            (2, 1, "d", Some(Code::NameTaken)),
            (1, 3, "a", Some(Code::DepartmentCycle)),
            (1, 1, "a", Some(Code::DepartmentCycle)),
            (1, 9, "a", Some(Code::NotFound)),
            (9, 1, "a", Some(Code::NotFound)),
            (1, 0, " a", Some(Code::BadName)),
            (1, 0, "a\u{202e}b", Some(Code::BadName)),
            (1, 0, "", Some(Code::BadName)),
        ];
        for (id, parent, name, want) in rows {
            let got = code(tree().check_change(DeptId(id), DeptId(parent), name));
            assert_eq!(got, want, "{id} {parent} {name:?}");
        }
        assert_eq!(code(tree().check_insert(DeptId(1), "b")), Some(Code::NameTaken));
        assert_eq!(code(tree().check_insert(DeptId(9), "x")), Some(Code::NotFound));
        assert_eq!(code(tree().check_remove(DeptId(2), 0)), Some(Code::DepartmentNotEmpty));
        assert_eq!(code(tree().check_remove(DeptId(5), 1)), Some(Code::DepartmentNotEmpty));
        assert_eq!(code(tree().check_remove(DeptId(5), 0)), None);
    }

    #[test]
    fn depth_is_bounded_for_one_and_for_a_branch() {
        let deepest = u64::try_from(MAX_DEPTH).unwrap();
        let chain = Tree::new((1..=deepest).map(|id| row(id, id - 1, "x")));
        assert_eq!(code(chain.check_insert(DeptId(deepest), "y")), Some(Code::DepartmentTooDeep));
        assert_eq!(code(chain.check_insert(DeptId(deepest - 1), "y")), None);
        let with_pair =
            Tree::new((1..=deepest).map(|id| row(id, id - 1, "x")).chain([row(50, 0, "p"), row(51, 50, "q")]));
        assert_eq!(code(with_pair.check_change(DeptId(50), DeptId(deepest - 1), "p")), Some(Code::DepartmentTooDeep));
        assert_eq!(code(with_pair.check_change(DeptId(50), DeptId(deepest - 2), "p")), None);
    }

    #[test]
    fn count_is_bounded() {
        let many = u64::try_from(MAX_DEPARTMENTS).unwrap();
        let full = Tree::new((1..=many).map(|id| row(id, 0, &id.to_string())));
        assert_eq!(code(full.check_insert(ROOT, "x")), Some(Code::TooMany));
    }

    #[test]
    fn places_are_few_and_in_departments_of_their_own() {
        let place = |dept| Place { dept: DeptId(dept), position: None };
        let many: Vec<_> = (0..=u64::try_from(MAX_PLACES).unwrap()).map(place).collect();
        assert_eq!(code(check_places(&[place(1), place(2)])), None);
        assert_eq!(code(check_places(&[place(1), place(1)])), Some(Code::BadValue));
        assert_eq!(code(check_places(&many)), Some(Code::TooMany));
    }

    proptest! {
        /// Whatever is made, moved and removed, if the checks let it: a tree is left.
        #[test]
        fn a_tree_stays_a_tree(steps in prop::collection::vec((0_u8..3, 0_u64..30, 0_u64..30, 0_u8..3), 1..150)) {
            let (mut rows, mut next): (Vec<Department>, u64) = (Vec::new(), 1);
            for (what, id, parent, name) in steps {
                let tree = Tree::new(rows.iter().cloned());
                let (id, parent, name) = (DeptId(id), DeptId(parent), format!("n{name}"));
                match what {
                    0 if tree.check_insert(parent, &name).is_ok() => {
                        rows.push(row(next, parent.0, &name));
                        next += 1;
                    }
                    1 if tree.check_change(id, parent, &name).is_ok() => {
                        let row = rows.iter_mut().find(|row| row.id == id).unwrap();
                        (row.parent, row.name) = (parent, name);
                    }
                    2 if tree.check_remove(id, 0).is_ok() => rows.retain(|row| row.id != id),
                    _ => {}
                }
                let tree = Tree::new(rows.iter().cloned());
                // Everything is reached from the root, once, within the depth.
                let mut reached = tree.branch(ROOT);
                prop_assert_eq!(reached.len(), rows.len() + 1);
                reached.sort_unstable();
                reached.dedup();
                prop_assert_eq!(reached.len(), rows.len() + 1);
                for row in &rows {
                    let names: Vec<_> = tree.children(row.parent).iter().map(|row| row.name.clone()).collect();
                    prop_assert_eq!(names.iter().filter(|name| **name == row.name).count(), 1);
                    prop_assert!(tree.path(row.id).len() <= MAX_DEPTH);
                }
            }
        }
    }
}
