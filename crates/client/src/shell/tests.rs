//! A client that ends while its sign-in is renewed.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{broadcast, mpsc, watch};

use super::*;
use crate::account::Account;
use crate::account::fake::{Fake, REFRESH, expire, file};
use crate::db::Database;
use crate::net::dial::Ways;
use crate::net::tls::Tls;
use crate::sync::Seat;

fn shell(fake: &Fake, account: &Account) -> Shell {
    let engine = Engine::open(Database::in_memory(), "test".to_owned(), Seat::default()).unwrap();
    let dialer = Dialer::new(fake.url.clone(), Tls::new(Vec::new()), Ways::WebSocket, None);
    let (_, orders) = mpsc::channel(1);
    let (updates, _) = broadcast::channel(8);
    let (session, _) = watch::channel(None);
    Shell::new(Parts { engine, dialer, tokens: account.token_source(), orders, updates, session })
}

/// Has a renewal begin, ends the client a while later, and looks whether all of it is done: nothing is asked for after the end,
/// and what was given before is on the disk.
async fn end_after(fake: &Fake, account: &Account, a_while: Duration, begin: impl FnOnce(&mut Shell)) {
    expire(fake.dir.path());
    let mut shell = shell(fake, account);
    begin(&mut shell);
    let began = Instant::now();
    while began.elapsed() < a_while {
        tokio::task::yield_now().await;
    }
    shell.close().await;
    let asked = fake.asked(REFRESH).len();
    let given = format!("r{}", fake.state.lock().generation);
    assert_eq!(file(fake.dir.path())["refresh_token"], json!(given), "after {a_while:?}");
    // The runtime ends here in earnest.
    while Handle::current().metrics().num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.asked(REFRESH).len(), asked, "after {a_while:?}");
}

#[test]
fn a_client_that_has_ended_leaves_no_renewal_behind() {
    let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (fake, account) = servers.block_on(async {
        let fake = Fake::start().await;
        let account = fake.signed_in().await;
        (fake, account)
    });
    // On one thread nothing is polled before it is awaited; the other one is that of a client.
    let own = [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.worker_threads(1).enable_all().build().unwrap());
    // From before the first poll to after the last one, on a fast machine.
    for (own, step) in own.iter().flat_map(|own| (0..40).map(move |step| (own, step))) {
        let a_while = Duration::from_micros(250) * step;
        own.block_on(end_after(&fake, &account, a_while, |shell| shell.renew(None)));
        own.block_on(end_after(&fake, &account, a_while, |shell| shell.begin().unwrap()));
    }
}
