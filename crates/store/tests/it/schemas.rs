//! Databases of earlier releases, as these made them, are brought to the schema of this one with all that is in them; what
//! only looks at them leaves them as they are.

use std::path::Path;

use convene_accounts::department::Place;
use convene_accounts::profile::Edit;
use convene_proto::im;
use convene_store::{After, DatabaseFile, Engine, EngineOptions, Op, Outcome, Reader, SEES_ALL, StoreError, orgs};
use convene_types::{AccountId, ClientId, ConvId, DeptId, OrgId, UserId};
use prost::Message as _;
use rusqlite::Connection;

use crate::common::{self, ORG, client, text};

/// Every form that a released database has had, and whether its logs and its members have the present one.
const RELEASED: [(&str, bool, bool); 3] = [
    (include_str!("schemas/first.sql"), false, false),
    (include_str!("schemas/v2.sql"), true, false),
    (include_str!("schemas/v8.sql"), true, true),
];

/// Two people of an organisation, one of them in a department, who have written to each other.
fn populate(conn: &Connection, (by_rowid, complete): (bool, bool)) {
    conn.execute_batch(
        "INSERT INTO orgs VALUES (1, 'acme');
         INSERT INTO users VALUES (1, 1, 'a1', '张伟'), (2, 1, 'a2', 'Bo Li');
         INSERT INTO accounts (id, state, display_name, consent, consent_at, made)
            VALUES (1, 1, '张伟', '1', 1, 1), (2, 1, 'Bo Li', '1', 1, 1);
         INSERT INTO companies (org, title, members, policy, policy_version, audit, audit_hash)
            VALUES (1, 'Acme', 2, '{}', 1, 0, zeroblob(32));
         INSERT INTO conversations VALUES (1, 1, 1, 1, 2, 2, 1, 2, 0, 2, 20, 0, 0, '', '', NULL);
         INSERT INTO members VALUES (1, 1, 1, 1, 0, 0, NULL, 2, 1, 0, 1), (1, 2, 1, 1, 0, 0, NULL, 1, 0, 0, 1);
         UPDATE bump SET value = 2;",
    )
    .unwrap();
    let seats = if complete {
        "INSERT INTO departments VALUES (7, 1, 0, 'Sales', 0, 1);
         INSERT INTO seats VALUES (1, 1, 1, 1, 0, 5, 'zhang wei', '{}'), (1, 2, 2, 3, 0, 6, 'bo li', '{}');
         INSERT INTO places VALUES (1, 1, 0, 0, NULL, 'zhang wei'), (1, 2, 0, 7, NULL, 'bo li');
         INSERT INTO directory VALUES (1, 'zhangwei', 1), (1, 'boli', 2);"
    } else {
        "INSERT INTO departments VALUES (7, 1, 0, 'Sales', 0);
         INSERT INTO seats VALUES (1, 1, 1, 1, 0, 5), (1, 2, 2, 3, 0, 6);
         INSERT INTO places VALUES (1, 2, 0, 7);"
    };
    conn.execute_batch(seats).unwrap();
    put_event(conn, 1, im::body::Kind::Members(im::MemberChange::default()), by_rowid);
    put_event(conn, 2, text("hello"), by_rowid);
}

/// An event of the first user, whose client id is its seq.
fn put_event(conn: &Connection, seq: u8, kind: im::body::Kind, by_rowid: bool) {
    let body = Some(im::Body { kind: Some(kind), ..im::Body::default() });
    let (client_id, ord) = (vec![seq; 16], seq - 1);
    let event = im::Event {
        conv: 1,
        seq: seq.into(),
        ord: ord.into(),
        sender: 1,
        client_id: client_id.clone().into(),
        at_ms: 20,
        body,
    };
    let event = event.encode_to_vec();
    if by_rowid {
        let id = 1_i64 << 32 | i64::from(seq);
        conn.execute("INSERT INTO events VALUES (?1, ?2, ?3)", (id, ord, event)).unwrap();
    } else {
        conn.execute("INSERT INTO events VALUES (1, ?1, ?2, ?3)", (seq, ord, event)).unwrap();
    }
    let sql = "INSERT INTO dedup (sender, client_id, conv, seq, hash) VALUES (1, ?1, 1, ?2, x'')";
    conn.execute(sql, (client_id, seq)).unwrap();
}

/// Opens the database of each release with this one.
fn each(test: impl Fn(&mut Engine)) {
    for (schema, by_rowid, complete) in RELEASED {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(schema).unwrap();
        populate(&old, (by_rowid, complete));
        drop(old);
        test(&mut Engine::open(&path, EngineOptions::default()).unwrap());
        // Opened again: nothing is left to do.
        drop(Engine::open(&path, EngineOptions::default()).unwrap());
    }
}

#[test]
fn logs_go_on_where_they_were() {
    each(|engine| {
        let mut reader = engine.reader().unwrap();
        assert_eq!(reader.integrity_check().unwrap(), Vec::<String>::new());
        let page = reader.fetch(UserId(2), &im::Fetch { conv: 1, ..im::Fetch::default() }).unwrap().unwrap();
        assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
        let body = im::Body { kind: Some(text("again")), ..im::Body::default() };
        let append =
            |client_id| Op::Append { org: ORG, actor: UserId(1), client_id, conv: ConvId(1), body: body.clone() };
        // A retry of what the earlier release took, then something else.
        let outcomes = engine.apply(vec![append(ClientId([2; 16])), append(client(9))], 30).unwrap();
        let places: Vec<_> = outcomes.iter().map(common::appended).map(|done| (done.seq.0, done.duplicate)).collect();
        assert_eq!(places, [(2, true), (3, false)]);
    });
}

#[test]
fn members_are_found_listed_and_edited() {
    each(|engine| {
        let (mut reader, org) = (engine.reader().unwrap(), OrgId(1));
        let found = reader.find_members(org, "zhang", &After::default(), 10, SEES_ALL).unwrap();
        assert_eq!(found.members().map(|member| member.account).collect::<Vec<_>>(), [AccountId(1)]);
        let stand = |reader: &mut Reader, dept| {
            let found = reader.members_in(org, DeptId(dept), &After::default(), 10, SEES_ALL).unwrap();
            found.members().map(|member| member.account.0).collect::<Vec<_>>()
        };
        assert_eq!((stand(&mut reader, 0), stand(&mut reader, 7)), (vec![1], vec![2]));
        assert_eq!(reader.department_counts(org).unwrap(), [(DeptId(7), 1)]);
        let member = reader.member(org, AccountId(2)).unwrap().unwrap();
        assert_eq!(member.places, [Place { dept: DeptId(7), position: None }]);

        let mut change = |by, change| {
            let op = orgs::Op { org, by: AccountId(by), address: "192.0.2.1".into(), change, once: None };
            engine.apply(vec![Op::Org(op)], 40).unwrap().pop().unwrap().unwrap()
        };
        // Where somebody stands is for an administrator to say: the edit waits, in a table that the first ones lacked.
        let edit = Edit { places: Some(Vec::new()), ..Edit::default() };
        let outcome = change(2, orgs::Change::Edit { account: AccountId(2), edit });
        assert!(matches!(outcome, Outcome::Org(Ok(orgs::Outcome::Edited(Some(_))))), "{outcome:?}");
        let outcome = change(1, orgs::Change::Remove { account: AccountId(2) });
        assert!(matches!(outcome, Outcome::Org(Ok(orgs::Outcome::Removed(_)))), "{outcome:?}");
    });
}

/// Checks and copies a database whose server runs, was killed or has stopped.
fn look_at(path: &Path) -> Vec<String> {
    let (before, copy) = (std::fs::read(path).unwrap(), path.with_extension("copy"));
    let mut file = DatabaseFile::open(path).unwrap();
    let found = file.integrity_check().unwrap();
    file.backup(&copy).unwrap();
    drop(file);
    assert!(std::fs::read(path).unwrap() == before, "the file has changed");
    let stands = |path: &Path| {
        let conn = Connection::open(path).unwrap();
        let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        (version, conn.query_row("SELECT name FROM orgs", [], |row| row.get::<_, String>(0)).unwrap())
    };
    assert_eq!(stands(&copy), stands(path));
    found
}

#[test]
fn a_look_at_the_database_of_an_earlier_release_leaves_it_to_that() {
    for (schema, by_rowid, complete) in RELEASED {
        let folder = tempfile::tempdir().unwrap();
        let (path, killed) = (folder.path().join("chat.db"), folder.path().join("killed.db"));
        let old = Connection::open(&path).unwrap();
        old.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
        old.execute_batch(schema).unwrap();
        populate(&old, (by_rowid, complete));
        assert_eq!(look_at(&path), Vec::<String>::new());
        old.execute_batch("PRAGMA wal_checkpoint; UPDATE conversations SET head = 3").unwrap();
        for end in ["", "-wal"] {
            let file = |path: &Path| format!("{}{end}", path.display());
            std::fs::copy(file(&path), file(&killed)).unwrap();
        }
        for path in [&path, &killed] {
            let found = look_at(path);
            assert_eq!(found, ["conversation 1: head 3, but 2 events"], "of what is in the WAL alone");
        }
        drop(old);
        assert_eq!(look_at(&path).len(), 1);
    }
}

#[test]
fn a_look_at_the_database_of_a_later_release_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    drop(Engine::open(&path, EngineOptions::default()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let error = DatabaseFile::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 999, .. }), "{error}");
}

/// Tables with their columns and indexes with theirs, whatever the order and the defaults of columns.
fn shape(conn: &Connection) -> Vec<(String, String, String)> {
    let sql = "SELECT s.type, s.name, ifnull(c.name || ' ' || c.type, ifnull(i.name, '')) FROM sqlite_schema s
        LEFT JOIN pragma_table_info(s.name) c ON s.type = 'table'
        LEFT JOIN pragma_index_info(s.name) i ON s.type = 'index'
        WHERE s.name NOT LIKE 'sqlite_%' ORDER BY 1, 2, 3";
    let mut statement = conn.prepare(sql).unwrap();
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    found.collect::<Result<_, _>>().unwrap()
}

#[test]
fn all_ways_lead_to_one_schema() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, schema: &str| {
        let path = folder.path().join(name);
        Connection::open(&path).unwrap().execute_batch(schema).unwrap();
        drop(Engine::open(&path, EngineOptions::default()).unwrap());
        shape(&Connection::open(&path).unwrap())
    };
    let fresh = open("fresh.db", "");
    for (at, (schema, ..)) in RELEASED.into_iter().enumerate() {
        let got = open(&format!("{at}.db"), schema);
        let lacks: Vec<_> = fresh.iter().filter(|row| !got.contains(row)).collect();
        let more: Vec<_> = got.iter().filter(|row| !fresh.contains(row)).collect();
        assert!(lacks.is_empty() && more.is_empty(), "release {at} lacks {lacks:?}, and has {more:?} more");
    }
}
