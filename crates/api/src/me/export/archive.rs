//! The archive, entry by entry, on a thread that may wait.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::Arc;

use convene_proto::im::{self, ConversationKind};
use convene_store::accounts::Account;
use convene_store::orgs::{Company, Seat};
use convene_store::{BlobRow, Reader, StoreError};
use convene_types::{AccountId, ConvId, OrgId, UserId};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::files::{Files, Found, extension};
use super::pipe::{Pipe, Sink};
use super::{events, html};
use crate::Inner;
use crate::answer::{Me, hex};

/// Rows that are read at a time.
const PAGE: u32 = 500;
/// Names that are remembered: whoever has met more people is asked for once more.
const MAX_NAMES: usize = 10_000;
/// Bytes of a file that are read at a time.
const PIECE_BYTES: u64 = 256 * 1024;

pub(super) struct Archive {
    runtime: Handle,
    inner: Arc<Inner>,
    account: AccountId,
    profile: Value,
    picture: String,
    names: HashMap<u64, String>,
    files: Files,
    index: String,
}

/// A conversation, and as whom it is seen.
struct Seen {
    org: OrgId,
    user: UserId,
    conv: ConvId,
    title: String,
}

type Zip = ZipWriter<StreamWriter<Pipe>>;

impl Archive {
    pub(super) fn new(runtime: Handle, inner: Arc<Inner>, me: Account, shown: &Me) -> io::Result<Self> {
        let mut profile = serde_json::to_value(shown).map_err(io::Error::other)?;
        if let Some(fields) = profile.as_object_mut() {
            // Addresses that expire are nothing to keep: the picture is in here.
            fields.remove("picture");
            fields.insert("made_s".to_owned(), json!(me.made_s));
            fields.insert("consent".to_owned(), json!({ "version": me.consent, "at_s": me.consent_s }));
        }
        let (account, picture) = (me.id, me.picture);
        let (names, files, index) = (HashMap::new(), Files::default(), html::head("Your data"));
        Ok(Self { runtime, inner, account, profile, picture, names, files, index })
    }

    /// Writes all of it.
    pub(super) fn write(mut self, to: Sink) -> io::Result<()> {
        let mut zip = ZipWriter::new_stream(to.pipe());
        let profile = self.profile.clone();
        self.json(&mut zip, "profile.json", "Profile and consent", &profile)?;
        self.person(&mut zip)?;
        self.accesses(&mut zip)?;
        let account = self.account;
        let seats = self.ask(move |reader| reader.companies_of(account))?;
        self.memberships(&mut zip, &seats)?;
        self.contacts(&mut zip)?;
        self.index.push_str("<h2>Conversations</h2><ul>\n");
        for (company, seat) in &seats {
            self.conversations(&mut zip, company, seat)?;
        }
        self.index.push_str("</ul>\n");
        for (_, seat) in &seats {
            self.own_files(seat)?;
        }
        self.write_files(&mut zip)?;
        self.write_picture(&mut zip)?;
        let index = std::mem::take(&mut self.index);
        entry(&mut zip, "index.html", true)?;
        zip.write_all(index.as_bytes())?;
        zip.finish().map_err(io::Error::other)?.into_inner().flush()
    }

    fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> io::Result<T> {
        self.runtime.block_on(self.inner.store.ask(ask)).map_err(io::Error::other)
    }

    /// An entry of JSON, and a link to it.
    fn json(&mut self, zip: &mut Zip, path: &str, title: &str, value: &Value) -> io::Result<()> {
        entry(zip, path, true)?;
        serde_json::to_writer_pretty(&mut *zip, value)?;
        self.link(path, title);
        Ok(())
    }

    fn link(&mut self, path: &str, title: &str) {
        self.index.push_str(&format!("<p><a href=\"{}\">{}</a></p>\n", html::text(path), html::text(title)));
    }

    fn person(&mut self, zip: &mut Zip) -> io::Result<()> {
        let account = self.account;
        let found = self.ask(move |reader| {
            Ok((reader.devices_of(account)?, reader.sessions_of(account)?, reader.requests_of(account)?))
        })?;
        let (devices, sessions, requests) = found;
        let device = |(device, seen_s): &(convene_store::accounts::Device, u64)| {
            json!({ "id": hex(&device.id.0), "model": device.model, "system": device.system,
                "push_token": device.push_token, "address": device.address, "seen_s": seen_s })
        };
        let session = |session: &convene_accounts::session::Session| {
            json!({ "id": hex(&session.id.0), "device_id": hex(&session.device.0), "began_s": session.began_s,
                "refreshed_s": session.rotated_s, "ended": session.ended.is_some() })
        };
        let request = |request: &convene_store::accounts::OwnRequest| json!({ "id": request.id.0, "organisation": request.org.0, "title": request.title, "made_s": request.made_s });
        self.json(zip, "devices.json", "Devices", &devices.iter().map(device).collect())?;
        self.json(zip, "sessions.json", "Sign-ins", &sessions.iter().map(session).collect())?;
        self.json(zip, "join-requests.json", "Requests to be let in", &requests.iter().map(request).collect())
    }

    fn accesses(&mut self, zip: &mut Zip) -> io::Result<()> {
        let (account, mut before) = (self.account, i64::MAX);
        let mut rows = Rows::begin(zip, "access-log.json")?;
        loop {
            let page = self.ask(move |reader| reader.accesses_of(account, before, PAGE))?;
            for row in &page {
                rows.push(&json!({ "at_s": row.at_s, "address": row.address, "client": row.client,
                    "endpoint": row.endpoint, "status": row.status, "code": row.code }))?;
            }
            match page.last() {
                Some(last) => before = last.id,
                None => break,
            }
        }
        rows.end()?;
        self.link("access-log.json", "Requests made with the account");
        Ok(())
    }

    fn memberships(&mut self, zip: &mut Zip, seats: &[(Company, Seat)]) -> io::Result<()> {
        let mut all = Vec::new();
        for (company, seat) in seats {
            let (org, account) = (seat.org, seat.account);
            let found = self.ask(move |reader| {
                Ok((reader.member(org, account)?, reader.tree(org)?, reader.waiting_edit(org, account)?))
            })?;
            let (Some(member), tree, waiting) = found else { continue };
            let place = |place: &convene_accounts::department::Place| {
                let name = tree.get(place.dept).map(|dept| dept.name.as_str());
                json!({ "department": place.dept.0, "name": name, "position": place.position.map(|id| id.0) })
            };
            all.push(json!({
                "organisation": org.0,
                "title": company.title,
                "role": serde_json::to_value(crate::org::RoleView::from(member.role)).unwrap_or_default(),
                "display_name": member.display_name,
                "profile": member.profile,
                "places": member.places.iter().map(place).collect::<Value>(),
                "joined_s": member.joined_s,
                "waiting_edit": waiting.map(|waiting| waiting.edit),
            }));
        }
        self.json(zip, "memberships.json", "Organisations", &Value::Array(all))
    }

    fn contacts(&mut self, zip: &mut Zip) -> io::Result<()> {
        let (owner, mut after) = (self.account, (OrgId(0), AccountId(0)));
        let mut rows = Rows::begin(zip, "contacts.json")?;
        loop {
            let page = self.ask(move |reader| reader.contacts(owner, after, PAGE))?;
            for row in &page {
                // Others are named as the address book has them: the rest is theirs.
                rows.push(&json!({ "organisation": row.org.0, "account": row.member.account.0,
                    "display_name": row.member.display_name, "note": row.note }))?;
            }
            match page.last() {
                Some(last) => after = (last.org, last.member.account),
                None => break,
            }
        }
        rows.end()?;
        self.link("contacts.json", "Address book");
        Ok(())
    }

    fn conversations(&mut self, zip: &mut Zip, company: &Company, seat: &Seat) -> io::Result<()> {
        let user = seat.user;
        for delta in self.ask(move |reader| reader.conversations(user))? {
            let title = match delta.kind() {
                ConversationKind::Direct => self.name(delta.peer)?,
                ConversationKind::Group | ConversationKind::Unspecified => delta.title.clone(),
            };
            let conv = Seen { org: seat.org, user, conv: ConvId(delta.conv), title };
            let path = format!("conversations/{}-{}", conv.org, conv.conv);
            self.write_json(zip, &path, &conv)?;
            self.write_html(zip, &path, &conv)?;
            let (title, org) = (html::text(&conv.title), html::text(&company.title));
            self.index.push_str(&format!(
                "<li><a href=\"{path}.html\">{title}</a> <small>{org}, {}</small></li>\n",
                html::clock(delta.at_ms)
            ));
        }
        Ok(())
    }

    fn write_json(&mut self, zip: &mut Zip, path: &str, conv: &Seen) -> io::Result<()> {
        let mut rows = Rows::begin(zip, &format!("{path}.json"))?;
        self.each(conv, |event, shown, sender, file| rows.push(&events::json(event, shown, sender, file)))?;
        rows.end()
    }

    fn write_html(&mut self, zip: &mut Zip, path: &str, conv: &Seen) -> io::Result<()> {
        entry(zip, &format!("{path}.html"), true)?;
        writeln!(zip, "{}<p><a href=\"../index.html\">Your data</a></p><ol>", html::head(&conv.title))?;
        self.each(conv, |event, shown, sender, file| {
            zip.write_all(events::row(event, shown, sender, file).as_bytes())
        })?;
        zip.write_all(b"</ol>")
    }

    /// Every event of a conversation that its member sees, from the first on.
    fn each(
        &mut self,
        conv: &Seen,
        mut work: impl FnMut(&im::Event, &events::Shown, &str, Option<&str>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (user, mut after) = (conv.user, 0);
        loop {
            let request = im::Fetch { conv: conv.conv.0, after, limit: PAGE, ..im::Fetch::default() };
            let page = self.inner.store.read(move |reader| reader.fetch(user, &request));
            let page = self.runtime.block_on(page).map_err(io::Error::other)?;
            for event in &page.events {
                self.load_names(event)?;
                let names = &self.names;
                let shown = events::shown(event, &mut |user| name_of(names, user));
                let sender = name_of(names, event.sender);
                let file = match shown.blob.as_ref().filter(|blob| !blob.id.is_empty()) {
                    Some(blob) => {
                        let (org, conv, id) = (conv.org, Some(conv.conv), blob.id.to_vec());
                        let found = Found { org, user, conv, id, path: String::new() };
                        self.files.path(found, blob.size, &blob.mime)
                    }
                    None => None,
                };
                work(event, &shown, &sender, file)?;
            }
            match page.events.last() {
                Some(last) => after = last.seq,
                None => return Ok(()),
            }
        }
    }

    /// Everybody whom an event names, so that it can be put in words.
    fn load_names(&mut self, event: &im::Event) -> io::Result<()> {
        if self.names.len() > MAX_NAMES {
            self.names.clear();
        }
        let mut named = Vec::new();
        let sender = event.sender;
        events::shown(event, &mut |user| {
            named.push(user);
            String::new()
        });
        for user in named.into_iter().chain([sender]) {
            if user > 0 && !self.names.contains_key(&user) {
                let name = self.name(user)?;
                self.names.insert(user, name);
            }
        }
        Ok(())
    }

    fn name(&self, user: u64) -> io::Result<String> {
        let found = self.ask(move |reader| reader.user(UserId(user)))?;
        Ok(found.map(|user| user.display_name).unwrap_or_default())
    }

    /// What was uploaded, and is in no conversation.
    fn own_files(&mut self, seat: &Seat) -> io::Result<()> {
        let (org, user, mut after) = (seat.org, seat.user, Vec::new());
        loop {
            let behind = after.clone();
            let page = self.ask(move |reader| reader.blobs_of(org, user, &behind))?;
            for BlobRow { facts, .. } in &page {
                let found = Found { org, user, conv: None, id: facts.id.to_vec(), path: String::new() };
                self.files.path(found, facts.size, &facts.mime);
            }
            match page.last() {
                Some(last) => after = last.facts.id.to_vec(),
                None => return Ok(()),
            }
        }
    }

    fn write_files(&mut self, zip: &mut Zip) -> io::Result<()> {
        for Found { org, user, conv, id, path } in self.files.take() {
            let row = match conv {
                Some(conv) => {
                    let found = self.inner.store.read(move |reader| reader.may_read_blob(user, conv, &id));
                    self.runtime.block_on(found).ok()
                }
                None => self.ask(move |reader| reader.own_blob(org, user, &id))?,
            };
            // Erased since it was found.
            if let Some(row) = row {
                self.write_blob(zip, &path, &row)?;
            }
        }
        if self.files.left_out > 0 {
            let left_out = self.files.left_out;
            self.index.push_str(&format!("<p>{left_out} files are too much for one archive and were left out.</p>\n"));
        }
        Ok(())
    }

    fn write_picture(&mut self, zip: &mut Zip) -> io::Result<()> {
        let (account, name) = (self.account, self.picture.clone());
        let Some(row) = self.ask(move |reader| reader.picture(account, &name))? else { return Ok(()) };
        let path = format!("picture.{}", extension(&row.facts.mime));
        self.write_blob(zip, &path, &row)?;
        self.link(&path, "Picture");
        Ok(())
    }

    fn write_blob(&self, zip: &mut Zip, path: &str, row: &BlobRow) -> io::Result<()> {
        let Some(blobs) = self.inner.blobs.get() else { return Ok(()) };
        entry(zip, path, false)?;
        let mut at = 0;
        loop {
            let piece = self.runtime.block_on(blobs.read(row, at, PIECE_BYTES)).map_err(io::Error::other)?;
            if piece.is_empty() {
                return Ok(());
            }
            zip.write_all(&piece)?;
            at = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
    }
}

fn name_of(names: &HashMap<u64, String>, user: u64) -> String {
    match user {
        0 => "server".to_owned(),
        user => names.get(&user).cloned().unwrap_or_default(),
    }
}

/// The next entry begins. Pictures and recordings are packed already.
fn entry(zip: &mut Zip, path: &str, pack: bool) -> io::Result<()> {
    let method = if pack { CompressionMethod::Deflated } else { CompressionMethod::Stored };
    zip.start_file(path, SimpleFileOptions::default().compression_method(method)).map_err(io::Error::other)
}

/// An array of JSON that is longer than memory, a row a line.
struct Rows<'a> {
    zip: &'a mut Zip,
    first: bool,
}

impl<'a> Rows<'a> {
    fn begin(zip: &'a mut Zip, path: &str) -> io::Result<Self> {
        entry(zip, path, true)?;
        zip.write_all(b"[")?;
        Ok(Self { zip, first: true })
    }

    fn push(&mut self, value: &Value) -> io::Result<()> {
        let between: &[u8] = if std::mem::take(&mut self.first) { b"\n" } else { b",\n" };
        self.zip.write_all(between)?;
        Ok(serde_json::to_writer(&mut *self.zip, value)?)
    }

    fn end(self) -> io::Result<()> {
        self.zip.write_all(b"\n]\n")
    }
}
