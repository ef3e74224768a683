//! Keys, signing requests and certificates: what is done with them, apart from who may do it.

pub(crate) mod chain;
pub(crate) mod csr;
pub(crate) mod key;

/// Draws a little randomness, before the seal: what draws it later has then found its way, which on kernels without
/// `getrandom`, or where an outer sandbox refuses it, is a descriptor of `/dev/urandom` that stays open.
pub(crate) fn draw_once() {
    use ring::rand::SecureRandom as _;
    // Who cannot do without says so when the time comes.
    let _ = ring::rand::SystemRandom::new().fill(&mut [0]);
    // The standard library's maps have theirs from elsewhere, and keep it.
    let _ = std::hash::RandomState::new();
}
