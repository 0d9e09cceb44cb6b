//! The command line of `convene chat`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use convene_client::{ServerUrl, Ways};

pub(crate) const HELP: &str = "Without a command it lists the conversations and reads what you type; /help tells more.

What you send is kept in the data directory until the server has it: sending works offline, and `convene chat sync` or the
next run delivers it. Two runs of one user on one machine need different --profile names: each is a device of its own.

On a server that people use, sign in once; the profile keeps it, and each command goes on with it:
  convene chat --server https://chat.example.org login +8613800138000
  convene chat --server https://chat.example.org direct 'Zhang Wei'
  convene chat --server https://chat.example.org logout
What was received stays in the data directory. Another account or another organisation takes another --profile.

Examples, with a server started by `convene serve --dev`. Somebody is known to others once they have signed in:
  convene chat --dev --user bob
  convene chat --dev --user ana direct bob
  convene chat --dev --user ana send bob 'hello'
  convene chat --dev --user ana voice bob hello.wav

CONV is a conversation's number, its title, or the name of a person.";

/// What `chat` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChatArgs {
    /// The server's HTTP port.
    #[arg(long, value_name = "URL", default_value = "http://localhost:7880")]
    pub(crate) server: ServerUrl,
    /// Who you are. With --dev the server believes it; else it only names the data directory.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Get a token from a server in development mode.
    #[arg(long, requires = "user", conflicts_with = "token")]
    pub(crate) dev: bool,
    /// A token of your own making for a server in development mode, instead of a sign-in. Other users of this machine can see it in the process list: prefer the variable.
    #[arg(long, value_name = "TOKEN", env = "CONVENE_CHAT_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// In whose name you chat, if you are in several organisations: title, name or number. The profile keeps it.
    #[arg(long, value_name = "NAME", conflicts_with = "dev")]
    pub(crate) organisation: Option<String>,
    /// Name of this device of yours on this machine.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) profile: String,
    /// Where the local copy lives [default: convene/chat in the user's data directory, by server, user and profile].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Which transport to use.
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub(crate) transport: Way,
    /// Permit http:// to other machines: tokens and messages can then be read on the way.
    #[arg(long)]
    pub(crate) insecure: bool,
    #[command(subcommand)]
    pub(crate) command: Option<ChatCommand>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// QUIC, or a WebSocket where that does not work.
    Auto,
    /// QUIC only.
    Quic,
    /// WebSocket only.
    Websocket,
}

impl From<Way> for Ways {
    fn from(way: Way) -> Self {
        match way {
            Way::Auto => Self::Both,
            Way::Quic => Self::Quic,
            Way::Websocket => Self::WebSocket,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ChatCommand {
    /// Sign in by phone number, with a code that is sent to it; asks for what it takes, or reads it from its input.
    Login {
        /// With its country code.
        phone: String,
        /// With the password of the account instead of a code.
        #[arg(long)]
        password: bool,
    },
    /// End the sign-in, here and at the server.
    Logout,
    /// List the conversations.
    List,
    /// Show the newest messages of a conversation and mark them as read.
    Read {
        conv: String,
        /// How many.
        #[arg(long, short = 'n', default_value_t = 20)]
        count: usize,
    },
    /// Send a text and wait until the server has it.
    Send {
        conv: String,
        #[arg(required = true)]
        text: Vec<String>,
        /// Only queue it; a later run sends it.
        #[arg(long)]
        queue: bool,
    },
    /// Send a voice message: Ogg or WebM with Opus, or WAV.
    Voice { conv: String, file: PathBuf },
    /// Send a file.
    File {
        conv: String,
        file: PathBuf,
        #[arg(long, default_value = "", hide_default_value = true)]
        caption: String,
    },
    /// Download the file, picture or voice message that stands at a number of a conversation.
    Save { conv: String, seq: u64, dest: PathBuf },
    /// Replace the text of a message of yours.
    Edit { conv: String, seq: u64, text: Vec<String> },
    /// Take a message back.
    Recall { conv: String, seq: u64 },
    /// React to a message.
    React { conv: String, seq: u64, emoji: String },
    /// Print messages as they come, of one conversation or of all.
    Tail { conv: Option<String> },
    /// Make or find the direct conversation with somebody, and print its number.
    Direct { name: String },
    /// Make a group and print its number.
    Group { title: String, names: Vec<String> },
    /// List the members of a conversation.
    Members { conv: String },
    /// Who has read a message.
    Receipts { conv: String, seq: u64 },
    /// Catch up and send what is queued, and end.
    Sync,
}
