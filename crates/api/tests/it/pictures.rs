//! Pictures of people: who sets them, who sees them, and when they are gone.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use convene_api::Change;
use serde_json::{Value, json};

use crate::common::{Answer, Person, World, device};

/// The least that is one: what counts is how it begins.
fn png(fill: u8) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend([fill; 100]);
    bytes
}

async fn set(world: &World, who: &Person, content: Vec<u8>) -> Answer {
    let request = Request::put("/v1/me/avatar").header("authorization", format!("Bearer {}", who.access));
    world.send(request.header("content-type", "text/html").body(Body::from(content)).unwrap()).await
}

async fn fetch(world: &World, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    world.raw(Request::get(path).body(Body::empty()).unwrap()).await
}

async fn shown(world: &World, org: u64, whom: &Person, by: &Person) -> Value {
    let path = format!("/v1/organisations/{org}/members/{}", whom.account);
    world.get(&path, &by.access).await.expect(200).body["member"]["picture"].clone()
}

#[tokio::test]
async fn a_picture_is_shown_where_its_person_is_and_gone_with_them() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = world.found(&ana, "Acme").await;
    world.let_in(org, &ana, &bo).await;
    let mut changes = world.api.changes();
    let path = set(&world, &bo, png(1)).await.expect(200).text("picture");
    assert!(matches!(changes.try_recv().unwrap(), Change::Profile { account, .. } if account.0 == bo.account));
    // The same everywhere, and without a token.
    assert_eq!(shown(&world, org, &bo, &ana).await, path.as_str());
    let found = world.get(&format!("/v1/organisations/{org}/directory?q=bo"), &ana.access).await.expect(200);
    assert_eq!(found.body["members"][0]["picture"], path.as_str());
    let (status, headers, bytes) = fetch(&world, &path).await;
    assert_eq!((status.as_u16(), bytes), (200, png(1)));
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    // Where they come later, too.
    let later = world.found(&ana, "Later").await;
    world.let_in(later, &ana, &bo).await;
    assert_eq!(shown(&world, later, &bo, &ana).await, path.as_str());
    // An address that was made up, or stretched, is none.
    for wrong in [path.replace("sig=", "sig=0"), path.replace("expires=1", "expires=2"), "/v1/pictures/1/00".into()] {
        assert_eq!(fetch(&world, &wrong).await.0.as_u16(), 404, "{wrong}");
    }
    // Another one takes its place; the bytes of the first go.
    let next = set(&world, &bo, png(2)).await.expect(200).text("picture");
    assert_eq!(fetch(&world, &path).await.0.as_u16(), 404);
    assert_eq!(fetch(&world, &next).await.2, png(2));
    let code = world.code(&bo.phone, "cancel", &device(2)).await;
    world.post("/v1/me/cancel", &bo.access, json!({ "code": code })).await.expect(200);
    assert_eq!(fetch(&world, &next).await.0.as_u16(), 404);
    assert_eq!(world.count("SELECT count(*) FROM pictures"), 0);
    world.blobs.sweep().await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM trash"), 0);
    assert_eq!(world.files(), 0, "no object is left");
}

#[tokio::test]
async fn a_picture_is_taken_away() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let org = world.found(&ana, "Acme").await;
    let path = set(&world, &ana, png(1)).await.expect(200).text("picture");
    let gone = world.call("DELETE /v1/me/avatar", &ana.access, Value::Null).await.expect(200);
    assert_eq!(gone.body["picture"], Value::Null);
    assert_eq!(shown(&world, org, &ana, &ana).await, Value::Null);
    assert_eq!(fetch(&world, &path).await.0.as_u16(), 404);
}

#[tokio::test]
async fn what_is_no_picture_or_too_large_is_refused() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let page = b"<html><script>alert(1)</script>".to_vec();
    let large = [png(1), vec![0; convene_store::MAX_PICTURE_BYTES]].concat();
    for content in
        [Vec::new(), page, b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), b"%PDF-1.7".to_vec(), large]
    {
        set(&world, &ana, content).await.refused(422, "bad_picture");
    }
    assert_eq!(world.get("/v1/me", &ana.access).await.body["picture"], Value::Null);
    world.forgive();
    let most = [png(1), vec![0; convene_store::MAX_PICTURE_BYTES - png(1).len()]].concat();
    set(&world, &ana, most).await.expect(200);
    // Not without end.
    let mut refused = None;
    for n in 0..40 {
        let answer = set(&world, &ana, png(n)).await;
        if answer.status.as_u16() == 429 {
            refused = Some(answer);
            break;
        }
    }
    refused.expect("too many").refused(429, "too_many_requests");
}

/// The organisation decides what it shows: a picture that waits is there for who decides, and for nobody else.
#[tokio::test]
async fn an_organisation_may_have_to_agree_to_a_picture() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = world.found(&ana, "Acme").await;
    world.let_in(org, &ana, &bo).await;
    let first = set(&world, &bo, png(1)).await.expect(200).text("picture");
    let policy = |edit: &str| {
        let rule = json!({ "field": "avatar", "edit": edit });
        json!({ "directory": "everybody", "meetings": "everybody", "fields": [rule] })
    };
    world.set_policy(org, &ana, policy("approval")).await;
    let second = set(&world, &bo, png(2)).await.expect(200).text("picture");
    assert_eq!(shown(&world, org, &bo, &ana).await, first.as_str());
    assert_eq!(fetch(&world, &first).await.2, png(1));
    let path = format!("/v1/organisations/{org}/edit-requests");
    let waiting = world.get(&path, &ana.access).await.expect(200).body["requests"][0].clone();
    assert_eq!(waiting["picture"], second.as_str());
    let decide = format!("{path}/{}", waiting["id"]);
    world.post(&decide, &ana.access, json!({ "approve": true })).await.expect(204);
    assert_eq!(shown(&world, org, &bo, &ana).await, second.as_str());
    assert_eq!(fetch(&world, &first).await.0.as_u16(), 404, "nothing shows it any more");
    world.set_policy(org, &ana, policy("locked")).await;
    set(&world, &bo, png(3)).await.expect(200);
    assert_eq!(shown(&world, org, &bo, &ana).await, second.as_str());
}
