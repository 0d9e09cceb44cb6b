//! Who somebody is, and what they may do in an organisation: rules only.
//!
//! - People: [`phone`] reads numbers, [`vault`] keeps them, [`verification`] proves them, [`password`] too, [`limits`] says
//!   how often one may try.
//! - Sign-ins: [`token`] shows one, [`session`] keeps it, [`revocation`] ends it at once, [`receipt`] says that
//!   an account has ended.
//! - Organisations: [`role`] says who may do what, [`department`] how they are built, [`invitation`] how people come in,
//!   [`policy`] what members may, [`apikey`] and [`program`] what their programs may, [`audit`] what was done.
//! - [`Code`] and [`Refusal`] are what is answered when something is not done.
//!
//! Not here: what a user may do in a conversation (`im-core`), room tokens (`signaling::token`), where all this is kept
//! (`store`), who sends messages (`sms`).
//!
//! Invariant: this crate never reads a clock and makes no random numbers; callers bring both.

pub mod apikey;
pub mod audit;
pub mod department;
pub mod directory;
mod error;
pub mod invitation;
pub mod limits;
pub mod password;
pub mod phone;
pub mod policy;
pub mod profile;
pub mod program;
pub mod receipt;
pub mod revocation;
pub mod role;
pub mod session;
pub mod set;
pub mod token;
pub mod vault;
pub mod verification;
pub mod webhook;

pub use error::{Code, Refusal};
