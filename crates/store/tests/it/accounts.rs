//! What every backend of the store has to pass about people: codes, accounts, sessions, devices.

use convene_accounts::Code;
use convene_accounts::limits::{Act, Subject};
use convene_accounts::session::{End, GRACE_S, MAX_SESSIONS, Session};
use convene_accounts::vault::Lookup;
use convene_accounts::verification::{MAX_ATTEMPTS, Purpose, Tag, VALID_FOR_S};
use convene_store::accounts::{self, Device, Entry, MAX_DEVICES, Outcome, Proof, State, Then, Which};
use convene_store::{Engine, EngineOptions, Op};
use convene_types::{AccountId, DeviceId, SessionId};

use crate::common::{self, World};

const HER: Lookup = Lookup([1; 32]);
const HIM: Lookup = Lookup([2; 32]);
const RIGHT: Tag = Tag([7; 32]);
const WRONG: Tag = Tag([8; 32]);

type Answer = Result<Outcome, Code>;

/// The world with a clock of its own, in seconds.
struct People<'a> {
    world: &'a mut World,
    now_s: u64,
    made: u8,
}

fn both(test: impl Fn(&mut People<'_>)) {
    common::both(|world| test(&mut People { world, now_s: 1_700_000_000, made: 0 }));
}

fn device(id: u8) -> Device {
    Device { id: DeviceId([id; 16]), model: "model".into(), ..Device::default() }
}

fn register(entry: Entry) -> Then {
    let (display_name, password) = ("Ana Example".into(), Some("old hash".into()));
    Then::Register { sealed: b"sealed number".to_vec(), display_name, password, consent: "1".into(), entry }
}

impl People<'_> {
    fn all(&mut self, ops: Vec<accounts::Op>) -> Vec<Answer> {
        let now_ms = i64::try_from(self.now_s).unwrap() * 1000;
        let batch = ops.into_iter().map(Op::Account).collect();
        let answers = self.world.engine.apply(batch, now_ms).unwrap();
        let inner = |answer| {
            let Ok(convene_store::Outcome::Account(answer)) = answer else { panic!("{answer:?}") };
            answer.map_err(|refusal| refusal.code)
        };
        answers.into_iter().map(inner).collect()
    }

    fn one(&mut self, op: accounts::Op) -> Answer {
        self.all(vec![op]).pop().unwrap()
    }

    /// Session `n` on device `device`.
    fn entry(&mut self, on: u8) -> Entry {
        self.made += 1;
        Entry { device: device(on), session: SessionId([self.made; 16]), seed: [self.made; 16] }
    }

    fn send(&mut self, lookup: Lookup, purpose: Purpose) {
        let op = accounts::Op::SendCode { lookup, purpose, tag: RIGHT, subjects: Vec::new() };
        assert_eq!(self.one(op), Ok(Outcome::Done));
    }

    fn enter(&mut self, lookup: Lookup, tag: Tag, then: Then) -> Answer {
        self.one(accounts::Op::EnterCode { lookup, tag, subjects: Vec::new(), then })
    }

    /// Sends a code, and enters it.
    fn prove(&mut self, lookup: Lookup, then: Then) -> Answer {
        self.send(lookup, then.purpose());
        self.enter(lookup, RIGHT, then)
    }

    fn register(&mut self, lookup: Lookup) -> Session {
        let entry = self.entry(1);
        session(self.prove(lookup, register(entry))).0
    }

    fn sign_in(&mut self, lookup: Lookup, on: u8) -> (Session, Vec<Session>) {
        let entry = self.entry(on);
        session(self.prove(lookup, Then::SignIn { entry }))
    }

    fn refresh(&mut self, session: &Session, generation: u32) -> Answer {
        self.one(accounts::Op::Refresh { id: session.id, generation })
    }

    fn end_of(&self, session: &Session) -> Option<End> {
        self.world.reader().session(session.id).unwrap().unwrap().ended
    }
}

fn session(answer: Answer) -> (Session, Vec<Session>) {
    let Ok(Outcome::SignedIn { session, ended }) = answer else { panic!("{answer:?}") };
    (session, ended)
}

fn ids(answer: Answer) -> Vec<SessionId> {
    let Ok(Outcome::Ended(mut ended)) = answer else { panic!("{answer:?}") };
    ended.sort_by_key(|session| session.id);
    ended.into_iter().map(|session| session.id).collect()
}

#[test]
fn a_number_registers_once_and_signs_in_after() {
    both(|people| {
        let first = people.register(HER);
        let (account, mut reader) = (first.account, people.world.reader());
        let row = reader.account_by_lookup(HER).unwrap().unwrap();
        assert_eq!((row.id, row.state, row.display_name.as_str()), (account, State::Active, "Ana Example"));
        assert_eq!(row.phone, Some((HER, b"sealed number".to_vec())));
        assert_eq!(reader.account(account).unwrap(), Some(row));
        assert_eq!(reader.devices_of(account).unwrap(), [(device(1), people.now_s)]);
        // Whoever has proved the number is told; nobody else.
        let entry = people.entry(1);
        assert_eq!(people.prove(HER, register(entry)), Err(Code::AccountExists));
        let entry = people.entry(1);
        assert_eq!(people.prove(HIM, Then::SignIn { entry }), Err(Code::NoAccount));
        let (second, ended) = people.sign_in(HER, 2);
        assert_eq!((second.account, ended.len()), (account, 0));
        assert_eq!(people.world.reader().sessions_of(account).unwrap().len(), 2);
    });
}

#[test]
fn a_code_is_good_once_for_one_purpose_and_five_attempts() {
    both(|people| {
        people.register(HER);
        let sign_in = |people: &mut People<'_>| Then::SignIn { entry: people.entry(1) };
        // Never sent, and wrong: known number or not, the same.
        for lookup in [HER, HIM] {
            let then = sign_in(people);
            assert_eq!(people.enter(lookup, RIGHT, then), Err(Code::BadCode));
            people.send(lookup, Purpose::SignIn);
            for _ in 0..MAX_ATTEMPTS {
                let then = sign_in(people);
                assert_eq!(people.enter(lookup, WRONG, then), Err(Code::BadCode));
            }
            let then = sign_in(people);
            assert_eq!(people.enter(lookup, RIGHT, then), Err(Code::BadCode));
        }
        // For another purpose.
        people.send(HER, Purpose::Reset);
        let then = sign_in(people);
        assert_eq!(people.enter(HER, RIGHT, then), Err(Code::BadCode));
        // Too late.
        people.send(HER, Purpose::SignIn);
        people.now_s += VALID_FOR_S;
        let then = sign_in(people);
        assert_eq!(people.enter(HER, RIGHT, then), Err(Code::BadCode));
        // Twice at a time: once.
        people.send(HIM, Purpose::Register);
        let ops = [people.entry(1), people.entry(2)].map(|entry| accounts::Op::EnterCode {
            lookup: HIM,
            tag: RIGHT,
            subjects: Vec::new(),
            then: register(entry),
        });
        let answers = people.all(ops.to_vec());
        assert!(answers[0].is_ok() && answers[1] == Err(Code::BadCode), "{answers:?}");
    });
}

#[test]
fn what_cannot_be_kept_costs_neither_code_nor_attempt() {
    both(|people| {
        people.send(HER, Purpose::Register);
        let entry = people.entry(1);
        let mut bad = register(entry.clone());
        let Then::Register { display_name, .. } = &mut bad else { panic!() };
        *display_name = " ".into();
        assert_eq!(people.enter(HER, RIGHT, bad), Err(Code::BadName));
        let long = Device { push_token: "x".repeat(accounts::MAX_DEVICE_BYTES + 1), ..device(1) };
        let bad = register(Entry { device: long, ..entry });
        assert_eq!(people.enter(HER, RIGHT, bad), Err(Code::Malformed));
        assert!(people.world.reader().account_by_lookup(HER).unwrap().is_none());
        assert!(people.enter(HER, RIGHT, register(entry.clone())).is_ok());
        // A session's name that is taken: nothing half-registered.
        assert_eq!(people.prove(HIM, register(entry)), Err(Code::Conflict));
        assert!(people.world.reader().account_by_lookup(HIM).unwrap().is_none());
    });
}

#[test]
fn acts_are_counted_and_refused_alike_for_all_numbers() {
    both(|people| {
        people.register(HER);
        for lookup in [HER, HIM] {
            let subjects = vec![(Subject::Number, lookup.0), (Subject::Address, [9; 32])];
            let op = accounts::Op::SendCode { lookup, purpose: Purpose::SignIn, tag: RIGHT, subjects };
            assert_eq!(people.one(op.clone()), Ok(Outcome::Done));
            assert_eq!(people.one(op), Err(Code::TooManyRequests));
        }
        // A right password forgives its number, and nothing else is forgiven.
        let account = people.world.reader().account_by_lookup(HER).unwrap().unwrap().id;
        let take = |act| accounts::Op::Take { act, subjects: vec![(Subject::Number, HER.0)] };
        for _ in 0..5 {
            assert_eq!(people.one(take(Act::Password)), Ok(Outcome::Done));
        }
        assert_eq!(people.one(take(Act::Password)), Err(Code::TooManyRequests));
        let entry = people.entry(1);
        session(people.one(accounts::Op::SignIn { account, checked: "old hash".into(), rehashed: None, entry }));
        assert_eq!(people.one(take(Act::Password)), Ok(Outcome::Done));
        assert_eq!(people.one(take(Act::Send)), Err(Code::TooManyRequests));
    });
}

#[test]
fn a_password_that_changed_meanwhile_is_wrong() {
    both(|people| {
        let first = people.register(HER);
        let account = first.account;
        let (second, _) = people.sign_in(HER, 2);
        let change = accounts::Op::SetPassword { account, hash: "new hash".into(), keep: Some(second.id) };
        assert_eq!(ids(people.one(change)), [first.id]);
        assert_eq!((people.end_of(&first), people.end_of(&second)), (Some(End::PasswordChanged), None));
        let op = |people: &mut People<'_>, checked: &str, rehashed: Option<&str>| {
            let (checked, rehashed) = (checked.to_owned(), rehashed.map(str::to_owned));
            accounts::Op::SignIn { account, checked, rehashed, entry: people.entry(1) }
        };
        let stale = op(people, "old hash", None);
        assert_eq!(people.one(stale), Err(Code::BadCredentials));
        let good = op(people, "new hash", Some("rehashed"));
        assert!(people.one(good).is_ok());
        assert_eq!(people.world.reader().account(account).unwrap().unwrap().password.as_deref(), Some("rehashed"));
        // Forgotten: a code sets another one, and ends everything before.
        let entry = people.entry(3);
        let (third, ended) = session(people.prove(HER, Then::Reset { password: "reset".into(), entry }));
        assert_eq!(ended.len(), 2);
        assert_eq!(
            people.world.reader().sessions_of(account).unwrap().iter().filter(|row| row.ended.is_none()).count(),
            1
        );
        assert_eq!(people.end_of(&third), None);
    });
}

#[test]
fn a_refresh_token_used_twice_ends_the_session() {
    both(|people| {
        let first = people.register(HER);
        let Ok(Outcome::Refreshed(second)) = people.refresh(&first, 0) else { panic!() };
        assert_eq!(second.generation, 1);
        // The answer was lost.
        assert_eq!(people.refresh(&first, 0), Ok(Outcome::Refreshed(second)));
        people.now_s += GRACE_S;
        assert_eq!(people.refresh(&first, 0), Err(Code::SessionStolen));
        assert_eq!(people.end_of(&first), Some(End::Stolen));
        // The owner's token is no better then.
        assert_eq!(people.refresh(&first, 1), Err(Code::SessionEnded));
        let unknown = Session { id: SessionId([99; 16]), ..first };
        assert_eq!(people.refresh(&unknown, 0), Err(Code::SessionEnded));
        // Two uses of one token at a time are one rotation.
        let (fresh, _) = people.sign_in(HER, 1);
        let ops = vec![accounts::Op::Refresh { id: fresh.id, generation: 0 }; 2];
        let answers = people.all(ops);
        assert_eq!(answers[0], answers[1]);
        let ended = people.world.reader().ended_since(people.now_s).unwrap();
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].0.ended, ended[0].1), (Some(End::Stolen), people.now_s));
        assert!(people.world.reader().ended_since(people.now_s + 1).unwrap().is_empty());
    });
}

#[test]
fn sessions_are_ended_one_by_one_by_device_and_all() {
    both(|people| {
        let first = people.register(HER);
        let account = first.account;
        let others: Vec<_> = [2, 2, 3].map(|on| people.sign_in(HER, on).0).to_vec();
        let stranger = people.register(HIM);
        let end = |which| accounts::Op::End { account, which, end: End::Revoked };
        // Somebody else's session is none of theirs.
        assert_eq!(ids(people.one(end(Which::One(stranger.id)))), []);
        assert_eq!(people.end_of(&stranger), None);
        assert_eq!(ids(people.one(end(Which::Device(DeviceId([2; 16]))))), [others[0].id, others[1].id]);
        let devices = people.world.reader().devices_of(account).unwrap();
        assert!(devices.iter().all(|(device, _)| device.id != DeviceId([2; 16])) && devices.len() == 2);
        assert_eq!(ids(people.one(end(Which::AllBut(first.id)))), [others[2].id]);
        assert_eq!(ids(people.one(end(Which::One(first.id)))), [first.id]);
        assert_eq!(ids(people.one(end(Which::All))), []);
        assert_eq!(people.refresh(&first, 0), Err(Code::SessionEnded));
    });
}

#[test]
fn a_disabled_account_is_out_until_it_is_let_in() {
    both(|people| {
        let first = people.register(HER);
        let account = first.account;
        let disable = |disabled| accounts::Op::Disable { account, disabled };
        assert_eq!(ids(people.one(disable(true))), [first.id]);
        assert_eq!(people.refresh(&first, 0), Err(Code::SessionEnded));
        let entry = people.entry(1);
        assert_eq!(people.prove(HER, Then::SignIn { entry }), Err(Code::AccountDisabled));
        let entry = people.entry(1);
        let op = accounts::Op::SignIn { account, checked: "old hash".into(), rehashed: None, entry };
        assert_eq!(people.one(op), Err(Code::AccountDisabled));
        let op = accounts::Op::SetPassword { account, hash: "x".into(), keep: None };
        assert_eq!(people.one(op), Err(Code::AccountDisabled));
        assert_eq!(ids(people.one(disable(false))), []);
        people.sign_in(HER, 1);
        let nobody = accounts::Op::Disable { account: AccountId(999), disabled: true };
        assert_eq!(people.one(nobody), Err(Code::NotFound));
    });
}

#[test]
fn sessions_and_devices_of_an_account_are_bounded() {
    both(|people| {
        let first = people.register(HER);
        for n in 1..MAX_SESSIONS {
            people.now_s += 61;
            let (_, ended) = people.sign_in(HER, u8::try_from(n).unwrap());
            assert!(ended.is_empty());
        }
        // The oldest is in use: the next one goes.
        people.refresh(&first, 0).unwrap();
        let (_, ended) = people.sign_in(HER, 1);
        assert_eq!(
            ended.iter().map(|row| (row.id, row.ended)).collect::<Vec<_>>(),
            [(SessionId([2; 16]), Some(End::Crowded))]
        );
        for n in 0..u8::try_from(MAX_DEVICES).unwrap() + 9 {
            people.now_s += 1;
            let op = accounts::Op::SeeDevice { account: first.account, device: device(100 + n) };
            assert_eq!(people.one(op), Ok(Outcome::Done));
        }
        let devices = people.world.reader().devices_of(first.account).unwrap();
        assert_eq!(devices.len(), MAX_DEVICES);
        assert_eq!(devices[0].0.id, device(100 + u8::try_from(MAX_DEVICES).unwrap() + 8).id);
    });
}

#[test]
fn a_number_moves_but_never_onto_another_account() {
    both(|people| {
        let (her, him) = (people.register(HER).account, people.register(HIM).account);
        let rebind = |account| Then::Rebind { account, sealed: b"moved".to_vec(), proof: Proof::Password };
        assert_eq!(people.prove(HIM, rebind(her)), Err(Code::AccountExists));
        let other = Lookup([3; 32]);
        assert_eq!(people.prove(other, rebind(her)), Ok(Outcome::Done));
        let mut reader = people.world.reader();
        assert_eq!(reader.account(her).unwrap().unwrap().phone, Some((other, b"moved".to_vec())));
        assert!(reader.account_by_lookup(HER).unwrap().is_none());
        assert_eq!(reader.account_by_lookup(HIM).unwrap().unwrap().id, him);
        // Its own again, sealed anew; and the number that became free is anybody's.
        assert_eq!(people.prove(other, rebind(her)), Ok(Outcome::Done));
        people.register(HER);
    });
}

#[test]
fn a_cancelled_account_leaves_nothing_that_tells_who_it_was() {
    both(|people| {
        let first = people.register(HER);
        let (account, him) = (first.account, people.register(HIM).account);
        // The number of another account ends nothing.
        assert_eq!(people.prove(HER, Then::Cancel { account: him }), Err(Code::BadCode));
        assert_eq!(ids(people.prove(HER, Then::Cancel { account })), [first.id]);
        let row = people.world.reader().account(account).unwrap().unwrap();
        assert_eq!((row.state, row.display_name.as_str(), row.password, row.phone), (State::Erased, "", None, None));
        assert!(people.world.reader().devices_of(account).unwrap().is_empty());
        for op in [
            accounts::Op::Disable { account, disabled: false },
            accounts::Op::SetPassword { account, hash: "x".into(), keep: None },
            accounts::Op::SeeDevice { account, device: device(1) },
        ] {
            assert_eq!(people.one(op), Err(Code::NotFound));
        }
        // The number is free, and somebody else with it.
        assert_ne!(people.register(HER).account, account);
    });
}

#[test]
fn nothing_of_a_cancelled_account_is_on_the_disk() {
    both(|people| {
        let entry = people.entry(1);
        let then = Then::Register {
            sealed: b"SEALED-ONCE".to_vec(),
            display_name: "NAME-ONCE".into(),
            password: Some("HASH-ONCE".into()),
            consent: "1".into(),
            entry,
        };
        let account = session(people.prove(HER, then)).0.account;
        people.prove(HER, Then::Cancel { account }).unwrap();
        let Some(path) = people.world.path() else { return };
        assert!(people.world.engine.has_erased() && people.world.engine.empty_wal().unwrap());
        for file in [path.clone(), path.with_extension("db-wal")] {
            let bytes = std::fs::read(&file).unwrap_or_default();
            for needle in ["SEALED-ONCE", "NAME-ONCE", "HASH-ONCE"] {
                assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{needle}");
            }
        }
    });
}

#[test]
fn what_says_nothing_any_more_is_swept_away() {
    both(|people| {
        let first = people.register(HER);
        let account = first.account;
        let (second, _) = people.sign_in(HER, 2);
        people.one(accounts::Op::End { account, which: Which::One(first.id), end: End::SignedOut }).unwrap();
        people.send(HER, Purpose::SignIn);
        let sweep = |before_s| accounts::Op::Sweep { before_s };
        assert_eq!(people.one(sweep(people.now_s)), Ok(Outcome::Swept { more: false }));
        assert!(people.world.reader().session(first.id).unwrap().is_some());
        // The code is still good: it was not swept with the old.
        let entry = people.entry(1);
        session(people.enter(HER, RIGHT, Then::SignIn { entry }));
        people.now_s += VALID_FOR_S;
        assert_eq!(people.one(sweep(people.now_s)), Ok(Outcome::Swept { more: false }));
        let mut reader = people.world.reader();
        assert!(reader.session(first.id).unwrap().is_none() && reader.session(second.id).unwrap().is_some());
        let op = accounts::Op::Consent { account, version: "2".into() };
        assert_eq!(people.one(op), Ok(Outcome::Done));
        assert_eq!(people.world.reader().account(account).unwrap().unwrap().consent, "2");
    });
}

#[test]
fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../../src/engine/schema1.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO meta VALUES ('url_secret', zeroblob(32)); INSERT INTO orgs VALUES (1, 'acme');
         PRAGMA application_id = 0x436f6e76; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let mut world = World::new(Engine::open(&path, EngineOptions::default()).unwrap(), Some(folder));
    assert_eq!(world.user("u1"), 1);
    let mut people = People { world: &mut world, now_s: 1_700_000_000, made: 0 };
    let account = people.register(HER).account;
    assert!(people.world.reader().account(account).unwrap().is_some());
    // Opened again: nothing is left to do.
    drop(Engine::open(&path, EngineOptions::default()).unwrap());
}
