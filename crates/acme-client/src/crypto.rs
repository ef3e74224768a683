//! Keys, signing requests and certificates: what is done with them, apart from who may do it.

pub(crate) mod chain;
pub(crate) mod csr;
pub(crate) mod key;
