//! The archive of everything that is known of somebody, opened with what opens archives.

use std::io::{Cursor, Read as _};

use axum::body::Body;
use axum::http::Request;
use convene_proto::im::{self, body::Kind};
use convene_store::{Op, Outcome};
use convene_types::{ClientId, ConvId, OrgId, UserId};
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::common::{self, Person, World};

type Opened = ZipArchive<Cursor<Vec<u8>>>;

async fn export(world: &World, who: &Person) -> Opened {
    let request = Request::post("/v1/me/export").header("authorization", format!("Bearer {}", who.access));
    let (status, headers, bytes) = world.raw(request.body(Body::empty()).unwrap()).await;
    assert_eq!(status.as_u16(), 200);
    assert_eq!(headers["content-type"], "application/zip");
    ZipArchive::new(Cursor::new(bytes)).unwrap()
}

fn text(archive: &mut Opened, name: &str) -> String {
    let mut text = String::new();
    archive.by_name(name).unwrap_or_else(|_| panic!("no {name}")).read_to_string(&mut text).unwrap();
    text
}

fn json_of(archive: &mut Opened, name: &str) -> Value {
    serde_json::from_str(&text(archive, name)).unwrap()
}

async fn user(world: &World, org: u64, who: &Person) -> UserId {
    let path = format!("/v1/organisations/{org}/members/{}", who.account);
    UserId(world.get(&path, &who.access).await.expect(200).body["member"]["user"].as_u64().unwrap())
}

/// What frames of chat do, without chat.
struct Group<'a> {
    world: &'a World,
    org: OrgId,
    conv: ConvId,
    turn: std::cell::Cell<u128>,
}

impl<'a> Group<'a> {
    async fn new(world: &'a World, org: u64, maker: UserId) -> Self {
        let (org, kind) = (OrgId(org), im::ConversationKind::Group);
        let op =
            Op::Create { org, maker, client_id: ClientId([9; 16]), kind, title: "Team <1>".into(), members: vec![] };
        let Ok(Outcome::Created { conv, .. }) = world.store.write_async(op).await else { panic!() };
        Self { world, org, conv, turn: std::cell::Cell::new(0) }
    }

    async fn append(&self, actor: UserId, kind: Kind) {
        let client_id = ClientId(self.turn.replace(self.turn.get() + 1).to_be_bytes());
        let body = im::Body { kind: Some(kind), ..im::Body::default() };
        let op = Op::Append { org: self.org, actor, client_id, conv: self.conv, body };
        self.world.store.write_async(op).await.unwrap();
    }

    async fn say(&self, actor: UserId, text: &str) {
        self.append(actor, Kind::Text(im::Text { text: text.into() })).await;
    }

    async fn members(&self, actor: UserId, add: &[UserId], remove: &[UserId]) {
        let member = |user: &UserId| im::Member { user: user.0, ..im::Member::default() };
        let add = add.iter().map(member).collect();
        let remove = remove.iter().map(|user| user.0).collect();
        self.append(actor, Kind::Members(im::MemberChange { add, remove, ..im::MemberChange::default() })).await;
    }

    async fn file(&self, user: UserId, content: &[u8], name: &str) -> im::BlobRef {
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content).as_ref().to_vec();
        let (size, sha256) = (content.len() as u64, axum::body::Bytes::from(sha256));
        let begin = im::BlobBegin { sha256, size, mime: "text/plain".into(), voice: false };
        let upload_id = self.world.blobs.begin(self.org, user, &begin).await.unwrap().upload_id;
        let data = axum::body::Bytes::copy_from_slice(content);
        let part = im::BlobPart { upload_id: upload_id.clone(), offset: 0, data, ..im::BlobPart::default() };
        self.world.blobs.part(user, part).await.unwrap();
        let done = self.world.blobs.commit(user, &upload_id, None).await.unwrap();
        im::BlobRef { name: name.into(), ..done.blob.unwrap() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_finds_everything_of_theirs_and_nothing_else() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = world.found(&ana, "Acme").await;
    world.let_in(org, &ana, &bo).await;
    let dept = world.add(org, &ana, "departments", json!({ "name": "Sales" })).await;
    let path = format!("PATCH /v1/organisations/{org}/members/{}", bo.account);
    let edit = json!({ "places": [{ "department": dept }], "about": "I <b>sell</b>" });
    world.call(&path, &ana.access, edit).await.expect(200);
    let contact = format!("PUT /v1/me/contacts/{org}/{}", ana.account);
    world.call(&contact, &bo.access, json!({ "note": "the boss" })).await.expect(204);
    let (anas, bos) = (user(&world, org, &ana).await, user(&world, org, &bo).await);
    let group = Group::new(&world, org, anas).await;
    group.say(anas, "before Bo came").await;
    group.members(anas, &[bos], &[]).await;
    group.say(anas, "welcome <script>alert(1)</script>").await;
    for n in 0..600 {
        group.say(bos, &format!("message {n}")).await; // more than a page
    }
    let blob = group.file(anas, b"figures of the year", "figures.txt").await;
    group.append(anas, Kind::File(im::File { blob: Some(blob.clone()), caption: "see".into() })).await;
    let own = group.file(bos, b"never sent", "draft.txt").await;
    group.members(anas, &[], &[bos]).await;
    group.say(anas, "after Bo went").await;
    let request = Request::put("/v1/me/avatar").header("authorization", format!("Bearer {}", bo.access));
    let picture = b"\x89PNG\r\n\x1a\n a picture".to_vec();
    world.send(request.body(Body::from(picture.clone())).unwrap()).await.expect(200);

    let mut archive = export(&world, &bo).await;
    let profile = json_of(&mut archive, "profile.json");
    assert_eq!((&profile["phone"], &profile["display_name"]), (&json!(bo.phone), &json!("Bo")));
    assert_eq!(profile["consent"]["version"], common::POLICY);
    assert_eq!(json_of(&mut archive, "devices.json")[0]["model"], "Pixel 9");
    assert_eq!(json_of(&mut archive, "sessions.json").as_array().unwrap().len(), 1);
    assert!(json_of(&mut archive, "access-log.json").is_array());
    let membership = json_of(&mut archive, "memberships.json")[0].clone();
    assert_eq!((&membership["title"], &membership["places"][0]["name"]), (&json!("Acme"), &json!("Sales")));
    assert_eq!(membership["profile"]["about"], "I <b>sell</b>");
    assert_eq!(json_of(&mut archive, "contacts.json")[0]["note"], "the boss");
    let mut bytes = Vec::new();
    archive.by_name("picture.png").unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, picture);

    let name = format!("conversations/{org}-{}", group.conv);
    let events = json_of(&mut archive, &format!("{name}.json"));
    let said: Vec<_> = events.as_array().unwrap().iter().filter(|event| event["kind"] == "text").collect();
    assert_eq!(said.len(), 601);
    assert_eq!((&said[0]["sender_name"], &said[600]["text"]), (&json!("Ana"), &json!("message 599")));
    let sent = events.as_array().unwrap().iter().find(|event| event["kind"] == "file").unwrap();
    assert_eq!(text(&mut archive, sent["file"].as_str().unwrap()), "figures of the year");
    let hex: String = own.id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text(&mut archive, &format!("files/{org}-{hex}.txt")), "never sent");
    // Neither what was said before, nor what was said after (I13), wherever one looks.
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    for name in names.iter().filter(|name| name.ends_with("json") || name.ends_with("html")) {
        let all = text(&mut archive, name);
        assert!(!all.contains("before Bo came") && !all.contains("after Bo went"), "{name}");
        assert!(!all.contains(&ana.phone), "{name}");
        assert!(!name.ends_with("html") || !all.contains("<script>"), "{name}");
    }
    let page = text(&mut archive, &format!("{name}.html"));
    assert!(page.contains("welcome &lt;script&gt;") && page.contains("figures.txt</a>"));
    let index = text(&mut archive, "index.html");
    assert!(index.contains(&format!("{name}.html")) && index.contains("Team &lt;1&gt;"), "{index}");

    // The organisation is told.
    let log = world.get(&format!("/v1/organisations/{org}/audit"), &ana.access).await.expect(200);
    assert_eq!(log.body["records"][0]["act"], "member.export");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_are_counted_and_need_a_session() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    world.post("/v1/me/export", "", Value::Null).await.refused(401, "unauthenticated");
    for _ in 0..5 {
        assert!(export(&world, &ana).await.by_name("index.html").is_ok());
    }
    world.post("/v1/me/export", &ana.access, Value::Null).await.refused(429, "too_many_requests");
    // Others are not counted with them.
    export(&world, &world.register(2, "Bo").await).await;
}
