//! What attackers do: stolen tokens, guessed codes, numbers that are tried out.

use serde_json::{Value, json};

use crate::common::{self, Answer, POLICY, World, device, phone};

async fn refresh(world: &World, token: &str) -> Answer {
    world.post("/v1/auth/refresh", "", json!({ "refresh_token": token })).await
}

/// Whichever of the two comes second, thief or owner, ends the session for both.
#[tokio::test]
async fn a_stolen_refresh_token_ends_the_session_for_both() {
    let world = World::start().await;
    for thief_first in [true, false] {
        let ana = world.register(1 + u32::from(thief_first), "Ana").await;
        // One of them goes on twice, the other one comes back with what was copied.
        let first = refresh(&world, &ana.refresh).await.expect(200).text("refresh_token");
        let second = refresh(&world, &first).await.expect(200);
        refresh(&world, &ana.refresh).await.refused(401, "session_stolen");
        refresh(&world, &second.text("refresh_token")).await.refused(401, "session_ended");
        world.get("/v1/me", &second.text("access_token")).await.refused(401, "session_ended");
    }
}

/// Nobody ends somebody's session by making up tokens of it.
#[tokio::test]
async fn forged_refresh_tokens_end_nothing() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let current = refresh(&world, &ana.refresh).await.expect(200);
    let old = ana.refresh.as_bytes();
    for at in [10, 28, 40, old.len() - 2] {
        let mut forged = old.to_vec();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        refresh(&world, &String::from_utf8(forged).unwrap()).await.refused(401, "session_ended");
    }
    world.get("/v1/me", &current.text("access_token")).await.expect(200);
    refresh(&world, &current.text("refresh_token")).await.expect(200);
}

/// Five guesses a code, whatever device or address they come from; the right one comes too late then.
#[tokio::test]
async fn codes_are_not_guessed() {
    let world = World::start().await;
    let ana = world.register(1, "Ana").await;
    let code = world.code(&ana.phone, "sign_in", &device(2)).await;
    let guess = async |n: u32, code: &str| {
        let body = json!({ "phone": ana.phone, "code": code, "device": { "id": device(n) } });
        world.post("/v1/auth/sign-in", "", body).await
    };
    let wrong = if code == "111111" { "222222" } else { "111111" };
    for n in 0..5 {
        guess(100 + n, wrong).await.refused(422, "bad_code");
    }
    guess(2, &code).await.refused(422, "bad_code");
    // And whoever goes on is told to wait.
    let mut last = guess(2, wrong).await;
    for n in 0..40 {
        last = guess(200 + n, wrong).await;
    }
    let refused = last.refused(429, "too_many_requests");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn codes_are_not_sent_without_end() {
    let world = World::start().await;
    let send = async |n: u32| {
        let body = json!({ "phone": phone(1), "purpose": "register", "device_id": device(n) });
        world.post("/v1/auth/codes", "", body).await
    };
    send(1).await.expect(202);
    let refused = send(2).await.refused(429, "too_many_requests");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
}

/// Whoever tries numbers out reads the same of one that has an account and of one that has none, and is as often refused.
#[tokio::test]
async fn numbers_are_not_told_apart() {
    let world = World::start().await;
    let ana = world.register_with(1, "Ana", "correct horse").await;
    let owner = world.register(5, "Owner").await;
    let org = world.found(&owner, "Acme").await;
    let mut seen: Vec<Vec<(u16, Vec<String>, Value)>> = Vec::new();
    for number in [ana.phone.as_str(), &phone(2)] {
        world.forgive();
        let mut answers = Vec::new();
        let device = json!({ "id": device(9) });
        let codes = |purpose: &str| json!({ "phone": number, "purpose": purpose, "device_id": common::device(9) });
        for purpose in ["register", "sign_in", "reset", "rebind", "cancel"] {
            answers.push(world.post("/v1/auth/codes", "", codes(purpose)).await);
            world.forgive();
        }
        for (path, body) in [
            (
                "/v1/auth/register",
                json!({ "phone": number, "code": "000000", "display_name": "x", "consent": POLICY, "device": device }),
            ),
            ("/v1/auth/sign-in", json!({ "phone": number, "code": "000000", "device": device })),
            ("/v1/auth/sign-in", json!({ "phone": number, "password": "wrong horse", "device": device })),
            (
                "/v1/auth/reset",
                json!({ "phone": number, "code": "000000", "password": "battery staple", "device": device }),
            ),
        ] {
            // Until it is refused for good.
            for _ in 0..8 {
                answers.push(world.post(path, "", body.clone()).await);
            }
        }
        answers
            .push(world.call("PUT /v1/me/number", &owner.access, json!({ "phone": number, "code": "000000" })).await);
        let path = format!("/v1/organisations/{org}/directory?q=%2B{}", number.trim_start_matches('+'));
        answers.push(world.get(&path, &owner.access).await);
        let row = |answer: Answer| {
            let mut headers: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
            headers.sort();
            (answer.status.as_u16(), headers, answer.body)
        };
        seen.push(answers.into_iter().map(row).collect());
    }
    assert_eq!(seen[0], seen[1]);
}

/// The path without an account is as long as the one with: a password is hashed in either.
#[tokio::test]
async fn a_number_without_account_takes_as_long() {
    let world = World::start().await;
    let ana = world.register_with(1, "Ana", "correct horse").await;
    let bo = world.register(2, "Bo").await; // an account without password
    let mut shortest = Vec::new();
    for number in [ana.phone, bo.phone, phone(3)] {
        let mut times = Vec::new();
        for n in 0..7 {
            world.forgive();
            let body = json!({ "phone": number, "password": "wrong horse", "device": { "id": device(n) } });
            let began = std::time::Instant::now();
            world.post("/v1/auth/sign-in", "", body).await.refused(401, "bad_credentials");
            times.push(began.elapsed());
        }
        shortest.push(times.into_iter().min().unwrap());
    }
    // Against each other, not against a clock: a path without hashing takes a tenth and less.
    let (least, most) = (shortest.iter().min().unwrap(), shortest.iter().max().unwrap());
    assert!(*least * 3 > *most, "{shortest:?}");
}

/// A password is not guessed from many devices: its number is slowed down, and told when to come back.
#[tokio::test]
async fn passwords_are_not_guessed() {
    let world = World::start().await;
    let ana = world.register_with(1, "Ana", "correct horse").await;
    let guess = async |n: u32, password: &str| {
        let body = json!({ "phone": ana.phone, "password": password, "device": { "id": device(n) } });
        world.post("/v1/auth/sign-in", "", body).await
    };
    let mut slowed = None;
    for n in 0..10 {
        let answer = guess(100 + n, "wrong horse").await;
        if answer.status.as_u16() == 429 {
            slowed = Some((n, answer.refused(429, "too_many_requests")));
            break;
        }
    }
    let (tries, refused) = slowed.expect("slowed down");
    assert!(tries <= 6, "{tries}");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
}

/// A token of a removed member is good for themselves, and for nothing in the organisation.
#[tokio::test]
async fn a_removed_member_is_outside_at_once() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = world.found(&ana, "Acme").await;
    world.let_in(org, &ana, &bo).await;
    let path = format!("/v1/organisations/{org}/members");
    world.get(&path, &bo.access).await.expect(200);
    world.call(&format!("DELETE {path}/{}", bo.account), &ana.access, Value::Null).await.expect(204);
    world.get(&path, &bo.access).await.refused(404, "not_found");
    world.get("/v1/me", &bo.access).await.expect(200);
}

/// Of two owners who go at once, one stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_who_leave_together_leave_one_behind() {
    let world = World::start().await;
    let (ana, bo) = (world.register(1, "Ana").await, world.register(2, "Bo").await);
    let org = world.found(&ana, "Acme").await;
    world.let_in(org, &ana, &bo).await;
    world.set_role(org, &ana, &bo, json!({ "role": "owner" })).await;
    let path = format!("/v1/organisations/{org}/leave");
    let leave = async |token: &str| world.post(&path, token, Value::Null).await.status.as_u16();
    let (one, two) = tokio::join!(leave(&ana.access), leave(&bo.access));
    let mut both = [one, two];
    both.sort_unstable();
    assert_eq!(both, [204, 409]);
}
