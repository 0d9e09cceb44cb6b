//! How many sign-ins, refreshes, requests and token checks a second.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::world::{World, text};

/// What one token is checked against the clock and the list before the clock is looked at again.
const CHECKS: u64 = 1_000;

/// For so long, with so many requests under way.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests under way.
    pub window: usize,
    /// Of each part.
    pub time: Duration,
}

/// Sign-ins by password a second. What was counted against the number is taken away by each right password; what is counted
/// against the address in an hour is not, so nothing that signs in may come after it.
pub async fn sign_ins(world: &World, load: Load) -> Result<f64> {
    let began = Instant::now();
    let lanes = (0..load.window as u64).map(|lane| async move {
        let mut done = 0_u64;
        while began.elapsed() < load.time {
            match world.sign_in(lane + 1).await {
                Ok(_) => done += 1,
                // Too many from one address in an hour: what is left of the time is not measured.
                Err(error) if error.to_string().contains("429") => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    });
    per_second(lanes, began).await
}

/// Refresh tokens used a second.
pub async fn refreshes(world: &World, load: Load) -> Result<f64> {
    let mut tokens = Vec::new();
    for lane in 0..load.window as u64 {
        tokens.push(text(&world.sign_in(lane + 1).await?, "refresh_token")?);
    }
    let began = Instant::now();
    let lanes = tokens.into_iter().map(|mut token| async move {
        let mut done = 0_u64;
        while began.elapsed() < load.time {
            let answer = world.post("/v1/auth/refresh", json!({ "refresh_token": token })).await?;
            token = text(&answer, "refresh_token")?;
            done += 1;
        }
        Ok(done)
    });
    per_second(lanes, began).await
}

/// `GET /v1/me` a second.
pub async fn reads(world: &World, load: Load) -> Result<f64> {
    let token = text(&world.sign_in(1).await?, "access_token")?;
    let began = Instant::now();
    let lanes = (0..load.window).map(|_| async {
        let mut done = 0_u64;
        while began.elapsed() < load.time {
            let request = Request::get("/v1/me").header("authorization", format!("Bearer {token}"));
            world.send(request.body(Body::empty())?).await?;
            done += 1;
        }
        Ok(done)
    });
    per_second(lanes, began).await
}

/// Token checks a second, and what was read from the store meanwhile.
pub async fn checks(world: &World, load: Load) -> Result<(f64, u64)> {
    let token = text(&world.sign_in(1).await?, "access_token")?;
    let (authenticator, now_s) = (world.api.authenticator(), SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
    let before = world.store.stats().reads;
    let (began, mut done) = (Instant::now(), 0_u64);
    while began.elapsed() < load.time {
        for _ in 0..CHECKS {
            std::hint::black_box(authenticator.check(&token, now_s)).context("checking a good token")?;
        }
        done += CHECKS;
    }
    Ok((done as f64 / began.elapsed().as_secs_f64(), world.store.stats().reads - before))
}

async fn per_second(lanes: impl Iterator<Item = impl Future<Output = Result<u64>>>, began: Instant) -> Result<f64> {
    let done: u64 = futures_util::future::try_join_all(lanes).await?.into_iter().sum();
    Ok(done as f64 / began.elapsed().as_secs_f64())
}
