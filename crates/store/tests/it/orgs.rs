//! What every backend of the store has to pass about organisations: seats, departments, invitations, policy, audit.

use convene_accounts::audit::Fault;
use convene_accounts::invitation::{LinkHash, VALID_FOR_S, Whom};
use convene_accounts::policy::{self, Field, FieldRule, Policy, Starters};
use convene_accounts::profile::Edit;
use convene_accounts::role::{Role, Scopes};
use convene_accounts::vault::Lookup;
use convene_accounts::verification::Tag;
use convene_accounts::{Code, Refusal};
use convene_proto::im::{self, body::Kind};
use convene_store::orgs::{Change, Invited, JoinBy, Once, Op, Outcome};
use convene_store::{After, SEES_ALL};
use convene_store::{Outcome as Answered, accounts};
use convene_types::{AccountId, ClientId, ConvId, DeptId, DeviceId, InviteId, OrgId, SessionId, UserId};

use crate::common::{self, World};

const NOW_S: u64 = 1_700_000_000;
const MEMBERS: Role = Role::Admin(Scopes::MEMBERS);

type Answer = Result<Outcome, Code>;

struct Orgs<'a> {
    world: &'a mut World,
    now_s: u64,
}

fn both(test: impl Fn(&mut Orgs<'_>)) {
    common::both(|world| test(&mut Orgs { world, now_s: NOW_S }));
}

fn number(n: u8) -> Lookup {
    Lookup([n; 32])
}

fn device(n: u8) -> accounts::Entry {
    let device = accounts::Device { id: DeviceId([n; 16]), ..accounts::Device::default() };
    accounts::Entry { device, session: SessionId([n; 16]), seed: [n; 16] }
}

fn joined(answer: Answer) -> (OrgId, UserId) {
    let Ok(Outcome::Joined { org, user, .. }) = answer else { panic!("{answer:?}") };
    (org, user)
}

fn invited(answer: Answer) -> InviteId {
    let Ok(Outcome::Invited(id)) = answer else { panic!("{answer:?}") };
    id
}

fn dept(answer: Answer) -> DeptId {
    let Ok(Outcome::Department(id)) = answer else { panic!("{answer:?}") };
    id
}

fn inner<T>(answer: Result<T, Refusal>) -> Result<T, Code> {
    answer.map_err(|refusal| refusal.code)
}

impl Orgs<'_> {
    fn apply(&mut self, op: convene_store::Op) -> Answered {
        let now_ms = i64::try_from(self.now_s).unwrap() * 1000;
        self.world.engine.apply(vec![op], now_ms).unwrap().pop().unwrap().unwrap()
    }

    fn person(&mut self, op: accounts::Op) -> Result<accounts::Outcome, Code> {
        let Answered::Account(answer) = self.apply(convene_store::Op::Account(op)) else { panic!() };
        inner(answer)
    }

    /// Proves number `n` for something.
    fn prove(&mut self, n: u8, then: accounts::Then) -> Result<accounts::Outcome, Code> {
        let (lookup, purpose, tag, subjects) = (number(n), then.purpose(), Tag([1; 32]), Vec::new());
        self.person(accounts::Op::SendCode { lookup, purpose, tag, subjects: subjects.clone() }).unwrap();
        self.person(accounts::Op::EnterCode { lookup, tag, subjects, then })
    }

    /// An account with number `n`.
    fn account(&mut self, n: u8) -> AccountId {
        let (display_name, sealed) = (format!("Person {n}"), vec![n]);
        let then =
            accounts::Then::Register { sealed, display_name, password: None, consent: "1".into(), entry: device(n) };
        let Ok(accounts::Outcome::SignedIn { session, .. }) = self.prove(n, then) else { panic!() };
        session.account
    }

    fn change(&mut self, org: OrgId, by: AccountId, change: Change) -> Answer {
        let op = Op { org, by, address: "192.0.2.1".into(), change, once: None };
        let Answered::Org(answer) = self.apply(convene_store::Op::Org(op)) else { panic!() };
        inner(answer)
    }

    fn found(&mut self, name: &str, owner: AccountId) -> OrgId {
        let change = Change::Found { name: name.into(), title: name.into(), owner };
        joined(self.change(OrgId(0), owner, change)).0
    }

    fn join(&mut self, by: AccountId, way: JoinBy) -> Answer {
        self.change(OrgId(0), by, Change::Join(way))
    }

    /// Invites number `n`, and lets its account in.
    fn let_in(&mut self, org: OrgId, owner: AccountId, n: u8, account: AccountId) -> UserId {
        let id = invited(self.change(org, owner, invite(Invited::Number(number(n)))));
        joined(self.join(account, JoinBy::Number(id))).1
    }

    /// A group.
    fn create(&mut self, org: OrgId, maker: UserId, members: &[UserId]) -> Result<ConvId, im::Code> {
        let (kind, client_id) = (im::ConversationKind::Group, self.client());
        let members = members.to_vec();
        let made =
            self.world.create(convene_store::Op::Create { org, maker, client_id, kind, title: "g".into(), members });
        made.map(|(conv, _)| conv).map_err(|refusal| refusal.code)
    }

    fn add(&mut self, org: OrgId, conv: ConvId, by: UserId, user: UserId) -> Result<(), im::Code> {
        let add = vec![im::Member { user: user.0, ..im::Member::default() }];
        self.say(org, conv, by, Kind::Members(im::MemberChange { add, ..im::MemberChange::default() }))
    }

    fn say(&mut self, org: OrgId, conv: ConvId, actor: UserId, kind: Kind) -> Result<(), im::Code> {
        let (client_id, body) = (self.client(), im::Body { kind: Some(kind), ..im::Body::default() });
        let said = self.world.one(convene_store::Op::Append { org, actor, client_id, conv, body });
        said.map(drop).map_err(|refusal| refusal.code)
    }

    fn client(&mut self) -> ClientId {
        self.now_s += 1;
        common::client(self.now_s)
    }

    fn role(&mut self, org: OrgId, by: AccountId, account: AccountId, role: Role) -> Answer {
        self.change(org, by, Change::SetRole { account, role })
    }

    fn sound(&self, org: OrgId) -> u64 {
        self.world.reader().audit_fault(org).unwrap().expect("an organisation").unwrap().number
    }
}

fn stand(account: AccountId, depts: &[DeptId]) -> Change {
    let places = Some(depts.iter().map(|dept| (dept.0, None)).collect());
    Change::Edit { account, edit: Edit { places, ..Edit::default() } }
}

fn invite(whom: Invited) -> Change {
    Change::Invite { sealed: None, whom, dept: DeptId(0), ask: false, valid_for_s: VALID_FOR_S }
}

fn add(parent: u64, name: &str) -> Change {
    Change::AddDepartment { parent: DeptId(parent), name: name.into(), rank: 0 }
}

#[test]
fn an_organisation_is_founded_and_people_come_by_their_numbers() {
    both(|orgs| {
        let (ana, bob, eve) = (orgs.account(1), orgs.account(2), orgs.account(3));
        let org = orgs.found("firm", ana);
        let again = Change::Found { name: "firm".into(), title: "x".into(), owner: bob };
        assert_eq!(orgs.change(OrgId(0), bob, again), Err(Code::NameTaken));
        let sales = dept(orgs.change(org, ana, add(0, "sales")));
        let change = Change::Invite {
            sealed: None,
            whom: Invited::Number(number(2)),
            dept: sales,
            ask: false,
            valid_for_s: VALID_FOR_S,
        };
        let id = invited(orgs.change(org, ana, change));
        let waiting = orgs.world.reader().invitations_for(number(2)).unwrap();
        assert_eq!((waiting.len(), waiting[0].org, waiting[0].whom), (1, org, Whom::Number(number(2))));
        assert_eq!(orgs.join(eve, JoinBy::Number(id)), Err(Code::InvitationEnded));
        let (_, user) = joined(orgs.join(bob, JoinBy::Number(id)));
        assert_eq!(orgs.join(bob, JoinBy::Number(id)), Err(Code::InvitationEnded));
        let seat = orgs.world.reader().seat(org, bob).unwrap().unwrap();
        assert_eq!((seat.user, seat.role, seat.depts), (user, Role::Member, vec![sales]));
        // The seat is a user of chat, by the name that stands in tokens.
        let shown = orgs.world.reader().user(user).unwrap().unwrap();
        assert_eq!((shown.name, shown.display_name), (format!("a{bob}"), "Person 2".to_owned()));
        // Who leaves and comes back is the same user.
        assert_eq!(orgs.change(org, bob, Change::Remove { account: bob }), Ok(Outcome::Removed(user)));
        assert_eq!(orgs.world.reader().seat(org, bob).unwrap(), None);
        assert_eq!(orgs.let_in(org, ana, 2, bob), user);
        assert_eq!(orgs.sound(org), 7);
    });
}

#[test]
fn an_owner_is_left_whatever_happens() {
    both(|orgs| {
        let (ana, bob) = (orgs.account(1), orgs.account(2));
        let org = orgs.found("firm", ana);
        orgs.let_in(org, ana, 2, bob);
        assert_eq!(orgs.change(org, ana, Change::Remove { account: ana }), Err(Code::LastOwner));
        assert_eq!(orgs.role(org, ana, ana, Role::Member), Err(Code::LastOwner));
        assert_eq!(orgs.role(org, bob, bob, Role::Owner), Err(Code::Forbidden));
        assert_eq!(orgs.prove(1, accounts::Then::Cancel { account: ana }), Err(Code::LastOwner));
        assert_eq!(orgs.role(org, ana, bob, Role::Owner), Ok(Outcome::Done));
        assert!(orgs.prove(1, accounts::Then::Cancel { account: ana }).is_ok());
        assert!(orgs.world.reader().seats_of(ana).unwrap().is_empty());
        // What is left of her in chat is an id.
        let users = orgs.world.reader().find_users(
            orgs.world.reader().seat(org, bob).unwrap().unwrap().user,
            &convene_proto::im::FindUsers { names: vec![format!("a{ana}")], ..Default::default() },
        );
        assert_eq!(users.unwrap().unwrap().users[0].display_name, format!("a{ana}"));
        // The command line may do what an owner may; and the last owner stays even so.
        assert_eq!(orgs.role(org, AccountId(0), bob, Role::Member), Err(Code::LastOwner));
        assert_eq!(orgs.sound(org), 5);
    });
}

#[test]
fn nothing_crosses_from_one_organisation_to_another() {
    both(|orgs| {
        let (ana, bob, eve) = (orgs.account(1), orgs.account(2), orgs.account(3));
        let (hers, theirs) = (orgs.found("hers", ana), orgs.found("theirs", eve));
        orgs.let_in(hers, ana, 2, bob);
        let sales = dept(orgs.change(hers, ana, add(0, "sales")));
        let open = invited(orgs.change(hers, ana, invite(Invited::Number(number(9)))));
        let before = orgs.sound(hers);
        let name = || "x".to_owned();
        let changes = || {
            [
                Change::SetRole { account: bob, role: Role::Owner },
                Change::Remove { account: bob },
                Change::ChangeDepartment { id: sales, parent: DeptId(0), name: name(), rank: 0 },
                Change::RemoveDepartment { id: sales },
                Change::AddDepartment { parent: sales, name: name(), rank: 0 },
                stand(bob, &[]),
                stand(eve, &[sales]),
                Change::Invite {
                    sealed: None,
                    whom: Invited::Number(number(8)),
                    dept: sales,
                    ask: false,
                    valid_for_s: 1,
                },
                Change::Withdraw { id: open },
                Change::Decide { request: InviteId(1), yes: true },
            ]
        };
        for change in changes() {
            // Another's organisation, and another's things in one's own, and one that is not there: all the same.
            assert_eq!(orgs.change(hers, eve, change.clone()), Err(Code::NotFound), "{change:?}");
            assert_eq!(orgs.change(OrgId(999), eve, change.clone()), Err(Code::NotFound), "{change:?}");
            assert_eq!(orgs.change(theirs, eve, change.clone()), Err(Code::NotFound), "{change:?}");
        }
        let policy = Change::SetPolicy { policy: Policy::default(), version: 1 };
        assert_eq!(orgs.change(hers, eve, policy), Err(Code::NotFound));
        assert_eq!(orgs.sound(hers), before);
        assert_eq!((orgs.world.reader().tree(theirs).unwrap().len(), orgs.sound(theirs)), (0, 1));
    });
}

#[test]
fn departments_stay_a_tree_and_are_not_removed_from_under_people() {
    both(|orgs| {
        let (ana, bob) = (orgs.account(1), orgs.account(2));
        let org = orgs.found("firm", ana);
        orgs.let_in(org, ana, 2, bob);
        let top = dept(orgs.change(org, ana, add(0, "top")));
        let low = dept(orgs.change(org, ana, add(top.0, "low")));
        let change = |id, parent| Change::ChangeDepartment { id, parent, name: "moved".into(), rank: 1 };
        assert_eq!(orgs.change(org, ana, change(top, low)), Err(Code::DepartmentCycle));
        assert_eq!(orgs.change(org, ana, Change::RemoveDepartment { id: top }), Err(Code::DepartmentNotEmpty));
        assert_eq!(orgs.change(org, bob, change(low, DeptId(0))), Err(Code::Forbidden));
        let places = |depts: &[DeptId]| stand(bob, depts);
        assert_eq!(orgs.change(org, ana, places(&[low, top])), Ok(Outcome::Edited(None)));
        assert_eq!(orgs.world.reader().seat(org, bob).unwrap().unwrap().depts, [low, top]);
        assert_eq!(orgs.change(org, ana, places(&[low, low])), Err(Code::BadValue));
        assert_eq!(orgs.change(org, ana, Change::RemoveDepartment { id: low }), Err(Code::DepartmentNotEmpty));
        assert_eq!(orgs.change(org, ana, places(&[])), Ok(Outcome::Edited(None)));
        assert_eq!(orgs.change(org, ana, Change::RemoveDepartment { id: low }), Ok(Outcome::Done));
        assert_eq!(orgs.world.reader().tree(org).unwrap().len(), 1);
    });
}

#[test]
fn who_comes_by_a_link_may_have_to_be_approved() {
    both(|orgs| {
        let (ana, bob, eve) = (orgs.account(1), orgs.account(2), orgs.account(3));
        let org = orgs.found("firm", ana);
        let hash = LinkHash([5; 32]);
        let link = |ask| Change::Invite {
            sealed: None,
            whom: Invited::Link { hash, uses: 2 },
            dept: DeptId(0),
            ask,
            valid_for_s: 60,
        };
        let id = invited(orgs.change(org, ana, link(true)));
        // A link cannot be used by its number, which is no secret.
        assert_eq!(orgs.join(bob, JoinBy::Number(id)), Err(Code::InvitationEnded));
        let Ok(Outcome::Asked(request)) = orgs.join(bob, JoinBy::Link(hash)) else { panic!() };
        assert_eq!(orgs.join(bob, JoinBy::Link(hash)), Err(Code::Conflict));
        assert_eq!(orgs.world.reader().seat(org, bob).unwrap(), None);
        let decide = |yes| Change::Decide { request, yes };
        assert_eq!(orgs.change(org, bob, decide(true)), Err(Code::NotFound));
        joined(orgs.change(org, ana, decide(true)));
        assert_eq!(orgs.change(org, ana, decide(false)), Err(Code::AlreadyDecided));
        assert_eq!(orgs.join(bob, JoinBy::Link(hash)), Err(Code::AlreadyMember));
        // A member without scope decides nothing; one with it does.
        let Ok(Outcome::Asked(second)) = orgs.join(eve, JoinBy::Link(hash)) else { panic!() };
        let decide = |yes| Change::Decide { request: second, yes };
        assert_eq!(orgs.change(org, bob, decide(true)), Err(Code::Forbidden));
        orgs.role(org, ana, bob, MEMBERS).unwrap();
        assert_eq!(orgs.change(org, bob, decide(false)), Ok(Outcome::Done));
        assert_eq!(orgs.world.reader().seat(org, eve).unwrap(), None);
        // Two uses are used.
        assert_eq!(orgs.join(eve, JoinBy::Link(hash)), Err(Code::InvitationEnded));
        // Withdrawn, and too late.
        let hash = LinkHash([6; 32]);
        let link = Change::Invite {
            sealed: None,
            whom: Invited::Link { hash, uses: 9 },
            dept: DeptId(0),
            ask: false,
            valid_for_s: 60,
        };
        let id = invited(orgs.change(org, ana, link));
        assert_eq!(orgs.change(org, ana, Change::Withdraw { id }), Ok(Outcome::Done));
        assert_eq!(orgs.join(eve, JoinBy::Link(hash)), Err(Code::InvitationEnded));
        let hash = LinkHash([7; 32]);
        let link = Change::Invite {
            sealed: None,
            whom: Invited::Link { hash, uses: 9 },
            dept: DeptId(0),
            ask: false,
            valid_for_s: 60,
        };
        invited(orgs.change(org, ana, link));
        orgs.now_s += 60;
        assert_eq!(orgs.join(eve, JoinBy::Link(hash)), Err(Code::InvitationEnded));
    });
}

#[test]
fn a_policy_is_replaced_by_who_may_from_the_version_that_is() {
    both(|orgs| {
        let (ana, bob) = (orgs.account(1), orgs.account(2));
        let org = orgs.found("firm", ana);
        orgs.let_in(org, ana, 2, bob);
        orgs.role(org, ana, bob, MEMBERS).unwrap();
        let set = |policy: &Policy, version| Change::SetPolicy { policy: policy.clone(), version };
        let hidden = Policy { hidden: vec![1], ..Policy::default() };
        assert_eq!(orgs.change(org, bob, set(&hidden, 1)), Ok(Outcome::Policy(2)));
        assert_eq!(orgs.change(org, bob, set(&hidden, 2)), Ok(Outcome::Policy(2)));
        assert_eq!(orgs.change(org, bob, set(&Policy::default(), 1)), Err(Code::Stale));
        let meetings = Policy { meetings: Starters::Admins, ..hidden };
        assert_eq!(orgs.change(org, bob, set(&meetings, 2)), Err(Code::Forbidden));
        assert_eq!(orgs.change(org, ana, set(&meetings, 2)), Ok(Outcome::Policy(3)));
        let bad = Policy { retention_days: Some(0), ..meetings.clone() };
        assert_eq!(orgs.change(org, ana, set(&bad, 3)), Err(Code::BadValue));
        assert_eq!(orgs.world.reader().policy(org).unwrap(), Some((meetings, 3)));
        assert_eq!(orgs.world.reader().policy(OrgId(999)).unwrap(), None);
    });
}

#[test]
fn i13_whom_the_directory_hides_is_found_and_met_by_no_way_of_chat() {
    both(|orgs| {
        let (ana, bo, cy) = (orgs.account(1), orgs.account(2), orgs.account(3));
        let org = orgs.found("firm", ana);
        let (bos, cys) = (orgs.let_in(org, ana, 2, bo), orgs.let_in(org, ana, 3, cy));
        let anas = orgs.world.reader().seat(org, ana).unwrap().unwrap().user;
        let board = dept(orgs.change(org, ana, add(0, "board")));
        let edit = Edit { places: Some(vec![(board.0, None)]), ..Edit::default() };
        orgs.change(org, ana, Change::Edit { account: cy, edit }).unwrap();
        let found = |orgs: &Orgs<'_>, by: UserId| {
            let (ids, names) = (vec![by.0, cys.0], vec![format!("a{cy}")]);
            let users = orgs.world.reader().find_users(by, &im::FindUsers { ids, names }).unwrap().unwrap().users;
            users.iter().map(|user| UserId(user.id)).collect::<Vec<_>>()
        };
        assert_eq!(found(orgs, bos), [bos, cys], "nobody is hidden yet");
        for policy in [
            Policy { hidden: vec![board.0], ..Policy::default() },
            Policy { directory: policy::Directory::Department, ..Policy::default() },
        ] {
            let version = orgs.world.reader().policy(org).unwrap().unwrap().1;
            orgs.change(org, ana, Change::SetPolicy { policy, version }).unwrap();
            assert_eq!((found(orgs, bos), found(orgs, anas)), (vec![bos], vec![anas, cys]));
            let group = orgs.create(org, bos, &[]).unwrap();
            assert_eq!(orgs.create(org, bos, &[cys]), Err(im::Code::UnknownUser));
            assert_eq!(orgs.add(org, group, bos, cys), Err(im::Code::UnknownUser));
        }
        // The server may: departments have groups. And who is in one with somebody reads their name in its log.
        let group = orgs.create(org, bos, &[]).unwrap();
        assert_eq!(orgs.add(org, group, UserId(0), cys), Ok(()));
        assert_eq!(found(orgs, bos), [bos, cys]);
        // An administrator sees everybody, and lets in whom they like.
        let group = orgs.create(org, anas, &[bos, cys]).unwrap();
        let remove = Kind::Members(im::MemberChange { remove: vec![cys.0], ..Default::default() });
        orgs.say(org, group, anas, remove).unwrap();
        assert_eq!(orgs.add(org, group, anas, cys), Ok(()));
    });
}

#[test]
fn i13_whom_the_directory_hid_is_not_found_after_they_have_left() {
    both(|orgs| {
        let (ana, bo, cy, di) = (orgs.account(1), orgs.account(2), orgs.account(3), orgs.account(4));
        let org = orgs.found("firm", ana);
        let [bos, cys, dis] = [(2, bo), (3, cy), (4, di)].map(|(n, account)| orgs.let_in(org, ana, n, account));
        let anas = orgs.world.reader().seat(org, ana).unwrap().unwrap().user;
        let board = dept(orgs.change(org, ana, add(0, "board")));
        let edit = Edit { places: Some(vec![(board.0, None)]), ..Edit::default() };
        orgs.change(org, ana, Change::Edit { account: cy, edit }).unwrap();
        orgs.create(org, anas, &[cys, dis]).unwrap();
        let policy = Policy { hidden: vec![board.0], ..Policy::default() };
        orgs.change(org, ana, Change::SetPolicy { policy, version: 1 }).unwrap();
        let finds = |orgs: &Orgs<'_>, by: UserId, user: UserId| {
            let find = im::FindUsers { ids: vec![user.0], ..im::FindUsers::default() };
            !orgs.world.reader().find_users(by, &find).unwrap().unwrap().users.is_empty()
        };
        assert_eq!([anas, bos, dis].map(|by| finds(orgs, by, cys)), [true, false, true]);
        orgs.change(org, ana, Change::Remove { account: cy }).unwrap();
        // Names in logs stay readable; by number there is nobody.
        assert_eq!([anas, bos, dis].map(|by| finds(orgs, by, cys)), [true, false, true]);
        assert_eq!([anas, bos].map(|by| finds(orgs, by, bos)), [true, true]);
    });
}

#[test]
fn an_audit_log_that_was_tampered_with_shows() {
    both(|orgs| {
        let ana = orgs.account(1);
        let org = orgs.found("firm", ana);
        for n in 0..4 {
            orgs.change(org, ana, add(0, &format!("d{n}"))).unwrap();
        }
        assert_eq!(orgs.sound(org), 5);
        let records = orgs.world.reader().audit(org, 3, 10).unwrap();
        let acts: Vec<_> = records.iter().map(|record| (record.number, record.entry.act.as_str())).collect();
        assert_eq!(acts, [(4, "department.add"), (5, "department.add")]);
        assert_eq!((records[0].entry.actor, records[0].entry.from.as_str()), (ana, "192.0.2.1"));
        let Some(path) = orgs.world.path() else { return };
        let other = rusqlite::Connection::open(path).unwrap();
        let fault = |sql: &str| {
            other.execute_batch(sql).unwrap();
            orgs.world.reader().audit_fault(org).unwrap().unwrap().unwrap_err()
        };
        assert_eq!(fault("UPDATE audit SET actor = 9 WHERE number = 2"), Fault::Changed(2));
        assert_eq!(fault("DELETE FROM audit WHERE number = 2"), Fault::Missing(2));
        assert_eq!(fault("DELETE FROM audit"), Fault::End(5));
    });
}

#[test]
fn edits_are_done_wait_or_are_refused_and_the_directory_follows() {
    both(|orgs| {
        let (ana, bob) = (orgs.account(1), orgs.account(2));
        let org = orgs.found("mine", ana);
        orgs.let_in(org, ana, 2, bob);
        let rule = |field, edit| FieldRule { field, edit };
        let fields = vec![rule(Field::DisplayName, policy::Edit::Approval), rule(Field::Email, policy::Edit::Locked)];
        let policy = Policy { fields, ..Policy::default() };
        assert_eq!(orgs.change(org, ana, Change::SetPolicy { policy, version: 1 }), Ok(Outcome::Policy(2)));
        let name = |name: &str| Edit { display_name: Some(name.into()), ..Edit::default() };
        let edit = |account, edit| Change::Edit { account, edit };
        let email = Edit { email: Some("bob@example.org".into()), ..Edit::default() };
        assert_eq!(orgs.change(org, bob, edit(bob, email.clone())), Err(Code::FieldLocked));
        assert_eq!(orgs.change(org, bob, edit(ana, name("Eve"))), Err(Code::Forbidden));
        assert_eq!(orgs.change(org, ana, edit(bob, email)), Ok(Outcome::Edited(None)));

        let about = Edit { about: Some("hello".into()), ..name("张伟") };
        let Ok(Outcome::Edited(Some(request))) = orgs.change(org, bob, edit(bob, about)) else { panic!() };
        let member = |orgs: &mut Orgs<'_>| orgs.world.reader().member(org, bob).unwrap().unwrap();
        assert_eq!((member(orgs).display_name.as_str(), member(orgs).profile.about.as_str()), ("Person 2", "hello"));
        // A second one goes on top of the first.
        assert_eq!(orgs.change(org, bob, edit(bob, name("张伟明"))), Ok(Outcome::Edited(Some(request))));
        let decide = |yes| Change::DecideEdit { request, yes };
        assert_eq!(orgs.change(org, bob, decide(true)), Err(Code::Forbidden));
        assert_eq!(orgs.change(org, ana, decide(true)), Ok(Outcome::Changed(bob)));
        assert_eq!(orgs.change(org, ana, decide(false)), Err(Code::AlreadyDecided));
        assert_eq!(member(orgs).display_name, "张伟明");

        let find = |orgs: &mut Orgs<'_>, typed: &str| {
            let found = orgs.world.reader().find_members(org, typed, &After::default(), 10, SEES_ALL).unwrap();
            found.members().map(|member| member.account).collect::<Vec<_>>()
        };
        for typed in ["zhangw", "zwm", "wei", "张", "明"] {
            assert_eq!(find(orgs, typed), [bob], "{typed}");
        }
        assert_eq!(find(orgs, "person"), [ana]);
        assert_eq!(orgs.change(org, ana, Change::Remove { account: bob }).map(|_| ()), Ok(()));
        assert_eq!(find(orgs, "zhang"), []);
        orgs.sound(org);
    });
}

#[test]
fn positions_and_counts_follow_the_members() {
    both(|orgs| {
        let (ana, bob) = (orgs.account(1), orgs.account(2));
        let org = orgs.found("mine", ana);
        orgs.let_in(org, ana, 2, bob);
        let sales =
            dept(orgs.change(org, ana, Change::AddDepartment { parent: DeptId(0), name: "Sales".into(), rank: 0 }));
        let add = || Change::AddPosition { name: "Head".into(), rank: 0 };
        let Ok(Outcome::Position(head)) = orgs.change(org, ana, add()) else { panic!() };
        assert_eq!(orgs.change(org, ana, add()), Err(Code::NameTaken));
        assert_eq!(orgs.change(org, bob, add()), Err(Code::Forbidden));
        let places = |position| Edit { places: Some(vec![(sales.0, position)]), ..Edit::default() };
        let edit = |position| Change::Edit { account: bob, edit: places(position) };
        assert_eq!(orgs.change(org, ana, edit(Some(head.0 + 1))), Err(Code::NotFound));
        assert_eq!(orgs.change(org, ana, edit(Some(head.0))), Ok(Outcome::Edited(None)));
        assert_eq!(orgs.world.reader().department_counts(org).unwrap(), [(sales, 1)]);
        let nowhere = |orgs: &mut Orgs<'_>| {
            let found = orgs.world.reader().members_in(org, DeptId(0), &After::default(), 10, SEES_ALL).unwrap();
            found.members().map(|member| member.account).collect::<Vec<_>>()
        };
        assert_eq!(nowhere(orgs), [ana]);
        assert_eq!(orgs.change(org, ana, Change::RemovePosition { id: head }), Ok(Outcome::Done));
        assert_eq!(orgs.world.reader().member(org, bob).unwrap().unwrap().places[0].position, None);
        assert_eq!(orgs.change(org, ana, Change::RemoveDepartment { id: sales }), Err(Code::DepartmentNotEmpty));
        assert_eq!(orgs.change(org, ana, stand(bob, &[])), Ok(Outcome::Edited(None)));
        assert_eq!(orgs.world.reader().department_counts(org).unwrap(), [(sales, 0)]);
        assert_eq!(nowhere(orgs), [ana, bob]);
        assert_eq!(orgs.change(org, ana, Change::RemoveDepartment { id: sales }), Ok(Outcome::Done));
    });
}

#[test]
fn a_request_with_a_key_is_done_once() {
    both(|orgs| {
        let ana = orgs.account(1);
        let org = orgs.found("mine", ana);
        let mut add = |name: &str, request: u8| {
            let once = Some(Once { key: [1; 32], request: [request; 32] });
            let change = Change::AddDepartment { parent: DeptId(0), name: name.into(), rank: 0 };
            let op = Op { org, by: ana, address: String::new(), change, once };
            let Answered::Org(answer) = orgs.apply(convene_store::Op::Org(op)) else { panic!() };
            inner(answer)
        };
        // What is refused is not remembered.
        assert_eq!(add("", 1), Err(Code::BadName));
        let first = add("Sales", 2);
        assert_eq!(add("Sales", 2), first);
        assert_eq!(add("Other", 3), Err(Code::Conflict));
        assert_eq!(orgs.world.reader().tree(org).unwrap().len(), 1);
        orgs.now_s += convene_store::orgs::ONCE_S + 1;
        orgs.person(accounts::Op::Sweep { before_s: 0 }).unwrap();
        let change = Change::AddDepartment { parent: DeptId(0), name: "Other".into(), rank: 0 };
        let once = Some(Once { key: [1; 32], request: [3; 32] });
        let op = Op { org, by: ana, address: String::new(), change, once };
        assert!(matches!(orgs.apply(convene_store::Op::Org(op)), Answered::Org(Ok(Outcome::Department(_)))));
    });
}

#[test]
fn a_dissolved_organisation_is_gone_at_once_and_swept_away_later() {
    both(|orgs| {
        let (ana, bob) = (orgs.account(1), orgs.account(2));
        let org = orgs.found("mine", ana);
        orgs.let_in(org, ana, 2, bob);
        let id = invited(orgs.change(org, ana, invite(Invited::Number(number(3)))));
        let eve = orgs.account(3);
        assert_eq!(orgs.change(org, bob, Change::Dissolve), Err(Code::Forbidden));
        assert_eq!(orgs.change(org, ana, Change::Dissolve), Ok(Outcome::Dissolved));
        assert_eq!(orgs.change(org, ana, Change::Rename { title: "x".into() }), Err(Code::NotFound));
        assert_eq!(orgs.join(eve, JoinBy::Number(id)), Err(Code::InvitationEnded));
        let mut reader = orgs.world.reader();
        assert_eq!(reader.seat(org, ana).unwrap(), None);
        assert_eq!(reader.companies_of(ana).unwrap(), []);
        assert_eq!(reader.company(org).unwrap(), None);
        assert_eq!(reader.invitations_for(number(3)).unwrap(), []);
        drop(reader);
        orgs.person(accounts::Op::Sweep { before_s: 0 }).unwrap();
        assert_eq!(orgs.world.reader().members_of(org, &After::default(), 10, SEES_ALL).unwrap().rows, []);
        // What was done stays on record.
        orgs.sound(org);
    });
}

#[test]
fn address_books_hold_colleagues() {
    both(|orgs| {
        let (ana, bob, eve) = (orgs.account(1), orgs.account(2), orgs.account(3));
        let org = orgs.found("mine", ana);
        orgs.let_in(org, ana, 2, bob);
        let set = |account, contact, note: &str| accounts::Op::SetContact { account, org, contact, note: note.into() };
        assert_eq!(orgs.person(set(ana, eve, "")), Err(Code::NotFound));
        assert_eq!(orgs.person(set(eve, ana, "")), Err(Code::NotFound));
        assert_eq!(orgs.person(set(ana, bob, &"x".repeat(513))), Err(Code::BadValue));
        orgs.person(set(ana, bob, "one")).unwrap();
        orgs.person(set(ana, bob, "two")).unwrap();
        let list = |orgs: &mut Orgs<'_>| orgs.world.reader().contacts(ana, (OrgId(0), AccountId(0)), 10).unwrap();
        assert_eq!(list(orgs).iter().map(|row| row.note.as_str()).collect::<Vec<_>>(), ["two"]);
        orgs.change(org, ana, Change::Remove { account: bob }).unwrap();
        assert_eq!(list(orgs), []);
        orgs.let_in(org, ana, 2, bob);
        let remove = || accounts::Op::RemoveContact { account: ana, org, contact: bob };
        orgs.person(remove()).unwrap();
        assert_eq!(orgs.person(remove()), Err(Code::NotFound));
    });
}
