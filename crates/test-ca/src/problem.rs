//! Problem documents (RFC 7807 with the types of RFC 8555 section 6.7).

use serde_json::{Value, json};

use crate::config::RetryAfter;
use crate::names;

/// What went wrong, for the client.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The last part of `urn:ietf:params:acme:error:…`.
    pub(crate) kind: String,
    pub(crate) status: u16,
    pub(crate) detail: String,
    /// Whether only a client that does not keep to the protocol gets this.
    pub(crate) mistake: bool,
    pub(crate) retry_after: Option<RetryAfter>,
    /// Header fields of its reply.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Further members.
    members: Vec<(&'static str, Value)>,
}

impl Problem {
    pub(crate) fn new(status: u16, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            status,
            detail: detail.into(),
            mistake: false,
            retry_after: None,
            headers: Vec::new(),
            members: Vec::new(),
        }
    }

    /// A request that is wrong in form.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(400, "malformed", detail).mistake()
    }

    /// A request that its sender has no right to.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(403, "unauthorized", detail)
    }

    /// A certificate signing request that cannot be granted.
    pub(crate) fn bad_csr(detail: impl Into<String>) -> Self {
        Self::new(400, "badCSR", detail).mistake()
    }

    /// Something of the server's own that failed.
    pub(crate) fn internal(detail: impl std::fmt::Display) -> Self {
        Self::new(500, "serverInternal", format!("the server failed: {detail}"))
    }

    /// Only a client that does not keep to the protocol gets this.
    pub(crate) fn mistake(mut self) -> Self {
        self.mistake = true;
        self
    }

    /// Adds a member to the document.
    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.members.push((name, value));
        self
    }

    /// Adds a header field to the reply.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// About one name of several.
    pub(crate) fn about(self, name: &str) -> Self {
        self.with("identifier", names::identifier(name))
    }

    /// As a part of another problem (RFC 8555 section 6.7.1).
    pub(crate) fn to_subproblem(&self) -> Value {
        let mut document = json!({"type": format!("urn:ietf:params:acme:error:{}", self.kind), "detail": self.detail});
        for (name, value) in &self.members {
            document[*name] = value.clone();
        }
        document
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut document = self.to_subproblem();
        document["status"] = self.status.into();
        document
    }
}
