//! Who makes room for whom, at the moments between a place and its row, and between an end and being gone.

use convene_types::OrgId;

use super::*;

const USER: UserId = UserId(1);
const LIMIT: u64 = 400;

fn new(id: u8, content: u8, size: u64) -> NewUpload {
    let (id, sha256) = ([id; 16], [content; 32]);
    NewUpload { id, org: OrgId(1), user: USER, sha256, size, mime: String::new(), voice: false }
}

/// The row of it is there.
fn begun(new: NewUpload) -> Upload {
    let NewUpload { id, org, user, sha256, size, mime, voice } = new;
    Upload { id, org, user, sha256, size, mime, voice, blob: None }
}

/// Begins: which others have ended for it, or why it may not. Nothing is at work for so long that it may stay.
fn reserve(staging: &Staging, new: NewUpload) -> Result<(Place<'_>, Vec<Id>), Code> {
    let full = || Refusal::later(Code::Flood, "full", 1);
    let admit = |announced: Announced| (announced.own + new.size <= LIMIT).then_some(()).ok_or_else(full);
    staging.reserve(&new, Duration::ZERO, admit).map_err(|refusal| {
        assert!(refusal.retry_after_ms > 0);
        refusal.code
    })
}

fn ended(reserved: Result<(Place<'_>, Vec<Id>), Code>) -> Result<Vec<Id>, Code> {
    reserved.map(|(_place, ended)| ended)
}

#[test]
fn an_upload_that_is_being_taken_up_counts_once_and_does_not_end() {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::open(folder.path(), &[]).unwrap();
    staging.resume(begun(new(1, 1, 150)));
    let taken_up = reserve(&staging, new(2, 1, 150)).unwrap();
    assert_eq!(ended(reserve(&staging, new(3, 2, 200))), Ok(Vec::new()), "there is room for both");
    assert_eq!(ended(reserve(&staging, new(3, 2, 300))), Err(Code::Flood), "there is none, and it is at work");
    drop(taken_up);
    assert_eq!(ended(reserve(&staging, new(3, 2, 300))), Ok(vec![[1; 16]]));
}

#[test]
fn an_upload_that_makes_room_is_gone_before_it_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::open(folder.path(), &[]).unwrap();
    staging.resume(begun(new(1, 1, 150)));
    assert_eq!(ended(reserve(&staging, new(2, 2, 300))), Ok(vec![[1; 16]]));
    assert_eq!(ended(reserve(&staging, new(3, 1, 150))), Err(Code::Unavailable), "its row is there still");
    // What is of another kind, or somebody else's, has nothing to do with it.
    assert_eq!(ended(reserve(&staging, NewUpload { voice: true, ..new(3, 1, 150) })), Ok(Vec::new()));
    assert_eq!(ended(reserve(&staging, NewUpload { user: UserId(2), ..new(3, 1, 150) })), Ok(Vec::new()));
    staging.forget(&[1; 16]);
    assert_eq!(ended(reserve(&staging, new(3, 1, 150))), Ok(Vec::new()));
}
