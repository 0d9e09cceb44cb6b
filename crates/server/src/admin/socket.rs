//! The operator's socket: `admin.sock` in the data directory. One line of JSON in, one out.
//!
//! Its file is for its owner only, and whoever connects is asked of the kernel as well: the server's own user, or root.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use convene_api::Api;
use convene_api::admin::{Answer, Command};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::warn;

const NAME: &str = "admin.sock";
/// Longest command: names, a number, a password.
const MAX_COMMAND_BYTES: u64 = 64 * 1024;
/// Longest answer: a thousand rows of a list.
const MAX_ANSWER_BYTES: u64 = 4 * 1024 * 1024;
/// How long a command may take: a password is hashed in some 20 ms, a list is read in less.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest path that a socket can have (sun_path of unix(7)), with room for its name.
const MAX_PATH_BYTES: usize = 90;

/// Listens until it is aborted. The caller holds the data directory's lock, so that a socket which is there is a dead one.
pub(crate) fn listen(data_dir: &Path, api: Api) -> Result<JoinHandle<()>> {
    let (_held, path) = place(data_dir)?;
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("removing the admin socket of a server that has ended"),
    }
    let listener = UnixListener::bind(&path).with_context(|| format!("binding {}", data_dir.join(NAME).display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).context("closing the admin socket to others")?;
    let own = fs::metadata(&path).context("looking at the admin socket")?.uid();
    Ok(tokio::spawn(accept(listener, own, api)))
}

/// One at a time: there is one operator, and each command is short.
async fn accept(listener: UnixListener, own: u32, api: Api) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await; // out of file descriptors, for one
            continue;
        };
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
            warn!("somebody else connected to the admin socket, and was not answered");
            continue;
        }
        match timeout(PATIENCE, serve(stream, &api)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "a command on the admin socket was not answered"),
            Err(_) => warn!("a command on the admin socket took too long"),
        }
    }
}

async fn serve(mut stream: UnixStream, api: &Api) -> Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    BufReader::new(reader.take(MAX_COMMAND_BYTES)).read_line(&mut line).await.context("reading the command")?;
    let answer = match serde_json::from_str::<Command>(&line) {
        Ok(command) => api.admin(command).await,
        // Of another release. The text may hold a password, so it is not repeated.
        Err(_) => Answer::Refused {
            code: "malformed".to_owned(),
            text: "The server does not know this command: is it of another release?".to_owned(),
        },
    };
    let mut text = serde_json::to_vec(&answer).context("writing the answer")?;
    text.push(b'\n');
    writer.write_all(&text).await.context("sending the answer")
}

/// Asks the server that runs on this data directory. `None`: none does.
pub(super) async fn ask(data_dir: &Path, command: &Command) -> Result<Option<Answer>> {
    if !data_dir.exists() {
        return Ok(None);
    }
    let (_held, path) = place(data_dir)?;
    let mut stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("connecting to {}", data_dir.join(NAME).display())),
    };
    let mut text = serde_json::to_vec(command).context("writing the command")?;
    text.push(b'\n');
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let exchange = async {
        writer.write_all(&text).await?;
        BufReader::new(reader.take(MAX_ANSWER_BYTES)).read_line(&mut line).await
    };
    timeout(PATIENCE, exchange).await.context("the server did not answer in time")?.context("asking the server")?;
    ensure!(!line.is_empty(), "the server hung up: its socket answers its own user and root only");
    serde_json::from_str(&line).map(Some).context("the server's answer cannot be read: is it of another release?")
}

/// Where the socket is. A path that is too long for one is shortened by way of the open directory, which has to be held
/// for as long.
fn place(data_dir: &Path) -> Result<(Option<File>, PathBuf)> {
    let path = data_dir.join(NAME);
    if path.as_os_str().len() <= MAX_PATH_BYTES {
        return Ok((None, path));
    }
    let folder = File::open(data_dir).with_context(|| format!("opening {}", data_dir.display()))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
    Ok((Some(folder), path))
}
