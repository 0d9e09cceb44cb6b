//! A sign-in against a server of one test.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use super::fake::{Fake, PHONE, REFRESH, Whim, expire, file};
use super::*;
use crate::client::Client;
use crate::update::Update;

async fn ask(account: &Account, stale: Option<&str>) -> Result<String, Error> {
    account.token_source().ask(stale.map(str::to_owned)).await
}

#[tokio::test]
async fn a_sign_in_is_kept_for_its_owner_and_its_device() {
    let fake = Fake::start().await;
    let account = fake.account();
    assert!(matches!(account.config().await, Err(Error::SignedOut(_))));
    account.ask_for_code(PHONE).await.unwrap();
    let person = account.sign_in(PHONE, Proof::Code("123456".to_owned())).await.unwrap();
    assert_eq!(person, Person { id: 7, display_name: "Ana".to_owned() });
    let device = DeviceId::kept_in(fake.dir.path()).unwrap();
    assert_eq!(fake.asked("/v1/auth/codes")[0]["device_id"], device.to_string());
    let asked = fake.asked("/v1/auth/sign-in")[0].clone();
    assert_eq!((&asked["device"]["id"], &asked["code"]), (&json!(device.to_string()), &json!("123456")));
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(fake.dir.path().join("sign-in.json")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    // Another program, later on.
    let again = fake.account();
    assert_eq!(again.person().await, Ok(Some(person)));
    assert_eq!(ask(&again, None).await.as_deref(), Ok("a1.0"));
    let organisation = Organisation { id: 3, name: "o17".to_owned(), title: "Instruments".to_owned() };
    again.choose(organisation).await.unwrap();
    let config = fake.account().config().await.unwrap();
    assert_eq!((config.device, config.organisation.as_str()), (Some(device), "o17"));
    assert_eq!(fake.asked(REFRESH).len(), 0);
    let printed = format!("{again:?} {:?}", again.0.read().await);
    assert!(!printed.contains("a1.0") && !printed.contains("r0"), "{printed}");
}

#[tokio::test]
async fn what_expires_or_is_refused_is_renewed_and_on_the_disk_before_it_is_used() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"));
    assert_eq!(file(fake.dir.path())["refresh_token"], "r1");
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"), "good for a while");
    assert_eq!(
        ask(&account, Some("a1.1")).await.as_deref(),
        Ok("a1.2"),
        "refused by the server, as after a change of clocks"
    );
    assert_eq!(ask(&account, Some("a1.1")).await.as_deref(), Ok("a1.2"), "somebody else was faster");
    assert_eq!(fake.asked(REFRESH), [json!({ "refresh_token": "r0" }), json!({ "refresh_token": "r1" })]);
}

#[tokio::test]
async fn what_cannot_be_written_is_not_used_and_not_asked_for_again() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    let obstacle = fake.dir.path().join("sign-in.next");
    std::fs::create_dir(&obstacle).unwrap();
    assert!(matches!(ask(&account, None).await, Err(Error::File(_))));
    assert!(matches!(ask(&account, None).await, Err(Error::File(_))));
    std::fs::remove_dir(&obstacle).unwrap();
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"));
    assert_eq!((fake.asked(REFRESH).len(), &file(fake.dir.path())["refresh_token"]), (1, &json!("r1")));
}

/// With a renewal that the disk did not take, and room for it by now.
async fn unwritten(fake: &Fake) -> Account {
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    let obstacle = fake.dir.path().join("sign-in.next");
    std::fs::create_dir(&obstacle).unwrap();
    assert!(matches!(ask(&account, None).await, Err(Error::File(_))));
    assert!(matches!(account.choose(acme()).await, Err(Error::File(_))));
    std::fs::remove_dir(&obstacle).unwrap();
    account
}

fn acme() -> Organisation {
    Organisation { id: 3, name: "acme".to_owned(), title: "Acme".to_owned() }
}

#[tokio::test]
async fn a_renewal_that_is_written_later_takes_no_choice_back() {
    let fake = Fake::start().await;
    let account = unwritten(&fake).await;
    account.choose(acme()).await.unwrap();
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"));
    let kept = file(fake.dir.path());
    assert_eq!((&kept["refresh_token"], &kept["organisation"]["name"]), (&json!("r1"), &json!("acme")));
    assert_eq!(fake.asked(REFRESH).len(), 1);

    // That of another program stays as well; what failed is not done later on.
    let fake = Fake::start().await;
    let account = unwritten(&fake).await;
    assert_eq!(account.organisation().await, Ok(None));
    fake.account().choose(acme()).await.unwrap();
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"));
    let kept = file(fake.dir.path());
    assert_eq!((&kept["refresh_token"], &kept["organisation"]["name"]), (&json!("r1"), &json!("acme")));
}

#[tokio::test]
async fn a_renewal_that_could_not_be_written_gives_way_to_a_later_one() {
    let fake = Fake::start().await;
    let account = unwritten(&fake).await;
    // Another program asked within the minute in which the server answers again, and went on from there.
    for token in ["a1.1", "a1.2"] {
        expire(fake.dir.path());
        assert_eq!(ask(&fake.account(), None).await.as_deref(), Ok(token));
    }
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.2"));
    assert_eq!(file(fake.dir.path())["refresh_token"], "r2");
}

#[tokio::test]
async fn whoever_signs_out_ends_the_session_that_is_kept() {
    let fake = Fake::start().await;
    let account = unwritten(&fake).await;
    account.sign_in(PHONE, Proof::Code("123456".to_owned())).await.unwrap();
    assert_eq!(fake.state.lock().asked.last().unwrap().1, "a1.1", "the one before is ended");
    account.sign_out().await.unwrap();
    assert_eq!(fake.state.lock().asked.last().unwrap().1, "a2.0");
    assert_eq!(account.person().await, Ok(None));

    let fake = Fake::start().await;
    unwritten(&fake).await.sign_out().await.unwrap();
    let state = fake.state.lock();
    assert_eq!((state.asked.last().unwrap().1.as_str(), state.ended), ("a1.1", true));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_at_once() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    fake.next(&[Whim::Lost, Whim::Gateway, Whim::Lost]);
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"));
    assert_eq!(fake.asked(REFRESH), vec![json!({ "refresh_token": "r0" }); 4]);
    assert_eq!(file(fake.dir.path())["refresh_token"], "r1");
}

#[tokio::test]
async fn whoever_asks_may_go_before_the_answer_comes() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    fake.next(&[Whim::Lost]);
    let source = account.token_source();
    let gone = tokio::time::timeout(Duration::from_millis(200), source.ask(None)).await;
    assert!(gone.is_err(), "it waits before it asks again");
    source.idle().await;
    assert_eq!((fake.asked(REFRESH).len(), &file(fake.dir.path())["refresh_token"]), (2, &json!("r1")));
}

#[tokio::test]
async fn a_client_that_ends_carries_a_renewal_to_its_end() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    fake.next(&[Whim::Lost]);
    let client = Client::open(account.config().await.unwrap()).await.unwrap();
    while fake.asked(REFRESH).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.shutdown().await;
    assert_eq!((fake.asked(REFRESH).len(), &file(fake.dir.path())["refresh_token"]), (2, &json!("r1")));
}

/// Asks, and goes before there is an answer.
async fn ask_and_go(account: &Account) {
    let source = account.token_source();
    let idle = async || tokio::time::timeout(Duration::from_secs(5), source.idle()).await.expect("nothing has left");
    let mut asking = Box::pin(source.ask(None));
    let asked = tokio::time::timeout(Duration::from_millis(200), &mut asking).await;
    assert!(asked.is_err(), "{asked:?}");
    idle().await;
    drop(asking);
    idle().await;
}

#[tokio::test]
async fn nobody_waits_for_a_renewal_of_which_nothing_has_left() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());

    // Another program has the sign-in.
    let held = file::lock(fake.dir.path()).await.unwrap();
    ask_and_go(&account).await;
    let client = Client::open(account.config().await.unwrap()).await.unwrap();
    tokio::time::timeout(Duration::from_millis(200), client.synced()).await.unwrap_err();
    tokio::time::timeout(Duration::from_secs(5), client.shutdown()).await.expect("nothing has left");
    drop(held);
    assert_eq!(fake.asked(REFRESH).len(), 0);
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"), "those who went are in nobody's way");

    // A network that takes whatever is sent, and brings nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: ServerUrl = format!("https://{}", silent.local_addr().unwrap()).parse().unwrap();
    let mut kept = file(fake.dir.path());
    (kept["server"], kept["expires_ms"]) = (json!(url.to_string()), json!(0));
    std::fs::write(fake.dir.path().join("sign-in.json"), kept.to_string()).unwrap();
    let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.der().clone();
    let account = Account::open(url, fake.dir.path().to_path_buf(), vec![root], false).unwrap();
    ask_and_go(&account).await;
    assert_eq!(file(fake.dir.path())["refresh_token"], "r1");
}

#[tokio::test]
async fn a_client_that_runs_for_long_renews_its_sign_in() {
    let fake = Fake::start().await;
    fake.signed_in().await;
    let rest = Rest { server: fake.url.clone(), tls: Tls::new(Vec::new()) };
    let mut keeper = Keeper::new(rest, fake.dir.path().to_path_buf(), Vec::new(), false);
    keeper.renewal = Duration::from_millis(1);
    let client = Client::open(Account(Arc::new(keeper)).config().await.unwrap()).await.unwrap();
    let asked = async |path| {
        while fake.asked(path).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // It has its token then, and needs no other one for as long as it connects.
    tokio::time::timeout(Duration::from_secs(20), asked("/im")).await.expect("it connects");
    assert_eq!(fake.asked(REFRESH).len(), 0);
    expire(fake.dir.path());
    tokio::time::timeout(Duration::from_secs(20), asked(REFRESH)).await.expect("it is renewed in time");
    assert_eq!(fake.asked("/im").len(), 1);
    client.shutdown().await;
    assert_eq!(file(fake.dir.path())["refresh_token"], "r1");
}

#[tokio::test]
async fn a_client_whose_sign_in_is_over_says_so_and_tries_no_more() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    fake.state.lock().ended = true;
    let client = Client::open(account.config().await.unwrap()).await.unwrap();
    let mut updates = client.updates();
    let told = async { (updates.next().await, updates.next().await) };
    let (first, second) = tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();
    assert!(matches!(&first, Some(Update::SignedOut { reason }) if reason.starts_with("sign in again")), "{first:?}");
    assert!(matches!(second, Some(Update::Disconnected { retry_in: None, .. })), "{second:?}");
    client.shutdown().await;
}

#[tokio::test]
async fn many_who_ask_at_a_time_make_one_renewal() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    // Clones are of one program; an `Account` of its own stands for another program.
    let accounts = [account.clone(), account, fake.account(), fake.account()];
    let asked = accounts.map(|account| tokio::spawn(async move { ask(&account, Some("a1.0")).await }));
    for one in asked {
        assert_eq!(one.await.unwrap().as_deref(), Ok("a1.1"));
    }
    assert_eq!(fake.asked(REFRESH).len(), 1);
}

#[tokio::test]
async fn only_our_server_ends_a_sign_in_and_it_says_why() {
    for whim in [Whim::Firewall, Whim::Stranger, Whim::Busy] {
        let fake = Fake::start().await;
        let account = fake.signed_in().await;
        expire(fake.dir.path());
        fake.next(&[whim]);
        let error = ask(&account, None).await.unwrap_err();
        assert!(!matches!(error, Error::SignedOut(_)), "{whim:?}: {error}");
        assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"), "{whim:?}");
    }
    for (code, words) in [("session_stolen", "said by the server"), ("session_ended", "ended on another device")] {
        let fake = Fake::start().await;
        let account = fake.signed_in().await;
        expire(fake.dir.path());
        fake.next(&[Whim::Refuses(code)]);
        let error = ask(&account, None).await.unwrap_err();
        assert!(matches!(&error, Error::SignedOut(text) if text.contains(words)), "{code}: {error}");
        assert!(error.to_string().starts_with("sign in again: ") && !error.is_transient());
        assert_eq!(account.person().await, Ok(None), "{code}");
        assert!(matches!(ask(&account, None).await, Err(Error::SignedOut(_))));
        assert_eq!(fake.asked(REFRESH).len(), 1, "it is over");
    }
}

#[tokio::test]
async fn a_directory_takes_no_other_account_and_no_other_server() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    let elsewhere = Account::new("http://127.0.0.1:1".parse().unwrap(), fake.dir.path().to_path_buf()).unwrap();
    assert!(matches!(ask(&elsewhere, None).await, Err(Error::Foreign(_))), "its tokens are not shown to strangers");
    account.sign_out().await.unwrap();
    fake.state.lock().account = 8;
    let refused = account.sign_in(PHONE, Proof::Password("secret".to_owned())).await;
    assert!(matches!(refused, Err(Error::Foreign(_))), "{refused:?}");
    assert_eq!(account.person().await, Ok(None));
    assert_eq!(fake.asked("/v1/auth/sign-out").len(), 2, "what was begun in vain is ended");
    fake.state.lock().account = 7;
    fake.signed_in().await;

    // Somebody who came with a token of another kind.
    let other = Fake::start().await;
    device::open(other.dir.path()).unwrap().set_value(Key::Me, b"").unwrap();
    let refused = other.account().sign_in(PHONE, Proof::Code("1".to_owned())).await;
    assert!(matches!(refused, Err(Error::Foreign(_))), "{refused:?}");
    assert_eq!(other.asked("/v1/auth/sign-in").len(), 0);
}

#[tokio::test]
async fn signing_out_forgets_it_here_and_ends_it_there() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    account.sign_out().await.unwrap();
    assert_eq!((account.person().await, fake.state.lock().ended), (Ok(None), true));
    assert_eq!(fake.state.lock().asked.last().unwrap().1, "a1.0");
    account.sign_out().await.unwrap();
    assert_eq!(fake.asked("/v1/auth/sign-out").len(), 1);

    // Its access token has expired: it takes another one.
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    account.sign_out().await.unwrap();
    assert_eq!(fake.state.lock().asked.last().unwrap().1, "a2.1");

    // A second sign-in takes the place of the first one.
    let account = fake.signed_in().await;
    account.sign_in(PHONE, Proof::Code("123456".to_owned())).await.unwrap();
    assert_eq!(fake.state.lock().asked.last().unwrap().1, "a3.0");
    assert_eq!(file(fake.dir.path())["session_id"], "s4");
}

#[test]
fn questions_are_escaped() {
    for (text, want) in [("zw-1_~.", "zw-1_~."), ("a b&c=%", "a%20b%26c%3D%25"), ("张", "%E5%BC%A0")] {
        assert_eq!(rest::escaped(text), want);
    }
}
