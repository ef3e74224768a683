//! Reading the server's JSON objects: what is not needed may be missing or of any type, what is needed is checked.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::error::ErrorKind;
use crate::text::clean;
use crate::url::{Origins, Url};

/// One object of the server, and what it is called in errors.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a> {
    what: &'static str,
    members: &'a Map<String, Value>,
    origins: &'a Origins,
}

impl<'a> Object<'a> {
    pub(crate) fn new(what: &'static str, value: &'a Value, origins: &'a Origins) -> Result<Self, ErrorKind> {
        match value.as_object() {
            Some(members) => Ok(Self { what, members, origins }),
            None => Err(malformed(what, "it is not a JSON object")),
        }
    }

    /// A member that is an object itself, called `what`.
    pub(crate) fn object(&self, what: &'static str, key: &str) -> Option<Self> {
        let members = self.members.get(key)?.as_object()?;
        Some(Self { what, members, origins: self.origins })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        self.members.get(key)?.as_str()
    }

    /// A text that is only to be shown.
    pub(crate) fn shown(&self, key: &str) -> Option<String> {
        self.text(key).map(|text| clean(text, MAX_SHOWN))
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.members.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The elements of a list; a missing one, or something else in its place, is empty.
    pub(crate) fn list(&self, key: &'static str, max: usize) -> Result<&'a [Value], ErrorKind> {
        let list = self.members.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if list.len() > max {
            return Err(self.malformed(&format!("{} elements in {key:?}, more than the {max} allowed", list.len())));
        }
        Ok(list)
    }

    /// A URL that requests may go to, if there is one.
    pub(crate) fn url(&self, key: &'static str) -> Result<Option<Url>, ErrorKind> {
        self.text(key).map(|text| checked_url(self.what, key, text, self.origins)).transpose()
    }

    /// A URL without which nothing can be done.
    pub(crate) fn need_url(&self, key: &'static str) -> Result<Url, ErrorKind> {
        self.url(key)?.ok_or_else(|| self.missing(key))
    }

    pub(crate) fn urls(&self, key: &'static str, max: usize) -> Result<Vec<Url>, ErrorKind> {
        let url = |value: &Value| match value.as_str() {
            Some(text) => checked_url(self.what, key, text, self.origins),
            None => Err(self.malformed(&format!("{key:?} holds something that is not a URL"))),
        };
        self.list(key, max)?.iter().map(url).collect()
    }

    pub(crate) fn missing(&self, key: &str) -> ErrorKind {
        self.malformed(&format!("it has no {key:?}"))
    }

    pub(crate) fn malformed(&self, detail: &str) -> ErrorKind {
        malformed(self.what, detail)
    }
}

pub(crate) fn parse(what: &'static str, body: &[u8]) -> Result<Value, ErrorKind> {
    // The text of serde_json's errors is about the position only, never a piece of the body.
    serde_json::from_slice(body).map_err(|error| malformed(what, &format!("it is not JSON: {error}")))
}

/// Every URL that comes from the server passes here before a request goes to it.
pub(crate) fn checked_url(
    object: &'static str,
    field: &'static str,
    text: &str,
    origins: &Origins,
) -> Result<Url, ErrorKind> {
    let url = Url::parse(text).map_err(|error| malformed(object, &format!("{field:?} is {error}")))?;
    if origins.allows(&url) {
        return Ok(url);
    }
    Err(ErrorKind::ForeignUrl { object, field, url: clean(url.as_str(), MAX_SHOWN) })
}

pub(crate) fn malformed(object: &'static str, detail: &str) -> ErrorKind {
    ErrorKind::Malformed { object, detail: clean(detail, MAX_SHOWN) }
}

const MAX_SHOWN: usize = 300;
