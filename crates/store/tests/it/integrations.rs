//! What every backend of the store has to pass about accounts made by the operator, API keys, webhooks and the
//! access log.

use convene_accounts::apikey::{ApiKey, KeyId, KeyScopes, MAX_KEYS};
use convene_accounts::role::{Role, Scopes};
use convene_accounts::vault::Lookup;
use convene_accounts::webhook::{Kinds, MAX_ENDPOINTS, MAX_WAITING};
use convene_accounts::{Code, Refusal};
use convene_proto::im::{self, body::Kind};
use convene_store::accesses::{self, Access};
use convene_store::orgs::{Change, Once, Op, Outcome};
use convene_store::webhooks::{self, Enqueued};
use convene_store::{Outcome as Answered, accounts};
use convene_types::{AccountId, CallId, ConvId, OrgId, UserId};

use crate::common::{self, World};

const NOW_MS: i64 = 1_700_000_000_000;
const SERVER: AccountId = AccountId(0);

fn apply(world: &mut World, op: convene_store::Op) -> Answered {
    world.engine.apply(vec![op], NOW_MS).unwrap().pop().unwrap().unwrap()
}

fn inner<T>(answer: Result<T, Refusal>) -> Result<T, Code> {
    answer.map_err(|refusal| refusal.code)
}

fn person(world: &mut World, op: accounts::Op) -> Result<accounts::Outcome, Code> {
    let Answered::Account(answer) = apply(world, convene_store::Op::Account(op)) else { panic!() };
    inner(answer)
}

fn create(world: &mut World, n: u8) -> Result<AccountId, Code> {
    let op = accounts::Op::Create {
        lookup: Lookup([n; 32]),
        sealed: vec![n],
        display_name: format!("Person {n}"),
        password: None,
    };
    let accounts::Outcome::Created(id) = person(world, op)? else { panic!("another answer") };
    Ok(id)
}

fn change(world: &mut World, org: OrgId, by: AccountId, change: Change) -> Result<Outcome, Code> {
    let op = Op { org, by, address: String::new(), change, once: None };
    let Answered::Org(answer) = apply(world, convene_store::Op::Org(op)) else { panic!() };
    inner(answer)
}

fn found(world: &mut World, name: &str, owner: AccountId) -> OrgId {
    let new = Change::Found { name: name.into(), title: name.into(), owner };
    match change(world, OrgId(0), SERVER, new) {
        Ok(Outcome::Joined { org, .. }) => org,
        other => panic!("{other:?}"),
    }
}

fn key(n: u8) -> Change {
    Change::MakeKey { id: KeyId([n; 16]), title: "backend".into(), scopes: KeyScopes::ROOMS }
}

fn webhook(world: &mut World, op: webhooks::Op) -> Enqueued {
    let Answered::Webhook(enqueued) = apply(world, convene_store::Op::Webhook(op)) else { panic!() };
    enqueued
}

fn enqueue(world: &mut World, org: Option<OrgId>, body: &str) -> Enqueued {
    webhook(world, webhooks::Op::Enqueue { org, kind: Kinds::ROOMS, body: body.into() })
}

#[test]
fn the_operator_makes_lists_and_ends_accounts() {
    common::both(|world| {
        let ana = create(world, 1).unwrap();
        assert_eq!(create(world, 1), Err(Code::AccountExists));
        let bo = create(world, 2).unwrap();
        let acme = found(world, "apex", ana);
        let mut reader = world.engine.reader().unwrap();
        let all = reader.accounts_after(AccountId(0), 10).unwrap();
        assert_eq!(all.iter().map(|account| account.id).collect::<Vec<_>>(), [ana, bo]);
        assert_eq!((all[0].consent.as_str(), all[0].password.as_ref()), ("", None));
        assert_eq!(reader.accounts_after(ana, 1).unwrap().len(), 1);
        let companies = reader.companies_after(OrgId(0), 10).unwrap();
        assert_eq!((companies.len(), companies[0].org, companies[0].members), (1, acme, 1));
        assert_eq!(reader.company_by_name("apex").unwrap(), Some(acme));
        assert_eq!(reader.company_by_name("none").unwrap(), None);
        let erase = |account| accounts::Op::Erase { account };
        assert_eq!(person(world, erase(ana)), Err(Code::LastOwner));
        assert_eq!(person(world, erase(bo)), Ok(accounts::Outcome::Ended(Vec::new())));
        assert_eq!(person(world, erase(bo)), Err(Code::NotFound));
        assert_eq!(person(world, erase(AccountId(9))), Err(Code::NotFound));
        // Its number is free again.
        assert!(create(world, 2).is_ok());
    });
}

#[test]
fn keys_are_made_by_owners_counted_and_ended() {
    common::both(|world| {
        let (ana, bo) = (create(world, 1).unwrap(), create(world, 2).unwrap());
        let (acme, other) = (found(world, "apex", ana), found(world, "other", bo));
        assert_eq!(change(world, acme, bo, key(1)), Err(Code::NotFound));
        assert_eq!(change(world, acme, ana, key(1)), Ok(Outcome::Key(KeyId([1; 16]))));
        let nothing = Change::MakeKey { id: KeyId([9; 16]), title: "x".into(), scopes: KeyScopes::default() };
        assert_eq!(change(world, acme, ana, nothing), Err(Code::BadValue));
        let nameless = Change::MakeKey { id: KeyId([9; 16]), title: String::new(), scopes: KeyScopes::ROOMS };
        assert_eq!(change(world, acme, ana, nameless), Err(Code::BadName));
        for n in 2..=u8::try_from(MAX_KEYS).unwrap() {
            assert_eq!(change(world, acme, SERVER, key(n)), Ok(Outcome::Key(KeyId([n; 16]))));
        }
        assert_eq!(change(world, acme, ana, key(100)), Err(Code::TooMany));
        // Another organisation's owner cannot end it.
        let end = Change::EndKey { id: KeyId([1; 16]) };
        assert_eq!(change(world, other, bo, end.clone()), Err(Code::NotFound));
        assert_eq!(change(world, acme, ana, end.clone()), Ok(Outcome::Done));
        assert_eq!(change(world, acme, ana, end), Err(Code::NotFound));
        assert_eq!(change(world, acme, ana, key(100)), Ok(Outcome::Key(KeyId([100; 16]))));
        let mut reader = world.engine.reader().unwrap();
        let good = reader.good_api_keys().unwrap();
        assert_eq!(good.len(), MAX_KEYS as usize);
        assert!(good.contains(&ApiKey { id: KeyId([2; 16]), org: acme, scopes: KeyScopes::ROOMS }));
        let listed = reader.api_keys_of(acme).unwrap();
        let ended = listed.iter().filter(|row| row.ended_s.is_some()).collect::<Vec<_>>();
        assert_eq!((listed.len(), ended.len(), ended[0].key.id), (good.len() + 1, 1, KeyId([1; 16])));
        assert!(reader.api_keys_of(other).unwrap().is_empty());
        // All of it is in the audit log, and the log is whole.
        let acts: Vec<_> = reader.audit(acme, 0, 100).unwrap().into_iter().map(|record| record.entry.act).collect();
        assert_eq!(acts.iter().filter(|act| *act == "key.make").count(), MAX_KEYS as usize + 1);
        assert!(acts.contains(&"key.end".to_owned()));
        assert!(reader.audit_fault(acme).unwrap().unwrap().is_ok());
    });
}

#[test]
fn administrators_do_not_make_keys() {
    common::both(|world| {
        let (ana, bo) = (create(world, 1).unwrap(), create(world, 2).unwrap());
        let acme = found(world, "apex", ana);
        let invite = Change::Invite {
            whom: convene_store::orgs::Invited::Number(Lookup([2; 32])),
            sealed: None,
            dept: convene_types::DeptId(0),
            ask: false,
            valid_for_s: 3_600,
        };
        let Ok(Outcome::Invited(id)) = change(world, acme, ana, invite) else { panic!() };
        change(world, OrgId(0), bo, Change::Join(convene_store::orgs::JoinBy::Number(id))).unwrap();
        let all = Role::Admin(Scopes::from_bits(255));
        change(world, acme, ana, Change::SetRole { account: bo, role: all }).unwrap();
        assert_eq!(change(world, acme, bo, key(1)), Err(Code::Forbidden));
        change(world, acme, ana, key(1)).unwrap();
        assert_eq!(change(world, acme, bo, Change::EndKey { id: KeyId([1; 16]) }), Err(Code::Forbidden));
        let hook = Change::MakeWebhook { url: "https://h/".into(), key: KeyId([1; 16]), kinds: Kinds::ROOMS };
        assert_eq!(change(world, acme, bo, hook), Err(Code::Forbidden));
    });
}

#[test]
fn events_wait_in_order_for_who_wants_them() {
    common::both(|world| {
        let (ana, bo) = (create(world, 1).unwrap(), create(world, 2).unwrap());
        let (acme, other) = (found(world, "apex", ana), found(world, "other", bo));
        change(world, acme, ana, key(1)).unwrap();
        change(world, other, bo, key(2)).unwrap();
        let hook = |key: u8, kinds| Change::MakeWebhook { url: "https://h/".into(), key: KeyId([key; 16]), kinds };
        // The key has to be the organisation's own.
        assert_eq!(change(world, acme, ana, hook(2, Kinds::ROOMS)), Err(Code::NotFound));
        let Ok(Outcome::Webhook(rooms)) = change(world, acme, ana, hook(1, Kinds::ROOMS)) else { panic!() };
        let Ok(Outcome::Webhook(members)) = change(world, acme, ana, hook(1, Kinds::MEMBERS)) else { panic!() };
        webhook(world, webhooks::Op::Configure(vec![("https://own/".into(), "k".into())]));
        assert_eq!(enqueue(world, Some(acme), "1"), Enqueued { waiting: 2, full: 0 });
        assert_eq!(enqueue(world, Some(other), "2"), Enqueued { waiting: 1, full: 0 });
        assert_eq!(enqueue(world, None, "3"), Enqueued { waiting: 1, full: 0 });
        assert_eq!(enqueue(world, Some(acme), "4"), Enqueued { waiting: 2, full: 0 });
        // A change of members goes out with the transaction that makes it.
        change(world, acme, SERVER, Change::SetRole { account: ana, role: Role::Owner }).unwrap();
        let mut reader = world.engine.reader().unwrap();
        assert_eq!(bodies(&mut reader, rooms), ["1", "4"]);
        let told = bodies(&mut reader, members);
        let event: serde_json::Value = serde_json::from_str(&told[0]).unwrap();
        assert_eq!((told.len(), event["event"].as_str()), (1, Some("member_role")));
        assert_eq!(event["target"].as_str(), Some(format!("account:{ana}").as_str()));
        let own = reader.webhooks_of(OrgId(0)).unwrap();
        assert_eq!((own.len(), own[0].waiting, own[0].key.as_str()), (1, 4, "k"));
        assert_eq!(bodies(&mut reader, own[0].id), ["1", "2", "3", "4"]);
        assert_eq!(reader.waiting_webhooks(0).unwrap().len(), 3);
        // What is delivered is gone; what came behind stays.
        let second = reader.webhook_outbox(own[0].id, 2).unwrap()[1].id;
        webhook(world, webhooks::Op::Done { endpoint: own[0].id, up_to: second });
        assert_eq!(bodies(&mut reader, own[0].id), ["3", "4"]);
        assert_eq!(reader.webhooks_of(OrgId(0)).unwrap()[0].waiting, 2);
        // One that is no longer configured goes with what waits; one that stays keeps it.
        webhook(
            world,
            webhooks::Op::Configure(vec![("https://own/".into(), "k2".into()), ("https://x/".into(), "k".into())]),
        );
        let now = reader.webhooks_of(OrgId(0)).unwrap();
        assert_eq!((now.len(), now[0].waiting, now[0].key.as_str()), (2, 2, "k2"));
        webhook(world, webhooks::Op::Configure(Vec::new()));
        assert!(reader.webhooks_of(OrgId(0)).unwrap().is_empty() && bodies(&mut reader, own[0].id).is_empty());
        assert_eq!(change(world, other, bo, Change::EndWebhook { id: rooms }), Err(Code::NotFound));
        assert_eq!(change(world, acme, ana, Change::EndWebhook { id: rooms }), Ok(Outcome::Done));
        assert!(bodies(&mut reader, rooms).is_empty());
    });
}

fn bodies(reader: &mut convene_store::Reader, endpoint: i64) -> Vec<String> {
    reader.webhook_outbox(endpoint, 100).unwrap().into_iter().map(|row| row.body).collect()
}

/// The same, read.
fn events(reader: &mut convene_store::Reader, endpoint: i64) -> Vec<serde_json::Value> {
    bodies(reader, endpoint).iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

fn names(events: &[serde_json::Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

/// The user that an account is, and a direct conversation of two of them.
fn pair(world: &mut World, org: OrgId, one: AccountId, other: AccountId) -> (UserId, UserId, ConvId) {
    let mut reader = world.engine.reader().unwrap();
    let users = [one, other].map(|account| reader.seat(org, account).unwrap().unwrap().user);
    let op = convene_store::Op::Create {
        org,
        maker: users[0],
        client_id: common::client(1),
        kind: im::ConversationKind::Direct,
        title: String::new(),
        members: vec![users[1]],
    };
    let (conv, _) = world.create(op).unwrap();
    (users[0], users[1], conv)
}

fn let_in(world: &mut World, org: OrgId, owner: AccountId, guest: (AccountId, u8)) {
    let invite = Change::Invite {
        whom: convene_store::orgs::Invited::Number(Lookup([guest.1; 32])),
        sealed: None,
        dept: convene_types::DeptId(0),
        ask: false,
        valid_for_s: 3_600,
    };
    let Ok(Outcome::Invited(id)) = change(world, org, owner, invite) else { panic!() };
    change(world, OrgId(0), guest.0, Change::Join(convene_store::orgs::JoinBy::Number(id))).unwrap();
}

fn send(world: &mut World, (org, conv, actor): (OrgId, ConvId, UserId), n: u64, target: u64, kind: Kind) -> u64 {
    let body = im::Body { kind: Some(kind), target, ..im::Body::default() };
    let op = convene_store::Op::Append { org, actor, client_id: common::client(n), conv, body };
    let Answered::Appended(appended) = apply(world, op) else { panic!() };
    appended.seq.0
}

#[test]
fn messages_wait_for_who_wants_them_and_without_what_was_recalled() {
    common::both(|world| {
        let (ana, bo) = (create(world, 1).unwrap(), create(world, 2).unwrap());
        let acme = found(world, "apex", ana);
        let_in(world, acme, ana, (bo, 2));
        let (a, _, conv) = pair(world, acme, ana, bo);
        let here = (acme, conv, a);
        send(world, here, 10, 0, common::text("nobody is told"));
        assert_eq!(world.engine.take_enqueued(), Enqueued::default());
        change(world, acme, ana, key(1)).unwrap();
        let hook = |kinds| Change::MakeWebhook { url: "https://h/".into(), key: KeyId([1; 16]), kinds };
        let Ok(Outcome::Webhook(all)) = change(world, acme, ana, hook(Kinds::MESSAGES.and(Kinds::CALLS))) else {
            panic!()
        };
        let Ok(Outcome::Webhook(calls)) = change(world, acme, ana, hook(Kinds::CALLS)) else { panic!() };
        let first = send(world, here, 11, 0, common::text("hello"));
        assert_eq!(world.engine.take_enqueued(), Enqueued { waiting: 1, full: 0 });
        assert_eq!(send(world, here, 11, 0, common::text("hello")), first, "sent again");
        let second = send(world, here, 12, 0, common::text("a slip of the tongue"));
        send(world, here, 13, second, Kind::Recall(im::Recall {}));
        let reaction = im::React { emoji: "+".into(), remove: false };
        send(world, here, 14, first, Kind::React(reaction));
        let mut reader = world.engine.reader().unwrap();
        let told = events(&mut reader, all);
        assert_eq!(names(&told), ["message"; 3]);
        let of = |n: usize, field: &str| told[n]["message"][field].clone();
        assert_eq!((of(0, "seq"), of(0, "sender"), of(0, "kind")), (first.into(), a.0.into(), "text".into()));
        assert_eq!(of(0, "content"), serde_json::json!({ "text": "hello" }));
        assert_eq!((of(1, "kind"), of(1, "content")), ("erased".into(), serde_json::Value::Null));
        assert_eq!((of(2, "kind"), of(2, "target")), ("recall".into(), second.into()));
        assert_eq!(told[0]["id"], format!("EV_o{acme}_c{conv}_{first}"));
        assert!(!bodies(&mut reader, all).concat().contains("slip"));
        assert!(events(&mut reader, calls).is_empty());
        // Nobody wants them any more: nothing is kept.
        change(world, acme, ana, Change::EndWebhook { id: all }).unwrap();
        world.engine.take_enqueued();
        send(world, here, 15, 0, common::text("between us"));
        assert_eq!(world.engine.take_enqueued(), Enqueued::default());
    });
}

#[test]
fn calls_wait_with_the_transaction_that_writes_them_down() {
    common::both(|world| {
        let (ana, bo) = (create(world, 1).unwrap(), create(world, 2).unwrap());
        let acme = found(world, "apex", ana);
        let_in(world, acme, ana, (bo, 2));
        let (a, b, conv) = pair(world, acme, ana, bo);
        change(world, acme, ana, key(1)).unwrap();
        let hook = Change::MakeWebhook { url: "https://h/".into(), key: KeyId([1; 16]), kinds: Kinds::CALLS };
        let Ok(Outcome::Webhook(endpoint)) = change(world, acme, ana, hook) else { panic!() };
        let id = CallId([7; 16]);
        let begun = im::CallRecord {
            call_id: "07".repeat(16),
            outcome: im::CallOutcome::Ringing.into(),
            caller: a.0,
            participants: vec![a.0, b.0],
            video: true,
            ..im::CallRecord::default()
        };
        let person = im::CallPerson {
            user: b.0,
            standing: im::CallStanding::Left.into(),
            joined_ms: 5,
            left_ms: 9,
            ..im::CallPerson::default()
        };
        let ended = im::CallRecord {
            outcome: im::CallOutcome::Ended.into(),
            duration_ms: 4_000,
            people: vec![person],
            ..begun.clone()
        };
        for record in [&begun, &begun, &ended, &ended] {
            apply(world, convene_store::Op::Call { org: acme, conv, id, record: record.clone() });
        }
        let told = events(&mut world.engine.reader().unwrap(), endpoint);
        assert_eq!(names(&told), ["call_started", "call_ended"]);
        assert_eq!(
            (told[0]["call"]["outcome"].as_str(), told[0]["call"]["video"].as_bool()),
            (Some("ringing"), Some(true))
        );
        let over = &told[1]["call"];
        assert_eq!((over["outcome"].as_str(), over["duration_ms"].as_u64()), (Some("ended"), Some(4_000)));
        assert_eq!(
            (over["people"][0]["standing"].as_str(), over["people"][0]["left_ms"].as_u64()),
            (Some("left"), Some(9))
        );
        assert_eq!((told[1]["conversation"].as_u64(), told[1]["organisation"].as_u64()), (Some(conv.0), Some(acme.0)));
        assert_ne!(told[0]["id"], told[1]["id"]);
    });
}

#[test]
fn an_organisation_that_ends_has_no_keys_and_no_webhooks() {
    common::both(|world| {
        let (ana, bo) = (create(world, 1).unwrap(), create(world, 2).unwrap());
        let (acme, other) = (found(world, "apex", ana), found(world, "other", bo));
        let hook = |n| Change::MakeWebhook { url: "https://h/".into(), key: KeyId([n; 16]), kinds: Kinds::MEMBERS };
        for (org, n) in [(acme, 1), (other, 2)] {
            change(world, org, SERVER, key(n)).unwrap();
            change(world, org, SERVER, hook(n)).unwrap();
        }
        change(world, acme, SERVER, Change::SetRole { account: ana, role: Role::Owner }).unwrap();
        assert_eq!(world.engine.reader().unwrap().waiting_webhooks(0).unwrap().len(), 1);
        change(world, acme, ana, Change::Dissolve).unwrap();
        let mut reader = world.engine.reader().unwrap();
        assert!(reader.waiting_webhooks(0).unwrap().is_empty() && reader.webhooks_of(acme).unwrap().is_empty());
        assert_eq!(reader.webhooks_of(other).unwrap().len(), 1);
        assert_eq!(reader.good_api_keys().unwrap().iter().map(|key| key.org).collect::<Vec<_>>(), [other]);
    });
}

#[test]
fn a_repeated_request_for_a_key_is_answered_with_the_first_one() {
    common::both(|world| {
        let ana = create(world, 1).unwrap();
        let acme = found(world, "apex", ana);
        let ask = |world: &mut World, n: u8, once: u8| {
            let once = Some(Once { key: [once; 32], request: [once; 32] });
            let op = Op { org: acme, by: ana, address: String::new(), change: key(n), once };
            let Answered::Org(answer) = apply(world, convene_store::Op::Org(op)) else { panic!() };
            inner(answer)
        };
        assert_eq!(ask(world, 0xa1, 1), Ok(Outcome::Key(KeyId([0xa1; 16]))));
        assert_eq!(ask(world, 0xa2, 1), Ok(Outcome::Key(KeyId([0xa1; 16]))));
        assert_eq!(ask(world, 0xa3, 2), Ok(Outcome::Key(KeyId([0xa3; 16]))));
        assert_eq!(world.engine.reader().unwrap().good_api_keys().unwrap().len(), 2);
    });
}

#[test]
fn endpoints_and_what_waits_for_them_are_bounded() {
    common::both(|world| {
        let ana = create(world, 1).unwrap();
        let acme = found(world, "apex", ana);
        change(world, acme, ana, key(1)).unwrap();
        let hook = |url: String| Change::MakeWebhook { url, key: KeyId([1; 16]), kinds: Kinds::ROOMS };
        assert_eq!(change(world, acme, ana, hook("x".repeat(2_000))), Err(Code::BadValue));
        for n in 0..MAX_ENDPOINTS {
            assert!(change(world, acme, ana, hook(format!("https://h/{n}"))).is_ok());
        }
        assert_eq!(change(world, acme, ana, hook("https://h/more".into())), Err(Code::TooMany));
        let ops = vec![
            convene_store::Op::Webhook(webhooks::Op::Enqueue {
                org: Some(acme),
                kind: Kinds::ROOMS,
                body: "{}".into()
            });
            MAX_WAITING as usize
        ];
        world.engine.apply(ops, NOW_MS).unwrap();
        assert_eq!(enqueue(world, Some(acme), "{}"), Enqueued { waiting: 0, full: MAX_ENDPOINTS });
    });
}

#[test]
fn requests_are_noted_read_by_their_account_and_forgotten() {
    common::both(|world| {
        let (ana, bo) = (create(world, 1).unwrap(), create(world, 2).unwrap());
        let access =
            |account, at_s| Access { account, at_s, endpoint: "GET /v1/me".into(), status: 200, ..Access::default() };
        let note = |world: &mut World, list| apply(world, convene_store::Op::Access(accesses::Op::Note(list)));
        note(world, vec![access(ana, 10), access(bo, 11), access(SERVER, 12), access(ana, 20), access(ana, 30)]);
        let mut reader = world.engine.reader().unwrap();
        let times = |reader: &mut convene_store::Reader, account, before, limit| {
            reader.accesses_of(account, before, limit).unwrap().iter().map(|one| (one.at_s, one.id)).collect::<Vec<_>>()
        };
        let first = times(&mut reader, ana, i64::MAX, 2);
        assert_eq!(first.iter().map(|(at_s, _)| *at_s).collect::<Vec<_>>(), [30, 20]);
        assert_eq!(times(&mut reader, ana, first[1].1, 2).iter().map(|(at_s, _)| *at_s).collect::<Vec<_>>(), [10]);
        apply(world, convene_store::Op::Access(accesses::Op::Forget { before_s: 20 }));
        assert_eq!(times(&mut reader, ana, i64::MAX, 9).len(), 2);
        assert!(times(&mut reader, bo, i64::MAX, 9).is_empty());
        person(world, accounts::Op::Erase { account: ana }).unwrap();
        assert!(times(&mut reader, ana, i64::MAX, 9).is_empty());
        // Its last request is noted when it is over.
        note(world, vec![access(ana, 40)]);
        assert!(times(&mut reader, ana, i64::MAX, 9).is_empty());
    });
}
