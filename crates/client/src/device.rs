//! Which installation this is: 16 bytes that were made once, and stand in the database of a data directory. An access token
//! is good on the device that signed in and on no other.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::db::Database;
use crate::db::meta::Key;
use crate::error::Error;

/// The database of a data directory.
pub(crate) const DATABASE: &str = "client.db";

/// Id of a device: as text, 32 hexadecimal digits, as `/v1/auth` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId(pub [u8; 16]);

impl DeviceId {
    /// The device of a data directory, which is made if it is not there: to sign in with before a client is opened on it.
    /// Waits for the disk. Fails while a client has the directory open.
    pub fn kept_in(data_dir: &Path) -> Result<Self, Error> {
        Self::of(&open(data_dir)?)
    }

    /// That of a database, made now if it has none.
    pub(crate) fn of(db: &Database) -> Result<Self, Error> {
        if let Some(known) = Self::known(db)? {
            return Ok(known);
        }
        let made = Self(rand::random());
        db.set_value(Key::Device, &made.0)?;
        Ok(made)
    }

    fn known(db: &Database) -> Result<Option<Self>, Error> {
        Ok(db.value(Key::Device)?.and_then(|bytes| bytes.try_into().ok()).map(Self))
    }
}

/// Opens the database of a data directory, which is made if it is not there.
pub(crate) fn open(data_dir: &Path) -> Result<Database, Error> {
    std::fs::create_dir_all(data_dir).map_err(|error| Error::File(format!("{}: {error}", data_dir.display())))?;
    Database::open(&data_dir.join(DATABASE))
}

/// Has a database be the one of this device and this organisation, or refuses it: it was another's. Answers in whose name it
/// speaks: what was named, or was named before.
pub(crate) fn claim(db: &Database, device: Option<DeviceId>, organisation: &str) -> Result<String, Error> {
    let kept = db.value(Key::Organisation)?.map(|name| String::from_utf8_lossy(&name).into_owned()).unwrap_or_default();
    if !organisation.is_empty() && !kept.is_empty() && organisation != kept {
        let text =
            format!("this data directory is of the organisation {kept}, not of {organisation}: take another one");
        return Err(Error::Foreign(text));
    }
    match (DeviceId::known(db)?, device) {
        (Some(known), Some(device)) if known != device => {
            return Err(Error::Foreign(format!("this data directory is of the device {known}, not of {device}")));
        }
        (None, Some(device)) => db.set_value(Key::Device, &device.0)?,
        (Some(_), _) | (None, None) => {}
    }
    Ok(if organisation.is_empty() { kept } else { organisation.to_owned() })
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for DeviceId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        let wrong = || Error::Unknown(format!("{text:?} is no device: expected 32 hexadecimal digits"));
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = DeviceId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0dfeff");
        assert_eq!(id.to_string().parse::<DeviceId>(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse::<DeviceId>(), Ok(id));
        for wrong in ["", "0", "+0000000000000000000000000000000", &"0".repeat(33), &"ä".repeat(16)] {
            assert!(wrong.parse::<DeviceId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_directory_is_of_one_device_and_one_organisation() {
        let db = Database::in_memory();
        let (one, other) = (DeviceId([1; 16]), DeviceId([2; 16]));
        assert_eq!(claim(&db, Some(one), "").as_deref(), Ok(""));
        assert_eq!(DeviceId::of(&db), Ok(one));
        assert!(matches!(claim(&db, Some(other), ""), Err(Error::Foreign(text)) if text.contains(&one.to_string())));
        // Named later on: whether it is the same seat is seen when the server says who this is.
        assert_eq!(claim(&db, None, "acme").as_deref(), Ok("acme"));
        db.set_value(Key::Organisation, b"acme").unwrap();
        assert_eq!(claim(&db, Some(one), "").as_deref(), Ok("acme"));
        assert!(matches!(claim(&db, Some(one), "emca"), Err(Error::Foreign(text)) if text.contains("acme")));
        assert_eq!(DeviceId::of(&db), Ok(one), "nothing of it has changed");
    }
}
