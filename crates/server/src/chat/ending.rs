//! How a client ends: what it has begun with the server comes to its end first, unless whoever sits there does not wait for it.

use std::future::{Future, pending};
use std::time::Duration;

use convene_client::Client;

use super::complain;
use super::people::People;

/// How long an end may take before it is said what for. A goodbye to the server and a disk take less.
const UNSAID: Duration = Duration::from_secs(1);

/// Ends the client. Ctrl-C does not wait for it.
pub(super) async fn end(client: &Client, people: &People) {
    let what = match people {
        People::ByName => "saying goodbye to the server; Ctrl-C does not wait for it",
        People::Directory(_) => {
            "the sign-in is being renewed; Ctrl-C does not wait for it, and you may have to sign in again then"
        }
    };
    wait(client.shutdown(), interrupted(), || complain(what)).await;
}

/// Waits for the next Ctrl-C.
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending().await // it ends the process by itself then
    }
}

async fn wait(end: impl Future<Output = ()>, interrupted: impl Future<Output = ()>, say: impl FnOnce()) {
    let said = async {
        tokio::time::sleep(UNSAID).await;
        say();
        pending().await
    };
    tokio::select! {
        () = end => {}
        () = interrupted => {}
        () = said => {}
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_waited_for_is_said_and_may_be_interrupted() {
        let (said, interrupt) = oneshot::channel();
        let interrupted = async { interrupt.await.unwrap() };
        let waiting = wait(pending(), interrupted, || said.send(()).unwrap());
        tokio::time::timeout(UNSAID * 20, waiting).await.expect("it ends");
    }

    #[tokio::test]
    async fn nothing_is_said_of_an_end_that_takes_no_time() {
        wait(ready(()), pending(), || panic!("said")).await;
    }
}
