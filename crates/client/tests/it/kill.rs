//! A client that is killed at any point: a process of its own, SIGKILL, and its directory opened again.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use convene_client::{Client, Config, Error, TokenSource, body};

use crate::harness::{DEADLINE, Server, text_of, token};

/// Lives until it is killed: queues numbered messages, and prints each number once it is queued.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child process of the test below"]
async fn child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let server = variable("KILL_SERVER").parse().unwrap();
    let config = Config::new(server, TokenSource::fixed(variable("KILL_TOKEN")), PathBuf::from(variable("KILL_DIR")));
    let client = Client::open(config).await.unwrap();
    let conv = variable("KILL_CONV").parse().unwrap();
    let first: u64 = variable("KILL_FIRST").parse().unwrap();
    for n in first.. {
        while let Err(error) = client.send(conv, body::text(n.to_string())).await {
            assert_eq!(error, Error::Busy("the outbox is full"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("queued {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_sends_everything_it_took_once_and_in_order() {
    let server = Server::start().await;
    let bob = server.client("bob").await.synced().await;
    let ana = server.client("ana").await.synced().await;
    let conv = ana.client.create_direct("bob").await.unwrap();
    let dir = ana.dir().to_path_buf();
    ana.client.shutdown().await;
    let mut queued: Vec<u64> = Vec::new();
    for round in 0..6_u64 {
        let first = (round + 1) * 1_000_000; // no round comes near the next one's numbers
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--ignored", "--nocapture"])
            .env("KILL_SERVER", format!("http://{}", server.http))
            .env("KILL_TOKEN", token("ana"))
            .env("KILL_DIR", &dir)
            .env("KILL_CONV", conv.to_string())
            .env("KILL_FIRST", first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.filter_map(|line| line.rsplit_once("queued ")?.1.parse().ok()).collect::<Vec<u64>>()
        });
        tokio::time::sleep(Duration::from_millis(150 + 170 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        queued.extend(reader.join().unwrap());
    }
    assert!(queued.len() > 10, "the children did something: {queued:?}");
    let ana = server.client_in("ana", &dir).await;
    let sent = async {
        while !ana.client.outgoing(None).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, sent).await.expect("all sent");
    let same = async {
        loop {
            let (a, b) = (ana.client.log(conv).await.unwrap(), bob.client.log(conv).await.unwrap());
            if a.last() == b.last() {
                return b;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let log = tokio::time::timeout(DEADLINE, same).await.expect("all received");
    let got: Vec<u64> = log.iter().filter_map(|event| text_of(event)?.parse().ok()).collect();
    // The last one of a round may have been queued without the line that says so.
    let announced: Vec<u64> = got.iter().copied().filter(|n| queued.contains(n)).collect();
    assert_eq!(announced, queued, "each once, in order");
    assert!(got.len() <= queued.len() + 6, "{} of {} announced", got.len(), queued.len());
}
