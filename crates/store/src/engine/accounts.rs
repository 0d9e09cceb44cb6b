//! People: codes, accounts, passwords. Sessions are in [`super::sessions`].
//!
//! Each function decides before it writes; what a refusal still writes (a count, a wrong attempt) is said where it is.

use convene_accounts::limits::{self, Act, Subject};
use convene_accounts::session::End;
use convene_accounts::vault::Lookup;
use convene_accounts::verification::{self, Challenge, Purpose, Tag, Verdict};
use convene_accounts::{Code, Refusal, department};
use convene_types::AccountId;
use rusqlite::OptionalExtension as _;

use super::Work;
use super::sessions::check_device;
use crate::accounts::{Account, Entry, Op, Outcome, Proof, State, Then, UsageKey, Which};
use crate::error::StoreError;
use crate::rows::{self, db};

/// What became of an operation, or why it was not done; or a failure of the store.
pub(super) type Answer<T> = Result<Result<T, Refusal>, StoreError>;

/// Leaves a function that answers with [`Answer`] with a refusal.
macro_rules! settle {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal.into())),
        }
    };
}
pub(super) use settle;

impl Work<'_> {
    pub(super) fn account(&mut self, op: Op) -> Answer<Outcome> {
        match op {
            Op::Take { act, subjects } => Ok(self.take(act, &subjects)?.map(|()| Outcome::Done)),
            Op::SendCode { lookup, purpose, tag, subjects } => self.send_code(lookup, purpose, tag, &subjects),
            Op::EnterCode { lookup, tag, subjects, then } => self.enter_code(lookup, tag, &subjects, then),
            Op::SignIn { account, checked, rehashed, entry } => self.sign_in(account, &checked, rehashed, entry),
            Op::SetPassword { account, hash, keep } => {
                settle!(self.active(account)?);
                self.write_password(account, &hash)?;
                let which = keep.map_or(Which::All, Which::AllBut);
                Ok(Ok(Outcome::Ended(self.end_sessions(account, which, End::PasswordChanged)?)))
            }
            Op::Refresh { id, generation } => self.refresh(id, generation),
            Op::End { account, which, end } => Ok(Ok(Outcome::Ended(self.end_sessions(account, which, end)?))),
            Op::Disable { account, disabled } => self.disable(account, disabled),
            Op::SeeDevice { account, device } => {
                settle!(self.active(account)?);
                settle!(check_device(&device));
                self.write_device(account, &device)?;
                Ok(Ok(Outcome::Done))
            }
            Op::Create { lookup, sealed, display_name, password } => {
                self.create_account(lookup, &sealed, &display_name, password.as_deref())
            }
            Op::Erase { account } => {
                let row = settle!(rows::account(self.conn, account)?.ok_or(Code::NotFound));
                if row.state == State::Erased {
                    return Ok(Err(Code::NotFound.into()));
                }
                self.erase_account(account)
            }
            Op::Consent { account, version } => self.consent(account, &version),
            Op::SetContact { account, org, contact, note } => self.set_contact(account, org, contact, &note),
            Op::RemoveContact { account, org, contact } => self.remove_contact(account, org, contact),
            Op::Rename { account, display_name, address } => self.rename_account(account, &display_name, &address),
            Op::SetPicture { account, picture, address } => self.set_picture(account, picture, &address),
            Op::WithdrawRequest { account, request, address } => self.withdraw_request(account, request, &address),
            Op::Export { account, subjects, address } => {
                settle!(self.active(account)?);
                settle!(self.take(Act::Export, &subjects)?);
                self.note_export(account, &address)?;
                Ok(Ok(Outcome::Done))
            }
            Op::Sweep { before_s } => self.sweep(before_s),
        }
    }

    pub(super) fn now_s(&self) -> u64 {
        u64::try_from(self.now_ms / 1000).unwrap_or(0)
    }

    /// Counts against all subjects or none.
    fn take(&mut self, act: Act, subjects: &[(Subject, UsageKey)]) -> Answer<()> {
        let mut usages = Vec::with_capacity(subjects.len());
        for (subject, key) in subjects {
            let id = (act.number(), subject.number(), key.as_slice());
            let sql = "SELECT since, count, last FROM usages WHERE act = ?1 AND subject = ?2 AND key = ?3";
            let found = self.conn.prepare_cached(sql)?.query_row(id, rows::usage_from).optional()?;
            usages.push((*subject, found.unwrap_or_default()));
        }
        let next = settle!(limits::take(act, &usages, self.now_s()));
        for ((subject, key), usage) in subjects.iter().zip(next) {
            let sql =
                "INSERT INTO usages (act, subject, key, since, count, last, ends) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT (act, subject, key) DO UPDATE SET since = ?4, count = ?5, last = ?6, ends = ?7";
            let ends = db(usage.ends_s(act, *subject));
            let (since, last) = (db(usage.since_s), db(usage.last_s));
            let row = (act.number(), subject.number(), key.as_slice(), since, usage.count, last, ends);
            self.conn.prepare_cached(sql)?.execute(row)?;
        }
        Ok(Ok(()))
    }

    fn send_code(
        &mut self,
        lookup: Lookup,
        purpose: Purpose,
        tag: Tag,
        subjects: &[(Subject, UsageKey)],
    ) -> Answer<Outcome> {
        settle!(self.take(Act::Send, subjects)?);
        self.write_challenge(lookup, purpose, &Challenge::sent(tag, self.now_s()))?;
        Ok(Ok(Outcome::Done))
    }

    fn write_challenge(&self, lookup: Lookup, purpose: Purpose, challenge: &Challenge) -> Result<(), StoreError> {
        let sql = "INSERT INTO challenges (lookup, purpose, tag, expires, attempts) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (lookup, purpose) DO UPDATE SET tag = ?3, expires = ?4, attempts = ?5";
        let Challenge { tag, expires_s, attempts } = challenge;
        self.conn.prepare_cached(sql)?.execute((lookup.0, purpose.name(), tag.0, db(*expires_s), attempts))?;
        Ok(())
    }

    /// Refused as wrong, it still counts; refused for what it was to lead to, the code is used up.
    fn enter_code(
        &mut self,
        lookup: Lookup,
        tag: Tag,
        subjects: &[(Subject, UsageKey)],
        then: Then,
    ) -> Answer<Outcome> {
        // What could not be kept is refused before it costs an attempt or the code.
        settle!(self.check_then(&then)?);
        settle!(self.take(Act::Enter, subjects)?);
        let purpose = then.purpose();
        if let Then::Rebind { account, proof: Proof::Code(own, own_tag), .. } = &then {
            settle!(self.check_proof(*account, *own, *own_tag)?);
        }
        settle!(self.try_code(lookup, purpose, tag)?);
        self.use_up(lookup, purpose)?;
        if let Then::Rebind { proof: Proof::Code(own, _), .. } = &then {
            self.use_up(*own, purpose)?;
        }
        let holder = rows::account_by_lookup(self.conn, lookup)?;
        match then {
            Then::Register { .. } if holder.is_some() => Ok(Err(Code::AccountExists.into())),
            Then::Register { sealed, display_name, password, consent, entry } => {
                let account = self.insert_account(&display_name, password.as_deref(), &consent)?;
                self.bind(account, lookup, &sealed)?;
                self.enter(account, &entry, Vec::new())
            }
            Then::SignIn { entry } => {
                let account = settle!(holder.ok_or(Code::NoAccount).and_then(|row| is_active(&row)));
                self.enter(account, &entry, Vec::new())
            }
            Then::Reset { password, entry } => {
                let account = settle!(holder.ok_or(Code::NoAccount).and_then(|row| is_active(&row)));
                self.write_password(account, &password)?;
                let ended = self.end_sessions(account, Which::All, End::PasswordChanged)?;
                self.enter(account, &entry, ended)
            }
            Then::Rebind { account, sealed, proof: _ } => {
                self.rebind(account, holder.map(|row| row.id), lookup, &sealed)
            }
            Then::Cancel { account } if holder.as_ref().is_some_and(|row| row.id == account) => {
                self.erase_account(account)
            }
            Then::Cancel { .. } => Ok(Err(Code::BadCode.into())),
        }
    }

    /// A wrong one counts. A right one stays good: the caller uses it up.
    fn try_code(&self, lookup: Lookup, purpose: Purpose, tag: Tag) -> Answer<()> {
        let found = rows::challenge(self.conn, lookup, purpose)?;
        match verification::check(found.as_ref(), tag, self.now_s()) {
            Verdict::Right => return Ok(Ok(())),
            Verdict::Wrong(next) => self.write_challenge(lookup, purpose, &next)?,
            Verdict::Dead => self.use_up(lookup, purpose)?,
        }
        Ok(Err(Code::BadCode.into()))
    }

    fn use_up(&self, lookup: Lookup, purpose: Purpose) -> Result<(), StoreError> {
        let sql = "DELETE FROM challenges WHERE lookup = ?1 AND purpose = ?2";
        self.conn.prepare_cached(sql)?.execute((lookup.0, purpose.name()))?;
        Ok(())
    }

    /// The code that came to the number of an account.
    fn check_proof(&self, account: AccountId, own: Lookup, tag: Tag) -> Answer<()> {
        let holder = rows::account_by_lookup(self.conn, own)?;
        if holder.is_none_or(|row| row.id != account) {
            return Ok(Err(Code::BadCode.into()));
        }
        self.try_code(own, Purpose::Rebind, tag)
    }

    fn check_then(&self, then: &Then) -> Answer<()> {
        match then {
            Then::Register { display_name, consent, entry, .. } => {
                settle!(department::check_name(display_name));
                settle!(department::check_name(consent));
                self.check_entry(entry)
            }
            Then::SignIn { entry } | Then::Reset { entry, .. } => self.check_entry(entry),
            Then::Rebind { .. } | Then::Cancel { .. } => Ok(Ok(())),
        }
    }

    fn rebind(
        &mut self,
        account: AccountId,
        holder: Option<AccountId>,
        lookup: Lookup,
        sealed: &[u8],
    ) -> Answer<Outcome> {
        settle!(self.active(account)?);
        if holder.is_some_and(|holder| holder != account) {
            return Ok(Err(Code::AccountExists.into()));
        }
        self.conn.prepare_cached("DELETE FROM phones WHERE account = ?1")?.execute([db(account.0)])?;
        self.bind(account, lookup, sealed)?;
        Ok(Ok(Outcome::Done))
    }

    fn sign_in(
        &mut self,
        account: AccountId,
        checked: &str,
        rehashed: Option<String>,
        entry: Entry,
    ) -> Answer<Outcome> {
        let row = settle!(self.active(account)?);
        if row.password.as_deref() != Some(checked) {
            return Ok(Err(Code::BadCredentials.into()));
        }
        settle!(self.check_entry(&entry)?);
        if let Some(hash) = rehashed {
            self.write_password(account, &hash)?;
        }
        if let Some((lookup, _)) = row.phone {
            self.forgive(Act::Password, Subject::Number, &lookup.0)?;
        }
        self.enter(account, &entry, Vec::new())
    }

    fn forgive(&self, act: Act, subject: Subject, key: &UsageKey) -> Result<(), StoreError> {
        if act.forgiven(subject) {
            let sql = "DELETE FROM usages WHERE act = ?1 AND subject = ?2 AND key = ?3";
            self.conn.prepare_cached(sql)?.execute((act.number(), subject.number(), key.as_slice()))?;
        }
        Ok(())
    }

    fn disable(&mut self, account: AccountId, disabled: bool) -> Answer<Outcome> {
        let row = settle!(rows::account(self.conn, account)?.ok_or(Code::NotFound));
        if row.state == State::Erased {
            return Ok(Err(Code::NotFound.into()));
        }
        let state = if disabled { State::Disabled } else { State::Active };
        let sql = "UPDATE accounts SET state = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(account.0), state.number()))?;
        let ended = if disabled { self.end_sessions(account, Which::All, End::Disabled)? } else { Vec::new() };
        Ok(Ok(Outcome::Ended(ended)))
    }

    fn consent(&mut self, account: AccountId, version: &str) -> Answer<Outcome> {
        settle!(self.active(account)?);
        settle!(department::check_name(version));
        let sql = "UPDATE accounts SET consent = ?2, consent_at = ?3 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(account.0), version, db(self.now_s())))?;
        Ok(Ok(Outcome::Done))
    }

    /// Nothing that tells who it was stays: the id means nobody for good. The last owner of an organisation names another
    /// one first.
    fn erase_account(&mut self, account: AccountId) -> Answer<Outcome> {
        settle!(self.leave_all(account)?);
        let ended = self.end_sessions(account, Which::All, End::Erased)?;
        let id = [db(account.0)];
        // A hash of a number finds the number by trying, for whoever has the key.
        for (table, column) in [("invitations", "number"), ("challenges", "lookup")] {
            let sql = format!("DELETE FROM {table} WHERE {column} IN (SELECT lookup FROM phones WHERE account = ?1)");
            self.conn.prepare_cached(&sql)?.execute(id)?;
        }
        for table in ["phones", "devices", "accesses"] {
            let sql = format!("DELETE FROM {table} WHERE account = ?1");
            self.conn.prepare_cached(&sql)?.execute(id)?;
        }
        let sql = "UPDATE accounts SET state = ?2, display_name = '', password = NULL, picture = '' WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(account.0), State::Erased.number()))?;
        self.prune_pictures(account)?;
        *self.erased = true;
        Ok(Ok(Outcome::Ended(ended)))
    }

    /// The person has agreed to nothing yet, and is asked at the first sign-in.
    fn create_account(
        &mut self,
        lookup: Lookup,
        sealed: &[u8],
        display_name: &str,
        password: Option<&str>,
    ) -> Answer<Outcome> {
        settle!(department::check_name(display_name));
        if rows::account_by_lookup(self.conn, lookup)?.is_some() {
            return Ok(Err(Code::AccountExists.into()));
        }
        let account = self.insert_account(display_name, password, "")?;
        self.bind(account, lookup, sealed)?;
        Ok(Ok(Outcome::Created(account)))
    }

    pub(super) fn active(&self, account: AccountId) -> Answer<Account> {
        let found = rows::account(self.conn, account)?.ok_or(Code::NotFound);
        Ok(found.and_then(|row| is_active(&row).map(|_| row)).map_err(Refusal::from))
    }

    fn insert_account(&self, name: &str, password: Option<&str>, consent: &str) -> Result<AccountId, StoreError> {
        let sql = "INSERT INTO accounts (state, display_name, password, consent, consent_at, made)
            VALUES (?1, ?2, ?3, ?4, ?5, ?5) RETURNING id";
        let row = (State::Active.number(), name, password, consent, db(self.now_s()));
        Ok(AccountId(self.conn.prepare_cached(sql)?.query_row(row, |row| rows::num(row, 0))?))
    }

    fn bind(&self, account: AccountId, lookup: Lookup, sealed: &[u8]) -> Result<(), StoreError> {
        let sql = "INSERT INTO phones (lookup, account, sealed, proved) VALUES (?1, ?2, ?3, ?4)";
        self.conn.prepare_cached(sql)?.execute((lookup.0, db(account.0), sealed, db(self.now_s())))?;
        Ok(())
    }

    fn write_password(&self, account: AccountId, hash: &str) -> Result<(), StoreError> {
        let sql = "UPDATE accounts SET password = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute((db(account.0), hash))?;
        Ok(())
    }
}

/// Only who has proved to hold the account's number, or its password, is told so.
fn is_active(row: &Account) -> Result<AccountId, Code> {
    match row.state {
        State::Active => Ok(row.id),
        State::Disabled => Err(Code::AccountDisabled),
        State::Erased => Err(Code::NotFound),
    }
}
