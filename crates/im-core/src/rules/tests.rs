use bytes::Bytes;
use convene_proto::im::body::Kind;
use convene_proto::im::{Code, ConversationKind, Role};
use convene_proto::limits::{MAX_EMOJI_BYTES, MAX_MENTIONS, MAX_TEXT_BYTES, MAX_TITLE_BYTES};
use convene_types::Ordinal;

use super::*;
use crate::model::Refusal;

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 60 * 60 * 1000;
const ME: UserId = UserId(1);
const OTHER: UserId = UserId(2);

fn of(kind: Kind) -> im::Body {
    im::Body { kind: Some(kind), ..im::Body::default() }
}

fn at(target: u64, kind: Kind) -> im::Body {
    im::Body { target, ..of(kind) }
}

fn text(text: &str) -> im::Body {
    of(Kind::Text(im::Text { text: text.into() }))
}

fn member(user: UserId, role: Role) -> Member {
    Member { user, role: (role != Role::Unspecified).then_some(role), ..Member::default() }
}

fn entry(user: UserId, role: Role) -> im::Member {
    im::Member { user: user.0, role: role.into(), ..im::Member::default() }
}

fn change(add: &[im::Member], remove: &[UserId], role: &[im::Member]) -> im::Body {
    let remove = remove.iter().map(|user| user.0).collect();
    of(Kind::Members(im::MemberChange { add: add.to_vec(), remove, role: role.to_vec() }))
}

/// A group of ten with two owners, and the actor in it.
#[derive(Clone)]
struct Case {
    conv: Conv,
    me: Member,
    other: Option<Member>,
    target: Option<Target>,
    policy: Policy,
    server: bool,
}

impl Case {
    fn new(role: Role) -> Self {
        let conv = Conv {
            kind: ConversationKind::Group,
            head: Seq(100),
            head_ord: Ordinal(50),
            members: 10,
            owners: 2,
            ..Conv::default()
        };
        Self { conv, me: member(ME, role), other: None, target: None, policy: Policy::default(), server: false }
    }

    fn direct() -> Self {
        let mut case = Self::new(Role::Member);
        (case.conv.kind, case.conv.members, case.conv.owners) = (ConversationKind::Direct, 2, 0);
        case
    }

    fn server() -> Self {
        Self { server: true, ..Self::new(Role::Unspecified) }
    }

    fn other(mut self, role: Role) -> Self {
        self.other = Some(member(OTHER, role));
        self
    }

    fn target(mut self, sender: UserId, kind: u32, age_ms: i64) -> Self {
        self.target = Some(Target { seq: Seq(50), sender, at_ms: NOW - age_ms, kind });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn run(&self, body: im::Body) -> Result<Decision, Refusal> {
        let needs = check(&body)?;
        let mut users = vec![(ME, Some(self.me.clone())), (OTHER, self.other.clone())];
        users.retain(|(user, _)| needs.users.contains(user));
        let actor = if self.server { Actor::Server } else { Actor::User(&self.me) };
        let (conv, target, policy) = (&self.conv, self.target.as_ref(), &self.policy);
        decide(&Context { conv, actor, target, users: &users, now_ms: NOW, policy }, body)
    }

    fn code(&self, body: im::Body) -> Option<Code> {
        self.run(body).err().map(|refusal| refusal.code)
    }
}

#[test]
fn shapes() {
    let blob = || Some(im::BlobRef { id: Bytes::from(vec![7; 32]), ..im::BlobRef::default() });
    let long = |len: usize| "x".repeat(len);
    let (bad, too_long) = (Some(Code::Malformed), Some(Code::TooLong));
    let named = |name: &str| im::BlobRef { name: name.into(), ..blob().unwrap() };
    let file = |blob| of(Kind::File(im::File { blob, caption: String::new() }));
    let place = |latitude_e7| of(Kind::Location(im::Location { latitude_e7, ..im::Location::default() }));
    let group = |change| of(Kind::Group(change));
    let rows = [
        (im::Body::default(), bad),
        (text("hi"), None),
        (text(""), bad),
        (text(&long(MAX_TEXT_BYTES)), None),
        (text(&long(MAX_TEXT_BYTES + 1)), too_long),
        (im::Body { target: 3, ..text("hi") }, bad),
        (im::Body { reply_to: 3, ..text("hi") }, None),
        (im::Body { mentions: vec![0], ..text("hi") }, bad),
        (im::Body { mentions: vec![1; MAX_MENTIONS + 1], ..text("hi") }, too_long),
        (of(Kind::Recall(im::Recall {})), bad),
        (at(1, Kind::Recall(im::Recall {})), None),
        (im::Body { reply_to: 3, ..at(1, Kind::Recall(im::Recall {})) }, bad),
        (im::Body { mention_all: true, ..at(1, Kind::Recall(im::Recall {})) }, bad),
        (at(1, Kind::React(im::React::default())), bad),
        (at(1, Kind::React(im::React { emoji: long(MAX_EMOJI_BYTES + 1), remove: false })), too_long),
        (file(None), bad),
        (file(blob()), None),
        (file(Some(im::BlobRef::default())), bad),
        (file(Some(named("a/b"))), bad),
        (file(Some(named("a b.txt"))), None),
        (file(Some(named(&long(256)))), too_long),
        (place(900_000_000), None),
        (place(-900_000_001), bad),
        (place(i32::MIN), bad),
        (of(Kind::Card(im::Card::default())), bad),
        (of(Kind::Custom(im::Custom::default())), bad),
        (change(&[], &[], &[]), bad),
        (change(&[entry(OTHER, Role::Member)], &[OTHER], &[]), bad),
        (change(&[], &[], &[entry(OTHER, Role::Unspecified)]), bad),
        (change(&[im::Member { role: 9, ..entry(OTHER, Role::Member) }], &[], &[]), bad),
        (change(&[], &[UserId(0)], &[]), bad),
        (change(&[], &(1..=501).map(UserId).collect::<Vec<_>>(), &[]), too_long),
        (group(im::GroupChange::default()), bad),
        (group(im::GroupChange { title: Some(String::new()), ..im::GroupChange::default() }), bad),
        (group(im::GroupChange { title: Some(long(MAX_TITLE_BYTES + 1)), ..im::GroupChange::default() }), too_long),
        (group(im::GroupChange { dissolved: Some(false), ..im::GroupChange::default() }), bad),
        (of(Kind::Mute(im::MemberMute::default())), bad),
        (of(Kind::Mute(im::MemberMute { users: vec![1], until_ms: -1 })), bad),
        (of(Kind::Erase(im::Erase::default())), bad),
    ];
    for (row, (body, want)) in rows.into_iter().enumerate() {
        assert_eq!(check(&body).err().map(|refusal| refusal.code), want, "row {row}: {body:?}");
    }
}

#[test]
fn what_each_role_may() {
    let group = |change| of(Kind::Group(change));
    let title = || group(im::GroupChange { title: Some("t".into()), ..im::GroupChange::default() });
    let dissolve = || group(im::GroupChange { dissolved: Some(true), ..im::GroupChange::default() });
    let pin = || at(50, Kind::Pin(im::Pin::default()));
    let all = || im::Body { mention_all: true, ..text("hi") };
    let mute = || of(Kind::Mute(im::MemberMute { users: vec![OTHER.0], until_ms: NOW + 1 }));
    let recall = || at(50, Kind::Recall(im::Recall {}));
    let react = || at(50, Kind::React(im::React { emoji: "+".into(), remove: false }));
    let role = |role| change(&[], &[], &[entry(OTHER, role)]);
    let kick = || change(&[], &[OTHER], &[]);
    let (ok, no) = (None, Some(Code::Forbidden));
    // Done by a member, an admin, an owner, to a member, an admin, an owner.
    let rows: [(im::Body, [[Option<Code>; 3]; 3]); 11] = [
        (text("hi"), [[ok; 3], [ok; 3], [ok; 3]]),
        (react(), [[ok; 3], [ok; 3], [ok; 3]]),
        (all(), [[no; 3], [ok; 3], [ok; 3]]),
        (title(), [[no; 3], [ok; 3], [ok; 3]]),
        (dissolve(), [[no; 3], [no; 3], [ok; 3]]),
        (pin(), [[no; 3], [ok; 3], [ok; 3]]),
        (recall(), [[no; 3], [ok; 3], [ok; 3]]),
        (mute(), [[no; 3], [ok, no, no], [ok; 3]]),
        (kick(), [[no; 3], [ok, no, no], [ok; 3]]),
        (role(Role::Admin), [[no; 3], [no; 3], [ok, no, ok]]), // an admin is one already
        (role(Role::Owner), [[no; 3], [no; 3], [ok, ok, no]]),
    ];
    let roles = [Role::Member, Role::Admin, Role::Owner];
    for (body, want) in rows {
        for (mine, want) in roles.into_iter().zip(want) {
            for (theirs, want) in roles.into_iter().zip(want) {
                let case = Case::new(mine).other(theirs).target(OTHER, 1, 0);
                assert_eq!(case.code(body.clone()), want, "{mine:?} to {theirs:?}: {body:?}");
            }
        }
    }
    let add = |role| change(&[entry(OTHER, role)], &[], &[]);
    assert_eq!(roles.map(|mine| Case::new(mine).code(add(Role::Member))), [no, ok, ok]);
    assert_eq!(roles.map(|mine| Case::new(mine).code(add(Role::Admin))), [no, no, ok]);
}

#[test]
fn nobody_else_writes_what_the_server_writes() {
    let call = || of(Kind::Call(im::CallRecord::default()));
    let erase = |last| {
        let ranges = vec![im::SeqRange { first: 1, last }];
        of(Kind::Erase(im::Erase { ranges, reason: im::EraseReason::Retention.into() }))
    };
    let tombstone = || of(Kind::Tombstone(im::Tombstone::default()));
    let (owner, server) = (Case::new(Role::Owner), Case::server());
    for body in [call(), erase(3), tombstone()] {
        assert_eq!(owner.code(body), Some(Code::Forbidden));
    }
    assert_eq!(server.code(call()), None);
    assert_eq!(server.code(erase(100)), None);
    assert_eq!(server.code(erase(101)), Some(Code::BadTarget));
    assert_eq!(server.code(tombstone()), Some(Code::Forbidden));
    assert_eq!(server.with(|case| case.conv.dissolved = true).code(erase(3)), None);
}

#[test]
fn targets() {
    let edit = |text: &str| at(50, Kind::Edit(im::Edit { text: text.into() }));
    let recall = || at(50, Kind::Recall(im::Recall {}));
    let react = || at(50, Kind::React(im::React { emoji: "+".into(), remove: false }));
    let pin = || at(50, Kind::Pin(im::Pin::default()));
    let member = || Case::new(Role::Member);
    let (bad, late) = (Some(Code::BadTarget), Some(Code::TooLate));
    for kind in [0, EDIT, 17, 18, 19, MEMBERS, GROUP, CALL, TOMBSTONE] {
        for body in [edit("x"), recall(), react(), pin()] {
            assert_eq!(Case::new(Role::Owner).target(ME, kind, 0).code(body), bad, "kind {kind}");
        }
    }
    let rows = [
        (member(), recall(), bad),
        (member().target(ME, 1, 0).with(|case| case.me.floor = Seq(50)), recall(), bad),
        (member().target(ME, 1, DAY), recall(), None),
        (member().target(ME, 1, DAY + 1), recall(), late),
        (member().target(OTHER, 1, 0), recall(), Some(Code::Forbidden)),
        (Case::new(Role::Admin).target(OTHER, 1, 9 * DAY), recall(), None),
        (Case::server().target(OTHER, 1, 9 * DAY), recall(), None),
        (Case::direct().target(OTHER, 1, 0), recall(), Some(Code::Forbidden)),
        (
            Case::direct().with(|case| case.me.role = Some(Role::Owner)).target(OTHER, 1, 0),
            recall(),
            Some(Code::Forbidden),
        ),
        (Case::direct().target(OTHER, 1, 0), pin(), None),
        (Case::direct().target(OTHER, 1, 0), react(), None),
        (member().target(ME, 1, 0), edit("x"), None),
        (member().target(ME, 1, 0), edit(""), Some(Code::Malformed)),
        (member().target(ME, 3, 0), edit(""), None),
        (member().target(ME, 2, 0), edit("x"), bad),
        (member().target(ME, 1, DAY + 1), edit("x"), late),
        (Case::new(Role::Owner).target(OTHER, 1, 0), edit("x"), Some(Code::Forbidden)),
        (member(), im::Body { reply_to: 101, ..text("x") }, bad),
        (member().with(|case| case.me.floor = Seq(7)), im::Body { reply_to: 7, ..text("x") }, bad),
        (member(), im::Body { reply_to: 100, ..text("x") }, None),
    ];
    for (row, (case, body, want)) in rows.into_iter().enumerate() {
        assert_eq!(case.code(body), want, "row {row}");
    }
}

#[test]
fn states_in_which_nothing_is_said() {
    let muted = Some(Code::Muted);
    let group = |role| Case::new(role).with(|case| case.conv.muted = true).target(ME, 1, 0);
    let edit = || at(50, Kind::Edit(im::Edit { text: "x".into() }));
    let react = || at(50, Kind::React(im::React { emoji: "+".into(), remove: false }));
    let silenced = |until| Case::new(Role::Member).with(|case| case.me.muted_until_ms = until).target(ME, 1, 0);
    let dissolved = Case::new(Role::Owner).with(|case| case.conv.dissolved = true);
    let rows = [
        (group(Role::Member), text("x"), muted),
        (group(Role::Member), edit(), muted),
        (group(Role::Member), react(), None),
        (group(Role::Admin), text("x"), None),
        (silenced(NOW + 1), text("x"), muted),
        (silenced(NOW + 1), edit(), muted),
        (silenced(NOW + 1), change(&[], &[ME], &[]), None),
        (silenced(NOW), text("x"), None),
        (Case::new(Role::Unspecified), text("x"), Some(Code::NotAMember)),
        (dissolved.clone(), text("x"), Some(Code::Dissolved)),
        (dissolved, change(&[], &[ME], &[]), Some(Code::Dissolved)),
        (Case::direct(), change(&[], &[ME], &[]), Some(Code::Forbidden)),
        (Case::direct(), im::Body { mention_all: true, ..text("x") }, None),
    ];
    for (row, (case, body, want)) in rows.into_iter().enumerate() {
        assert_eq!(case.code(body), want, "row {row}");
    }
}

#[test]
fn the_last_owner_names_another_first() {
    let leave = || change(&[], &[ME], &[]);
    let step_down = || change(&[], &[], &[entry(ME, Role::Member)]);
    let hand_over = || change(&[], &[ME], &[entry(OTHER, Role::Owner)]);
    let with = |members, owners| {
        Case::new(Role::Owner)
            .other(Role::Member)
            .with(|case| (case.conv.members, case.conv.owners) = (members, owners))
    };
    let rows = [
        (with(10, 2), leave(), None),
        (with(10, 2), step_down(), None),
        (with(10, 1), leave(), Some(Code::LastOwner)),
        (with(10, 1), step_down(), Some(Code::LastOwner)),
        (with(10, 1), hand_over(), None),
        (with(1, 1), leave(), None),
        // A group without owner, as an erased account leaves it, locks nobody in.
        (Case::new(Role::Member).with(|case| case.conv.owners = 0), leave(), None),
    ];
    for (row, (case, body, want)) in rows.into_iter().enumerate() {
        assert_eq!(case.code(body), want, "row {row}");
    }
}

#[test]
fn members_are_added_once_and_within_the_limit() {
    let add = || change(&[entry(OTHER, Role::Unspecified)], &[], &[]);
    let case = Case::new(Role::Admin);
    let decision = case.run(add()).unwrap();
    let want = MemberEffect::Add { user: OTHER, role: Role::Member, with_history: false };
    assert_eq!(decision.effects.members, [want]);
    assert_eq!(decision.body, change(&[entry(OTHER, Role::Member)], &[], &[]));
    assert_eq!(case.clone().with(|case| case.policy.max_members = 10).code(add()), Some(Code::TooManyMembers));
    assert_eq!(case.clone().with(|case| case.policy.max_members = 11).code(add()), None);
    assert_eq!(case.clone().other(Role::Member).code(add()), Some(Code::Forbidden), "it is so already");
    assert_eq!(case.clone().other(Role::Unspecified).code(add()), None, "one who left may come back");
    assert_eq!(case.code(change(&[entry(UserId(9), Role::Member)], &[], &[])), Some(Code::UnknownUser));
    assert_eq!(case.code(change(&[], &[OTHER], &[])), Some(Code::UnknownUser), "no member");
}

#[test]
fn strangers_are_not_called() {
    let called = im::Body { mentions: vec![OTHER.0, ME.0, 9, OTHER.0], ..text("hi") };
    let decision = Case::new(Role::Member).other(Role::Member).run(called.clone()).unwrap();
    assert_eq!(decision.body.mentions, [OTHER.0, ME.0]);
    let decision = Case::new(Role::Member).run(called).unwrap();
    assert_eq!(decision.body.mentions, [ME.0]);
}

#[test]
fn i09_what_counts() {
    let custom = |silent| of(Kind::Custom(im::Custom { r#type: "t".into(), silent, ..im::Custom::default() }));
    let rows = [
        (text("x"), true),
        (custom(false), true),
        (custom(true), false),
        (of(Kind::Call(im::CallRecord::default())), true),
        (of(Kind::Call(im::CallRecord { outcome: im::CallOutcome::Missed.into(), ..im::CallRecord::default() })), true),
        (
            of(Kind::Call(im::CallRecord { outcome: im::CallOutcome::Ringing.into(), ..im::CallRecord::default() })),
            false,
        ),
        (at(1, Kind::Edit(im::Edit::default())), false),
        (at(1, Kind::React(im::React::default())), false),
        (change(&[], &[ME], &[]), false),
        (im::Body::default(), false),
    ];
    for (body, want) in rows {
        assert_eq!(is_countable(&body), want, "{body:?}");
    }
}

#[test]
fn i14_erasure_leaves_kind_and_reason_only() {
    let body = im::Body { reply_to: 4, mentions: vec![5], mention_all: true, ..text("secret") };
    let left = tombstone(&body, im::EraseReason::Moderation);
    let want = im::Tombstone { kind: 1, reason: im::EraseReason::Moderation.into() };
    assert_eq!(left, of(Kind::Tombstone(want)));
    assert_eq!(tombstone(&left, im::EraseReason::Account), left, "the first reason stays");
    let recall = at(3, Kind::Recall(im::Recall {}));
    assert_eq!(tombstone(&recall, im::EraseReason::Retention), recall, "what erases is not erased");

    let decision = Case::new(Role::Member).target(ME, 1, 0).run(at(50, Kind::Recall(im::Recall {}))).unwrap();
    let erasure = decision.effects.erase.unwrap();
    assert_eq!(Some(erasure.clone()), Erasure::of(&decision.body), "store and replica erase the same");
    let edit = |target| at(target, Kind::Edit(im::Edit { text: "secret".into() }));
    let rows = [(50, text("x"), true), (51, text("x"), false), (60, edit(50), true), (60, edit(51), false)];
    for (seq, body, want) in rows {
        assert_eq!(erasure.covers(Seq(seq), &body), want, "{seq}: {body:?}");
    }
}

#[test]
fn blobs_are_what_the_server_found() {
    let id = Bytes::from(vec![7; 32]);
    let claimed = im::BlobRef { id: id.clone(), size: 1, mime: "image/png".into(), name: "a.png".into() };
    let found = im::BlobRef { id, size: 99, mime: "text/plain".into(), name: String::new() };
    let fact = BlobFact { blob: found, voice: None };
    let mut file = of(Kind::File(im::File { blob: Some(claimed.clone()), caption: String::new() }));
    settle_blobs(&mut file, std::slice::from_ref(&fact)).unwrap();
    let Some(Kind::File(im::File { blob: Some(blob), .. })) = &file.kind else { panic!() };
    assert_eq!((blob.size, blob.mime.as_str(), blob.name.as_str()), (99, "text/plain", "a.png"));

    let code = |mut body: im::Body, facts: &[BlobFact]| settle_blobs(&mut body, facts).err().map(|r| r.code);
    let image = || of(Kind::Image(im::Image { blob: Some(claimed.clone()), ..im::Image::default() }));
    let voice = || of(Kind::Voice(im::Voice { blob: Some(claimed.clone()), ..im::Voice::default() }));
    assert_eq!(code(image(), std::slice::from_ref(&fact)), Some(Code::BadType));
    assert_eq!(code(voice(), std::slice::from_ref(&fact)), Some(Code::BadVoice));
    assert_eq!(code(file, &[]), Some(Code::UnknownBlob));
}

#[test]
fn requests() {
    let policy = Policy { max_members: 3, ..Policy::default() };
    let (direct, group) = (ConversationKind::Direct, ConversationKind::Group);
    let users = |ids: &[u64]| ids.iter().copied().map(UserId).collect::<Vec<_>>();
    type Row<'a> = (ConversationKind, &'a str, &'a [u64], Result<&'a [u64], Code>);
    let rows: [Row<'_>; 8] = [
        (direct, "", &[2], Ok(&[2])),
        (direct, "", &[2, 1, 2], Ok(&[2])),
        (direct, "", &[1], Err(Code::Malformed)),
        (direct, "", &[2, 3], Err(Code::Malformed)),
        (direct, "t", &[2], Err(Code::Malformed)),
        (group, "t", &[3, 2, 3], Ok(&[2, 3])),
        (group, "t", &[2, 3, 4], Err(Code::TooManyMembers)),
        (ConversationKind::Unspecified, "t", &[2], Err(Code::Malformed)),
    ];
    for (row, (kind, title, members, want)) in rows.into_iter().enumerate() {
        let got = check_create(ME, kind, title, &users(members), &policy).map_err(|refusal| refusal.code);
        assert_eq!(got, want.map(users), "row {row}");
    }
}

#[test]
fn i10_read_cursors_neither_fall_nor_pass_the_head() {
    let mut me = Member { read: Seq(5), ..member(ME, Role::Member) };
    let code = |result: Result<Option<Seq>, Refusal>| result.map_err(|refusal| refusal.code);
    assert_eq!(code(check_read(&me, Seq(9), Seq(4))), Ok(None));
    assert_eq!(code(check_read(&me, Seq(9), Seq(9))), Ok(Some(Seq(9))));
    assert_eq!(code(check_read(&me, Seq(9), Seq(10))), Err(Code::BeyondHead));
    me.ceiling = Some(Seq(7));
    assert_eq!(code(check_read(&me, Seq(9), Seq(8))), Err(Code::BeyondHead));
}
