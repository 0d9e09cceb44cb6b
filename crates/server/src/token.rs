//! `convene token`: from the command line to claims, signed with a key of the configuration.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use convene_accounts::token::{self as chat, Authority};
use convene_signaling::token::{Claims, Grants, MAX_IDENTITY_BYTES, MAX_ROOM_NAME_BYTES, Minter};

use crate::cli::{ServeArgs, TokenArgs};
use crate::config::{self, DEV_KEY};

/// What clients call the sources; anything else would be a grant that never matches.
const SOURCES: [&str; 4] = ["camera", "microphone", "screen_share", "screen_share_audio"];

/// The token these arguments ask for.
pub(crate) fn mint(args: &TokenArgs) -> Result<String> {
    if let Some(user) = &args.chat_user {
        return mint_chat(args, user);
    }
    let claims = claims(args)?;
    let (key, secret) = key(args)?;
    Minter::new(&key, &secret).mint(&claims, args.valid_for).context("signing the token")
}

fn mint_chat(args: &TokenArgs, user: &str) -> Result<String> {
    let (key, secret) = key(args)?;
    let authority = Authority::new(HashMap::from([(key.clone(), secret)]));
    let claims = chat::Claims {
        key,
        user: user.to_owned(),
        org: args.org.clone().unwrap_or_default(),
        display_name: args.name.clone(),
        valid_for_s: args.valid_for.as_secs(),
        ..chat::Claims::default()
    };
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).context("reading the clock")?.as_secs();
    authority.mint(&claims, now_s).context("signing the token")
}

fn claims(args: &TokenArgs) -> Result<Claims> {
    let unknown = args.source.iter().find(|source| !SOURCES.contains(&source.as_str()));
    ensure!(unknown.is_none(), "--source takes {}", SOURCES.join(", "));
    let identity = args.identity.clone().unwrap_or_default();
    ensure!((1..=MAX_IDENTITY_BYTES).contains(&identity.len()), "--identity takes 1 to {MAX_IDENTITY_BYTES} bytes");
    let room = args.room.clone().unwrap_or_default();
    ensure!(
        args.room.is_none() || (1..=MAX_ROOM_NAME_BYTES).contains(&room.len()),
        "--room takes 1 to {MAX_ROOM_NAME_BYTES} bytes"
    );
    let grants = Grants {
        room_create: args.create,
        room_list: args.list,
        room_admin: args.admin,
        room_join: !args.no_join,
        room,
        can_publish: args.no_publish.then_some(false),
        can_subscribe: args.no_subscribe.then_some(false),
        can_publish_data: args.no_data.then_some(false),
        can_publish_sources: args.source.clone(),
        can_update_own_metadata: args.update_own_metadata.then_some(true),
        hidden: args.hidden,
        ..Grants::default()
    };
    Ok(Claims {
        identity,
        name: args.name.clone(),
        metadata: args.metadata.clone(),
        attributes: args.attribute.iter().cloned().collect(),
        grants,
        ..Claims::default()
    })
}

fn key(args: &TokenArgs) -> Result<(String, String)> {
    if let (Some(key), Some(secret)) = (&args.api_key, &args.api_secret) {
        return Ok((key.clone(), secret.clone()));
    }
    if args.dev {
        return Ok((DEV_KEY.0.to_owned(), DEV_KEY.1.to_owned()));
    }
    let serve = ServeArgs { config: args.config.clone(), ..ServeArgs::default() };
    let config = config::load(&serve.sources())?;
    let first = config.keys.0.into_iter().next();
    if first.is_none() && args.chat_user.is_some() && !config.dev {
        // Of use in a server with --dev only, where it opens nothing that is not open.
        let note = "convene: no api key is configured; signed with the key of development mode";
        let _ = writeln!(std::io::stderr(), "{note}"); // no stderr, nobody to tell
        return Ok((DEV_KEY.0.to_owned(), DEV_KEY.1.to_owned()));
    }
    if first.is_none() && config.dev {
        return Ok((DEV_KEY.0.to_owned(), DEV_KEY.1.to_owned()));
    }
    first.context("no api key to sign with: give --dev, or --config FILE or CONVENE_KEYS=name:secret, or --api-key and --api-secret")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use convene_signaling::token::Verifier;

    use super::*;
    use crate::cli::{Cli, Command};

    fn minted(flags: &str) -> Result<Claims> {
        let line = format!("convene token --api-key k --api-secret s {flags}");
        let Command::Token(args) = Cli::try_parse_from(line.split_whitespace())?.command else { panic!("token") };
        let token = mint(&args)?;
        Ok(Verifier::new(HashMap::from([("k".to_owned(), "s".to_owned())])).verify(&token)?)
    }

    #[test]
    fn a_plain_token_joins_one_room() {
        let claims = minted("--room r --identity ana --name Ana --attribute a=b=c --valid-for 90s").unwrap();
        assert_eq!((claims.identity.as_str(), claims.name.as_str()), ("ana", "Ana"));
        assert_eq!(claims.require_join("").unwrap(), "r");
        assert_eq!(claims.attributes.get("a").map(String::as_str), Some("b=c"));
        assert_eq!(claims.expires_at - claims.not_before, 90);
        assert!(claims.grants.may_publish() && claims.grants.may_subscribe() && claims.grants.may_publish_data());
        assert!(
            claims.require_admin("r").is_err() && claims.require_create().is_err() && claims.require_list().is_err()
        );
    }

    #[test]
    fn flags_give_and_take_rights() {
        let none = minted("--room r --identity a --no-publish --no-subscribe --no-data").unwrap().grants;
        assert!(!none.may_publish() && !none.may_subscribe() && !none.may_publish_data());
        let camera = minted("--room r --identity a --source camera").unwrap().grants;
        assert!(camera.may_publish_source("camera") && !camera.may_publish_source("microphone"));
        let admin = minted("--room r --identity a --admin --create --list --no-join").unwrap();
        assert!(admin.require_admin("r").is_ok() && admin.require_create().is_ok() && admin.require_list().is_ok());
        assert!(admin.require_join("r").is_err());
    }

    #[test]
    fn a_chat_token_is_for_an_account() {
        let line = "convene token --api-key k --api-secret s --chat-user ana --org acme --name Ana --valid-for 90s";
        let Command::Token(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!("token")
        };
        let token = mint(&args).unwrap();
        let authority = Authority::new(HashMap::from([("k".to_owned(), "s".to_owned())]));
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let identity = authority.check(&token, now_s).unwrap();
        assert_eq!(
            (identity.user.as_str(), identity.org.as_str(), identity.display_name.as_str()),
            ("ana", "acme", "Ana")
        );
        assert!((80..=90).contains(&(identity.expires_s - now_s)));
    }

    #[test]
    fn what_is_missing_is_named() {
        let rows = [
            ("--identity a", "--room"),
            ("--room r", "--identity"),
            ("--room r --identity a --source eye", "screen_share"),
            ("--room r --identity a --valid-for soon", "6h"),
        ];
        for (flags, word) in rows {
            let message = minted(flags).unwrap_err().to_string();
            assert!(message.contains(word), "{flags}: {message}");
        }
    }
}
